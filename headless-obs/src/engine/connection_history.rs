//! Connections opened per endpoint over time, from the slots of the ledger.
//!
//! In: the ledger and a stretch of time. Out: the [`History`] of a Service's endpoints. Slots and buckets have different
//! bounds, so a slot's connections are spread evenly over its time: a steady client has even buckets.
//!
//! Invariants: an endpoint's buckets add up to what its cells opened in the slots of the stretch. There are at most
//! [`History::BUCKETS`]. Slots reach back a day, and so does the history.

use jiff::Timestamp;

use crate::expose::snapshot::History;
use crate::hash::HashMap;
use crate::ledger::Ledger;
use crate::time::Time;
use crate::topology::EndpointRef;
use crate::windowed::Slot;

/// The shortest step, in seconds: about a slot.
const FINEST: i64 = 8;
const SECOND: i128 = 1_000_000_000;

/// The buckets of all endpoints.
#[derive(Debug, Default)]
pub(super) struct ConnectionHistory {
    line: Line,
    rows: HashMap<EndpointRef, Vec<u64>>,
}

/// The position of the buckets on the wall clock.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// Nanoseconds from the monotonic clock to the wall clock.
    offset: i128,
    /// The start of the first bucket, in seconds since 1970.
    from: i64,
    /// Seconds per bucket.
    step: i64,
    buckets: usize,
}

impl Line {
    fn new(from: Time, to: Time, offset: i128) -> Self {
        let wall = |time: Time| i64::try_from((i128::from(time.0) + offset).div_euclid(SECOND)).unwrap_or(0);
        let mut step = FINEST;
        let buckets = |step: i64| {
            let last = wall(to).div_euclid(step).saturating_sub(wall(from).div_euclid(step));
            usize::try_from(last).unwrap_or(0).saturating_add(1)
        };
        while buckets(step) > History::BUCKETS {
            step *= 2;
        }
        Self { offset, from: wall(from).div_euclid(step) * step, step, buckets: buckets(step) }
    }

    /// Spreads connections evenly over the time in which they were opened.
    fn spread(&self, row: &mut [u64], (begin, end): (Time, Time), connections: u64) {
        let step = i128::from(self.step) * SECOND;
        let begin = i128::from(begin.0) + self.offset - i128::from(self.from) * SECOND;
        let length = (i128::from(end.0) + self.offset - i128::from(self.from) * SECOND - begin).max(1);
        let first = begin.div_euclid(step);
        let mut before = 0;
        for (bucket, sum) in (first + 1..).zip(row.iter_mut().skip(usize::try_from(first).unwrap_or(0))) {
            let until = (bucket * step - begin).min(length);
            let share = u64::try_from(i128::from(connections) * until / length).unwrap_or(connections);
            *sum += share - before;
            before = share;
            if until == length {
                return;
            }
        }
    }
}

impl ConnectionHistory {
    /// The history from this slot to now, for an observation that began at a moment.
    pub(super) fn of(ledger: &Ledger, start: Slot, (began, now): (Time, Time), wall_offset: i128) -> Self {
        let from = start.begin().max(began).min(now);
        let line = Line::new(from, now, wall_offset);
        let mut rows: HashMap<EndpointRef, Vec<u64>> = HashMap::default();
        for (key, cell) in ledger.cells() {
            for (slot, sum) in cell.slots(start).filter(|(_, sum)| sum.opened > 0) {
                let (begin, end) = slot.span(Slot::of(now));
                let row = rows.entry(key.endpoint).or_insert_with(|| vec![0; line.buckets]);
                line.spread(row, (begin.clamp(from, now), end.min(now)), sum.opened);
            }
        }
        Self { line, rows }
    }

    /// The history of these endpoints, with their names.
    pub(super) fn service(&self, endpoints: impl Iterator<Item = (EndpointRef, String)>) -> History {
        let mut history = History {
            step_seconds: self.line.step.cast_unsigned(),
            from: Timestamp::from_second(self.line.from).unwrap_or_default(),
            ..History::default()
        };
        for (endpoint, name) in endpoints {
            let Some(row) = self.rows.get(&endpoint) else { continue };
            // A pod that came back under its name is another endpoint.
            let buckets = history.opened.entry(name).or_insert_with(|| vec![0; row.len()]);
            buckets.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        if history.opened.is_empty() { History::default() } else { history }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::CellKey;
    use crate::service_resolution::Resolution;
    use crate::topology::{EndpointId, ServiceId};
    use crate::windowed::LONGEST;

    /// The wall clock at boot: an odd second, and a part of one.
    const OFFSET: i128 = 1_767_225_601 * SECOND + 300_000_000;

    fn s(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    fn endpoint(id: u32) -> EndpointRef {
        EndpointRef { service: ServiceId(1), endpoint: EndpointId(id) }
    }

    fn open(ledger: &mut Ledger, id: u32, at: Time, connections: u64) {
        let (client, port, resolution) = (None, 80, Resolution::Service);
        let key = CellKey { endpoint: endpoint(id), client, port, resolution };
        ledger.cell(key, at).opened += connections;
    }

    fn shown(ledger: &Ledger, began: Time, now: Time, length: Duration) -> History {
        let history = ConnectionHistory::of(ledger, Slot::start(now, length), (began, now), OFFSET);
        history.service([1, 2].map(|id| (endpoint(id), format!("pod-{id}"))).into_iter())
    }

    #[test]
    fn what_is_opened_is_in_the_buckets_of_its_slot() {
        let mut ledger = Ledger::new(10);
        assert!(shown(&ledger, s(100), s(101), LONGEST).is_empty());
        open(&mut ledger, 1, s(101), 3);
        open(&mut ledger, 1, s(131), 40);
        open(&mut ledger, 2, s(133), 2);
        let history = shown(&ledger, s(100), s(139), LONGEST);
        // The observation began at 1,767,225,701.3.
        assert_eq!((history.step_seconds, history.from.as_second()), (8, 1_767_225_696));
        // The last slot is from 731.3 to now, 740.3, and its buckets meet at 736.
        assert_eq!(history.opened["pod-1"], [0, 3, 0, 0, 20, 20]);
        assert_eq!(history.opened["pod-2"].iter().sum::<u64>(), 2);
        let last = shown(&ledger, s(100), s(139), Duration::from_secs(1));
        assert_eq!(last.opened["pod-1"].iter().sum::<u64>(), 40, "a stretch has what happened in it");
    }

    #[test]
    fn a_steady_client_has_even_buckets_in_every_stretch() {
        let mut ledger = Ledger::new(10);
        let now = 90_000;
        (0..now).for_each(|second| open(&mut ledger, 1, s(second), 2));
        for length in [30, 300, 900, 3_600, 20_000, 86_400] {
            for now in [now, now + 7] {
                let history = shown(&ledger, s(0), s(now), Duration::from_secs(length));
                let buckets = &history.opened["pod-1"];
                assert!(buckets.len() <= History::BUCKETS);
                let whole = &buckets[1..buckets.len() - 2];
                let even = history.step_seconds * 2;
                assert!(whole.iter().all(|count| count.abs_diff(even) <= 2), "{length} {even}: {whole:?}");
                let begin = Slot::start(s(now), Duration::from_secs(length)).begin();
                assert_eq!(buckets.iter().sum::<u64>(), (90_000 - begin.0 / 1_000_000_000) * 2);
            }
        }
    }
}
