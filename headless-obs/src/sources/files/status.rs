//! The state of the source for the snapshot. The source writes it, and the snapshot reads it.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::Reading;
use crate::expose::snapshot::TopologyState;

/// The state of the source; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Mutex<Said>>);

#[derive(Clone, Debug, Default)]
struct Said {
    refused_since: Option<Timestamp>,
    reason: Option<String>,
    rejected: u64,
    passed_over: u64,
}

impl Status {
    /// This state is in use.
    pub fn took(&self, reading: &Reading) {
        let mut said = self.said();
        said.refused_since = None;
        said.reason = reading.flaws.first().cloned();
        // A sum since the start.
        said.rejected += reading.flawed;
        said.passed_over = reading.passed_over;
    }

    /// The present state is refused, and the last valid one stays in use.
    pub(super) fn refused(&self, reason: &str) {
        let mut said = self.said();
        said.refused_since.get_or_insert_with(Timestamp::now);
        said.reason = Some(reason.to_owned());
    }

    /// Everything except whether the topology is complete, which the engine knows.
    pub fn topology(&self) -> TopologyState {
        let Said { refused_since, reason, rejected, passed_over } = self.said().clone();
        TopologyState {
            stale_since: refused_since,
            problem: reason,
            rejected_objects: rejected,
            passed_over,
            ..TopologyState::default()
        }
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
