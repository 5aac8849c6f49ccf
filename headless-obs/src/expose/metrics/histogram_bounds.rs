//! The classic buckets of the histograms: sums of the fine ones. Each bound is the bound of a fine bucket, so the sums
//! are exact.

use crate::expose::histogram::{Histogram, upper_bound};

/// For times: each power of two from 0.25 s to 4096 s.
pub(super) const SECONDS: &[i32] = &[-16, -8, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96];
/// For latencies of DNS responses: each power of two from 0.24 ms to 16 ms, then every second one up to 16 s.
pub(super) const LATENCIES: &[i32] = &[-96, -88, -80, -72, -64, -56, -48, -32, -16, 0, 16, 32];
/// For ratios: powers of two up to one half, and finer bounds above.
pub(super) const SHARES: &[i32] = &[-32, -24, -16, -8, -6, -5, -4, -3, -2, -1, 0];

/// Upper bounds, without the infinite one, and the number of values up to each.
pub(super) fn cumulative(histogram: &Histogram, bounds: &[i32]) -> impl Iterator<Item = (f64, u64)> {
    bounds.iter().map(|bound| (upper_bound(*bound), histogram.up_to(*bound)))
}
