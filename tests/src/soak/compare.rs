//! Compares the daemons' reports with the servers' counts while the clients are quiet.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lab::Observer;
use lab::connection_matrix::{Matrix, accepted, reported};
use serde_json::Value;

use crate::restarted_daemon::Life;
use crate::stage::Stage;
use crate::traffic::Traffic;

/// Longer than a daemon needs to update all its counts.
const SETTLED: Duration = Duration::from_millis(2_500);

/// Compares everything; returns the number of connections so far. Any difference that stays is an error.
pub(crate) fn all(stage: &Stage<'_>, traffic: &Traffic, lasting: &Observer, life: &mut Life) -> Result<u64> {
    let truth = accepted(&stage.lab.truth()?);
    let open = Traffic::open(stage)?;
    agree(lasting, "the daemon that runs all the time", open, |snapshot| {
        difference(&truth, &reported(snapshot)).or_else(|| failures(snapshot, &traffic.failed()))
    })?;
    if let Some((truth_then, report_then)) = &life.base {
        let expected = minus(&truth, truth_then);
        agree(life.observer(), "the restarted daemon", open, |snapshot| {
            difference(&expected, &minus(&reported(snapshot), report_then))
        })?;
    } else {
        // The first report must be between two bounds. Without this pause it could be so before it is complete.
        thread::sleep(SETTLED);
        let (most, least) = (minus(&truth, &life.launched), minus(&truth, &life.ready));
        let snapshot = agree(life.observer(), "a newly started daemon", open, |snapshot| {
            let report = reported(snapshot);
            let is_within = |(cell, count): (&_, &u64)| *count <= at(&most, cell);
            let is_enough = |(cell, count): (&_, &u64)| *count <= at(&report, cell);
            let fits = report.iter().all(is_within) && least.iter().all(is_enough);
            (!fits).then(|| format!("{report:?} is not between {least:?} and {most:?}"))
        })?;
        life.base = Some((truth.clone(), reported(&snapshot)));
    }
    Ok(truth.values().sum())
}

/// Waits until there is no difference and `open` connections are open.
fn agree(
    observer: &Observer,
    who: &str,
    open: u64,
    differs: impl Fn(&Value) -> Option<String>,
) -> Result<Value> {
    let differs = |snapshot: &Value| {
        let found = active(snapshot);
        differs(snapshot).or_else(|| (found != open).then(|| format!("{found} are open, not {open}")))
    };
    let agreed = observer.snapshot_when(crate::PATIENCE, |snapshot| differs(snapshot).is_none());
    agreed.or_else(|_last| {
        let snapshot = observer.snapshot().with_context(|| format!("{who}:\n{}", observer.log()))?;
        let Some(difference) = differs(&snapshot) else { return Ok(snapshot) };
        bail!("{who}: {difference}\n{}\n{}", snapshot["quality"], observer.log())
    })
}

fn at(matrix: &Matrix, cell: &(String, String)) -> u64 {
    matrix.get(cell).copied().unwrap_or(0)
}

/// The increase from `then` to `now`.
fn minus(now: &Matrix, then: &Matrix) -> Matrix {
    let cells = now.iter().map(|(cell, count)| (cell.clone(), count.saturating_sub(at(then, cell))));
    cells.filter(|(_, count)| *count > 0).collect()
}

/// A description of the differences between truth and report.
fn difference(truth: &Matrix, report: &Matrix) -> Option<String> {
    let cells: BTreeSet<_> = truth.keys().chain(report.keys()).collect();
    let cells: Vec<String> = cells
        .into_iter()
        .filter(|cell| at(truth, cell) != at(report, cell))
        .map(|cell| {
            format!("{} to {}: accepted {}, reported {}", cell.0, cell.1, at(truth, cell), at(report, cell))
        })
        .collect();
    (!cells.is_empty()).then(|| cells.join("; "))
}

fn endpoints(snapshot: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let services = snapshot["services"].as_array().into_iter().flatten();
    services.flat_map(|service| {
        service["endpoints"].as_array().into_iter().flatten().map(move |endpoint| (service, endpoint))
    })
}

fn active(snapshot: &Value) -> u64 {
    endpoints(snapshot).filter_map(|(_, endpoint)| endpoint["active"].as_u64()).sum()
}

/// A description of failures of `broken` that differ from the client's own counts.
fn failures(snapshot: &Value, expected: &[(&str, u64)]) -> Option<String> {
    expected.iter().find_map(|&(reason, count)| {
        let of_broken = endpoints(snapshot).filter(|(service, _)| service["name"] == "broken");
        let found: u64 = of_broken.filter_map(|(_, endpoint)| endpoint["failed"][reason].as_u64()).sum();
        (found != count).then(|| format!("{reason}: the client saw {count}, reported are {found}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(cells: &[(&str, u64)]) -> Matrix {
        cells.iter().map(|(pod, count)| (("web".to_owned(), (*pod).to_owned()), *count)).collect()
    }

    #[test]
    fn what_differs_is_named_whichever_side_lacks_it() {
        let truth = matrix(&[("a", 3), ("b", 1)]);
        assert_eq!(difference(&truth, &truth), None);
        let text = difference(&truth, &matrix(&[("a", 2), ("c", 5)])).unwrap_or_default();
        assert_eq!(
            text,
            "web to a: accepted 3, reported 2; web to b: accepted 1, reported 0; web to c: accepted 0, reported 5"
        );
    }

    #[test]
    fn a_difference_of_time_has_no_empty_cells() {
        let (then, now) = (matrix(&[("a", 3)]), matrix(&[("a", 3), ("b", 2)]));
        assert_eq!(minus(&now, &then), matrix(&[("b", 2)]));
    }
}
