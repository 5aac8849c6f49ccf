//! The reasons for no verdict. A verdict on incomplete facts is worse than none.

use super::context::RuleContext;
use super::never_re_resolved;
use crate::expose::snapshot::{Client, Counts};

/// The reason for no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// More than 1 % of the client's events may have been lost.
    Losses,
    /// The topology is not complete, or not current.
    NotInSync,
    /// All its connections are older than the daemon.
    StartedAfter,
    /// It asks for individual pods by hostname, so its preference is intended.
    ByHostname,
    /// No DNS answer explains its connections.
    NoDns,
    /// The same, and another process of the node received answers for the Service and makes no connections.
    ResolvedElsewhere,
    /// It asked, and got no usable answer.
    NoAnswer,
    /// It received addresses, and made no connection.
    NoConnection,
    /// All its connections go to addresses that are no endpoints of the Service.
    NotEndpoint,
    /// The spread excludes it.
    Excluded,
    /// It has not connected for a day.
    Silent,
}

impl Withheld {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Losses,
        Self::NotInSync,
        Self::StartedAfter,
        Self::ByHostname,
        Self::NoDns,
        Self::ResolvedElsewhere,
        Self::NoAnswer,
        Self::NoConnection,
        Self::NotEndpoint,
        Self::Excluded,
        Self::Silent,
    ];

    /// The name used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Losses => "losses",
            Self::NotInSync => "not_in_sync",
            Self::StartedAfter => "started_after",
            Self::ByHostname => "by_hostname",
            Self::NoDns => "no_dns",
            Self::ResolvedElsewhere => "resolved_elsewhere",
            Self::NoAnswer => "no_answer",
            Self::NoConnection => "no_connection",
            Self::NotEndpoint => "not_endpoint",
            Self::Excluded => "excluded",
            Self::Silent => "silent",
        }
    }
}

/// Losses that take connections, or the answers that explain them, from a client. Connections without an event record
/// are in `reconciled`. Streams that are older than the daemon (`tcp_unsynced`) are no loss, and neither is what the
/// daemon forgets of its own history (`topology_evicted`).
const CONNECTIONS: [&str; 7] = [
    "tcp_skipped",
    "connections_full",
    "flows_full",
    "answers_evicted",
    "client_stats_evicted",
    "clients_full",
    "clients_folded",
];
/// Losses of answers. An answer explains every connection that follows it.
const ANSWERS: [&str; 8] = [
    "dns_ring_full",
    "dns_copy_failed",
    "dns_cut",
    "dns_incomplete",
    "tcp_gap",
    "tcp_overflow",
    "tcp_evicted",
    "tcp_incomplete",
];

/// The data are unreliable, or the client is excluded.
pub(super) fn unreliable(scene: &RuleContext<'_>) -> Option<Withheld> {
    let (quality, client) = (scene.quality, scene.client);
    let lost = |name: &&str| client.losses.get(*name).copied().unwrap_or(0);
    let sum = |names: &[&str]| names.iter().map(lost).fold(0, u64::saturating_add);
    let is_significant_share = |lost: u64, seen: u64| lost.saturating_mul(100) > lost.saturating_add(seen);
    let connections = client.opened.saturating_add(client.failed);
    if scene.client.excluded.is_some() {
        Some(Withheld::Excluded)
    } else if is_significant_share(client.reconciled, connections.saturating_sub(client.reconciled))
        || is_significant_share(sum(&CONNECTIONS), connections)
        || is_significant_share(sum(&ANSWERS), client.answers.count)
        // Endpoints that the topology has no room for are missing from the Service.
        || lost(&"topology_full") > 0
    {
        Some(Withheld::Losses)
    } else if !quality.topology.synced || quality.topology.stale_since.is_some() {
        Some(Withheld::NotInSync)
    } else {
        None
    }
}

/// There are no connections to wrong targets, and the spread says nothing, because none of them was by a name that leaves
/// a choice. Connections that are older than the daemon may have any resolution.
pub(super) fn unsuited(scene: &RuleContext<'_>) -> Option<Withheld> {
    let resolution = &scene.client.resolution;
    if let Some(reason) = unconnected(scene) {
        Some(reason)
    } else if !only(resolution, &["hostname", "none", "preexisting"]) {
        None
    } else if resolution.get("none").is_some_and(|count| *count > 0) {
        let is_elsewhere = answers_without_connections(scene);
        Some(if is_elsewhere { Withheld::ResolvedElsewhere } else { Withheld::NoDns })
    } else if resolution.get("hostname").is_some_and(|count| *count > 0) {
        Some(Withheld::ByHostname)
    } else if scene.client.answers.count == 0 && never_re_resolved::never_re_resolved(scene).is_none() {
        Some(Withheld::StartedAfter)
    } else {
        None
    }
}

/// The client has no connection to an endpoint.
fn unconnected(scene: &RuleContext<'_>) -> Option<Withheld> {
    let client = scene.client;
    if scene.attempts() + client.active > 0 {
        None
    } else if client.not_endpoint > 0 {
        Some(Withheld::NotEndpoint)
    } else if client.responses.is_empty() {
        None
    } else {
        Some(if client.usable_answers == Some(0) { Withheld::NoAnswer } else { Withheld::NoConnection })
    }
}

/// A process that makes no connection to the Service received answers for its names.
fn answers_without_connections(scene: &RuleContext<'_>) -> bool {
    let clients = &scene.service.clients;
    let is_silent = |client: &Client| client.opened + client.failed + client.active == 0;
    // Clients without connections may have no row; then there are more answers than the rows have.
    let responses = clients.iter().flat_map(|client| &client.responses).map(|responses| responses.count);
    scene.service.dns.answers > responses.fold(0, u64::saturating_add)
        || clients.iter().any(|client| is_silent(client) && client.usable_answers.unwrap_or(0) > 0)
}

/// There are connections, and all are of these kinds.
fn only(counts: &Counts, kinds: &[&str]) -> bool {
    let mut seen = counts.iter().filter(|(_, count)| **count > 0).map(|(kind, _)| kind.as_str()).peekable();
    seen.peek().is_some() && seen.all(|kind| kinds.contains(&kind))
}
