//! The reasons for no verdict. A verdict on incomplete facts is worse than none.

use super::context::RuleContext;
use super::never_re_resolved;
use crate::expose::snapshot::Counts;

/// The reason for no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// More than 1 % of the relevant events was lost.
    Losses,
    /// The topology is not complete, or not current.
    NotInSync,
    /// All its connections are older than the daemon.
    StartedAfter,
    /// It addresses individual pods by hostname, so its preference is intended.
    ByHostname,
    /// No DNS answer explains its connections.
    NoDns,
    /// The spread excludes it.
    Excluded,
}

impl Withheld {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Losses, Self::NotInSync, Self::StartedAfter, Self::ByHostname, Self::NoDns, Self::Excluded];

    /// The name used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Losses => "losses",
            Self::NotInSync => "not_in_sync",
            Self::StartedAfter => "started_after",
            Self::ByHostname => "by_hostname",
            Self::NoDns => "no_dns",
            Self::Excluded => "excluded",
        }
    }
}

/// Losses that take connections, or the answers that explain them, from a client. Connections without an event record
/// are in `reconciled_share`. Streams that are older than the daemon (`tcp_unsynced`) are no loss.
const CONNECTIONS: [&str; 9] = [
    "tcp_skipped",
    "connections_full",
    "flows_full",
    "answers_evicted",
    "client_stats_evicted",
    "clients_evicted",
    "clients_full",
    "topology_full",
    "topology_evicted",
];
const ANSWERS: [&str; 7] = [
    "dns_ring_full",
    "dns_copy_failed",
    "dns_cut",
    "tcp_gap",
    "tcp_overflow",
    "tcp_evicted",
    "tcp_incomplete",
];

/// The data are unreliable, or the client is excluded.
pub(super) fn unreliable(scene: &RuleContext<'_>) -> Option<Withheld> {
    let quality = scene.quality;
    let lost = |names: &[&str]| names.iter().filter_map(|name| quality.events_lost.get(*name)).sum::<u64>();
    let is_significant_share = |lost: u64, seen: u64| lost.saturating_mul(100) > lost.saturating_add(seen);
    if scene.client.excluded.is_some() {
        Some(Withheld::Excluded)
    } else if quality.reconciled_share > 0.01
        || is_significant_share(lost(&CONNECTIONS), scene.seen.connections)
        || is_significant_share(lost(&ANSWERS), scene.seen.answers)
    {
        Some(Withheld::Losses)
    } else if !quality.topology.synced || quality.topology.stale_since.is_some() {
        Some(Withheld::NotInSync)
    } else {
        None
    }
}

/// There are no connections to wrong targets, and the spread says nothing, because none of them was by the Service's
/// name. Connections that are older than the daemon may have any resolution.
pub(super) fn unsuited(scene: &RuleContext<'_>) -> Option<Withheld> {
    let resolution = &scene.client.resolution;
    if !only(resolution, &["hostname", "none", "preexisting"]) {
        None
    } else if resolution.get("none").is_some_and(|count| *count > 0) {
        Some(Withheld::NoDns)
    } else if resolution.get("hostname").is_some_and(|count| *count > 0) {
        Some(Withheld::ByHostname)
    } else if scene.client.answers.count == 0 && never_re_resolved::never_re_resolved(scene).is_none() {
        Some(Withheld::StartedAfter)
    } else {
        None
    }
}

/// There are connections, and all are of these kinds.
fn only(counts: &Counts, kinds: &[&str]) -> bool {
    let mut seen = counts.iter().filter(|(_, count)| **count > 0).map(|(kind, _)| kind.as_str()).peekable();
    seen.peek().is_some() && seen.all(|kind| kinds.contains(&kind))
}
