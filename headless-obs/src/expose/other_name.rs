//! A name that is not a Service's own, in the form of the snapshot. Plain data.

use serde::{Deserialize, Serialize};

/// A name that is not the Service's own, and that a client looked up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OtherName {
    /// The name.
    pub name: String,
    /// Namespace of the client; empty for a client outside of pods.
    pub namespace: String,
    /// The client's workload.
    pub workload: String,
    /// Answers for the name that the client received.
    pub answers: u64,
    /// The first of the addresses in them, if none is an endpoint of the Service: a search domain took the Service's
    /// name. Empty if the answers held the Service's endpoints: another name of the Service.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<String>,
}

impl OtherName {
    /// The name and its client.
    pub(crate) fn key(&self) -> (&str, &str, &str) {
        (&self.name, &self.namespace, &self.workload)
    }
}
