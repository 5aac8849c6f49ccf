//! The figures that random choice would produce: coverage and peak to mean of N independent choices among n endpoints.
//!
//! In: N > 0 and n > 0. Out: expected figures, from 1 to n. A call takes some microseconds at most, because each
//! snapshot makes one for each Service and client.
//!
//! Coverage has a closed form. The expected peak has none. With λ = N/n it is
//! - **N up to 16:** exact. The peak is at most k in N!·\[xᴺ\] (Σ_{j≤k} xʲ/j!)ⁿ of nᴺ cases, and the coefficients of a
//!   power follow from one another (p·q′ = n·p′·q for q = pⁿ).
//! - **λ below 10:** the peak of n independent Poisson counts with mean λ, Σ_k 1 − F(k)ⁿ. The error from taking N as
//!   the mean instead of as given is below 1.5 %.
//! - **otherwise:** the normal distribution. A Poisson count is about λ + √λ·Z + (Z² − 1)/6 (Cornish and Fisher). The
//!   counts add up to N, which subtracts the mean of all Z and leaves the mean of the largest, M, unchanged. So peak to
//!   mean is 1 + E\[M\]/√λ + (E\[M²\] − 1)/(6λ), within 1 %.
//!
//! The tests compare with enumeration and simulation.

/// The expected peak is exact up to this N. Beyond it the power's coefficients lose digits.
const EXACT: u8 = 16;

/// From this mean count per endpoint on, the normal distribution replaces Poisson's.
const NORMAL: f64 = 10.0;

/// The share of endpoints that get at least one choice.
pub(super) fn coverage(choices: f64, endpoints: f64) -> f64 {
    // 1 − (1 − 1/n)ᴺ, without loss of digits at large n.
    if endpoints < 2.0 { 1.0 } else { -(choices * (-1.0 / endpoints).ln_1p()).exp_m1() }
}

/// Expected peak over the mean.
pub(super) fn peak_to_mean(choices: u64, endpoints: u64) -> f64 {
    if choices == 0 || endpoints < 2 {
        return 1.0;
    }
    let n = super::real(endpoints);
    let mean = super::real(choices) / n;
    let expected = match u8::try_from(choices) {
        Ok(few @ ..=EXACT) => exact(few, n) / mean,
        _ if mean < NORMAL => poisson(choices, mean, endpoints) / mean,
        _ => normal(mean, n),
    };
    expected.clamp(1.0, n)
}

/// The expected peak of few choices.
fn exact(choices: u8, n: f64) -> f64 {
    let mut factorial = [1.0; EXACT as usize + 1];
    let mut cases = 1.0; // N!/nᴺ
    for i in 1..=choices {
        factorial[usize::from(i)] = factorial[usize::from(i) - 1] * f64::from(i);
        cases *= f64::from(i) / n;
    }
    // E[peak] = Σ_{k ≥ 0} P(peak > k); it is never 0 and never above N.
    (1..choices).fold(1.0, |expected, k| {
        let mut power = [0.0; EXACT as usize + 1];
        power[0] = 1.0;
        for m in 1..=choices {
            let sum: f64 = (1..=k.min(m))
                .map(|j| {
                    let weight = f64::from(j) * (n + 1.0) - f64::from(m);
                    weight / factorial[usize::from(j)] * power[usize::from(m - j)]
                })
                .sum();
            power[usize::from(m)] = sum / f64::from(m);
        }
        expected + (1.0 - power[usize::from(choices)] * cases).clamp(0.0, 1.0)
    })
}

/// Expected peak of n Poisson counts.
fn poisson(choices: u64, mean: f64, endpoints: u64) -> f64 {
    let mut term = (-mean).exp();
    let mut below = term;
    // A product of squares; the general power takes far longer.
    let power = i32::try_from(endpoints).unwrap_or(i32::MAX);
    let mut expected = 0.0;
    let mut k = 0.0;
    for _ in 0..choices {
        let above = 1.0 - below.min(1.0).powi(power);
        expected += above;
        k += 1.0;
        if k > mean && above < 1e-4 {
            break;
        }
        term *= mean / k;
        below += term;
    }
    expected
}

/// Expected peak to mean by the normal distribution.
fn normal(mean: f64, n: f64) -> f64 {
    let largest = largest_normal(n);
    // The largest of two varies by 1 − 1/π, the largest of n by about this.
    let square = largest.powi(2) + 1.0 / (1.0 + 0.8 * largest.powi(2));
    1.0 + largest / mean.sqrt() + (square - 1.0) / (6.0 * mean)
}

/// Expected largest of n standard normal variables, within 1 %.
fn largest_normal(n: f64) -> f64 {
    // The largest exceeds its expected value with a probability of about c/n. c falls from ln 2 (n = 1) towards
    // exp(−γ), that of the extreme value distribution; the 0.3 is fitted to known values.
    let limit = 0.561_459_483_566_885_2;
    let c = limit + (std::f64::consts::LN_2 - limit) / (1.0 + 0.3 * n.ln());
    upper_quantile(-(-c / n).exp_m1())
}

/// The point that a standard normal variable exceeds with this probability, below one half. The error is below 0.0005
/// (Hastings' rational approximation, 26.2.23 in Abramowitz and Stegun).
fn upper_quantile(chance: f64) -> f64 {
    let t = (-2.0 * chance.ln()).sqrt();
    t - (2.515_517 + t * (0.802_853 + t * 0.010_328))
        / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
}
