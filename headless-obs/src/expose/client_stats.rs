//! Statistics of a client, in the form of the snapshot: the facts behind a verdict. Plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::snapshot::Counts;

/// The DNS answers that a client received for the Service's names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientAnswers {
    /// Answers with addresses.
    pub count: u64,
    /// Those that were truncated (TC).
    pub truncated: u64,
    /// Connections that use a truncated one.
    pub truncated_used: u64,
    /// Number of addresses in the smallest and largest.
    pub smallest: u64,
    /// See `smallest`.
    pub largest: u64,
    /// The longest TTL, in seconds.
    pub ttl_seconds: u32,
    /// The TTL of the last one.
    #[serde(default)]
    pub last_ttl_seconds: u32,
    /// The first.
    pub first: Option<Timestamp>,
    /// The last answer to any of its pods.
    pub last: Option<Timestamp>,
    /// The last answer to the pod that has been without one for longest.
    pub last_of_oldest: Option<Timestamp>,
    /// Mean time from one answer to the next of the same pod; nothing before the second one.
    pub interval_seconds: Option<f64>,
    /// The number of intervals in that mean.
    #[serde(default)]
    pub intervals: u64,
    /// Endpoint → answers with two addresses or more that listed it first.
    pub first_records: Counts,
}

/// The way in which a client uses its answers. A selection is the first connection (or attempt) of a process per
/// answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelectionPattern {
    /// Selections from answers with two addresses or more.
    pub selections: u64,
    /// Those that took the first address.
    pub first: u64,
    /// The expected value of `first` under random choice.
    pub first_by_chance: f64,
    /// Selections from answers in which some addresses, but not all, share a longer prefix with the client's own
    /// address than the others do.
    pub nearest_candidates: u64,
    /// Those of `nearest_candidates` that took such an address.
    pub nearest: u64,
    /// The expected value of `nearest` under random choice.
    pub nearest_by_chance: f64,
    /// Connections and attempts whose position in the answer is known, selections or not, from answers with two
    /// addresses or more.
    pub with_known_position: u64,
    /// The highest position used, from 0.
    pub max_position: u64,
    /// Addresses in the smallest answer of the connections in `with_known_position`.
    pub smallest_answer: u64,
    /// The most endpoints that one of the client's pods used.
    pub max_endpoints: u64,
    /// Pods that connected.
    pub pods: u64,
    /// Pods with two connections or more, all to one endpoint.
    pub pods_on_one: u64,
    /// The most connections and attempts that one process made from one answer.
    pub max_connects_per_answer: u64,
}

/// The age of the answers that connections used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerAge {
    /// Connections within the TTL of their answer.
    pub within_ttl: u64,
    /// Connections after the TTL of their answer.
    pub past_ttl: u64,
    /// The greatest age, in seconds.
    pub max_seconds: f64,
    /// Upper bound in seconds (`1`, `5`, `30`, `300`, `3600`, `+Inf`) → connections; each connection is in one bucket
    /// only.
    pub buckets: Counts,
    /// The same ages, in finer buckets.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub histogram: Histogram,
}

/// A client's open connections by the Service's name. Those that are older than the daemon are left out, because their
/// resolution is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenConnections {
    /// Pods with open connections.
    pub pods: u64,
    /// Those of them whose open connections all go to one endpoint.
    pub pods_on_one: u64,
    /// For how long each of the pods in `pods_on_one` has had its oldest connection open, at least.
    pub seconds: f64,
}

/// Connections and attempts of a client to addresses that were not a ready endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StaleTarget {
    /// As in `Endpoint::pod`.
    pub pod: String,
    /// `removed`, `terminating`, `not_ready` or `ip_reused`.
    pub kind: String,
    /// Connections and failed attempts, without those within the grace.
    pub connections: u64,
    /// Those by an answer from after the change and the grace: the DNS server still listed it.
    pub answered_after: u64,
    /// Those by an expired answer: the client kept it for too long.
    pub past_ttl: u64,
    /// Those without a DNS answer.
    #[serde(default)]
    pub unresolved: u64,
    /// The longest time from the change to the connection, in seconds.
    pub seconds: f64,
    /// The present owner of the address, if known: `namespace/pod`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current_owner: Option<String>,
}

/// A port that a client used and the endpoint does not list. A headless Service maps no ports, but the pod may listen there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherPort {
    /// The port.
    pub port: u16,
    /// Connections and failed attempts.
    pub connections: u64,
    /// Those that were established with the endpoint. They are in the client's other figures, too.
    #[serde(default)]
    pub opened: u64,
    /// Those in vain: they failed, or the other side ended them within five seconds without a byte.
    pub failed: u64,
    /// Whether it is a port of the Service.
    pub of_service: bool,
    /// The right port, if there is only one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub use_port: Option<u16>,
}

impl OtherPort {
    /// Most connections to it are in vain.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        self.failed.saturating_mul(2) > self.connections
    }
}

/// Connections and failures at one port of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounts {
    /// The port.
    pub port: u16,
    /// Connections opened, by resolution.
    pub opened: Counts,
    /// Attempts that failed and connections that were reset, by reason.
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub failed: Counts,
}

/// A client with queries that got no response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// Namespace; empty for a client outside of pods.
    pub namespace: String,
    /// Workload, as [`Client::workload`](super::snapshot::Client::workload); `~other` for those beyond a hundred.
    pub workload: String,
    /// The number of queries.
    pub queries: u64,
}

/// Responses of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Responses {
    /// `noerror`, `nxdomain`, `servfail` or `other`.
    pub rcode: String,
    /// TC was set.
    pub truncated: bool,
    /// `udp` or `tcp`.
    pub transport: String,
    /// `a`, `aaaa`, `srv` or `other`.
    pub qtype: String,
    /// The number.
    pub count: u64,
}
