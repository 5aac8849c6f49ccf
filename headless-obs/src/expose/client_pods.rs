//! The pods of a client, in the form of the snapshot. Plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A pod of a client; outside of pods, a cgroup or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientPod {
    /// Its name.
    pub pod: String,
    /// Its node; only in a merged snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<String>,
    /// Connections established, with any resolution, as far as records tell.
    pub opened: u64,
    /// Attempts that failed, likewise.
    pub failed: u64,
    /// Connections open now.
    pub active: u64,
    /// The endpoints that it used, or has connections to.
    pub used: u64,
    /// Those with the most connections, the busiest first.
    pub endpoints: Vec<PodEndpoint>,
    /// Connections at the busiest one beyond an even share of all over the ready endpoints.
    #[serde(default)]
    pub beyond_share: u64,
    /// The start of its oldest open connection, if the daemon saw it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oldest_open: Option<Timestamp>,
    /// The last answer that it received for the Service's names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_answered: Option<Timestamp>,
    /// The program that connected last, as in [`Client::program`](super::snapshot::Client::program).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub program: Option<String>,
}

/// A client's pod at an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodEndpoint {
    /// As in [`Endpoint::pod`](super::snapshot::Endpoint::pod).
    pub pod: String,
    /// Connections established.
    pub opened: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Connections open now.
    pub active: u64,
}

/// Pods of a client without a row of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPods {
    /// The number.
    pub pods: u64,
    /// As in [`ClientPod::opened`].
    pub opened: u64,
    /// As in [`ClientPod::failed`].
    pub failed: u64,
    /// As in [`ClientPod::active`]; also connections of which the pod is not known any more.
    pub active: u64,
}

impl OtherPods {
    /// Whether every pod has a row.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}
