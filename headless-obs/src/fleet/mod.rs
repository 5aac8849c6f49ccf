//! Merges the snapshots of several nodes: each daemon sees the clients of its own node, all together see the fleet.
//!
//! In: snapshots, and the missing nodes. Out: a snapshot of the same schema, so everything that shows one node also
//! shows the fleet.
//!
//! Counts are added. Spread, shares and verdicts are computed again from the sums; none is an average. The problems of
//! a node stay with its name ([`NodeStatus`]), because one bad node would not show in sums over many.
//!
//! A single snapshot does not change, and the order does not matter. Merged snapshots can be merged again.

mod client;
pub mod connection_list;
mod endpoint;
mod known_verdicts;
mod load;
mod quality;
mod service;
mod spread;
mod sums;
#[cfg(test)]
mod tests;
mod unreached;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::expose::snapshot::{NodeStatus, Service, Snapshot, Unanswered};
use crate::verdict;

use known_verdicts::KnownVerdicts;
pub(crate) use service::figure;

/// The most nodes that are named.
const NAMED: usize = 3;

/// The reason why snapshots cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmergeable {
    /// There are none.
    #[error("there is no snapshot")]
    Nothing,
    /// Two of them include the same node, which would count twice.
    #[error("node {0} is in several of the snapshots; give only one of them")]
    Twice(String),
}

/// Merges the snapshots of several nodes over several stretches; `missing` are nodes without one. Each node has the same
/// stretches, the shortest first. The result has the longest stretch, and verdicts of this moment. If one of them has
/// only one stretch, as in a file, the verdicts rest on the longest stretch alone. A single file keeps its verdicts.
///
/// # Errors
///
/// If there is none, or if something would count twice.
pub fn merge(nodes: Vec<Vec<Snapshot>>, missing: Vec<NodeStatus>) -> Result<Snapshot, Unmergeable> {
    let has_stretches = nodes.iter().all(|stretches| stretches.len() > 1);
    let mut longest = Vec::with_capacity(nodes.len());
    let mut shorter: Vec<Vec<Snapshot>> = Vec::new();
    for mut stretches in nodes {
        longest.extend(stretches.pop());
        if has_stretches {
            shorter.resize_with(shorter.len().max(stretches.len()), Vec::new);
            shorter.iter_mut().zip(stretches).for_each(|(all, snapshot)| all.push(snapshot));
        }
    }
    let longest = newest_of_each(longest);
    if longest.len() == 1 && missing.is_empty() && !has_stretches {
        // Its verdicts may rest on shorter stretches, which are not in the file.
        return longest.into_iter().next().ok_or(Unmergeable::Nothing);
    }
    let known = KnownVerdicts::of(&longest);
    let mut merged = sum(longest, missing)?;
    let doubts = doubts(&merged);
    if has_stretches {
        let recent = shorter.into_iter().map(|of_each| sum(newest_of_each(of_each), Vec::new()));
        verdict::judge_now(&mut merged, &recent.collect::<Result<Vec<_>, _>>()?);
        known.complete(&mut merged);
    } else {
        verdict::judge_all(&mut merged);
    }
    withhold(&mut merged, doubts);
    Ok(merged)
}

/// Adds the snapshots. The sums have no verdicts; each client has the reason for which no node can judge it, if there is
/// one. The observation of all begins with that of the last node: not all nodes saw what happened before.
fn sum(mut snapshots: Vec<Snapshot>, missing: Vec<NodeStatus>) -> Result<Snapshot, Unmergeable> {
    if snapshots.len() == 1 && missing.is_empty() {
        return snapshots.pop().ok_or(Unmergeable::Nothing);
    }
    let nodes = parts(&snapshots, missing)?;
    let from = snapshots.iter().map(|snapshot| snapshot.from).min().ok_or(Unmergeable::Nothing)?;
    let to = snapshots.iter().map(|snapshot| snapshot.to).max().ok_or(Unmergeable::Nothing)?;
    let snapshots_began = snapshots.iter().map(began).max();
    let mature_after = snapshots.iter().map(|snapshot| snapshot.mature_after_seconds).fold(0.0, f64::max);
    let schema = snapshots.first().map(|snapshot| snapshot.schema.clone()).unwrap_or_default();

    let mut qualities = Vec::with_capacity(snapshots.len());
    let mut services: BTreeMap<(String, String), Vec<Service>> = BTreeMap::new();
    let mut unanswered: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut unreached = Vec::new();
    for snapshot in snapshots {
        unreached.extend(snapshot.unreached);
        qualities.push(snapshot.quality);
        for row in snapshot.unanswered {
            sums::add(unanswered.entry((row.namespace, row.workload)).or_default(), row.queries);
        }
        for mut service in snapshot.services {
            client::name_node(&mut service.clients, &snapshot.node);
            services.entry((service.namespace.clone(), service.name.clone())).or_default().push(service);
        }
    }
    let seconds = to.duration_since(from).as_secs_f64();
    let services: Vec<_> = services.into_values().map(|rows| service::merge(rows, seconds)).collect();
    Ok(Snapshot {
        schema,
        node: name(&nodes),
        zone: None,
        from,
        to,
        began: snapshots_began,
        observation: None,
        mature_after_seconds: mature_after,
        quality: quality::merge(qualities, &nodes, &services),
        nodes,
        services,
        unanswered: unanswered
            .into_iter()
            .map(|((namespace, workload), queries)| Unanswered { namespace, workload, queries })
            .collect(),
        unreached: unreached::merge(unreached),
    })
}

/// The figures of a daemon only grow, so its newest snapshot is enough.
fn newest_of_each(mut snapshots: Vec<Snapshot>) -> Vec<Snapshot> {
    // Times by a clock that was set do not compare, so within an observation the largest duration counts.
    let age = |snapshot: &Snapshot| snapshot.to.duration_since(began(snapshot));
    snapshots.sort_by(|a, b| (&a.node, named(a), age(b)).cmp(&(&b.node, named(b), age(a))));
    snapshots.dedup_by(|later, kept| {
        let is_of_one = later.nodes.is_empty() && kept.nodes.is_empty();
        is_of_one && later.node == kept.node && named(later) == named(kept)
    });
    snapshots
}

/// All nodes by name.
fn parts(snapshots: &[Snapshot], missing: Vec<NodeStatus>) -> Result<Vec<NodeStatus>, Unmergeable> {
    let mut parts = missing;
    for snapshot in snapshots {
        if snapshot.nodes.is_empty() {
            parts.push(NodeStatus::of(snapshot));
        } else {
            parts.extend(snapshot.nodes.iter().cloned());
        }
    }
    parts.sort_by(|a, b| (&a.node, a.from, a.to).cmp(&(&b.node, b.from, b.to)));
    let mut seen = BTreeSet::new();
    for part in parts.iter().filter(|part| part.missing.is_none()) {
        if !seen.insert((&part.node, part.observation.or(part.from))) {
            return Err(Unmergeable::Twice(part.node.clone()));
        }
    }
    Ok(parts)
}

/// `a, b`, or `12 nodes`.
pub(crate) fn name(parts: &[NodeStatus]) -> String {
    let names: BTreeSet<&str> =
        parts.iter().filter(|part| part.missing.is_none()).map(|part| part.node.as_str()).collect();
    if names.len() > NAMED {
        return format!("{} nodes", names.len());
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The time at which an observation began.
fn began(snapshot: &Snapshot) -> Timestamp {
    snapshot.began.unwrap_or(snapshot.from)
}

/// The same by the clock of that moment; with the node, this identifies the observation.
fn named(snapshot: &Snapshot) -> Timestamp {
    snapshot.observation.unwrap_or_else(|| began(snapshot))
}

/// The reasons for which every node withheld its verdict on a client: losses or an incomplete topology.
fn doubts(merged: &Snapshot) -> Vec<Vec<Option<String>>> {
    let of_service =
        |service: &Service| service.clients.iter().map(|client| client.withheld.clone()).collect();
    merged.services.iter().map(of_service).collect()
}

/// The sums cannot judge a client that no node could judge.
fn withhold(merged: &mut Snapshot, doubts: Vec<Vec<Option<String>>>) {
    for (service, doubts) in merged.services.iter_mut().zip(doubts) {
        for (client, doubt) in service.clients.iter_mut().zip(doubts) {
            if doubt.is_some() {
                (client.verdict, client.withheld) = (None, doubt);
            }
        }
    }
}
