//! The load of connections, beside the bytes that a row has itself.

use serde::{Deserialize, Serialize};

use super::snapshot::is_zero;

/// The load of connections to an endpoint, those included that are open now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Segments with data that clients sent, retransmissions included.
    #[serde(default)]
    pub segments_sent: u64,
    /// Segments with data that clients received.
    #[serde(default)]
    pub segments_received: u64,
    /// Segments that clients sent again.
    #[serde(default)]
    pub retransmitted: u64,
    /// The load that connections older than the daemon had when it started; no other figure includes it.
    #[serde(default, skip_serializing_if = "Before::is_nothing")]
    pub before: Before,
}

/// The load that connections had before the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Bytes that clients had sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_sent: u64,
    /// Bytes that clients had received.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_received: u64,
    /// Segments with data that clients had sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub segments_sent: u64,
    /// Segments with data that clients had received.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub segments_received: u64,
}

impl Carried {
    /// Whether nothing was carried.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the load of other connections.
    pub fn add(&mut self, more: Self) {
        let Self { segments_sent, segments_received, retransmitted, before } = more;
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.segments_sent, segments_sent);
        add(&mut self.segments_received, segments_received);
        add(&mut self.retransmitted, retransmitted);
        add(&mut self.before.bytes_sent, before.bytes_sent);
        add(&mut self.before.bytes_received, before.bytes_received);
        add(&mut self.before.segments_sent, before.segments_sent);
        add(&mut self.before.segments_received, before.segments_received);
    }
}

impl Before {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}
