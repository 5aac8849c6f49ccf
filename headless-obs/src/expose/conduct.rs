//! What a client makes of DNS: the facts that a verdict is drawn from, as the snapshot shows them. Plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::snapshot::Counts;

/// What a client was answered for the Service's names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientAnswers {
    /// Answers with addresses.
    pub count: u64,
    /// Those with TC set.
    pub truncated: u64,
    /// Connections by one that had TC set.
    pub truncated_used: u64,
    /// Addresses in the smallest and largest.
    pub smallest: u64,
    /// See `smallest`.
    pub largest: u64,
    /// The longest TTL of one, in seconds.
    pub ttl_seconds: u32,
    /// That of the last one.
    #[serde(default)]
    pub last_ttl_seconds: u32,
    /// The first.
    pub first: Option<Timestamp>,
    /// The last, to any of its pods.
    pub last: Option<Timestamp>,
    /// The last one of the pod that has been without for longest.
    pub last_of_oldest: Option<Timestamp>,
    /// Mean time from one answer to the next of the same pod; nothing before a second one.
    pub interval_seconds: Option<f64>,
    /// How many times that mean is of.
    #[serde(default)]
    pub intervals: u64,
    /// Endpoint → answers that listed it first, of those with two addresses or more.
    pub first_records: Counts,
}

/// What a client makes of its answers. A selection is the first connection (or attempt) of a process per answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelectionPattern {
    /// Selections from answers with two addresses or more.
    pub selections: u64,
    /// Those that took the first address.
    pub first: u64,
    /// What random choice would have made of `first`.
    pub first_by_chance: f64,
    /// Selections from answers some of whose addresses, not all, share the longest prefix with the client's own
    /// address, more than the others do.
    pub nearest_candidates: u64,
    /// Those of `nearest_of` that took such an address.
    pub nearest: u64,
    /// What random choice would have made of `nearest`.
    pub nearest_by_chance: f64,
    /// Connections and attempts whose place in the answer is known, selections or not, from answers with two
    /// addresses or more.
    pub with_known_position: u64,
    /// The highest place taken, from 0.
    pub max_position: u64,
    /// Addresses in the smallest answer that `placed` were made by.
    pub smallest_answer: u64,
    /// The most endpoints that one of the client's pods used.
    pub max_endpoints: u64,
    /// Pods that connected.
    pub pods: u64,
    /// Pods that made two connections or more, all to one endpoint.
    pub pods_on_one: u64,
    /// The most connections and attempts that one process made by one answer.
    pub max_connects_per_answer: u64,
}

/// How old the answers were that connections were made by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerAge {
    /// Connections within the TTL of their answer.
    pub within_ttl: u64,
    /// Connections later than that.
    pub past_ttl: u64,
    /// The greatest age, in seconds.
    pub max_seconds: f64,
    /// Upper bound in seconds (`1`, `5`, `30`, `300`, `3600`, `+Inf`) → connections, each in one bucket alone.
    pub buckets: Counts,
    /// The same ages, finer.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub histogram: Histogram,
}

/// A client's open connections by the Service's name. Those older than the observer are left out: it is not known what
/// they were resolved by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenConnections {
    /// Pods with open connections.
    pub pods: u64,
    /// Those of them whose open connections all go to one endpoint.
    pub pods_on_one: u64,
    /// How long the oldest connection of the pods in `pods_on_one` has been open, at least; the least of all pods.
    pub seconds: f64,
}

/// Connections and attempts of a client to what was no ready endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StaleTarget {
    /// As in `Endpoint::pod`.
    pub pod: String,
    /// `removed`, `terminating`, `not_ready` or `ip_reused`.
    pub kind: String,
    /// Connections and failed attempts, those within the grace left out.
    pub connections: u64,
    /// Those by an answer that came after the change and the grace: the DNS server still listed it.
    pub answered_after: u64,
    /// Those by an answer past its TTL: the client kept it too long.
    pub past_ttl: u64,
    /// The greatest time from the change to the connection, in seconds.
    pub seconds: f64,
    /// Whose the address is now, where that is known: `namespace/pod`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current_owner: Option<String>,
}

/// A port that a client dialled and the endpoint does not have. A headless Service maps no ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherPort {
    /// The port dialled.
    pub port: u16,
    /// Connections and failed attempts.
    pub connections: u64,
    /// Those that failed.
    pub failed: u64,
    /// It is a port of the Service.
    pub of_service: bool,
    /// The port to dial instead, where the endpoint leaves no doubt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub use_port: Option<u16>,
}

/// Connections and failures at one port of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounts {
    /// The port that was dialled.
    pub port: u16,
    /// Connections opened, by what the address was resolved by.
    pub opened: Counts,
    /// Attempts that failed and connections that were reset, by reason.
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub failed: Counts,
}

/// A client and its questions that nobody answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// Namespace; empty for a client that is no pod.
    pub namespace: String,
    /// Workload, as [`Client::workload`](super::snapshot::Client::workload); `~other` are those beyond a hundred.
    pub workload: String,
    /// How many.
    pub queries: u64,
}

/// Answers that have all this in common.
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
    /// How many.
    pub count: u64,
}
