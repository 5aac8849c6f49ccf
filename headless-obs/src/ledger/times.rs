//! The time that something took, in few bytes: the ledger has one for each client, endpoint and slot.
//!
//! In: seconds. Out: the buckets of a [`Histogram`], and their median.
//!
//! Invariants: only buckets with values take room, and there are at most as many as a [`Histogram`] has.

use crate::expose::histogram::{self, Histogram};
use crate::windowed::Sum;

/// Times in the buckets of a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// Bucket and number, in order.
    buckets: Vec<(i16, u32)>,
    sum: f64,
}

impl Times {
    /// Adds a time in seconds.
    pub fn record(&mut self, seconds: f64) {
        let Some(bucket) = histogram::bucket_of(seconds) else { return };
        self.sum += seconds.min(histogram::upper_bound(bucket));
        self.add_to(i16::try_from(bucket).unwrap_or(i16::MAX), 1);
    }

    /// Whether there are no times.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The upper bound of the bucket with the median.
    pub fn median(&self) -> Option<f64> {
        let all: u64 = self.buckets.iter().map(|(_, count)| u64::from(*count)).sum();
        let mut below = 0;
        let is_middle = |(_, count): &&(i16, u32)| {
            below += u64::from(*count);
            below * 2 >= all
        };
        let (bucket, _) = self.buckets.iter().find(is_middle)?;
        Some(histogram::upper_bound(i32::from(*bucket)))
    }

    /// The same times as a histogram.
    pub fn histogram(&self) -> Histogram {
        let buckets = self.buckets.iter().map(|(bucket, count)| (i32::from(*bucket), u64::from(*count)));
        let count = self.buckets.iter().map(|(_, count)| u64::from(*count)).sum();
        Histogram { count, sum: self.sum, zero: 0, buckets: buckets.collect() }
    }

    fn add_to(&mut self, bucket: i16, more: u32) {
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => {
                if let Some((_, count)) = self.buckets.get_mut(place) {
                    *count = count.saturating_add(more);
                }
            }
            Err(place) => self.buckets.insert(place, (bucket, more)),
        }
    }
}

impl Sum for Times {
    fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        other.buckets.iter().for_each(|(bucket, count)| self.add_to(*bucket, *count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: &[f64]) -> Times {
        let mut times = Times::default();
        seconds.iter().for_each(|seconds| times.record(*seconds));
        times
    }

    #[test]
    fn a_median_is_within_a_bucket_of_the_true_one() {
        assert_eq!(of(&[]).median(), None);
        for (seconds, median) in
            [(&[0.000_1][..], 0.000_1), (&[0.02, 1.0, 0.02], 0.02), (&[1.0, 3.0, 0.1], 1.0)]
        {
            let found = of(seconds).median().unwrap();
            assert!(found >= median && found < median * 1.1, "{seconds:?}: {found}");
        }
    }

    #[test]
    fn a_sum_has_what_a_histogram_has() {
        let mut sum = of(&[0.001, 0.02, f64::NAN, -1.0]);
        sum.add(&of(&[0.02, 1e300]));
        let mut same = Histogram::default();
        [0.001, 0.02, 0.02].into_iter().for_each(|seconds| same.record(seconds));
        let histogram = sum.histogram();
        assert_eq!(histogram.count, 4, "what is no time is left out");
        assert!(
            same.buckets.iter().all(|(bucket, count)| histogram.buckets[bucket] == *count),
            "{histogram:?}"
        );
        assert!(histogram.sum.is_finite());
    }
}
