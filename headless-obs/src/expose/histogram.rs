//! Histograms: values in, counts by bucket out. The buckets are those of a native histogram of schema 3, and each power
//! of two is a bound, so classic buckets are sums of these.
//!
//! Invariants: counts never decrease. The number of buckets is bounded, because values that are too small or too large
//! share the outermost bucket. Two histograms can be added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Buckets per doubling: 2^3, hence schema 3.
const PER_DOUBLING: i32 = 1 << SCHEMA;
/// The schema's number.
pub const SCHEMA: i32 = 3;
/// Values up to this, 2^-20, count as 0. In seconds, this is a microsecond.
pub const ZERO_THRESHOLD: f64 = 1.0 / 1_048_576.0;
/// The end of the largest bucket, 2^30. In seconds, these are 34 years.
const LARGEST_BOUND: f64 = 1_073_741_824.0;
/// Upper bounds of the buckets from above 0.5 up to 1, without the last: 2^(i/8).
const BOUNDS: [f64; 8] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    std::f64::consts::FRAC_1_SQRT_2,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_4,
    0.917_004_043_204_671_2,
];

/// Values in buckets that double in width, eight to each doubling: bucket `i` has those above 2^((i-1)/8) and up to
/// 2^(i/8). These are the buckets of a native histogram of schema 3, and each power of two is a bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Values of 0, or too small for a bucket.
    #[serde(default)]
    pub zero: u64,
    /// Bucket → values.
    #[serde(default)]
    pub buckets: BTreeMap<i32, u64>,
}

impl Histogram {
    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a value. A value below 0, or NaN, counts as 0.
    pub fn record(&mut self, value: f64) {
        let value = if value > 0.0 { value.min(LARGEST_BOUND) } else { 0.0 };
        self.count += 1;
        self.sum += value;
        if value <= ZERO_THRESHOLD {
            self.zero += 1;
        } else {
            *self.buckets.entry(bucket(value)).or_default() += 1;
        }
    }

    /// Adds the values of another histogram.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.zero += other.zero;
        for (bucket, count) in &other.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
    }

    /// The upper bound of the bucket with the median.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let is_middle = |bucket: &&i32| self.up_to(**bucket).saturating_mul(2) >= self.count;
        self.buckets.keys().find(is_middle).map(|bucket| upper_bound(*bucket))
    }

    /// The number of values in this bucket and below.
    pub fn up_to(&self, bucket: i32) -> u64 {
        self.zero + self.buckets.range(..=bucket).map(|(_, count)| count).sum::<u64>()
    }
}

/// The upper bound of a bucket.
pub fn upper_bound(bucket: i32) -> f64 {
    let (doublings, place) = (bucket.div_euclid(PER_DOUBLING), bucket.rem_euclid(PER_DOUBLING));
    let bound = usize::try_from(place).ok().and_then(|place| BOUNDS.get(place)).copied().unwrap_or(0.5);
    bound * 2.0_f64.powi(doublings + 1)
}

/// The bucket of a value; nothing if it is not above 0.
pub(crate) fn bucket_of(value: f64) -> Option<i32> {
    (value > 0.0).then(|| bucket(value.clamp(ZERO_THRESHOLD * 2.0, LARGEST_BOUND)))
}

/// The bucket of a normal number above 0. Its exponent gives the doubling, and the bounds give one of the eight buckets
/// in it. This is exact on the bounds, where a logarithm would not be.
fn bucket(value: f64) -> i32 {
    const EXPONENT: u64 = 0x7ff << 52;
    let bits = value.to_bits();
    // The number as a fraction above 0.5 and up to 1, and a power of two.
    let part = f64::from_bits(bits & !EXPONENT | 0.5_f64.to_bits());
    let doublings = i32::try_from((bits & EXPONENT) >> 52).unwrap_or(0) - 1022;
    let place = BOUNDS.iter().take_while(|bound| part > **bound).count();
    (doublings - 1) * PER_DOUBLING + i32::try_from(place).unwrap_or(PER_DOUBLING)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: i32 = 30 * PER_DOUBLING;

    #[test]
    fn a_bound_belongs_to_the_bucket_below_it() {
        for (value, expected) in
            [(1.0, 0), (1.000_001, 1), (2.0, 8), (0.5, -8), (0.25, -16), (3.0, 13), (4.0, 16), (0.9, -1)]
        {
            assert_eq!(bucket(value), expected, "{value}");
        }
        for place in -159..LARGEST {
            let bound = upper_bound(place);
            assert_eq!((bucket(bound), bucket(bound * 1.000_000_1)), (place, place + 1), "{bound}");
        }
    }

    #[test]
    fn what_fits_nowhere_is_in_the_outermost() {
        let mut histogram = Histogram::default();
        for value in [0.0, -3.0, f64::NAN, 0.000_000_5, f64::INFINITY, 1e300] {
            histogram.record(value);
        }
        assert_eq!((histogram.count, histogram.zero), (6, 4));
        assert_eq!(histogram.buckets, BTreeMap::from([(LARGEST, 2)]));
        assert!((histogram.sum - 2.0 * 2.0_f64.powi(30)).abs() < 0.001, "{}", histogram.sum);
    }

    #[test]
    fn sums_up_to_a_power_of_two_are_exact_and_two_add_up() {
        let mut histogram = Histogram::default();
        for value in [0.0, 0.5, 0.7, 1.0, 1.5, 2.0, 2.1, 600.0] {
            histogram.record(value);
        }
        assert_eq!([-8, 0, 8, 80].map(|bucket| histogram.up_to(bucket)), [2, 4, 6, 8]);
        let mut twice = histogram.clone();
        twice.add(&histogram);
        assert_eq!((twice.count, twice.sum, twice.up_to(8)), (16, 2.0 * histogram.sum, 12));
    }
}
