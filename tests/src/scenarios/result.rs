//! The results of the runs, as a table and as JSON. Pure.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::catalogue_coverage::{ELSEWHERE, Place};
use crate::note;
use crate::scenario::{Scenario, Seen};

/// All runs of one scenario.
pub(crate) struct Outcome {
    name: &'static str,
    expected: &'static str,
    runs: u32,
    right: u32,
    got: BTreeSet<String>,
}

impl Outcome {
    /// An outcome without runs.
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self { name: scenario.name, expected: scenario.expected, runs: 0, right: 0, got: BTreeSet::new() }
    }

    /// Adds a run. If its verdict is wrong, the data behind it are printed at once.
    pub(crate) fn add(&mut self, seen: Result<Seen>) {
        let got = match seen {
            Ok(Seen { got, facts }) => {
                if got != self.expected {
                    note(&format!(
                        "{}: {got}, expected {}; the data behind it:\n{facts:#}",
                        self.name, self.expected
                    ));
                }
                got
            }
            Err(error) => {
                note(&format!("{}: {error:#}", self.name));
                format!("error: {error:#}")
            }
        };
        self.runs += 1;
        self.right += u32::from(got == self.expected);
        self.got.insert(got);
    }

    /// Whether every run was right.
    pub(crate) fn is_right(&self) -> bool {
        self.right == self.runs
    }

    fn got(&self) -> String {
        self.got.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

/// `[{"scenario", "expected", "got", "runs", "right"}]`
pub(crate) fn json(outcomes: &[Outcome]) -> Result<String> {
    let one = |outcome: &Outcome| {
        json!({
            "scenario": outcome.name, "expected": outcome.expected, "got": outcome.got(),
            "runs": outcome.runs, "right": outcome.right,
        })
    };
    pretty(outcomes.iter().map(one).collect())
}

/// A table with a line for each scenario.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![["SCENARIO", "EXPECTED", "GOT", "RIGHT"].map(str::to_owned)];
    rows.extend(outcomes.iter().map(|outcome| {
        let right = format!("{}/{}", outcome.right, outcome.runs);
        // An error may have many lines; they were printed before, or are in the JSON.
        let got = outcome.got().lines().next().unwrap_or_default().to_owned();
        [outcome.name.to_owned(), outcome.expected.to_owned(), got, right]
    }));
    columns(&rows)
}

/// A table of the scenarios. With `and_elsewhere` it includes the other numbers of the catalogue and their tests.
pub(crate) fn list(scenarios: &[Scenario], and_elsewhere: bool) -> String {
    let mut rows: Vec<[String; 4]> = scenarios
        .iter()
        .map(|one| {
            let number = one.number.map(|number| number.to_string()).unwrap_or_default();
            [number, one.name.to_owned(), one.expected.to_owned(), one.title.to_owned()]
        })
        .collect();
    rows.extend(ELSEWHERE.iter().filter(|_| and_elsewhere).map(|(number, place)| {
        let (kind, place) = match place {
            Place::Test(file, test) => ("(a test)", format!("{file}: {test}")),
            Place::Nowhere(why) => ("(none)", (*why).to_owned()),
        };
        [number.to_string(), kind.to_owned(), String::new(), place]
    }));
    columns(&rows)
}

/// The same as JSON.
pub(crate) fn list_json(scenarios: &[Scenario], and_elsewhere: bool) -> Result<String> {
    let one = |one: &Scenario| {
        json!({
            "scenario": one.name, "number": one.number, "title": one.title, "expected": one.expected,
            "quick": one.quick,
        })
    };
    let elsewhere = ELSEWHERE.iter().filter(|_| and_elsewhere).map(|(number, place)| match place {
        Place::Test(file, test) => json!({ "number": number, "file": file, "test": test }),
        Place::Nowhere(why) => json!({ "number": number, "why": why }),
    });
    pretty(scenarios.iter().map(one).chain(elsewhere).collect())
}

fn pretty(values: Vec<Value>) -> Result<String> {
    serde_json::to_string_pretty(&values).context("cannot convert the result to JSON")
}

/// Cells in columns as wide as their widest cell; the last column is not padded.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
