//! The measurements: samples by round, tool and metric, ladders, and tools that could not run.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::durations::Plan;
use crate::note;

/// One value of one tool in one round.
#[derive(Clone, Debug, Serialize)]
struct Sample {
    round: usize,
    tool: String,
    metric: &'static str,
    unit: &'static str,
    value: f64,
}

/// One step of a ladder.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Step {
    /// The measured operation: `connections` or `answers`.
    pub(crate) of: &'static str,
    /// Target rate per second; `None`: as many as possible.
    pub(crate) asked: Option<u32>,
    /// Actual rate per second.
    pub(crate) reached: f64,
    /// Records that the kernel dropped.
    pub(crate) lost: u64,
    /// Difference between reported connections and the servers' count.
    pub(crate) miscounted: Option<u64>,
}

/// All measurements so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    samples: Vec<Sample>,
    pub(crate) ladder: Vec<Step>,
    failures: BTreeMap<String, String>,
}

/// Collects samples of one round.
pub(crate) struct Round<'a> {
    record: &'a mut Record,
    round: usize,
}

impl Record {
    /// The collector for a round.
    pub(crate) fn at(&mut self, round: usize) -> Round<'_> {
        Round { record: self, round }
    }

    /// Records that a tool cannot run.
    pub(crate) fn fail(&mut self, tool: &str, error: &anyhow::Error) {
        note(&format!("  {tool} cannot be measured: {error:#}"));
        self.failures.insert(tool.to_owned(), format!("{error:#}"));
        // Rounds that were cut short must not be compared with complete ones.
        self.samples.retain(|sample| sample.tool != tool);
    }

    /// Everything as JSON.
    pub(crate) fn report(&self, machine: Value, plan: &Plan) -> Value {
        json!({
            "machine": machine, "plan": plan.name, "rounds": plan.rounds,
            "samples": self.samples, "ladder": self.ladder, "failures": self.failures,
        })
    }
}

impl Round<'_> {
    /// Adds a sample.
    pub(crate) fn add(&mut self, tool: &str, metric: &'static str, unit: &'static str, value: f64) {
        self.record.samples.push(Sample { round: self.round, tool: tool.to_owned(), metric, unit, value });
    }
}
