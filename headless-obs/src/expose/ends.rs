//! The ends of connections, in the form of the snapshot. Plain data.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::snapshot::Counts;

/// The ends of connections, and their lifetimes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    /// Connections by who ended them first and how: `client`, `server`, `client_reset`, `server_reset`, `timeout`, `other`.
    pub by: Counts,
    /// Seconds from the first SYN to the end, of those whose beginning and end the daemon saw.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub lifetimes: Histogram,
}

impl Ends {
    /// Whether nothing ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by.is_empty()
    }
}
