//! Merges the quality of several snapshots. Sums show how much was lost in all, and the nodes show where.

use std::collections::BTreeSet;

use super::sums::{add, add_counts, earliest};
use crate::expose::snapshot::{AttemptSums, NodeStatus, Quality, Service, TopologyState};
use crate::spread::ratio;

/// The name of a probe that is not attached.
const NONE: &str = "none";

pub(super) fn merge(qualities: Vec<Quality>, nodes: &[NodeStatus], services: &[Service]) -> Quality {
    let mut merged = Quality::default();
    for quality in qualities {
        add_counts(&mut merged.events_lost, quality.events_lost);
        add_counts(&mut merged.dns_rejected, quality.dns_rejected);
        add_counts(&mut merged.dns_refused, quality.dns_refused);
        add(&mut merged.reconciled, quality.reconciled);
        add_counts(&mut merged.unattributed, quality.unattributed);
        add_counts(&mut merged.excluded, quality.excluded);
        attempts(&mut merged.attempts, quality.attempts);
        for (probe, hook) in quality.probes {
            let known = merged.probes.entry(probe).or_default();
            *known = all_of(known, &hook);
        }
        for (map, fill) in quality.maps {
            let known = merged.maps.entry(map).or_default();
            add(&mut known.entries, fill.entries);
            add(&mut known.capacity, fill.capacity);
        }
        topology(&mut merged.topology, quality.topology);
    }
    merged.topology.refused.sort_by(|a, b| {
        (&a.verb, &a.resource, &a.namespace, &a.lost).cmp(&(&b.verb, &b.resource, &b.namespace, &b.lost))
    });
    merged.topology.refused.dedup();
    let opened = services.iter().flat_map(|service| &service.clients).map(|client| client.opened);
    merged.reconciled_share = ratio(merged.reconciled, opened.fold(0, u64::saturating_add));
    // One stale node does not make the endpoints of others doubtful; the report names it.
    let mut given = nodes.iter().filter(|part| part.missing.is_none());
    merged.topology.synced = given.clone().any(|part| part.in_sync);
    merged.topology.stale_since =
        if merged.topology.synced { None } else { given.find_map(|part| part.stale_since) };
    merged
}

/// `tp_btf, tracepoint`: the hooks of all nodes; nodes without a hook are named elsewhere.
fn all_of(known: &str, more: &str) -> String {
    let hooks: BTreeSet<&str> = known.split(", ").chain(more.split(", ")).collect();
    let hooks: Vec<_> = hooks.into_iter().filter(|hook| !hook.is_empty() && *hook != NONE).collect();
    if hooks.is_empty() { NONE.to_owned() } else { hooks.join(", ") }
}

fn attempts(sum: &mut AttemptSums, more: AttemptSums) {
    let AttemptSums { seen, attributed, unattributed, waiting, excluded, unrelated } = more;
    add(&mut sum.seen, seen);
    add(&mut sum.attributed, attributed);
    add(&mut sum.unattributed, unattributed);
    add(&mut sum.waiting, waiting);
    add(&mut sum.excluded, excluded);
    add(&mut sum.unrelated, unrelated);
}

fn topology(sum: &mut TopologyState, more: TopologyState) {
    sum.source = all_of(&sum.source, &more.source);
    sum.refused.extend(more.refused);
    add(&mut sum.requests, more.requests);
    add(&mut sum.received_bytes, more.received_bytes);
    add(&mut sum.watch_restarts, more.watch_restarts);
    add(&mut sum.relists, more.relists);
    add(&mut sum.rejected_objects, more.rejected_objects);
    add(&mut sum.passed_over, more.passed_over);
    sum.wrong_annotations.extend(more.wrong_annotations);
    sum.wrong_annotations.sort_by(|a, b| (&a.object, &a.annotation).cmp(&(&b.object, &b.annotation)));
    sum.wrong_annotations.dedup();
    sum.problem = sum.problem.take().or(more.problem);
    sum.last_event = earliest(sum.last_event, more.last_event);
}
