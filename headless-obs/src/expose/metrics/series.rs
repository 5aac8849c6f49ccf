//! The series of one family: label values → value, in the order in which they were first seen.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::Timestamp;

use crate::expose::histogram::Histogram;

/// The most labels of a metric.
pub const LABELS: usize = 8;

/// Values of the labels, in the order of the metric's names; the rest is empty.
pub type Labels<'a> = [&'a str; LABELS];

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A whole number.
    Count(u64),
    /// Any number.
    Number(f64),
    /// A histogram.
    Histogram(Cow<'a, Histogram>),
}

/// A series.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// Its labels.
    pub labels: Labels<'a>,
    /// Its value.
    pub value: Value<'a>,
    /// The time at which it was 0; nothing: at the start of the observation.
    pub start: Option<Timestamp>,
}

/// Series being collected.
#[derive(Debug, Default)]
pub struct Series<'a> {
    rows: Vec<Row<'a>>,
    places: HashMap<Labels<'a>, usize>,
    start: Option<Timestamp>,
    before: u64,
}

impl<'a> Series<'a> {
    /// A collection without series, after this number in other families.
    pub fn after(before: u64) -> Self {
        Self { before, ..Self::default() }
    }

    /// The number of series in the families before this one.
    pub fn before(&self) -> u64 {
        self.before
    }

    /// Series that are added from here on began at that time.
    pub fn started(&mut self, start: Option<Timestamp>) {
        self.start = start;
    }

    /// Adds to the series with these labels. A Service may list one pod name twice, for example after a pod came back
    /// under its old name, and an exposition with the same series twice is invalid.
    pub fn add<const N: usize>(&mut self, labels: [&'a str; N], value: u64) {
        if let Some(Value::Count(sum)) = self.value(labels, || Value::Count(0)) {
            *sum = sum.saturating_add(value);
        }
    }

    /// Keeps the larger value, for values that cannot be added.
    pub fn max<const N: usize>(&mut self, labels: [&'a str; N], value: f64) {
        if let Some(Value::Number(largest)) = self.value(labels, || Value::Number(value)) {
            *largest = largest.max(value);
        }
    }

    /// Adds the values of a histogram.
    pub fn merge<const N: usize>(&mut self, labels: [&'a str; N], histogram: &'a Histogram) {
        if let Some(Value::Histogram(sum)) =
            self.value(labels, || Value::Histogram(Cow::Owned(Histogram::default())))
        {
            if sum.is_empty() {
                *sum = Cow::Borrowed(histogram);
            } else {
                sum.to_mut().add(histogram);
            }
        }
    }

    /// All series.
    pub fn into_rows(self) -> Vec<Row<'a>> {
        self.rows
    }

    fn value<const N: usize>(
        &mut self,
        labels: [&'a str; N],
        new: impl FnOnce() -> Value<'a>,
    ) -> Option<&mut Value<'a>> {
        const { assert!(N <= LABELS, "raise LABELS") };
        let mut all = [""; LABELS];
        all.iter_mut().zip(labels).for_each(|(place, label)| *place = label);
        let Self { rows, places, start, .. } = self;
        let place = *places.entry(all).or_insert_with(|| {
            rows.push(Row { labels: all, value: new(), start: *start });
            rows.len() - 1
        });
        let row = rows.get_mut(place)?;
        row.start = row.start.zip(*start).map(|(one, other)| one.min(other));
        Some(&mut row.value)
    }
}
