//! Connections to addresses that were not a ready endpoint, of one kind.
//!
//! In: connections, and when the endpoint's state changed. Out: sums.
//!
//! Invariant: each connection is after the grace; those within it are counted elsewhere.

use std::time::Duration;

use super::LedgerEntry;
use crate::time::Time;

/// Connections to addresses that were not a ready endpoint, of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleConnects {
    /// Connections and failed attempts.
    pub connections: u64,
    /// Those that use an answer from after the change and the grace.
    pub answered_after: u64,
    /// Those that use an expired answer.
    pub past_ttl: u64,
    /// The longest time from the change to a connection.
    pub longest: Duration,
}

impl StaleConnects {
    pub(super) fn add(&mut self, entry: &LedgerEntry, since: Time, connections: u64) {
        self.connections += connections;
        self.longest = self.longest.max(entry.at.since(since));
        if let Some(used_answer) = entry.target.used_answer {
            let is_after = used_answer.at >= since.plus(entry.grace);
            self.answered_after += if is_after { connections } else { 0 };
            self.past_ttl += if used_answer.is_past_ttl(entry.at) { connections } else { 0 };
        }
    }
}
