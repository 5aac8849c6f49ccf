//! Connections per endpoint over time: the ledger's totals, sampled when a bucket is full.
//!
//! In: the ledger and the time. Out: [`History`] of an endpoint's buckets. Invariants: there are as many rows as the
//! ledger has endpoints with connections. Each row has at most [`History::BUCKETS`] numbers, because a longer
//! observation has longer buckets. An endpoint's buckets add up to its total. Setting the clock moves no bucket.

use jiff::Timestamp;

use crate::expose::snapshot::History;
use crate::hash::HashMap;
use crate::ledger::Ledger;
use crate::time::Time;
use crate::topology::EndpointRef;

/// The history that the daemon keeps.
#[derive(Debug, Default)]
pub(super) struct HistorySampler {
    line: Option<Line>,
    rows: HashMap<EndpointRef, Row>,
}

/// The position of the buckets on the wall clock, as it was at the first sample.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Nanoseconds from the monotonic clock to the wall clock.
    offset: i128,
    /// The start of the first bucket, in seconds since 1970.
    from: i64,
    /// Seconds per bucket.
    step: i64,
    /// The current bucket.
    open: usize,
}

/// An endpoint's buckets, up to the last one with connections.
#[derive(Clone, Debug, Default)]
struct Row {
    booked: u64,
    buckets: Vec<u64>,
}

impl Row {
    /// Adds the increase of the total to this bucket.
    fn book(&mut self, bucket: usize, total: u64) {
        let more = total.saturating_sub(self.booked);
        if more == 0 {
            return;
        }
        self.booked = total;
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += more;
        }
    }
}

impl Line {
    fn bucket(&self, now: Time) -> usize {
        let wall = (i128::from(now.0) + self.offset).div_euclid(1_000_000_000) - i128::from(self.from);
        usize::try_from(wall.div_euclid(i128::from(self.step))).unwrap_or(0)
    }
}

impl HistorySampler {
    /// Adds the connections opened since the last sample, if a bucket is full.
    pub(super) fn sample(&mut self, now: Time, wall_offset: i128, ledger: &Ledger) {
        let Some(line) = &mut self.line else {
            let wall = (i128::from(now.0) + wall_offset).div_euclid(1_000_000_000);
            let from = i64::try_from(wall).unwrap_or(0);
            self.line = Some(Line { offset: wall_offset, from, step: 1, open: 0 });
            return;
        };
        if line.bucket(now) <= line.open {
            return;
        }
        for (endpoint, total) in totals(ledger) {
            self.rows.entry(endpoint).or_default().book(line.open, total);
        }
        while line.bucket(now) >= History::BUCKETS {
            let longer = line.step * 2;
            for row in self.rows.values_mut() {
                let mut history = History {
                    step_seconds: line.step.cast_unsigned(),
                    from: Timestamp::from_second(line.from).unwrap_or_default(),
                    opened: [(String::new(), std::mem::take(&mut row.buckets))].into(),
                };
                history.join_to(longer);
                row.buckets = history.opened.into_values().next().unwrap_or_default();
            }
            line.from = line.from.div_euclid(longer) * longer;
            line.step = longer;
        }
        line.open = line.bucket(now);
    }

    /// Forgets endpoints that the ledger has forgotten.
    pub(super) fn expire(&mut self, is_known: impl Fn(EndpointRef) -> bool) {
        self.rows.retain(|endpoint, _| is_known(*endpoint));
    }

    /// The history of these endpoints, with their names and totals. Connections since the last sample are in the
    /// current bucket.
    pub(super) fn of(&self, endpoints: impl Iterator<Item = (EndpointRef, String, u64)>) -> History {
        let Some(line) = self.line else { return History::default() };
        let mut history = History {
            step_seconds: line.step.cast_unsigned(),
            from: Timestamp::from_second(line.from).unwrap_or_default(),
            ..History::default()
        };
        for (endpoint, name, total) in endpoints {
            let mut row = self.rows.get(&endpoint).cloned().unwrap_or_default();
            row.book(line.open, total);
            if row.booked == 0 {
                continue;
            }
            // A pod that came back under its name is another endpoint.
            let buckets = history.opened.entry(name).or_insert_with(|| vec![0; line.open + 1]);
            buckets.iter_mut().zip(row.buckets).for_each(|(sum, count)| *sum += count);
        }
        if history.opened.is_empty() { History::default() } else { history }
    }
}

fn totals(ledger: &Ledger) -> HashMap<EndpointRef, u64> {
    let mut totals: HashMap<EndpointRef, u64> = HashMap::default();
    for (key, cell) in ledger.cells() {
        let opened = cell.total_of(|cell| cell.opened);
        if opened > 0 {
            *totals.entry(key.endpoint).or_default() += opened;
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::CellKey;
    use crate::service_resolution::Resolution;
    use crate::topology::{EndpointId, ServiceId};

    const SECOND: u64 = 1_000_000_000;
    /// The wall clock at boot: an odd second, and a part of one.
    const OFFSET: i128 = 1_767_225_601 * 1_000_000_000 + 300_000_000;

    fn endpoint(id: u32) -> EndpointRef {
        EndpointRef { service: ServiceId(1), endpoint: EndpointId(id) }
    }

    fn open(ledger: &mut Ledger, id: u32, connections: u64) {
        let (client, port, resolution) = (None, 80, Resolution::Service);
        let key = CellKey { endpoint: endpoint(id), client, port, resolution };
        ledger.cell(key, Time(0)).opened += connections;
    }

    fn shown(past: &HistorySampler, ledger: &Ledger) -> History {
        let totals = totals(ledger).into_iter();
        past.of(totals.map(|(at, total)| (at, format!("pod-{}", at.endpoint.0), total)))
    }

    #[test]
    fn what_is_opened_is_in_the_bucket_of_its_time() {
        let (mut past, mut ledger) = (HistorySampler::default(), Ledger::new(10));
        assert!(shown(&past, &ledger).is_empty());
        past.sample(Time(SECOND), OFFSET, &ledger);
        open(&mut ledger, 1, 3);
        past.sample(Time(2 * SECOND), OFFSET, &ledger);
        past.sample(Time(4 * SECOND), OFFSET, &ledger);
        open(&mut ledger, 1, 4);
        open(&mut ledger, 2, 1);
        // The clock is set; the buckets stay where they are.
        past.sample(Time(5 * SECOND), OFFSET + 7_000 * i128::from(SECOND), &ledger);
        open(&mut ledger, 2, 2);
        let history = shown(&past, &ledger);
        assert_eq!((history.step_seconds, history.from.as_second()), (1, 1_767_225_602));
        assert_eq!(history.opened["pod-1"], [3, 0, 0, 4, 0]);
        assert_eq!(history.opened["pod-2"], [0, 0, 0, 1, 2]);
    }

    #[test]
    fn a_day_takes_no_more_room_than_a_minute_and_sums_stay() {
        let (mut past, mut ledger) = (HistorySampler::default(), Ledger::new(10));
        for second in 0..100_000 {
            past.sample(Time(second * SECOND), OFFSET, &ledger);
            open(&mut ledger, 1, 1);
            let history = shown(&past, &ledger);
            assert!(history.len() <= History::BUCKETS);
            assert_eq!(history.opened["pod-1"].iter().sum::<u64>(), second + 1);
        }
        let history = shown(&past, &ledger);
        assert_eq!((history.step_seconds, history.from.as_second() % 2048), (2_048, 0));
        let whole = &history.opened["pod-1"][1..history.len() - 1];
        assert!(whole.iter().all(|count| (2_047..=2_049).contains(count)), "{whole:?}");
        past.expire(|_| false);
        assert!(past.rows.is_empty());
    }
}
