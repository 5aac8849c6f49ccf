//! The quality of a snapshot: what was lost, left out or not seen, and what became of the connect attempts. Plain data.
//!
//! Counts are those of the snapshot's stretch of time, except [`TopologyState`]'s.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::intent::WrongAnnotation;
use super::snapshot::Counts;

/// The quality of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Losses by reason:
    /// - in the kernel: `ring_full` (details of connections; totals stay exact), `connections_full` (connections that are
    ///   not counted), `flows_full` (changes that only their records include), `tcp_skipped` (state changes that the
    ///   classic tracepoint missed), `dns_ring_full`, `dns_copy_failed`, `dns_cut`;
    /// - on the way: `record_unknown`, `dns_incomplete`, and for DNS over TCP `tcp_gap`, `tcp_overflow`, `tcp_evicted`, `tcp_cut`,
    ///   `tcp_unsynced`, `tcp_incomplete`;
    /// - by the daemon's own limits: `answers_evicted`, `client_stats_evicted`, `clients_evicted`, `clients_full`,
    ///   `clients_folded`, `topology_full`, `topology_evicted`, `learner_full`.
    pub events_lost: Counts,
    /// DNS payloads that could not be decoded, by reason.
    pub dns_rejected: Counts,
    /// DNS payloads without a query of the socket that received them, by reason: `unsolicited`, and `other_server` (the
    /// socket sent this query to another server).
    #[serde(default)]
    pub dns_refused: Counts,
    /// Connections that were counted from totals alone and attributed by the DNS answers at hand.
    pub reconciled: u64,
    /// `reconciled` as a share of all attributed connections, 0 to 1.
    pub reconciled_share: f64,
    /// Connections that the client's DNS answers do not explain, by reason: `no_dns` (established, and attributed by
    /// the address alone). Including failed attempts, those that no Service gets: `ambiguous` (several Services have
    /// the address), `other_port`, `not_endpoint` (the Service under whose name the client received the address does
    /// not have it), `removed` (the address was that of an endpoint that has left).
    pub unattributed: Counts,
    /// Connections that are left out, by reason: `ignored` (to destinations that cannot be endpoints). Including failed
    /// attempts: `probe` (from the node itself to pods on it, without DNS: health checks), `proxy` (made by a service
    /// mesh's proxy for others, whose own connections count), `other_node` (made on another node that shares the kernel),
    /// `observer` (made by the daemon itself), `load_balanced` (a socket-level load balancer chose the endpoint).
    pub excluded: Counts,
    /// The outcome of the connect attempts that the daemon saw.
    #[serde(default)]
    pub attempts: AttemptSums,
    /// The daemon waits for another one on this machine to end, and observes nothing so far.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub stands_by: bool,
    /// Probe → its hook: `dns`, `queries`, `servers`, `tcp`, `existing`; `none` if it could not be attached. `connects`
    /// only where programs of others are at `connect()`; `… in part` if some processes connect before it sees what they
    /// dial.
    pub probes: BTreeMap<String, String>,
    /// Kernel map → entries and capacity.
    pub maps: BTreeMap<String, MapFill>,
    /// The source of Services and Pods.
    pub topology: TopologyState,
}

/// The outcome of the connect attempts. The unit is an attempt that has ended: a connection that was established, or an
/// attempt that failed, each once. Connections that are older than the daemon count, too. `seen` is the sum of all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSums {
    /// All.
    pub seen: u64,
    /// Those in the figures of a Service, also of one that is forgotten.
    pub attributed: u64,
    /// The sum of [`Quality::unattributed`] without `no_dns`.
    pub unattributed: u64,
    /// Those that wait for their endpoint: the client received the address by a Service's name, and the Service does not
    /// have it so far. They are those of now; each counts in a stretch of time when its outcome is known.
    pub waiting: u64,
    /// The sum of [`Quality::excluded`].
    pub excluded: u64,
    /// Those that have nothing to do with a headless Service.
    pub unrelated: u64,
}

impl AttemptSums {
    /// Whether each that was seen is in one of the sums.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let Self { seen, attributed, unattributed, waiting, excluded, unrelated } = *self;
        seen == [attributed, unattributed, waiting, excluded, unrelated]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// The entries of a kernel map, and its room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFill {
    /// Entries in use.
    pub entries: u64,
    /// Capacity.
    pub capacity: u64,
}

/// The source of Services and Pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyState {
    /// `kubernetes`, `files` or `dns`.
    pub source: String,
    /// Whether the topology is complete and current.
    pub synced: bool,
    /// Since when the topology has been stale. Nothing while it is current, or if it was never complete.
    #[serde(default)]
    pub stale_since: Option<Timestamp>,
    /// The requests that the API server does not permit, and the effect.
    #[serde(default)]
    pub refused: Vec<Refusal>,
    /// Requests to the API server since the daemon started; so are the following counts.
    #[serde(default)]
    pub requests: u64,
    /// Bytes that the API server sent, without headers.
    #[serde(default)]
    pub received_bytes: u64,
    /// Watches that were opened again: the server ends each after some minutes, and so do failures.
    #[serde(default)]
    pub watch_restarts: u64,
    /// Watches whose objects were listed again, because the server no longer had the events in between.
    #[serde(default)]
    pub relists: u64,
    /// Objects that could not be read. Each keeps its last readable state.
    #[serde(default)]
    pub rejected_objects: u64,
    /// The problem of the source's present state: the reason for its refusal, or the first object that is not read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
    /// Objects and files of the present state that are passed over: they are none of the topology's.
    #[serde(default)]
    pub passed_over: u64,
    /// Annotations of this program's that are not obeyed, at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub wrong_annotations: Vec<WrongAnnotation>,
    /// The time at which the source last received anything; for several watches, the one that has been silent for
    /// longest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_event: Option<Timestamp>,
}

/// A missing permission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `list` or `watch`.
    pub verb: String,
    /// `endpointslices`, `services` or `pods`.
    pub resource: String,
    /// The namespace; empty: all.
    pub namespace: String,
    /// The data that are missing without it.
    pub lost: String,
}
