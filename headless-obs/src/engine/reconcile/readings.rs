//! The paths of open connections at their last reading: sums by cell, and the least round-trip times of those in use.
//!
//! In: the [`Reading`]s of a round. Out: [`Readings`] of each cell, of the last complete round.
//!
//! Invariant: there are at most as many sums as cells with open connections.

use std::ops::RangeInclusive;
use std::time::Duration;

use headless_obs_ebpf::reading::Reading;

use crate::expose::snapshot::Readings;
use crate::hash::HashMap;
use crate::ledger::CellKey;

/// Segments with data between two samples of one connection. The least round trip of ten is no chance.
const SEGMENTS: u32 = 10;
/// A receiver may wait so long, in microseconds, before it acknowledges a segment on its own (`TCP_DELACK_MIN`, and the
/// coarsest timer). A round trip of this length says nothing about the way.
const DELAYED: RangeInclusive<u32> = 40_000..=50_000;

/// Two rounds of readings.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    complete: HashMap<CellKey, Readings>,
    next: HashMap<CellKey, Readings>,
}

impl Rounds {
    pub(super) fn begin(&mut self) {
        self.next.clear();
    }

    pub(super) fn add(&mut self, cell: CellKey, reading: &Reading) {
        self.next.entry(cell).or_default().add(&of(reading));
    }

    pub(super) fn end(&mut self) {
        self.complete = std::mem::take(&mut self.next);
    }

    pub(super) fn of(&self, cell: &CellKey) -> Readings {
        self.complete.get(cell).copied().unwrap_or_default()
    }
}

/// The least round trip of a connection, if it has sent enough since the last one was taken, at `sampled` segments.
pub(super) fn sample(reading: &Reading, sampled: &mut u32) -> Option<Duration> {
    let is_fresh = reading.segments_sent.wrapping_sub(*sampled) >= SEGMENTS;
    let is_known = reading.min_rtt != u32::MAX && !DELAYED.contains(&reading.min_rtt);
    (is_fresh && is_known).then(|| {
        *sampled = reading.segments_sent;
        Duration::from_micros(reading.min_rtt.into())
    })
}

fn of(reading: &Reading) -> Readings {
    let is_measured = reading.rtt > 0 && reading.min_rtt != u32::MAX;
    let measured = |value: u32| if is_measured { value.into() } else { 0 };
    Readings {
        connections: 1,
        measured: is_measured.into(),
        mean_rtt_us: if is_measured { reading.rtt.into() } else { 0.0 },
        max_rtt_us: measured(reading.rtt),
        least_rtt_us: measured(reading.min_rtt),
        unsent_bytes: reading.unsent.into(),
        unacknowledged_bytes: reading.unacknowledged.into(),
    }
}
