//! The state of the source for the snapshot. The source writes it, and the snapshot reads it.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::transport::WatchTransport;
use crate::expose::snapshot::{Refusal, TopologyState};

/// The state of the source; cheap to clone.
#[derive(Clone, Debug)]
pub struct Status(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lines: Vec<Arc<WatchTransport>>,
    said: Mutex<Said>,
}

/// The data that the source writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) stale_since: Option<Timestamp>,
    pub(super) refused: Vec<Refusal>,
    pub(super) relists: u64,
    pub(super) rejected: u64,
}

impl Status {
    pub(super) fn new(lines: Vec<Arc<WatchTransport>>) -> Self {
        Self(Arc::new(Shared { lines, said: Mutex::default() }))
    }

    pub(super) fn lines(&self) -> &[Arc<WatchTransport>] {
        &self.0.lines
    }

    pub(super) fn say(&self, said: Said) {
        *self.0.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    /// Everything except whether the topology is current, which the engine knows.
    pub fn topology(&self) -> TopologyState {
        let said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sum = |figure: fn(&WatchTransport) -> u64| self.0.lines.iter().map(|line| figure(line)).sum();
        TopologyState {
            // A quiet cluster still sends bookmarks, so the watch that has been silent for longest is the one to
            // report.
            last_event: self.0.lines.iter().filter_map(|line| line.last_byte()).min(),
            source: super::NAME.to_owned(),
            synced: false,
            stale_since: said.stale_since,
            refused: said.refused,
            requests: sum(WatchTransport::requests),
            received_bytes: sum(WatchTransport::bytes),
            watch_restarts: sum(WatchTransport::restarts),
            relists: said.relists,
            rejected_objects: said.rejected,
            problem: None,
            passed_over: 0,
            // The topology knows them.
            wrong_annotations: Vec::new(),
        }
    }
}
