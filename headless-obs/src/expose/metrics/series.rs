//! The series of one family: label values → value, in a stable order.

use std::collections::BTreeMap;

/// Series being collected; label values in the order of the metric's labels.
#[derive(Debug, Default)]
pub struct Series<'a>(BTreeMap<Vec<&'a str>, u64>);

impl<'a> Series<'a> {
    /// Adds to the series with these labels: a Service may list one pod name twice, as when a pod came back
    /// under its old name, and an exposition with the same series twice is invalid.
    pub fn add(&mut self, labels: impl Into<Vec<&'a str>>, value: u64) {
        let sum = self.0.entry(labels.into()).or_default();
        *sum = sum.saturating_add(value);
    }

    /// Keeps the larger value, for what cannot be added up.
    pub fn max(&mut self, labels: impl Into<Vec<&'a str>>, value: u64) {
        let largest = self.0.entry(labels.into()).or_default();
        *largest = value.max(*largest);
    }

    /// Everything collected.
    pub fn into_rows(self) -> BTreeMap<Vec<&'a str>, u64> {
        self.0
    }
}
