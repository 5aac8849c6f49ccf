//! One node's part in a snapshot of several: what it gave, or why it gave nothing. Plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::snapshot::{Counts, Snapshot};

/// What one node gave to a snapshot of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The node; where it gave nothing, where it was asked.
    pub node: String,
    /// Why it gave nothing. What its clients do is missing from all figures.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub missing: Option<String>,
    /// When its observation began.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Timestamp>,
    /// When it was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<Timestamp>,
    /// Whether it knows all Services and endpoints, and as they are now.
    #[serde(default)]
    pub in_sync: bool,
    /// Since when it is out of touch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stale_since: Option<Timestamp>,
    /// What it lost, by reason, as in [`super::snapshot::Quality::events_lost`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub events_lost: Counts,
    /// Probes that are not attached there.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub not_attached: Vec<String>,
}

impl Part {
    /// One that gave nothing.
    #[must_use]
    pub fn missing(node: impl Into<String>, why: impl Into<String>) -> Self {
        Self { node: node.into(), missing: Some(why.into()), ..Self::default() }
    }

    /// What the snapshot of one node gives.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let quality = &snapshot.quality;
        let lost = quality.events_lost.iter().filter(|(_, count)| **count > 0);
        let not_attached = quality.probes.iter().filter(|(_, hook)| *hook == "none");
        Self {
            node: snapshot.node.clone(),
            missing: None,
            from: Some(snapshot.from),
            to: Some(snapshot.to),
            in_sync: quality.topology.synced && quality.topology.stale_since.is_none(),
            stale_since: quality.topology.stale_since,
            events_lost: lost.map(|(reason, count)| (reason.clone(), *count)).collect(),
            not_attached: not_attached.map(|(probe, _)| probe.clone()).collect(),
        }
    }
}
