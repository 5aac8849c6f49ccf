//! Reconciliation: combines ring records with the kernel's totals, so that the ledger equals the kernel's counts
//! although the ring may lose records.
//!
//! In: records in ring order, and from time to time the totals of FLOWS. Out: counts in the [`Ledger`].
//!
//! Invariants: the kernel submits a record before it adds to the totals. So when the ring has been drained up to the
//! reading of the totals, any excess of the totals is a lost record. It is counted then, with the DNS answers at hand.
//! If a record from before that moment still arrives (its processor was paused in the middle of writing it), it adds
//! its detail to the counted connection, and nothing is counted twice.

use std::collections::hash_map::Entry;
use std::time::Duration;

use headless_obs_ebpf::end;
use headless_obs_ebpf::flow::{FlowKey, FlowTotals, reason};
use headless_obs_ebpf::ring_record::{KIND_FAILED, TcpRecord};

mod flow_state;
mod read_load;
mod readings;

use crate::engine::answer_of_connection::AnswerOfConnection;
use crate::hash::HashMap;
use crate::ledger::{BRIEF, Cell, CellKey, Ledger, LedgerEntry, Load};
use crate::time::Time;

pub(super) use flow_state::Id;
use flow_state::{Ended, Flow, LedgerSlot, add, missing};
use read_load::{ReadLoad, Tracked};
use readings::Rounds;

/// The place where a connection is counted; none if it belongs to no headless Service.
pub(super) type Booking = Option<(CellKey, LedgerEntry)>;

/// The counts, and the part of the kernel's totals that they cover.
#[derive(Debug)]
pub(super) struct FlowReconciler {
    /// The counts.
    pub ledger: Ledger,
    flows: HashMap<FlowKey, Flow>,
    /// The last known connection of each socket, unless a record reported its end.
    sockets: HashMap<u64, Tracked>,
    /// Open connections for which FLOWS had no room, so no totals include them.
    untracked_by_kernel: HashMap<u64, (Id, LedgerSlot, ReadLoad)>,
    /// The number of the round of readings.
    round: u32,
    /// Readings of this round and of the one before.
    readings: Rounds,
    /// The time at which the totals were last read.
    read_at: Time,
}

impl FlowReconciler {
    /// Without counts; at most about `cells` cells in the ledger.
    pub(super) fn new(cells: usize) -> Self {
        Self {
            ledger: Ledger::new(cells),
            flows: HashMap::default(),
            sockets: HashMap::default(),
            untracked_by_kernel: HashMap::default(),
            round: 0,
            readings: Rounds::default(),
            read_at: Time::default(),
        }
    }

    /// A connection was established; false if the totals brought it before its record.
    pub(super) fn opened(&mut self, record: &TcpRecord, booking: Booking) -> bool {
        let (key, id) = (flow_of(record), id_of(record));
        let place = booking.map(|(cell, _)| cell);
        if record.in_flow_totals == 0 {
            let older = match self.sockets.entry(record.socket) {
                Entry::Occupied(known) if !known.get().is(&key, id) => Some(known.remove()),
                Entry::Occupied(_) | Entry::Vacant(_) => None,
            };
            self.close_previous(time_of(record), record.socket, older);
            self.untracked_by_kernel.insert(record.socket, (id, place, ReadLoad::default()));
        } else {
            self.bind_socket(time_of(record), key, id);
            let flow = self.flows.entry(key).or_default();
            if !flow.opened(id, place, predates_totals(self.read_at, record)) {
                return false;
            }
            flow.booked.opened += 1;
        }
        if let Some((cell, entry)) = booking {
            let cell = self.ledger.open(cell, time_of(record), &entry, 1);
            record_connect(cell, record);
        }
        true
    }

    /// A connection is older than the daemon.
    pub(super) fn adopted(&mut self, now: Time, socket: u64, key: FlowKey, booking: Booking) {
        let (id, place) = ((0, socket), booking.map(|(cell, _)| cell));
        self.bind_socket(now, key, id);
        let flow = self.flows.entry(key).or_default();
        flow.opened(id, place, false);
        flow.preexisting += 1;
        if let Some(cell) = place {
            self.ledger.cell(cell, now).preexisting += 1;
        }
    }

    /// The answer that an open connection came from.
    pub(super) fn came_from(&mut self, record: &TcpRecord, answer: AnswerOfConnection) {
        let known = self.sockets.get_mut(&record.socket);
        if let Some(tracked) = known.filter(|tracked| tracked.is(&flow_of(record), id_of(record))) {
            tracked.answer = Some(answer);
        }
    }

    /// An attempt failed; `superseded` if it lost against the other address family. False if the totals brought it before
    /// its record.
    pub(super) fn failed(&mut self, record: &TcpRecord, booking: Booking, superseded: bool) -> bool {
        let why = usize::from(record.reason).min(reason::COUNT - 1);
        if record.in_flow_totals != 0 {
            let flow = self.flows.entry(flow_of(record)).or_default();
            if predates_totals(self.read_at, record)
                && let Some(late) = flow.failed_late.get_mut(why).filter(|late| **late > 0)
            {
                *late -= 1;
                return false;
            }
            add(&mut flow.booked.failed, why, 1);
        }
        let Some((cell, entry)) = booking else { return true };
        let cell = self.ledger.cell(cell, time_of(record));
        if superseded {
            cell.superseded += 1;
            return true;
        }
        add(&mut cell.failed, why, 1);
        cell.syns_retransmitted += u64::from(record.retransmitted);
        cell.record_attempt(&entry, 1);
        true
    }

    /// A connection ended; returns its cell. `attribute` is called only if its opening was lost and is not counted yet.
    pub(super) fn closed(
        &mut self,
        record: &TcpRecord,
        attribute: impl FnOnce(&mut Ledger) -> Booking,
    ) -> LedgerSlot {
        let (key, id) = (flow_of(record), id_of(record));
        let mut carried = ReadLoad::default();
        if let Entry::Occupied(known) = self.sockets.entry(record.socket)
            && known.get().is(&key, id)
        {
            carried = known.remove().carried;
        }
        let mut rest = Load::from(record);
        let place = match self.untracked_by_kernel.get(&record.socket) {
            Some((known, place, carried)) if *known == id => {
                let place = *place;
                rest = carried.rest(rest);
                self.untracked_by_kernel.remove(&record.socket);
                if record.in_flow_totals != 0 {
                    let flow = self.flows.entry(key).or_default();
                    flow.preexisting += 1;
                    book_end(flow, record);
                }
                place
            }
            _ => {
                let flow = self.flows.entry(key).or_default();
                match flow.ended(id, predates_totals(self.read_at, record)) {
                    Ended::Open(place) => {
                        rest = carried.end(flow, rest);
                        if record.in_flow_totals != 0 {
                            book_end(flow, record);
                        }
                        place
                    }
                    Ended::Booked => {
                        // The totals have brought its load as a whole.
                        carried.leave(flow);
                        return None;
                    }
                    Ended::Unknown => self.record_late_open(key, record, attribute),
                }
            }
        };
        if let Some(cell) = place {
            let cell = self.ledger.cell(cell, time_of(record));
            cell.closed += 1;
            cell.carry(rest);
            record_end(cell, record);
        }
        place
    }

    /// Counts a connection that was not counted when it opened or failed; `closed` if it has ended since.
    pub(super) fn record_deferred(
        &mut self,
        record: &TcpRecord,
        closed: Option<&TcpRecord>,
        key: CellKey,
        entry: &LedgerEntry,
    ) {
        let id = id_of(record);
        let is_open =
            match self.untracked_by_kernel.get_mut(&record.socket).filter(|(known, ..)| *known == id) {
                Some((_, place, _)) => {
                    *place = Some(key);
                    true
                }
                None => self.flows.get_mut(&flow_of(record)).is_some_and(|flow| flow.settle(id, Some(key))),
            };
        let now = closed.map_or(time_of(record), time_of);
        if record.header.kind == KIND_FAILED {
            let cell = self.ledger.cell(key, now);
            cell.record_attempt(entry, 1);
            cell.syns_retransmitted += u64::from(record.retransmitted);
            add(&mut cell.failed, usize::from(record.reason).min(reason::COUNT - 1), 1);
            return;
        }
        let cell = self.ledger.open(key, now, entry, 1);
        record_connect(cell, record);
        cell.closed += u64::from(!is_open);
        if let Some(closed) = closed {
            cell.carry(closed.into());
            record_end(cell, closed);
        }
    }

    /// Whether the totals of a flow include changes that no record brought and that are not counted yet.
    pub(super) fn has_unseen_totals(&self, (key, totals): &(FlowKey, FlowTotals)) -> bool {
        let none = FlowTotals::default();
        let booked = self.flows.get(key).map_or(&none, |flow| &flow.booked);
        missing(totals, booked) != none
    }

    /// Counts the changes in the totals, read at `read_at`, that no record brought. `attribute` gets the flow, its
    /// totals, and the number of connections and failed attempts.
    pub(super) fn reconcile(
        &mut self,
        read_at: Time,
        totals: &[(FlowKey, FlowTotals)],
        mut attribute: impl FnMut(&mut Ledger, &FlowKey, &FlowTotals, u64) -> Booking,
    ) {
        self.read_at = read_at;
        for (key, totals) in totals {
            let flow = self.flows.entry(*key).or_default();
            flow.read(read_at, totals);
            let missing = missing(totals, &flow.booked);
            if missing == FlowTotals::default() {
                let is_read = |id: Id| {
                    let tracked = self.sockets.get(&id.1).filter(|tracked| tracked.is(key, id));
                    tracked.is_some_and(|tracked| tracked.carried.is_read_in(self.round))
                };
                // One that is read is open, whatever the guess.
                if flow.is_over() && !flow.guessed().any(is_read) {
                    forget(&mut self.sockets, *key, flow.forget_guessed());
                }
                continue;
            }
            // A reset is not an attempt.
            let attempts = missing.failed.iter().sum::<u64>() - reset(&missing);
            let connections = missing.opened + attempts;
            let booking = attribute(&mut self.ledger, key, totals, connections);
            let place = booking.map(|(cell, _)| cell);
            flow.booked.opened += missing.opened;
            let load = Load::from(&missing);
            book_load(&mut flow.booked, load);
            for (booked, more) in flow.booked.failed.iter_mut().zip(missing.failed) {
                *booked += more;
            }
            for (late, more) in flow.failed_late.iter_mut().zip(missing.failed) {
                *late += more;
            }
            flow.open_without_record(place, missing.opened);
            // Bytes and resets belong to ended connections, so they are counted where those are.
            let mut of_ends = None;
            let ledger = &mut self.ledger;
            flow.close_without_record(missing.closed, |place| {
                of_ends.get_or_insert(place);
                if let Some(cell) = place {
                    ledger.cell(cell, read_at).closed += 1;
                }
            });
            if let Some(cell) = of_ends.unwrap_or(place) {
                let cell = self.ledger.cell(cell, read_at);
                cell.carry(load.minus(flow.ahead));
                flow.ahead = flow.ahead.minus(load);
                add(&mut cell.failed, usize::from(reason::RESET), reset(&missing));
            }
            if let Some((cell, entry)) = booking {
                if missing.opened > 0 {
                    self.ledger.reconcile(cell, read_at, &entry, missing.opened);
                }
                let cell = self.ledger.cell(cell, read_at);
                if attempts > 0 {
                    cell.record_attempt(&entry, attempts);
                }
                for (why, more) in missing.failed.into_iter().enumerate() {
                    if why != usize::from(reason::RESET) {
                        add(&mut cell.failed, why, more);
                    }
                }
            }
        }
    }

    /// The flows without open connections and without changes for `idle`, with the totals at their last reading.
    pub(super) fn idle(&self, now: Time, idle: Duration) -> Vec<(FlowKey, FlowTotals)> {
        self.flows
            .iter()
            .filter(|(_, flow)| !flow.is_open() && now.since(flow.unchanged_since) >= idle)
            .map(|(key, flow)| (*key, flow.last))
            .collect()
    }

    /// Open connections that are counted: flow, cell, number, and start of the oldest; 0 if that is not known.
    pub(super) fn open_connections(&self) -> impl Iterator<Item = (&FlowKey, CellKey, u64, Time)> {
        let places =
            |(key, flow)| Flow::held(flow).map(move |(cell, count, since)| (key, cell, count, since));
        self.flows.iter().filter(|(_, flow)| flow.is_open()).flat_map(places)
    }

    /// The same one by one, as far as each is known.
    pub(super) fn each_open(&self) -> impl Iterator<Item = (&FlowKey, Id, CellKey)> {
        let each = |(key, flow)| Flow::each_open(flow).map(move |(id, cell)| (key, id, cell));
        self.flows.iter().filter(|(_, flow)| flow.is_open()).flat_map(each)
    }

    /// The answer that an open connection came from, if it is known.
    pub(super) fn answer_of(&self, flow: &FlowKey, id: Id) -> Option<&AnswerOfConnection> {
        self.sockets.get(&id.1).filter(|tracked| tracked.is(flow, id))?.answer.as_ref()
    }

    /// Forgets a flow that the kernel has forgotten.
    pub(super) fn forget(&mut self, key: FlowKey) {
        if let Some(mut flow) = self.flows.remove(&key) {
            forget(&mut self.sockets, key, flow.forget_guessed());
        }
    }

    /// A socket has a connection.
    fn bind_socket(&mut self, now: Time, key: FlowKey, id: Id) {
        let (_, socket) = id;
        let older = match self.sockets.entry(socket) {
            // A reading may have told of a newer one before this record came.
            Entry::Occupied(known) if known.get().is(&key, id) || known.get().id > id => None,
            Entry::Occupied(mut known) => Some(known.insert(Tracked::new(key, id))),
            Entry::Vacant(free) => {
                free.insert(Tracked::new(key, id));
                None
            }
        };
        self.close_previous(now, socket, older);
    }

    /// A socket has another connection than the `older` one: that one ended, and the record of its end was lost.
    fn close_previous(&mut self, now: Time, socket: u64, older: Option<Tracked>) {
        let place = match older {
            Some(mut older) => self.flows.get_mut(&older.flow).and_then(|flow| {
                older.carried.leave(flow);
                let place = flow.replaced(older.id);
                flow.booked.closed += u64::from(place.is_some());
                place
            }),
            None => self.untracked_by_kernel.remove(&socket).map(|(_, place, _)| place),
        };
        if let Some(cell) = place.flatten() {
            self.ledger.cell(cell, now).closed += 1;
        }
    }

    /// Counts the opening of a connection that was unknown until its end, and the end in its flow.
    fn record_late_open(
        &mut self,
        key: FlowKey,
        record: &TcpRecord,
        attribute: impl FnOnce(&mut Ledger) -> Booking,
    ) -> LedgerSlot {
        let booking = attribute(&mut self.ledger);
        let is_older = record.started == 0;
        if record.in_flow_totals != 0 {
            let flow = self.flows.entry(key).or_default();
            *(if is_older { &mut flow.preexisting } else { &mut flow.booked.opened }) += 1;
            book_end(flow, record);
        }
        let (cell, entry) = booking?;
        if is_older {
            self.ledger.cell(cell, time_of(record)).preexisting += 1;
        } else {
            self.ledger.reconcile(cell, time_of(record), &entry, 1);
        }
        Some(cell)
    }
}

/// Counts the end of a connection, which the totals include.
fn book_end(flow: &mut Flow, record: &TcpRecord) {
    let booked = &mut flow.booked;
    booked.closed += 1;
    book_load(booked, record.into());
    if was_reset(record) {
        add(&mut booked.failed, usize::from(record.reason), 1);
    }
}

fn book_load(booked: &mut FlowTotals, load: Load) {
    booked.bytes_sent += load.bytes_sent;
    booked.bytes_received += load.bytes_received;
    booked.segments_sent += load.segments_sent;
    booked.segments_received += load.segments_received;
    booked.retransmitted += load.retransmitted;
}

/// Forgets which sockets had connections of a flow.
fn forget(sockets: &mut HashMap<u64, Tracked>, key: FlowKey, ids: impl Iterator<Item = Id>) {
    for id in ids {
        if sockets.get(&id.1).is_some_and(|known| known.is(&key, id)) {
            sockets.remove(&id.1);
        }
    }
}

/// Records the time from SYN to established, if the record tells both, and the SYNs that it took.
fn record_connect(cell: &mut Cell, record: &TcpRecord) {
    cell.syns_retransmitted += u64::from(record.retransmitted);
    if record.started > 0 {
        cell.record_connect_time(time_of(record).since(Time(record.started)));
    }
}

fn reset(totals: &FlowTotals) -> u64 {
    totals.failed.get(usize::from(reason::RESET)).copied().unwrap_or(0)
}

/// Counts how a connection ended.
fn record_end(cell: &mut Cell, closed: &TcpRecord) {
    cell.record_end(closed);
    cell.brief += u64::from(is_brief(closed));
    cell.turned_away += u64::from(was_turned_away(closed));
    if was_reset(closed) {
        add(&mut cell.failed, usize::from(closed.reason), 1);
    }
}

fn was_reset(record: &TcpRecord) -> bool {
    usize::from(record.reason) < reason::COUNT
}

/// Whether the peer ended the connection shortly after it was established, without a byte.
pub(super) fn was_turned_away(record: &TcpRecord) -> bool {
    let is_by_peer = matches!(record.end, end::SERVER | end::SERVER_RESET);
    is_by_peer && is_brief(record) && record.bytes_received == 0
}

/// Whether the ended connection lasted for a short time only. A connection that is older than the daemon did not.
fn is_brief(record: &TcpRecord) -> bool {
    record.started > 0 && Time(record.header.time).since(Time(record.started)) < BRIEF
}

fn time_of(record: &TcpRecord) -> Time {
    Time(record.header.time)
}

fn predates_totals(read_at: Time, record: &TcpRecord) -> bool {
    time_of(record) <= read_at
}

fn id_of(record: &TcpRecord) -> Id {
    (record.started, record.socket)
}

fn flow_of(record: &TcpRecord) -> FlowKey {
    FlowKey {
        cgroup: record.header.cgroup,
        source: record.source,
        destination: record.destination,
        port: record.port,
        _pad: [0; 6],
    }
}

#[cfg(test)]
mod tests;
