//! `report --fail-on`: whether a pipeline should stop. Pure: a snapshot in, lines for standard error out.
//!
//! If a verdict is withheld because the observation is not reliable, the absence of findings proves nothing. That does
//! not stop a pipeline, because the problem is the observation; the command prints a warning.

use super::findings::{bad_nodes, idle_in_words, is_doubtful, is_in_sync};
use super::fit_text::{clean, fit, full_name};
use crate::cli::FailOn;
use crate::expose::snapshot::{Cause, Snapshot};

/// Exit code for findings.
pub(super) const FOUND: u8 = 3;

/// The findings, and what could not be checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) findings: Vec<String>,
    pub(super) doubts: Vec<String>,
}

/// Searches for the selected findings.
pub(super) fn judge(snapshot: &Snapshot, fail_on: &[FailOn]) -> Outcome {
    let mut outcome = Outcome::default();
    let Some(asked) = words(fail_on) else { return outcome };
    if snapshot.services.is_empty() {
        outcome.doubts.push(format!(
            "warning: no headless Service was seen, so --fail-on {asked} had nothing to judge"
        ));
    }
    if !is_in_sync(&snapshot.quality) {
        let why = "the list of Services and pods is incomplete or outdated";
        outcome.doubts.push(format!("warning: {why}, so --fail-on {asked} may have missed something"));
    }
    let bad: Vec<_> = bad_nodes(snapshot).map(|part| clean(&part.node)).collect();
    if !bad.is_empty() {
        let (count, all, names) = (bad.len(), snapshot.nodes.len(), fit(&bad.join(", "), 200));
        outcome.doubts.push(format!(
            "warning: {count} of {all} nodes are missing or not in sync ({names}), so --fail-on {asked} may have \
             missed something"
        ));
    }
    let by_verdict = fail_on.iter().any(|what| *what != FailOn::Idle);
    for service in &snapshot.services {
        let name = full_name(&service.namespace, &service.name);
        for client in service.clients.iter().filter(|client| client.excluded.is_none()) {
            let of = format!("{name}, client {}", full_name(&client.namespace, &client.workload));
            let cause = client.verdict.as_ref().map(|verdict| verdict.cause);
            for (what, finds) in [
                (FailOn::Imbalance, Cause::is_imbalance as fn(Cause) -> bool),
                (FailOn::Stale, Cause::is_stale),
            ] {
                if let Some(cause) = cause.filter(|cause| fail_on.contains(&what) && finds(*cause)) {
                    outcome.findings.push(format!("{}: {of}: {}", what.as_str(), cause.as_str()));
                }
            }
            let doubt = client.withheld.as_deref().filter(|reason| is_doubtful(reason));
            let doubt = doubt.or_else(|| (cause == Some(Cause::TooFew)).then(|| Cause::TooFew.as_str()));
            if let Some(reason) = doubt.filter(|_| by_verdict) {
                outcome.doubts.push(format!("warning: {of}: no verdict ({})", clean(reason)));
            }
        }
        if let Some(idle) = idle_in_words(service).filter(|_| fail_on.contains(&FailOn::Idle)) {
            outcome.findings.push(format!("idle: {name}: {idle}"));
        }
    }
    outcome
}

/// `imbalance,idle`; empty if nothing is selected.
fn words(fail_on: &[FailOn]) -> Option<String> {
    let words: Vec<_> = fail_on.iter().map(|what| what.as_str()).collect();
    (!words.is_empty()).then(|| words.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures;

    const ALL: [FailOn; 3] = [FailOn::Imbalance, FailOn::Stale, FailOn::Idle];

    #[test]
    fn each_kind_of_finding_is_found_if_asked_for() {
        let mut snapshot = test_fixtures::snapshot();
        let found = |snapshot: &Snapshot, fail_on: &[FailOn]| judge(snapshot, fail_on).findings;
        assert_eq!(found(&snapshot, &[]), [""; 0]);
        assert_eq!(found(&snapshot, &[FailOn::Stale]), [""; 0]);
        assert_eq!(
            found(&snapshot, &ALL),
            [
                "imbalance: shop/orders, client shop/cron: answer_order",
                "imbalance: shop/orders, client shop/web: truncated_answer",
                "idle: shop/orders: 1 of 3 endpoints gets no connections: orders-2",
            ]
        );
        let cron = &mut snapshot.services[0].clients[0];
        cron.verdict.as_mut().unwrap().cause = Cause::DnsStale;
        assert_eq!(found(&snapshot, &[FailOn::Stale]), ["stale: shop/orders, client shop/cron: dns_stale"]);
        snapshot.services[0].clients[0].excluded = Some("option".into());
        assert_eq!(found(&snapshot, &[FailOn::Stale]), [""; 0], "it does not count");
    }

    #[test]
    fn what_could_not_be_judged_is_said() {
        let mut snapshot = test_fixtures::snapshot();
        assert_eq!(judge(&snapshot, &ALL).doubts, [""; 0]);
        snapshot.services.remove(0);
        let web = &mut snapshot.services[0].clients[1];
        web.verdict = None;
        for reason in ["losses", "not_in_sync", "started_after"] {
            snapshot.services[0].clients[1].withheld = Some(reason.into());
            let doubts = judge(&snapshot, &ALL).doubts;
            assert_eq!(doubts, [format!("warning: shop/sessions, client shop/web: no verdict ({reason})")]);
            assert!(judge(&snapshot, &[FailOn::Idle]).doubts.is_empty(), "idle takes no verdict");
        }
        snapshot.services[0].clients[1].withheld = Some("by_hostname".into());
        assert_eq!(judge(&snapshot, &ALL), Outcome::default(), "that is intended");
        snapshot.services[0].clients[1].verdict = Some(test_fixtures::verdict(Cause::TooFew, &[], None));
        assert!(judge(&snapshot, &ALL).doubts[0].ends_with("(too_few)"));
        snapshot.quality.topology.synced = false;
        assert!(judge(&snapshot, &[FailOn::Idle]).doubts[0].contains("may have missed something"));
        snapshot.services.clear();
        assert!(judge(&snapshot, &ALL).doubts[0].contains("nothing to judge"));
    }
}
