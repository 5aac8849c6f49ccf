//! The times in which the event loop does not look at the ring.
//!
//! In: when work begins, and when the ring is read or waited for. Out: the longest time between them.

use std::time::{Duration, Instant};

/// The pauses so far.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    since: Option<Instant>,
    longest: Duration,
}

impl Pauses {
    /// Work begins.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// The ring is read, or waited for.
    pub(super) fn end(&mut self) {
        let lasted = self.since.take().map(|since| since.elapsed());
        self.longest = self.longest.max(lasted.unwrap_or_default());
    }

    /// The longest one since the last call.
    pub(super) fn take(&mut self) -> Duration {
        std::mem::take(&mut self.longest)
    }
}
