//! Compares a snapshot with an expectation.
//!
//! In: an [`Expectation`], a snapshot, the servers' counts. Out: what is wrong, a line each. Texts of `report` and
//! `explain`, and exit codes, come from the real program, which reads the snapshot from a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use lab_options::Place;
use serde_json::Value;

use crate::case::{Claim, Expectation, Texts};
use crate::metrics;
use crate::pattern;
use crate::program::Program;

/// A difference between an expectation and the report.
pub(crate) struct Difference {
    /// The path of the step.
    pub(crate) path: String,
    /// The reason why it is open.
    pub(crate) open: Option<String>,
    /// The errors; none if an open expectation holds.
    pub(crate) wrong: Vec<String>,
    pub(crate) snapshot: Value,
}

impl Difference {
    /// Writes the snapshot into a folder.
    pub(crate) fn keep(&self, folder: &Path, case: &str, place: Place, run: u32) -> Result<()> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        let path = folder.join(format!("{case}-{}-{run}-{}.json", place.word(), self.path));
        let text = serde_json::to_string_pretty(&self.snapshot)?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// An open expectation that holds.
    pub(crate) fn holds(path: &str, why: &str) -> Self {
        Self { path: path.to_owned(), open: Some(why.to_owned()), wrong: Vec::new(), snapshot: Value::Null }
    }
}

/// The view of a stage at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) snapshot: &'a Value,
    /// Empty if the expectation has none.
    pub(crate) metrics: &'a str,
    pub(crate) accepted: Option<&'a BTreeMap<String, u64>>,
}

/// The differences. `names` has the daemon's names of clients whose pods it cannot know. The program is asked only if
/// the snapshot itself is right.
pub(crate) fn wrong(
    expectation: &Expectation,
    Seen { snapshot, metrics: scrape, accepted }: Seen<'_>,
    names: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (service, claims) in &expectation.clients {
        for (client, claim) in claims {
            let row = pattern::find(&snapshot["services"], service)
                .and_then(|service| pattern::find(&service["clients"], names.get(client).unwrap_or(client)));
            let faults = claim.0.iter().filter_map(|claim| fault(claim, row));
            wrong.extend(faults.map(|fault| format!("client {client} of {service}: {fault}")));
        }
    }
    pattern::compare(&expectation.snapshot, snapshot, &mut wrong);
    wrong.extend(metrics::wrong(&expectation.metrics, scrape));
    wrong.extend(unclosed(snapshot));
    for service in &expectation.exact.0 {
        exact(service, snapshot, accepted, &mut wrong);
    }
    if wrong.is_empty() {
        let program = Program::new(snapshot)?;
        if !expectation.report.is_empty() {
            texts("report", &expectation.report, &program.report()?, &mut wrong);
        }
        for (service, wanted) in &expectation.explain {
            texts(&format!("explain {service}"), wanted, &program.explain(service)?, &mut wrong);
        }
        for (findings, code) in &expectation.fail_on {
            let (got, said) = program.fail_on(findings)?;
            if got != *code {
                wrong.push(format!(
                    "--fail-on {findings}: exit code {got} instead of {code}: {}",
                    said.trim()
                ));
            }
        }
    }
    Ok(wrong)
}

/// Every attempt that was seen is in one figure, whatever the case says.
fn unclosed(snapshot: &Value) -> Option<String> {
    let attempts = snapshot["quality"]["attempts"].as_object()?;
    let seen = attempts.get("seen")?.as_u64()?;
    let parts = attempts.iter().filter(|(name, _)| *name != "seen");
    let sum: u64 = parts.filter_map(|(_, count)| count.as_u64()).sum();
    (sum != seen).then(|| format!("quality.attempts: {seen} attempts were seen, and {sum} are in its parts"))
}

/// The reason why a claim about a client is not true.
fn fault(claim: &Claim, row: Option<&Value>) -> Option<String> {
    let Some(row) = row else {
        return (*claim != Claim::Absent).then(|| "is not listed".to_owned());
    };
    let (cause, confidence) = (row["verdict"]["cause"].as_str(), row["verdict"]["confidence"].as_str());
    let holds = match claim {
        Claim::Verdict { cause: wanted, confidence: certainty } => {
            cause == Some(wanted.as_str())
                && certainty.as_deref().is_none_or(|wanted| confidence == Some(wanted))
        }
        Claim::Not(unwanted) => cause != Some(unwanted.as_str()),
        Claim::NoAlarm => !cause.is_some_and(is_alarm),
        Claim::NotHigh => confidence != Some("high"),
        Claim::NoVerdict => cause.is_none(),
        Claim::Withheld(reason) => row["withheld"].as_str() == Some(reason),
        Claim::Listed => true,
        Claim::Absent => false,
    };
    let now = match (cause, row["withheld"].as_str()) {
        (Some(cause), _) => format!("{cause} {}", confidence.unwrap_or_default()),
        (None, Some(reason)) => format!("withheld {reason}"),
        (None, None) => "no verdict".to_owned(),
    };
    let figures = format!("opened {}, failed {}", row["opened"], row["failed"]);
    (!holds).then(|| format!("is {now} instead of {claim} ({figures})"))
}

/// Whether somebody is told to do something.
fn is_alarm(cause: &str) -> bool {
    use headless_obs::expose::snapshot::Cause;
    let found = Cause::ALL.into_iter().find(|known| known.as_str() == cause);
    let of_trouble = [Cause::PortMismatch, Cause::FailingEndpoint, Cause::GivesUpEarly, Cause::CannotConnect];
    found.is_some_and(|cause| cause.is_imbalance() || cause.is_stale() || of_trouble.contains(&cause))
}

/// Compares a Service's endpoints with what their servers accepted.
fn exact(service: &str, snapshot: &Value, accepted: Option<&BTreeMap<String, u64>>, wrong: &mut Vec<String>) {
    let endpoints = pattern::find(&snapshot["services"], service).map(|found| &found["endpoints"]);
    let Some(endpoints) = endpoints.and_then(Value::as_array) else {
        wrong.push(format!("{service} is not listed"));
        return;
    };
    for endpoint in endpoints {
        let (pod, opened) = (endpoint["pod"].as_str().unwrap_or_default(), endpoint["opened"].as_u64());
        let truth = accepted.and_then(|accepted| accepted.get(pod)).copied().unwrap_or(0);
        if opened != Some(truth) {
            let opened = opened.unwrap_or_default();
            wrong
                .push(format!("{service}, {pod}: {opened} connections opened, its servers accepted {truth}"));
        }
    }
}

fn texts(of: &str, wanted: &Texts, said: &str, wrong: &mut Vec<String>) {
    // A table breaks lines between words.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut note = |text: &String, what: &str| wrong.push(format!("{of} {what} {text:?}: {said}"));
    wanted
        .says
        .0
        .iter()
        .filter(|text| !said.contains(text.as_str()))
        .for_each(|text| note(text, "does not say"));
    wanted
        .does_not_say
        .0
        .iter()
        .filter(|text| said.contains(text.as_str()))
        .for_each(|text| note(text, "says"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_attempt_that_is_in_no_figure_is_a_difference() {
        let of = |seen: u64| {
            unclosed(&json!({"quality": {"attempts": {"seen": seen, "attributed": 4, "waiting": 1}}}))
        };
        assert_eq!(of(5), None);
        assert!(of(6).is_some_and(|wrong| wrong.contains("6 attempts were seen, and 5")));
    }

    #[test]
    fn an_endpoint_is_compared_with_its_servers() {
        let snapshot = json!({"services": [{
            "namespace": "shop", "name": "orders",
            "endpoints": [{"pod": "orders-0", "opened": 2}, {"pod": "orders-1", "opened": 0}],
        }]});
        let wrong = |accepted: &[(&str, u64)]| {
            let accepted = accepted.iter().map(|(pod, count)| ((*pod).to_owned(), *count)).collect();
            let mut wrong = Vec::new();
            exact("shop/orders", &snapshot, Some(&accepted), &mut wrong);
            wrong
        };
        assert!(wrong(&[("orders-0", 2)]).is_empty());
        assert_eq!(wrong(&[("orders-0", 2), ("orders-1", 1)]).len(), 1);
        assert!(wrong(&[])[0].contains("2 connections opened, its servers accepted 0"));
    }
}
