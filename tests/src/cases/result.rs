//! The results of the runs, as a table and as JSON. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab_options::Place;
use serde_json::json;

use crate::case::Case;
use crate::expect::Difference;
use crate::note;

/// All runs of a case in one place.
pub(crate) struct Outcome {
    case: String,
    place: Place,
    title: String,
    about: Option<String>,
    runs: u32,
    right: u32,
    /// Differences and errors.
    differences: BTreeSet<String>,
    /// Reasons of open expectations that did not hold.
    open: BTreeSet<String>,
    /// Open expectations that held.
    held: BTreeSet<String>,
    took: Duration,
}

impl Outcome {
    /// An outcome without runs.
    pub(crate) fn new(name: &str, place: Place, case: &Case) -> Self {
        Self {
            case: name.to_owned(),
            place,
            title: case.title.clone(),
            about: case.about.clone(),
            runs: 0,
            right: 0,
            differences: BTreeSet::new(),
            open: BTreeSet::new(),
            held: BTreeSet::new(),
            took: Duration::ZERO,
        }
    }

    /// Adds a run. It prints the differences at once.
    pub(crate) fn add(&mut self, run: Result<Vec<Difference>>, took: Duration) {
        self.runs += 1;
        self.took += took;
        let mut is_right = true;
        match run {
            Err(error) => {
                is_right = false;
                note(&format!("{}: {error:#}", self.case));
                self.differences.insert(format!("error: {error:#}"));
            }
            Ok(differences) => {
                for difference in differences {
                    is_right &= difference.open.is_some();
                    self.note(difference);
                }
            }
        }
        self.right += u32::from(is_right);
    }

    fn note(&mut self, difference: Difference) {
        let Difference { path, open, wrong, .. } = difference;
        match open {
            Some(why) if wrong.is_empty() => drop(self.held.insert(format!("{path} ({why})"))),
            Some(why) => {
                wrong.iter().for_each(|line| note(&format!("{}, {path}: open: {line}", self.case)));
                self.open.insert(why);
            }
            None => {
                for line in &wrong {
                    note(&format!("{}, {path}: {line}", self.case));
                    self.differences.insert(format!("{path}: {line}"));
                }
            }
        }
    }

    /// Whether a run differed from what it must say.
    pub(crate) fn has_failed(&self) -> bool {
        self.right < self.runs
    }

    fn result(&self) -> &'static str {
        if self.has_failed() {
            "failed"
        } else if self.open.is_empty() {
            "passed"
        } else {
            "open"
        }
    }

    /// The differences, the reasons of open expectations, and those that are open without need.
    fn remarks(&self) -> String {
        let held = self.held.iter().map(|path| format!("holds, so `open` can go: {path}"));
        let all = self.differences.iter().chain(&self.open).cloned().chain(held);
        all.collect::<Vec<_>>().join(" | ")
    }
}

/// All of them as JSON.
pub(crate) fn json(outcomes: &[Outcome]) -> Result<String> {
    let one = |outcome: &Outcome| {
        json!({
            "case": outcome.case, "place": outcome.place.word(), "result": outcome.result(),
            "differences": outcome.differences, "open": outcome.open, "held": outcome.held,
            "runs": outcome.runs, "right": outcome.right, "seconds": outcome.took.as_secs_f64(),
        })
    };
    let all: Vec<_> = outcomes.iter().map(one).collect();
    serde_json::to_string_pretty(&all).context("cannot convert the result to JSON")
}

/// A table with a line for each case and place, and a line that counts them.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![["CASE", "PLACE", "RESULT", "RIGHT", "SECONDS", "WHAT DIFFERED"].map(str::to_owned)];
    rows.extend(outcomes.iter().map(|outcome| {
        let remarks = outcome.remarks().lines().next().unwrap_or_default().to_owned();
        [
            outcome.case.clone(),
            outcome.place.word().to_owned(),
            outcome.result().to_owned(),
            format!("{}/{}", outcome.right, outcome.runs),
            format!("{:.1}", outcome.took.as_secs_f64()),
            shortened(&remarks, 120),
        ]
    }));
    let count = |result: &str| outcomes.iter().filter(|outcome| outcome.result() == result).count();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.took.as_secs_f64()).sum();
    format!(
        "{}\n{} passed, {} open, {} failed, {seconds:.1} s",
        columns(&rows),
        count("passed"),
        count("open"),
        count("failed")
    )
}

/// The names, places and titles, and nothing else.
pub(crate) fn list(outcomes: &[Outcome], as_json: bool) -> Result<String> {
    if as_json {
        let one = |outcome: &Outcome| {
            json!({
                "case": outcome.case, "place": outcome.place.word(), "title": outcome.title,
                "about": outcome.about,
            })
        };
        let all: Vec<_> = outcomes.iter().map(one).collect();
        return serde_json::to_string_pretty(&all).context("cannot convert the list to JSON");
    }
    let rows: Vec<_> = outcomes
        .iter()
        .map(|outcome| [outcome.case.clone(), outcome.place.word().to_owned(), outcome.title.clone()])
        .collect();
    Ok(columns(&rows))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn new(place: Place) -> Outcome {
        let case = crate::case::read("{title: a case, steps: []}", |_| Ok(String::new())).unwrap();
        Outcome::new("one", place, &case)
    }

    fn outcome(differences: Vec<Difference>) -> Outcome {
        let mut outcome = new(Place::Simulation);
        outcome.add(Ok(differences), Duration::from_secs(1));
        outcome
    }

    fn difference(open: Option<&str>, wrong: &[&str]) -> Difference {
        Difference {
            path: "steps[1]".to_owned(),
            open: open.map(str::to_owned),
            wrong: wrong.iter().map(|line| (*line).to_owned()).collect(),
            snapshot: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_difference_fails_and_an_open_one_is_shown() {
        assert_eq!(outcome(Vec::new()).result(), "passed");
        let failed = outcome(vec![difference(None, &["web is pinned"]), difference(Some("later"), &["x"])]);
        assert!(failed.has_failed() && failed.result() == "failed");
        let open = outcome(vec![difference(Some("later"), &["web is pinned"])]);
        assert!(!open.has_failed() && open.result() == "open");
        let held = outcome(vec![Difference::holds("steps[1]", "later")]);
        assert_eq!(held.result(), "passed");
        let table = table(&[failed, open, held]);
        for part in ["web is pinned", "later", "`open` can go", "1 passed, 1 open, 1 failed"] {
            assert!(table.contains(part), "{table}");
        }
    }

    #[test]
    fn an_error_fails() {
        let mut outcome = new(Place::Lab);
        outcome.add(Err(anyhow::anyhow!("no lab")), Duration::ZERO);
        assert!(outcome.has_failed() && outcome.remarks().contains("no lab"));
    }
}
