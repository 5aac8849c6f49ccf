//! The daemons' verdicts, by client of the fleet. Pure.
//!
//! A daemon has facts that no metric has: the content of each answer, and the selected address. So its verdict stands
//! for the client's pods on its node. Of several verdicts, the one of most nodes is shown; a verdict about a problem
//! comes before one without. Only if all daemons had too few connections, the sums are judged here.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::evidence;
use super::queries::Query;
use super::series::Answers;
use crate::expose::snapshot::{Cause, Client, Confidence, Service, Snapshot, Verdict};
use crate::messages::findings::is_wrong;
use crate::verdict;

/// Service and client.
type Key = [String; 4];
/// Cause, or `withheld:` and the reason → nodes, by Service and client.
pub(super) type Said = BTreeMap<Key, BTreeMap<String, u64>>;

const WITHHELD: &str = "withheld:";
const EXCLUDED: &str = "withheld:excluded";

/// The reports of the daemons.
pub(super) fn said(answers: &Answers) -> Said {
    let mut said = Said::new();
    for series in answers.of(Query::Verdicts) {
        let key = ["namespace", "service", "client_namespace", "client_workload"];
        let key = key.map(|label| series.label(label).to_owned());
        *said.entry(key).or_default().entry(series.label("cause").to_owned()).or_default() += series.count();
    }
    said
}

fn of<'a>(said: &'a Said, service: &Service, client: &Client) -> Option<&'a BTreeMap<String, u64>> {
    let names = [&service.namespace, &service.name, &client.namespace, &client.workload];
    said.get(&names.map(Clone::clone))
}

/// The reason why its connections do not count, if that is so on each node. No metric has the particular reason.
pub(super) fn excluded(said: &Said, service: &Service, client: &Client) -> Option<String> {
    let causes = of(said, service, client)?;
    causes.keys().all(|cause| cause == EXCLUDED).then(|| "excluded by its daemon".to_owned())
}

/// Gives each client its verdict, or the reason for none.
pub(super) fn judge(snapshot: &mut Snapshot, said: &Said) {
    let mut judged = facts(snapshot);
    verdict::judge_all(&mut judged);
    for (service, by_figures) in snapshot.services.iter_mut().zip(judged.services) {
        let verdicts: Vec<_> = service
            .clients
            .iter()
            .zip(by_figures.clients)
            .map(|(client, judged)| match of(said, service, client) {
                Some(causes) => choose(causes, service, client, judged.verdict),
                None => (None, None),
            })
            .collect();
        for (client, verdict) in service.clients.iter_mut().zip(verdicts) {
            (client.verdict, client.withheld) = verdict;
        }
    }
}

/// The snapshot with only the figures of spread: without other facts, nothing else can be concluded.
fn facts(snapshot: &Snapshot) -> Snapshot {
    let mut facts = snapshot.clone();
    for client in facts.services.iter_mut().flat_map(|service| &mut service.clients) {
        client.other_ports.clear();
        client.answers = crate::expose::snapshot::ClientAnswers {
            count: client.opened,
            last: Some(facts.to),
            ..Default::default()
        };
    }
    for service in &mut facts.services {
        service.dns = crate::expose::snapshot::Dns { completeness: 1.0, ..Default::default() };
    }
    facts
}

fn choose(
    causes: &BTreeMap<String, u64>,
    service: &Service,
    client: &Client,
    by_figures: Option<Verdict>,
) -> (Option<Verdict>, Option<String>) {
    let named = causes.iter().filter_map(|(name, nodes)| {
        Some((Cause::ALL.into_iter().find(|cause| cause.as_str() == name)?, *nodes))
    });
    let best =
        named.min_by_key(|(cause, nodes)| (*cause == Cause::TooFew, !is_wrong(*cause), Reverse(*nodes)));
    let Some((cause, nodes)) = best else {
        let reasons = causes.iter().filter_map(|(name, nodes)| Some((name.strip_prefix(WITHHELD)?, *nodes)));
        let reason = reasons.max_by_key(|(_, nodes)| *nodes).map(|(reason, _)| reason.to_owned());
        return (None, reason);
    };
    if cause == Cause::TooFew {
        let can_tell =
            |verdict: &Verdict| matches!(verdict.cause, Cause::Even | Cause::Unexplained | Cause::TooFew);
        if let Some(verdict) = by_figures.filter(can_tell) {
            return (Some(verdict), None);
        }
    }
    let of: u64 = causes.values().sum();
    let who = if of == 1 {
        "The daemon of the client's node".to_owned()
    } else {
        format!("The daemons of {nodes} of the client's {of} nodes")
    };
    let mut evidence = evidence::of(cause, service, client);
    evidence.push(format!(
        "{who} found this; `explain --fleet`, or `explain --from` a daemon, shows all of the evidence."
    ));
    let verdict = Verdict {
        cause,
        confidence: Confidence::Medium,
        evidence,
        alternatives: Vec::new(),
        fix: verdict::advice(cause, client),
        ..Verdict::default()
    };
    (Some(verdict), None)
}
