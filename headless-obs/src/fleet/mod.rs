//! Merges the snapshots of several nodes: each daemon sees the clients of its own node, all together see the fleet.
//!
//! In: snapshots, and the missing nodes. Out: a snapshot of the same schema, so everything that shows one node also
//! shows the fleet.
//!
//! Counts are added. Spread, shares and verdicts are computed again from the sums; none is an average. The problems of
//! a node stay with its name ([`Part`]), because one bad node would not show in sums over many.
//!
//! A single snapshot does not change, and the order does not matter. Merged snapshots can be merged again.

mod client;
mod endpoint;
mod quality;
mod service;
mod spread;
mod sums;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::expose::snapshot::{Part, Service, Snapshot, Unanswered};
use crate::verdict;

pub(crate) use service::figure;

/// The most nodes that are named.
const NAMED: usize = 3;

/// Why snapshots cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmergeable {
    /// There are none.
    #[error("there is no snapshot")]
    Nothing,
    /// Two of them include the same node, which would count twice.
    #[error("node {0} is in several of the snapshots; give only one of them")]
    Twice(String),
}

/// Merges snapshots; `missing` are nodes without one.
///
/// # Errors
///
/// If there is none, or if something would count twice.
pub fn merge(snapshots: Vec<Snapshot>, missing: Vec<Part>) -> Result<Snapshot, Unmergeable> {
    let mut snapshots = newest_of_each(snapshots);
    if snapshots.len() == 1 && missing.is_empty() {
        return snapshots.pop().ok_or(Unmergeable::Nothing);
    }
    let nodes = parts(&snapshots, missing)?;
    let from = snapshots.iter().map(|snapshot| snapshot.from).min().ok_or(Unmergeable::Nothing)?;
    let to = snapshots.iter().map(|snapshot| snapshot.to).max().ok_or(Unmergeable::Nothing)?;
    let mature_after = snapshots.iter().map(|snapshot| snapshot.mature_after_seconds).fold(0.0, f64::max);
    let schema = snapshots.first().map(|snapshot| snapshot.schema.clone()).unwrap_or_default();

    let mut qualities = Vec::with_capacity(snapshots.len());
    let mut services: BTreeMap<(String, String), Vec<Service>> = BTreeMap::new();
    let mut unanswered: BTreeMap<(String, String), u64> = BTreeMap::new();
    for snapshot in snapshots {
        qualities.push(snapshot.quality);
        for row in snapshot.unanswered {
            sums::add(unanswered.entry((row.namespace, row.workload)).or_default(), row.queries);
        }
        for service in snapshot.services {
            services.entry((service.namespace.clone(), service.name.clone())).or_default().push(service);
        }
    }
    let seconds = to.duration_since(from).as_secs_f64();
    let services: Vec<_> = services.into_values().map(|rows| service::merge(rows, seconds)).collect();
    let mut merged = Snapshot {
        schema,
        node: name(&nodes),
        from,
        to,
        mature_after_seconds: mature_after,
        quality: quality::merge(qualities, &nodes, &services),
        nodes,
        services,
        unanswered: unanswered
            .into_iter()
            .map(|((namespace, workload), queries)| Unanswered { namespace, workload, queries })
            .collect(),
    };
    judge(&mut merged);
    Ok(merged)
}

/// The figures of a daemon only grow, so its newest snapshot is enough.
fn newest_of_each(mut snapshots: Vec<Snapshot>) -> Vec<Snapshot> {
    snapshots.sort_by(|a, b| (&a.node, a.from, b.to).cmp(&(&b.node, b.from, a.to)));
    snapshots.dedup_by(|later, kept| {
        let is_of_one = later.nodes.is_empty() && kept.nodes.is_empty();
        is_of_one && later.node == kept.node && later.from == kept.from
    });
    snapshots
}

/// All nodes by name.
fn parts(snapshots: &[Snapshot], missing: Vec<Part>) -> Result<Vec<Part>, Unmergeable> {
    let mut parts = missing;
    for snapshot in snapshots {
        if snapshot.nodes.is_empty() {
            parts.push(Part::of(snapshot));
        } else {
            parts.extend(snapshot.nodes.iter().cloned());
        }
    }
    parts.sort_by(|a, b| (&a.node, a.from, a.to).cmp(&(&b.node, b.from, b.to)));
    let mut seen = BTreeSet::new();
    for part in parts.iter().filter(|part| part.missing.is_none()) {
        if !seen.insert((&part.node, part.from)) {
            return Err(Unmergeable::Twice(part.node.clone()));
        }
    }
    Ok(parts)
}

/// `a, b`, or `12 nodes`.
pub(crate) fn name(parts: &[Part]) -> String {
    let names: BTreeSet<&str> =
        parts.iter().filter(|part| part.missing.is_none()).map(|part| part.node.as_str()).collect();
    if names.len() > NAMED {
        return format!("{} nodes", names.len());
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Judges the sums, as if the observation had begun with the last of the nodes: not all nodes saw what happened before.
/// If every node withheld its verdict on a client because of losses or an incomplete topology, the sums give no verdict
/// either.
fn judge(merged: &mut Snapshot) {
    let doubts: Vec<Vec<Option<String>>> = merged
        .services
        .iter()
        .map(|service| service.clients.iter().map(|client| client.withheld.clone()).collect())
        .collect();
    let from = merged.from;
    let last: Option<Timestamp> = merged.nodes.iter().filter_map(|part| part.from).max();
    merged.from = last.unwrap_or(from);
    verdict::judge_all(merged);
    merged.from = from;
    for (service, doubts) in merged.services.iter_mut().zip(doubts) {
        for (client, doubt) in service.clients.iter_mut().zip(doubts) {
            if doubt.is_some() {
                (client.verdict, client.withheld) = (None, doubt);
            }
        }
    }
}
