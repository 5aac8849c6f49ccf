//! The spread, in the form of the snapshot. Plain data.

use serde::{Deserialize, Serialize};

/// The spread of connections over n ready endpoints with x connections each, including zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// N: connections counted.
    pub connections: u64,
    /// n: endpoints counted.
    pub endpoints: u64,
    /// Share of endpoints with at least one connection, 0 to 1.
    pub coverage: f64,
    /// Largest x divided by the mean, 1 to n.
    pub peak_to_mean: f64,
    /// Standard deviation (population) divided by the mean, from 0.
    pub cv: f64,
    /// Jain's index, 1/n to 1.
    pub jain: f64,
    /// `cv` without the part that N random choices would produce, from 0.
    #[serde(default)]
    pub cv_corrected: f64,
    /// Chi-square divided by its degrees of freedom: about 1 for random choice, near 0 for round robin.
    #[serde(default)]
    pub dispersion: f64,
    /// By how many standard deviations `dispersion` exceeds random choice (Wilson and Hilferty); nothing without
    /// connections or with fewer than two endpoints.
    #[serde(default)]
    pub z: Option<f64>,
    /// The largest x divided by its endpoint's expected share. It is `peak_to_mean` unless endpoints came later.
    /// `dispersion` and `z` allow for that, too.
    #[serde(default)]
    pub peak_to_expected: f64,
    /// Gini coefficient, 0 to (n−1)/n.
    #[serde(default)]
    pub gini: f64,
    /// Entropy divided by its maximum, 0 to 1.
    #[serde(default)]
    pub entropy: f64,
    /// Expected coverage of N random choices.
    #[serde(default)]
    pub expected_coverage: f64,
    /// Expected peak to mean of N random choices, approximately.
    #[serde(default)]
    pub expected_peak_to_mean: f64,
}
