//! Figures of spread: how evenly connections are distributed over n endpoints, including those that got none.
//!
//! In: x, the number of connections, of each endpoint, in any order. Out: [`Spread`].
//!
//! | figure | all n equal | all N on one of n |
//! |---|---|---|
//! | coverage: share of endpoints with x > 0 | 1 | 1/n |
//! | peak to mean: largest x over the mean | 1 | n |
//! | coefficient of variation: standard deviation (population) over the mean | 0 | √(n−1) |
//! | Jain's index: 1/(1 + CV²) | 1 | 1/n |
//! | corrected CV: √(CV² − (n−1)/N), where that is above 0 | 0 | √((n−1)(1 − 1/N)) |
//! | dispersion: N·CV²/(n−1), chi-square over its degrees of freedom | 0 | N |
//! | Gini coefficient | 0 | (n−1)/n |
//! | entropy over its maximum, ln n | 1 | 0 |
//!
//! N random choices have a dispersion of about 1 and a CV² of about (n−1)/N. z is the number of standard deviations by
//! which the dispersion exceeds that; the cube root makes chi-square nearly normal (Wilson and Hilferty, 1931). z
//! assumes independent choices. Connections of a pool are not independent, so z is computed from selections.
//!
//! Without endpoints or without connections every figure is 0. Peak to mean and Jain's index cannot be 0 otherwise.
//! With one endpoint the spread is even. No figure is ever NaN or infinite.

pub(crate) mod draws;
mod expected_by_chance;
#[cfg(test)]
mod tests;

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
    let total = counts.iter().map(|x| real(*x)).sum::<f64>();
    let mean = total / n;
    let variance = counts.iter().map(|x| (real(*x) - mean).powi(2)).sum::<f64>() / n;
    let used = counts.iter().filter(|x| **x > 0).count();

    // The bounds are those of exact arithmetic; rounding may exceed them slightly.
    spread.coverage = real(u64::try_from(used).unwrap_or(u64::MAX)) / n;
    spread.peak_to_mean = (real(peak) / mean).clamp(1.0, n);
    spread.cv = (variance.sqrt() / mean).min((n - 1.0).sqrt());
    spread.jain = (1.0 / (1.0 + spread.cv.powi(2))).clamp(1.0 / n, 1.0);
    spread.cv_corrected = (spread.cv.powi(2) - (n - 1.0) / total).max(0.0).sqrt();
    spread.gini = gini(counts, total).clamp(0.0, (n - 1.0) / n);
    // The entropy of one share is negative zero.
    spread.entropy = entropy(counts, total).clamp(0.0, 1.0) + 0.0;
    spread.expected_coverage = expected_by_chance::coverage(total, n);
    spread.expected_peak_to_mean = expected_by_chance::peak_to_mean(spread.connections, spread.endpoints);
    spread.peak_to_expected = spread.peak_to_mean;
    if spread.endpoints > 1 {
        spread.dispersion = (total * spread.cv.powi(2) / (n - 1.0)).min(total);
        spread.z = Some(deviations(spread.dispersion, n - 1.0));
    }
    spread
}

/// The same for endpoints with different expected shares, because some came later. `exposures` are in the same order
/// and proportional to those shares. Dispersion, z and the peak are compared with them. An endpoint with less than one
/// expected connection says nothing about chance, and one with less than five says nothing about peaks.
#[must_use]
pub fn exposed(counts: &[u64], exposures: &[f64]) -> Spread {
    let mut spread = of(counts);
    let sum: f64 = exposures.iter().sum();
    let total = real(spread.connections);
    let expected = || exposures.iter().map(|exposure| exposure / sum * total).zip(counts);
    let is_alike =
        exposures.iter().all(|exposure| (exposure * real(spread.endpoints) - sum).abs() <= sum * 1e-9);
    if spread.connections == 0 || is_alike || counts.len() != exposures.len() || sum <= 0.0 {
        return spread;
    }
    let told = || expected().filter(|(expected, _)| *expected >= 1.0);
    let freedom = real(u64::try_from(told().count()).unwrap_or(u64::MAX)) - 1.0;
    let peaks = expected().filter(|(expected, _)| *expected >= 5.0).map(|(expected, x)| real(*x) / expected);
    spread.peak_to_expected = peaks.fold(1.0, f64::max);
    (spread.dispersion, spread.z) = (0.0, None);
    if freedom >= 1.0 {
        let squares = told().map(|(expected, x)| (real(*x) - expected).powi(2) / expected);
        spread.dispersion = squares.sum::<f64>() / freedom;
        spread.z = Some(deviations(spread.dispersion, freedom));
    }
    spread
}

/// `part` divided by `whole`, 0 to 1; 0 if `whole` is 0.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { real(part) / real(whole) }
}

/// The number of standard deviations by which chi-square over `freedom` degrees of freedom is above its mean of 1.
pub(crate) fn deviations(dispersion: f64, freedom: f64) -> f64 {
    let variance = 2.0 / (9.0 * freedom);
    (dispersion.cbrt() - (1.0 - variance)) / variance.sqrt()
}

/// Half the mean difference of any two values, divided by the mean.
fn gini(counts: &[u64], total: f64) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let n = real(u64::try_from(sorted.len()).unwrap_or(u64::MAX));
    // The i-th smallest has the weight 2i − n − 1: smaller ones count against larger ones.
    let sum: f64 = (1_u64..).zip(&sorted).map(|(i, x)| (2.0 * real(i) - n - 1.0) * real(*x)).sum();
    sum / (n * total)
}

/// Entropy of the shares, divided by that of equal shares.
fn entropy(counts: &[u64], total: f64) -> f64 {
    if counts.len() < 2 {
        return 1.0;
    }
    let bits: f64 = counts
        .iter()
        .filter(|x| **x > 0)
        .map(|x| {
            let share = real(*x) / total;
            -share * share.ln()
        })
        .sum();
    bits / real(u64::try_from(counts.len()).unwrap_or(u64::MAX)).ln()
}

/// Exact up to 2⁵³, far beyond any count; rounded above.
fn real(count: u64) -> f64 {
    count as f64
}
