//! The figures of a cell over a stretch of time. In: a cell's windows. Out: their sums, and the present.

use std::ops::Deref;
use std::sync::Arc;

use crate::ledger::Cell;

/// The sums of a cell over the stretch of a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) sums: Cell,
    /// Connections that are open now.
    pub(super) active: u64,
    /// The zone of the endpoint, or that of a forgotten one.
    pub(super) zone: Option<Arc<str>>,
}

impl Tally {
    pub(super) fn active(&self) -> u64 {
        self.active
    }

    /// Both directions.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes_sent.saturating_add(self.bytes_received)
    }

    /// Segments with data, both directions.
    pub(super) fn segments(&self) -> u64 {
        self.segments_sent.saturating_add(self.segments_received)
    }
}

impl Deref for Tally {
    type Target = Cell;

    fn deref(&self) -> &Cell {
        &self.sums
    }
}
