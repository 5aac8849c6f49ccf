//! Reads the standard output of the lab's measuring program.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The output of the measuring program.
#[derive(Debug, Deserialize)]
pub(super) struct Measured {
    pub(super) machine: Machine,
    /// `quick` or `full`.
    pub(super) plan: String,
    pub(super) rounds: usize,
    pub(super) samples: Vec<Sample>,
    pub(super) ladder: Vec<Step>,
    /// Tool → why it could not be measured.
    pub(super) failures: BTreeMap<String, String>,
}

/// The machine of the measurement.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Machine {
    pub(super) processors: u32,
    pub(super) processor: String,
    pub(super) memory_gib: u64,
    pub(super) system: String,
    pub(super) kernel: String,
    pub(super) load: String,
}

/// One value of one tool in one round.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sample {
    pub(super) round: usize,
    pub(super) tool: String,
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) value: f64,
}

/// One step of a ladder.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) of: String,
    pub(super) asked: Option<u32>,
    pub(super) reached: f64,
    pub(super) lost: u64,
    pub(super) miscounted: Option<u64>,
}
