//! The load of a client's connections to each endpoint, minute by minute, how long it took to connect, and how
//! long round trips are.
//!
//! In: the ledger's cells of the client, over a stretch of time. Out: [`EndpointLoad`] and [`ComparedTimes`] of each row.
//!
//! Invariants: a connection counts in each minute in which it was open, so an endpoint that came later is behind nobody
//! before. Endpoints that are not mature, and the client itself, take no part.

use std::collections::BTreeMap;

use super::{CellRow, Moment, Order};
use crate::expose::snapshot::{ClientEndpoint, ComparedTimes, EndpointLoad, LoadDraws};
use crate::ledger::{Cell, Ledger, Times, active};
use crate::service_resolution::Resolution;
use crate::spread::draws::{self, Draws, Share, Took};
use crate::topology::EndpointId;
use crate::windowed::{LONGEST, Slot, Stretch, Sum, Windowed};

/// Seconds of the shortest stretch for which this is computed. Shorter ones have too few slots to show anything.
pub(super) const SHORTEST: f64 = 250.0;

/// The connections to one endpoint in one minute.
#[derive(Clone, Copy, Debug, Default)]
struct Minute {
    began: u64,
    ended: u64,
    sent: u64,
    received: u64,
    ended_bytes: u64,
}

/// Times by slot.
type Slots = BTreeMap<Slot, Times>;

/// One endpoint over the stretch of time.
#[derive(Default)]
struct Row {
    /// Open now.
    active: u64,
    minutes: BTreeMap<Slot, Minute>,
    connects: Slots,
    round_trips: Slots,
    ended: Draws,
    exchanged: Draws,
}

/// Computes the load of a client for its rows, which are in the same order as the endpoints.
pub(super) fn fill(
    rows: &mut [ClientEndpoint],
    cells: &[CellRow<'_>],
    order: &Order<'_>,
    ledger: &Ledger,
    moment: &Moment<'_>,
) {
    let takes_part = |place: usize, own: &ClientEndpoint| {
        order.get(place).is_some_and(|(_, endpoint)| endpoint.mature) && !own.is_self()
    };
    let places: BTreeMap<EndpointId, usize> = order
        .iter()
        .zip(&*rows)
        .enumerate()
        .filter(|(place, (_, own))| takes_part(*place, own))
        .map(|(place, ((endpoint, _), _))| (endpoint.id().endpoint, place))
        .collect();
    let mut figures: BTreeMap<usize, Row> = BTreeMap::new();
    for (key, _) in cells {
        if let Some((place, cell)) = places.get(&key.endpoint.endpoint).zip(ledger.get(key)) {
            let is_by_name = key.resolution.is_choice() || key.resolution == Resolution::Preexisting;
            figures.entry(*place).or_default().read(cell, is_by_name, moment);
        }
    }
    draw(&mut figures);
    let zones: Vec<Option<&str>> = order.iter().map(|(_, endpoint)| endpoint.zone.as_deref()).collect();
    let connects = took(&figures, &zones, |row| &row.connects);
    let round_trips = took(&figures, &zones, |row| &row.round_trips);
    for (place, row) in figures {
        let Some(own) = rows.get_mut(place) else { continue };
        let sum = |figure: fn(&Minute) -> u64| row.minutes.values().map(figure).sum::<u64>();
        own.load = EndpointLoad {
            bytes: sum(|minute| minute.sent.saturating_add(minute.received)),
            connections: row.active + sum(|minute| minute.ended),
            ended: load_draws(row.ended),
            exchanged: load_draws(row.exchanged),
        };
        compared(&mut own.connect_times, connects.get(&place));
        compared(&mut own.round_trips, round_trips.get(&place));
    }
}

impl Row {
    fn read(&mut self, cell: &Windowed<Cell>, is_by_name: bool, moment: &Moment<'_>) {
        let now = Slot::of(moment.now);
        let start = match moment.stretch {
            Stretch::All => Slot::start(moment.now, LONGEST),
            Stretch::Since(start) => start,
        };
        self.active += if is_by_name { active(cell) } else { 0 };
        for (slot, sum) in cell.slots(start) {
            for (own, times) in
                [(&mut self.connects, &sum.connect_times), (&mut self.round_trips, &sum.round_trips)]
            {
                if let Some(times) = times {
                    own.entry(slot.joined_start(now)).or_default().add(times);
                }
            }
            if is_by_name {
                let minute = self.minutes.entry(slot.minute(now)).or_default();
                minute.began += sum.opened + sum.preexisting;
                minute.ended += sum.closed;
                minute.sent += sum.bytes_sent;
                minute.received += sum.bytes_received;
                minute.ended_bytes += sum.ended_bytes;
            }
        }
    }
}

/// Draws once for each minute, from now back: so the number of open connections is known at each.
fn draw(figures: &mut BTreeMap<usize, Row>) {
    let mut minutes: Vec<Slot> = figures.values().flat_map(|row| row.minutes.keys().copied()).collect();
    minutes.sort_unstable();
    minutes.dedup();
    let mut open: Vec<u64> = figures.values().map(|row| row.active).collect();
    let (mut ended, mut exchanged) = (vec![Draws::default(); open.len()], vec![Draws::default(); open.len()]);
    for slot in minutes.into_iter().rev() {
        let of = || figures.values().map(|row| row.minutes.get(&slot).copied().unwrap_or_default());
        let by_end: Vec<Share> =
            of().map(|minute| Share { connections: minute.ended, load: minute.ended_bytes }).collect();
        let carried = |(minute, open): (Minute, &u64)| Share {
            connections: *open + minute.ended,
            load: draws::exchanged(minute.sent, minute.received),
        };
        let live: Vec<Share> = of().zip(&open).map(carried).collect();
        draws::add(&mut ended, &by_end);
        draws::add(&mut exchanged, &live);
        for (open, minute) in open.iter_mut().zip(of()) {
            *open = (*open + minute.ended).saturating_sub(minute.began);
        }
    }
    for (row, (ended, exchanged)) in figures.values_mut().zip(ended.into_iter().zip(exchanged)) {
        (row.ended, row.exchanged) = (ended, exchanged);
    }
}

/// Compares the endpoints of each zone, slot by slot.
fn took(
    figures: &BTreeMap<usize, Row>,
    zones: &[Option<&str>],
    of: fn(&Row) -> &Slots,
) -> BTreeMap<usize, Took> {
    type Medians = Vec<(usize, f64)>;
    let mut slots: BTreeMap<(Option<&str>, Slot), Medians> = BTreeMap::new();
    for (place, row) in figures {
        let zone = zones.get(*place).copied().flatten();
        for (slot, times) in of(row) {
            if let Some(median) = times.median() {
                slots.entry((zone, *slot)).or_default().push((*place, median));
            }
        }
    }
    let mut all: BTreeMap<usize, Took> = BTreeMap::new();
    for medians in slots.values() {
        draws::compare(medians, &mut all);
    }
    all
}

/// The result of the comparison with other endpoints.
fn compared(times: &mut ComparedTimes, took: Option<&Took>) {
    let Took { times: count, slow, slow_by_chance } = took.copied().unwrap_or_default();
    (times.times, times.slow, times.slow_by_chance) = (count, slow, slow_by_chance);
}

fn load_draws(draws: Draws) -> LoadDraws {
    let Draws { count, ahead, ahead_by_chance, behind, behind_by_chance } = draws;
    LoadDraws { minutes: count, ahead, ahead_by_chance, behind, behind_by_chance }
}
