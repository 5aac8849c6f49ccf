//! The state of one node in a merged snapshot, or the reason why it is missing. Plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::snapshot::{Counts, Snapshot};

/// The state of one node in a merged snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node; if it is missing, the address that was asked.
    pub node: String,
    /// The reason why it is missing. The figures do not include its clients.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<String>,
    /// The time at which its observation began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Timestamp>,
    /// As [`Snapshot::observation`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observation: Option<Timestamp>,
    /// The time at which its snapshot was taken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<Timestamp>,
    /// Whether its topology is complete and current.
    #[serde(default)]
    pub in_sync: bool,
    /// Since when its topology has been stale.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stale_since: Option<Timestamp>,
    /// Its losses by reason, as in [`super::snapshot::Quality::events_lost`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub events_lost: Counts,
    /// Probes that are not attached there.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_attached: Vec<String>,
}

impl NodeStatus {
    /// The state of a missing node.
    #[must_use]
    pub fn missing(node: impl Into<String>, why: impl Into<String>) -> Self {
        Self { node: node.into(), missing: Some(why.into()), ..Self::default() }
    }

    /// The state of the node with this snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let quality = &snapshot.quality;
        let lost = quality.events_lost.iter().filter(|(_, count)| **count > 0);
        let not_attached = quality.probes.iter().filter(|(_, hook)| *hook == "none");
        Self {
            node: snapshot.node.clone(),
            missing: quality
                .stands_by
                .then(|| "it stands by, because another daemon observes the node".to_owned()),
            from: Some(snapshot.began.unwrap_or(snapshot.from)),
            observation: snapshot.observation,
            to: Some(snapshot.to),
            in_sync: quality.topology.synced && quality.topology.stale_since.is_none(),
            stale_since: quality.topology.stale_since,
            events_lost: lost.map(|(reason, count)| (reason.clone(), *count)).collect(),
            not_attached: not_attached.map(|(probe, _)| probe.clone()).collect(),
        }
    }
}
