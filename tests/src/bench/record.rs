//! What was measured: samples by round, tool and metric, ladders, and who could not run.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::note;
use crate::plan::Plan;

/// One figure of one tool in one round.
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
    /// What is climbed: `connections` or `answers`.
    pub(crate) of: &'static str,
    /// Asked for, a second; none: as many as there can be.
    pub(crate) asked: Option<u32>,
    /// Reached, a second.
    pub(crate) reached: f64,
    /// Records that the kernel could not hand over.
    pub(crate) lost: u64,
    /// Connections reported that differ from the servers' count.
    pub(crate) miscounted: Option<u64>,
}

/// Everything measured so far.
#[derive(Debug, Default)]
pub(crate) struct Record {
    samples: Vec<Sample>,
    pub(crate) ladder: Vec<Step>,
    failures: BTreeMap<String, String>,
}

/// Takes samples of one round.
pub(crate) struct Round<'a> {
    record: &'a mut Record,
    round: usize,
}

impl Record {
    /// To add samples of a round to.
    pub(crate) fn at(&mut self, round: usize) -> Round<'_> {
        Round { record: self, round }
    }

    /// A tool cannot run.
    pub(crate) fn fail(&mut self, tool: &str, error: &anyhow::Error) {
        note(&format!("  {tool} is left out: {error:#}"));
        self.failures.insert(tool.to_owned(), format!("{error:#}"));
        // Rounds cut short would be compared with whole ones.
        self.samples.retain(|sample| sample.tool != tool);
    }

    /// All of it.
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
