//! Compares two snapshots, Service by Service and client by client. Pure.
//!
//! Each snapshot is a window of its own, so a restart of counters does not matter: the comparison uses rates, shares
//! and figures of spread. If both sides have a verdict, it decides. Otherwise the figures decide, and only a difference
//! beyond chance is a change.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::super::findings::{is_doubtful, is_in_sync, is_wrong};
use super::super::fit_text::between;
use crate::expose::snapshot::{Cause, Client, SCHEMA, Service, Snapshot, Spread};

/// The least change of the coefficient of variation that is worth reporting.
const CV_STEP: f64 = 0.1;
/// By how many standard deviations of chance it must differ.
const SIGMAS: f64 = 4.0;
/// The largest part of the squared coefficient of variation that may come from chance.
const LARGEST_NOISE: f64 = 0.25;
/// The least change of the share of connections to addresses that are not a ready endpoint.
const STALE_STEP: f64 = 0.01;

/// The output of `-o json`.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands) struct Diff {
    pub(super) schema: &'static str,
    pub(super) before: Window,
    pub(super) after: Window,
    /// Reasons for caution, as sentences.
    pub(super) notes: Vec<String>,
    pub(super) services: Vec<ServiceDiff>,
}

/// Node and time of a snapshot.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Window {
    pub(super) node: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// A Service. If only one snapshot has it, the other side is missing, and there is no change.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ServiceDiff {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) before: Option<Figures>,
    pub(super) after: Option<Figures>,
    pub(super) change: Option<Change>,
    pub(super) clients: Vec<ClientDiff>,
}

/// A client, likewise. A client that is excluded in a snapshot has no change.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClientDiff {
    pub(super) namespace: String,
    pub(super) workload: String,
    pub(super) before: Option<Figures>,
    pub(super) after: Option<Figures>,
    pub(super) change: Option<Change>,
}

/// Whether a change helped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    Worse,
    Better,
    Same,
    /// One of the windows has too few connections.
    TooFew,
    /// One of the verdicts was withheld.
    Withheld,
}

/// One side of a comparison.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    /// Connections that count in the spread.
    pub(super) connections: u64,
    pub(super) per_second: f64,
    pub(super) open: u64,
    pub(super) endpoints: u64,
    pub(super) coverage: f64,
    pub(super) peak_to_mean: f64,
    pub(super) cv: f64,
    pub(super) z: Option<f64>,
    /// Endpoints without connections; only for Services.
    pub(super) idle: Option<u64>,
    /// The share of connections to addresses that were not a ready endpoint.
    pub(super) stale: f64,
    /// Only for clients.
    pub(super) verdict: Option<Cause>,
    pub(super) withheld: Option<String>,
    pub(super) excluded: Option<String>,
}

/// Compares.
pub(in crate::commands) fn diff(before: &Snapshot, after: &Snapshot) -> Diff {
    let window =
        |snapshot: &Snapshot| Window { node: snapshot.node.clone(), from: snapshot.from, to: snapshot.to };
    let seconds = |snapshot: &Snapshot| between(snapshot.from, snapshot.to).as_secs_f64();
    let key = |service: &Service| (service.namespace.clone(), service.name.clone());
    let pairs = pairs(&before.services, &after.services, key);
    let services = pairs.into_iter().map(|((namespace, name), (old, new))| {
        let figures =
            |service: Option<&Service>, seconds| service.map(|service| of_service(service, seconds));
        let clients = clients(old, new, seconds(before), seconds(after));
        let (old, new) = (figures(old, seconds(before)), figures(new, seconds(after)));
        let change = old.as_ref().zip(new.as_ref()).map(|(old, new)| service_change(old, new, &clients));
        ServiceDiff { namespace, name, before: old, after: new, change, clients }
    });
    Diff {
        schema: SCHEMA,
        before: window(before),
        after: window(after),
        notes: notes(before, after),
        services: services.collect(),
    }
}

fn clients(old: Option<&Service>, new: Option<&Service>, before: f64, after: f64) -> Vec<ClientDiff> {
    let of =
        |service: Option<&'_ Service>| service.map(|service| service.clients.clone()).unwrap_or_default();
    let (old, new) = (of(old), of(new));
    let key = |client: &Client| (client.namespace.clone(), client.workload.clone());
    let pairs = pairs(&old, &new, key);
    let diffs = pairs.into_iter().map(|((namespace, workload), (old, new))| {
        let old = old.map(|client| of_client(client, before));
        let new = new.map(|client| of_client(client, after));
        let both = old.as_ref().zip(new.as_ref());
        let change = both.filter(|(old, new)| counts(old) && counts(new)).map(|(old, new)| change(old, new));
        ClientDiff { namespace, workload, before: old, after: new, change }
    });
    diffs.collect()
}

type Pairs<'a, T> = BTreeMap<(String, String), (Option<&'a T>, Option<&'a T>)>;

/// Pairs with the same name on both sides.
fn pairs<'a, T>(old: &'a [T], new: &'a [T], key: impl Fn(&T) -> (String, String)) -> Pairs<'a, T> {
    let mut pairs = Pairs::new();
    for one in old {
        pairs.entry(key(one)).or_default().0 = Some(one);
    }
    for one in new {
        pairs.entry(key(one)).or_default().1 = Some(one);
    }
    pairs
}

fn of_service(service: &Service, seconds: f64) -> Figures {
    let attempts: u64 =
        service.clients.iter().map(|client| client.opened.saturating_add(client.failed)).sum();
    let stale = service.stale.iter().filter(|(kind, _)| *kind != "grace").map(|(_, count)| count).sum();
    Figures {
        idle: Some(u64::try_from(service.idle.len()).unwrap_or(u64::MAX)),
        ..figures(service.spread, service.open, share(stale, attempts), seconds)
    }
}

fn of_client(client: &Client, seconds: f64) -> Figures {
    let stale = client.stale.iter().map(|target| target.connections).sum();
    Figures {
        verdict: client.verdict.as_ref().map(|verdict| verdict.cause),
        withheld: client.withheld.clone(),
        excluded: client.excluded.clone(),
        ..figures(
            client.spread,
            client.open,
            share(stale, client.opened.saturating_add(client.failed)),
            seconds,
        )
    }
}

fn figures(spread: Spread, open: Spread, stale: f64, seconds: f64) -> Figures {
    // A client that keeps its connections opens none; then the spread of open ones decides.
    let shown = if spread.connections > 0 { spread } else { open };
    Figures {
        connections: spread.connections,
        per_second: if seconds > 0.0 { spread.connections as f64 / seconds } else { 0.0 },
        open: open.connections,
        endpoints: shown.endpoints,
        coverage: shown.coverage,
        peak_to_mean: shown.peak_to_mean,
        cv: shown.cv,
        z: shown.z,
        idle: None,
        stale,
        verdict: None,
        withheld: None,
        excluded: None,
    }
}

fn share(part: u64, whole: u64) -> f64 {
    // Precision above 2^52 does not matter.
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn counts(figures: &Figures) -> bool {
    figures.excluded.is_none()
}

/// The change of a client.
fn change(old: &Figures, new: &Figures) -> Change {
    let is_withheld = |figures: &Figures| figures.withheld.as_deref().is_some_and(is_doubtful);
    if is_withheld(old) || is_withheld(new) {
        return Change::Withheld;
    }
    match (old.verdict, new.verdict) {
        (Some(Cause::TooFew), _) | (_, Some(Cause::TooFew)) => Change::TooFew,
        (Some(old), Some(new)) if is_wrong(old) && !is_wrong(new) => Change::Better,
        (Some(old), Some(new)) if !is_wrong(old) && is_wrong(new) => Change::Worse,
        // Both have the same verdict, so figures that do not differ are no news.
        (Some(_), Some(_)) => match by_figures(old, new) {
            Change::TooFew => Change::Same,
            change => change,
        },
        _ => by_figures(old, new),
    }
}

/// The change of a Service: from its figures, or from its clients if the figures decide nothing.
fn service_change(old: &Figures, new: &Figures, clients: &[ClientDiff]) -> Change {
    let whole = by_figures(old, new);
    if matches!(whole, Change::Better | Change::Worse) {
        return whole;
    }
    let known = clients.iter().filter_map(|client| client.change).min();
    match (whole, known) {
        (_, Some(change @ (Change::Better | Change::Worse))) => change,
        (Change::TooFew, Some(change)) => change,
        (whole, _) => whole,
    }
}

/// The change by figures alone.
fn by_figures(old: &Figures, new: &Figures) -> Change {
    // Without connections, nothing is idle or stale, and that is no improvement.
    if [old, new].iter().any(|figures| figures.connections == 0 && figures.open == 0) {
        return Change::TooFew;
    }
    let stale = step(old.stale, new.stale, STALE_STEP);
    let idle = old.idle.zip(new.idle).map_or(Change::Same, |(old, new)| step(old as f64, new as f64, 0.5));
    let others = stale.min(idle);
    match unevenness(old, new) {
        Some(change) => change.min(others),
        None if others == Change::Same => Change::TooFew,
        None => others,
    }
}

/// The change of the squared coefficient of variation, without the part from chance. Nothing: too few connections.
fn unevenness(old: &Figures, new: &Figures) -> Option<Change> {
    let one = |figures: &Figures| {
        let count = if figures.connections > 0 { figures.connections } else { figures.open };
        let freedom = figures.endpoints.checked_sub(1).filter(|freedom| *freedom > 0)? as f64;
        let noise = (2.0 * freedom).sqrt() / count as f64;
        (noise <= LARGEST_NOISE).then(|| ((figures.cv.powi(2) - freedom / count as f64).max(0.0), noise))
    };
    let ((old, old_noise), (new, new_noise)) = (one(old)?, one(new)?);
    let is_beyond_chance = (new - old).abs() > SIGMAS * old_noise.hypot(new_noise);
    Some(if is_beyond_chance { step(old.sqrt(), new.sqrt(), CV_STEP) } else { Change::Same })
}

/// Less is better.
fn step(old: f64, new: f64, least: f64) -> Change {
    match new - old {
        more if more > least => Change::Worse,
        less if less < -least => Change::Better,
        _ => Change::Same,
    }
}

/// The reasons for caution.
fn notes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut notes = Vec::new();
    if before.node != after.node {
        notes.push("The snapshots are of different nodes, so they show different clients.".to_owned());
    }
    if before.node == after.node && after.from < before.to && before.from < after.to {
        notes.push(
            "Both snapshots include the same time, which hides a part of the change. Take them with `report --for`, or \
             with `--last` and a time that is shorter than the time between them."
                .to_owned(),
        );
    } else if after.to < before.to {
        notes.push("The second snapshot is older than the first; check their order.".to_owned());
    }
    for (name, snapshot) in [("first", before), ("second", after)] {
        if snapshot.quality.events_lost.values().any(|count| *count > 0) {
            notes.push(format!(
                "Events were lost in the {name} snapshot; `report --from` that file shows which."
            ));
        }
        if !is_in_sync(&snapshot.quality) {
            notes.push(format!(
                "The list of Services and pods in the {name} snapshot is incomplete or outdated."
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
