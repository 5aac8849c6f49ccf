//! The expected share of an endpoint under random choice: each selection adds 1/n to each of the n endpoints that were
//! ready then. An endpoint that came later gets only the selections after it became ready.
//!
//! In: selections, with the state of the Service. Out: the sum since a moment. Checkpoints mark changes of the ready
//! endpoints, so their number does not grow with that of selections; the oldest are forgotten.

use std::collections::VecDeque;

use crate::time::Time;
use crate::topology::ServiceState;

/// The most checkpoints.
const CHECKPOINTS: usize = 64;

/// The sum over selections, with checkpoints.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct ExpectedShare {
    total: f64,
    /// The Service's number of changes at the last checkpoint.
    changes: Option<u64>,
    /// The first selection after a change, and the sum before it.
    checkpoints: VecDeque<(Time, f64)>,
}

impl ExpectedShare {
    pub(super) fn add(&mut self, at: Time, state: &ServiceState, is_ipv6: bool) {
        if self.changes != Some(state.changes()) {
            self.changes = Some(state.changes());
            if self.checkpoints.len() == CHECKPOINTS {
                self.checkpoints.pop_front();
            }
            self.checkpoints.push_back((at, self.total));
        }
        self.total += 1.0 / state.ready(is_ipv6).max(1) as f64;
    }

    /// The expected share of an endpoint that has been ready since then.
    pub(in crate::engine) fn since(&self, ready: Time) -> f64 {
        let before =
            self.checkpoints.iter().find(|(at, _)| *at >= ready).map_or(self.total, |(_, before)| *before);
        self.total - before
    }
}
