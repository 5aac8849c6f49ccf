//! Figures of evenness: how connections spread over n endpoints, those that got none included.
//!
//! In: x, the number of connections, of each endpoint, in any order. Out: [`Spread`].
//!
//! | figure | all n equal | all on one of n |
//! |---|---|---|
//! | coverage: share of endpoints with x > 0 | 1 | 1/n |
//! | peak to mean: largest x over the mean | 1 | n |
//! | coefficient of variation: standard deviation (population) over the mean | 0 | √(n−1) |
//! | Jain's index: 1/(1 + CV²) | 1 | 1/n |
//!
//! Without endpoints or without connections there is nothing to be even or uneven about, and every figure
//! is 0; a peak to mean or index of 0 says just that, as neither can be 0 otherwise. No figure is ever NaN or
//! infinite.

use crate::expose::snapshot::Spread;

/// The figures of these counts.
#[must_use]
pub fn of(counts: &[u64]) -> Spread {
    let mut spread = Spread {
        connections: counts.iter().fold(0, |sum, x| sum.saturating_add(*x)),
        endpoints: u64::try_from(counts.len()).unwrap_or(u64::MAX),
        ..Spread::default()
    };
    let Some(peak) = counts.iter().copied().max().filter(|peak| *peak > 0) else { return spread };

    let n = real(spread.endpoints);
    let mean = counts.iter().map(|x| real(*x)).sum::<f64>() / n;
    let variance = counts.iter().map(|x| (real(*x) - mean).powi(2)).sum::<f64>() / n;
    let used = counts.iter().filter(|x| **x > 0).count();

    // The bounds are those of exact arithmetic; rounding may pass them by a hair.
    spread.coverage = real(u64::try_from(used).unwrap_or(u64::MAX)) / n;
    spread.peak_to_mean = (real(peak) / mean).clamp(1.0, n);
    spread.cv = (variance.sqrt() / mean).min((n - 1.0).sqrt());
    spread.jain = (1.0 / (1.0 + spread.cv.powi(2))).clamp(1.0 / n, 1.0);
    spread
}

/// `part` of `whole`, 0 to 1; 0 of nothing.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { real(part) / real(whole) }
}

/// Exact up to 2⁵³, far beyond any count; above it the nearest.
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(got: f64, expected: f64) -> bool {
        (got - expected).abs() <= 1e-9 * expected.abs().max(1.0)
    }

    #[test]
    fn known_distributions_have_their_figures() {
        // Of 10,000 connections to 15 pods one pod gets twice its share, the others differ by chance.
        let others = [[592; 7].as_slice(), &[645; 4], &[646; 3]].concat();
        let first_record_twice = [[1338].as_slice(), &others].concat();
        let cases: [(&[u64], f64, f64, f64, f64); 7] = [
            (&[100, 0, 0], 1.0 / 3.0, 3.0, 1.414, 0.333),
            (&[10, 10, 10], 1.0, 1.0, 0.0, 1.0),
            (&first_record_twice, 1.0, 2.007, 0.272, 0.931),
            (&[60, 10, 7, 3, 6, 4, 10], 1.0, 4.2, 1.318, 0.365),
            (&[30, 30, 30, 0, 0, 0], 0.5, 2.0, 1.0, 0.5),
            (&[2, 1, 0], 2.0 / 3.0, 2.0, 0.816, 0.6),
            (&[2128, 2037, 1957, 1943, 1935], 1.0, 1.064, 0.037, 0.999),
        ];
        for (counts, coverage, peak_to_mean, cv, jain) in cases {
            let spread = of(counts);
            let rounded = |figure: f64| (figure * 1000.0).round() / 1000.0;
            assert_eq!(
                (spread.coverage, rounded(spread.peak_to_mean), rounded(spread.cv), rounded(spread.jain)),
                (coverage, peak_to_mean, cv, jain),
                "{counts:?}"
            );
            assert_eq!(spread.connections, counts.iter().sum::<u64>());
            assert_eq!(spread.endpoints, u64::try_from(counts.len()).unwrap());
        }
    }

    #[test]
    fn nothing_to_spread_is_all_zero() {
        assert_eq!(of(&[]), Spread::default());
        assert_eq!(of(&[0, 0, 0]), Spread { endpoints: 3, ..Spread::default() });
    }

    #[test]
    fn one_endpoint_is_even() {
        let expected = Spread {
            connections: 7,
            endpoints: 1,
            coverage: 1.0,
            peak_to_mean: 1.0,
            jain: 1.0,
            ..Spread::default()
        };
        assert_eq!(of(&[7]), expected);
    }

    #[test]
    fn all_on_one_is_the_worst_whatever_the_rounding() {
        for (n, x) in (1..200_usize).flat_map(|n| (1..100_u64).map(move |x| (n, x))) {
            let mut counts = vec![0; n];
            counts[0] = x;
            let (spread, n) = (of(&counts), real(u64::try_from(n).unwrap()));
            assert!(spread.peak_to_mean <= n && close(spread.peak_to_mean, n), "{x} on one of {n}");
            assert!(spread.cv <= (n - 1.0).sqrt() && close(spread.cv, (n - 1.0).sqrt()), "{x} on one of {n}");
            assert!(spread.jain >= 1.0 / n && close(spread.jain, 1.0 / n), "{x} on one of {n}");
        }
    }

    #[test]
    fn enormous_counts_do_not_overflow() {
        let spread = of(&[u64::MAX, u64::MAX, 0]);
        assert_eq!(spread.connections, u64::MAX);
        assert!(close(spread.peak_to_mean, 1.5) && close(spread.jain, 2.0 / 3.0), "{spread:?}");
    }

    proptest! {
        #[test]
        fn figures_stay_within_their_bounds(counts in prop::collection::vec(any::<u64>(), 1..50)) {
            let spread = of(&counts);
            let n = real(spread.endpoints);
            if counts.iter().all(|x| *x == 0) {
                prop_assert_eq!((spread.coverage, spread.peak_to_mean, spread.cv, spread.jain), (0.0, 0.0, 0.0, 0.0));
            } else {
                prop_assert!((1.0 / n..=1.0).contains(&spread.coverage));
                prop_assert!((1.0..=n).contains(&spread.peak_to_mean));
                prop_assert!((0.0..=(n - 1.0).sqrt()).contains(&spread.cv));
                prop_assert!((1.0 / n..=1.0).contains(&spread.jain));
            }
        }

        #[test]
        fn order_does_not_matter(mut counts in prop::collection::vec(0..10_000_u64, 0..50)) {
            let before = of(&counts);
            counts.sort_unstable();
            let after = of(&counts);
            prop_assert_eq!((before.connections, before.coverage), (after.connections, after.coverage));
            prop_assert!(close(before.peak_to_mean, after.peak_to_mean));
            prop_assert!(close(before.cv, after.cv) && close(before.jain, after.jain));
        }

        #[test]
        fn scale_does_not_matter(counts in prop::collection::vec(0..10_000_u64, 0..50), factor in 1..1000_u64) {
            let (one, many) = (of(&counts), of(&counts.iter().map(|x| x * factor).collect::<Vec<_>>()));
            prop_assert_eq!((one.connections * factor, one.coverage), (many.connections, many.coverage));
            prop_assert!(close(one.peak_to_mean, many.peak_to_mean));
            prop_assert!(close(one.cv, many.cv) && close(one.jain, many.jain));
        }
    }
}
