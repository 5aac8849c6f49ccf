//! Compares the daemon's report with the servers' counts.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use lab::Observer;
use serde_json::Value;

use crate::large_manifests::NAMESPACE;
use crate::process_tree_usage::f64_of;
use crate::stage::{ORDERS, Stage};

/// The time that the report may take to catch up.
const PATIENCE: Duration = Duration::from_secs(5);

/// The daemon's counts compared with the servers'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Connections that the servers accepted.
    pub(crate) accepted: u64,
    /// Sum over all endpoints of the connections that the report has too many or too few.
    pub(crate) miscounted: u64,
    /// Records that the kernel dropped.
    pub(crate) lost: u64,
}

impl Verdict {
    /// The share of connections with a wrong report.
    pub(crate) fn share(&self) -> f64 {
        f64_of(self.miscounted) / f64_of(self.accepted.max(1))
    }
}

/// Compares when both agree or `PATIENCE` has passed. `before` has the connections accepted before the daemon started.
pub(crate) fn compare(
    stage: &mut Stage,
    observer: &Observer,
    before: &BTreeMap<String, u64>,
) -> Result<Verdict> {
    let end = Instant::now() + PATIENCE;
    loop {
        let accepted = stage.accepted()?;
        let snapshot = observer.snapshot()?;
        let since = |(pod, count): (&String, &u64)| (pod.clone(), count - before.get(pod).unwrap_or(&0));
        let truth: BTreeMap<String, u64> = accepted.iter().map(since).collect();
        let verdict = Verdict {
            accepted: truth.values().sum(),
            miscounted: difference(&truth, &opened(&snapshot)),
            lost: lost(&snapshot),
        };
        if verdict.miscounted == 0 || Instant::now() > end {
            return Ok(verdict);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The report's opened connections of each endpoint of the Service.
fn opened(snapshot: &Value) -> BTreeMap<String, u64> {
    let services = snapshot["services"].as_array().into_iter().flatten();
    let mut own = services.filter(|service| service["namespace"] == NAMESPACE && service["name"] == ORDERS);
    let endpoints = own.next().and_then(|service| service["endpoints"].as_array());
    let opened =
        |endpoint: &Value| Some((endpoint["pod"].as_str()?.to_owned(), endpoint["opened"].as_u64()?));
    endpoints.into_iter().flatten().filter_map(opened).collect()
}

fn lost(snapshot: &Value) -> u64 {
    let lost = snapshot["quality"]["events_lost"].as_object();
    lost.into_iter().flat_map(|lost| lost.values()).filter_map(Value::as_u64).sum()
}

fn difference(truth: &BTreeMap<String, u64>, report: &BTreeMap<String, u64>) -> u64 {
    let of = |counts: &BTreeMap<String, u64>, pod| counts.get(pod).copied().unwrap_or(0);
    let foreign = report.iter().filter(|(pod, _)| !truth.contains_key(*pod)).map(|(_, count)| count);
    let own = truth.keys().map(|pod| of(truth, pod).abs_diff(of(report, pod)));
    own.sum::<u64>() + foreign.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn too_many_and_too_few_do_not_make_up_for_each_other() {
        let counts = |counts: &[(&str, u64)]| {
            counts.iter().map(|(pod, count)| ((*pod).to_owned(), *count)).collect::<BTreeMap<_, _>>()
        };
        let truth = counts(&[("a", 10), ("b", 10), ("c", 10)]);
        assert_eq!(difference(&truth, &truth), 0);
        assert_eq!(difference(&truth, &counts(&[("a", 11), ("b", 9), ("d", 3)])), 1 + 1 + 10 + 3);
    }

    #[test]
    fn figures_are_found_in_a_snapshot() {
        let snapshot = json!({
            "quality": {"events_lost": {"ring_full": 2, "flows_full": 1}},
            "services": [
                {"namespace": "other", "name": "orders", "endpoints": [{"pod": "orders-0", "opened": 9}]},
                {"namespace": "shop", "name": "orders", "endpoints": [{"pod": "orders-0", "opened": 5}]},
            ],
        });
        assert_eq!(opened(&snapshot), BTreeMap::from([("orders-0".to_owned(), 5)]));
        assert_eq!(lost(&snapshot), 3);
    }
}
