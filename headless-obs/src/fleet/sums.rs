//! Adds the values of several nodes. Sums saturate at the largest number, because files can contain any number.

use crate::expose::snapshot::{Counts, Histogram};

pub(super) fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

pub(super) fn add_counts(sum: &mut Counts, more: Counts) {
    for (name, count) in more {
        add(sum.entry(name).or_default(), count);
    }
}

pub(super) fn add_histogram(sum: &mut Histogram, more: Histogram) {
    add(&mut sum.count, more.count);
    add(&mut sum.zero, more.zero);
    sum.sum += more.sum;
    for (bucket, count) in more.buckets {
        add(sum.buckets.entry(bucket).or_default(), count);
    }
}

/// The smallest known value.
pub(super) fn earliest<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

/// The smallest value except 0, which stands for none.
pub(super) fn least(one: u64, other: u64) -> u64 {
    if one == 0 || other == 0 { one.max(other) } else { one.min(other) }
}

/// Adds rows about the same object to one another.
pub(super) fn add_rows<T>(
    sum: &mut Vec<T>,
    more: Vec<T>,
    is_same: impl Fn(&T, &T) -> bool,
    absorb: impl Fn(&mut T, T),
) {
    for row in more {
        match sum.iter_mut().find(|known| is_same(known, &row)) {
            Some(known) => absorb(known, row),
            None => sum.push(row),
        }
    }
}
