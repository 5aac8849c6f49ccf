//! What an endpoint could expect of random choice: each selection is worth 1/n to every one of the n endpoints that were
//! ready then. An endpoint that came later could expect only what came after it.
//!
//! In: selections, with the state of the Service. Out: what came since a moment. Marks are set where the ready endpoints
//! changed, so their number does not grow with that of selections; the oldest are forgotten.

use std::collections::VecDeque;

use crate::time::Time;
use crate::topology::ServiceState;

/// Changes of a Service that are told apart.
const MARKS: usize = 64;

/// The sum of selections, with marks in it.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Exposure {
    total: f64,
    /// The Service's changes so far, at the last mark.
    changes: Option<u64>,
    /// The first selection after a change, and the sum before it.
    marks: VecDeque<(Time, f64)>,
}

impl Exposure {
    pub(super) fn add(&mut self, at: Time, state: &ServiceState, is_ipv6: bool) {
        if self.changes != Some(state.changes()) {
            self.changes = Some(state.changes());
            if self.marks.len() == MARKS {
                self.marks.pop_front();
            }
            self.marks.push_back((at, self.total));
        }
        self.total += 1.0 / state.ready(is_ipv6).max(1) as f64;
    }

    /// What an endpoint that is ready since then could expect.
    pub(in crate::engine) fn since(&self, ready: Time) -> f64 {
        let before = self.marks.iter().find(|(at, _)| *at >= ready).map_or(self.total, |(_, before)| *before);
        self.total - before
    }
}
