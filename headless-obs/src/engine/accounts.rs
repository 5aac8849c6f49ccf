//! Accounts: ring records and the kernel's totals brought together, so that the ledger equals the kernel's counts
//! whatever the ring lost.
//!
//! In: records in ring order, and from time to time the totals of FLOWS. Out: bookings in the [`Ledger`].
//!
//! Invariants: the kernel submits a record before it bumps the totals. So once the ring has been read up to the
//! moment the totals were read, what the totals have and the accounts do not is lost detail, never detail that is
//! still to come; it is booked late, with the evidence at hand. Whatever order things arrive in, nothing is booked
//! twice.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use headless_obs_ebpf::flow::{FlowKey, FlowTotals, reason};
use headless_obs_ebpf::record::{KIND_FAILED, TcpRecord};

use crate::attribution::Target;
use crate::ledger::{CellKey, Ledger};
use crate::time::Time;

/// Where a connection is booked: nowhere if it belongs to no headless Service.
pub(super) type Booking = Option<(CellKey, Target)>;

/// Bookings, and what of the kernel's totals they cover.
#[derive(Debug)]
pub(super) struct Accounts {
    /// The bookings.
    pub ledger: Ledger,
    flows: HashMap<FlowKey, FlowState>,
    open: HashMap<u64, Open>,
}

/// An open connection.
#[derive(Clone, Copy, Debug)]
struct Open {
    started: u64,
    flow: FlowKey,
    cell: Option<CellKey>,
}

/// How far a flow's totals are booked.
#[derive(Debug, Default)]
struct FlowState {
    booked: FlowTotals,
    preexisting: u64,
    /// Connections booked late that are still open, of which no detail is known.
    late_open: Vec<(Option<CellKey>, u64)>,
    /// Connections (socket and start) that were taken to have ended when an end was lost. If one of them turns out to
    /// have been open, it was another.
    guessed: HashSet<(u64, u64)>,
    /// The totals when they were last read, and since when they are the same.
    last: FlowTotals,
    unchanged_since: Time,
}

impl FlowState {
    /// Whether any of its connections is open, by what is booked.
    fn is_open(&self) -> bool {
        self.booked.opened + self.preexisting > self.booked.closed
    }
}

impl Accounts {
    /// Nothing booked yet; at most about `cells` cells in the ledger.
    pub(super) fn new(cells: usize) -> Self {
        Self { ledger: Ledger::new(cells), flows: HashMap::new(), open: HashMap::new() }
    }

    /// A connection was established.
    pub(super) fn opened(&mut self, record: &TcpRecord, booking: Booking) {
        let flow = flow_of(record);
        self.replace(record.socket, record.started, flow, booking.map(|(cell, _)| cell));
        self.state(flow).booked.opened += 1;
        if let Some((cell, target)) = booking {
            let cell = self.ledger.cell(cell);
            cell.opened += 1;
            cell.note(&target, 1);
        }
    }

    /// A connection is older than the observer.
    pub(super) fn adopted(&mut self, socket: u64, flow: FlowKey, booking: Booking) {
        self.replace(socket, 0, flow, booking.map(|(cell, _)| cell));
        self.state(flow).preexisting += 1;
        if let Some((cell, _)) = booking {
            self.ledger.cell(cell).preexisting += 1;
        }
    }

    /// An attempt failed; `superseded` if it only lost against one to another address family.
    pub(super) fn failed(&mut self, record: &TcpRecord, booking: Booking, superseded: bool) {
        let why = usize::from(record.reason).min(reason::COUNT - 1);
        add(&mut self.state(flow_of(record)).booked.failed, why, 1);
        let Some((cell, target)) = booking else { return };
        let cell = self.ledger.cell(cell);
        if superseded {
            cell.superseded += 1;
            return;
        }
        add(&mut cell.failed, why, 1);
        cell.note(&target, 1);
    }

    /// A connection ended. `attribute` is asked only if its opening was lost and not booked yet.
    pub(super) fn closed(&mut self, record: &TcpRecord, attribute: impl FnOnce(&mut Ledger) -> Booking) {
        let flow = flow_of(record);
        let cell = match self.open.remove(&record.socket) {
            Some(open) if open.started == record.started => open.cell,
            other => {
                // The entry is an older connection's whose end was lost: the totals will tell.
                if let Some(older) = other {
                    self.open.insert(record.socket, older);
                }
                self.close_unknown(flow, record, attribute)
            }
        };
        let booked = &mut self.state(flow).booked;
        booked.closed += 1;
        booked.bytes_sent += record.bytes_sent;
        booked.bytes_received += record.bytes_received;
        let was_reset = usize::from(record.reason) < reason::COUNT;
        if was_reset {
            add(&mut booked.failed, usize::from(record.reason), 1);
        }
        if let Some(cell) = cell {
            let cell = self.ledger.cell(cell);
            cell.closed += 1;
            cell.bytes_sent += record.bytes_sent;
            cell.bytes_received += record.bytes_received;
            if was_reset {
                add(&mut cell.failed, usize::from(record.reason), 1);
            }
        }
    }

    /// Books a connection that was booked nowhere when it opened or failed; `closed` if it has ended since.
    pub(super) fn book_later(
        &mut self,
        record: &TcpRecord,
        closed: Option<&TcpRecord>,
        key: CellKey,
        target: &Target,
    ) {
        let open = self.open.get_mut(&record.socket).filter(|open| open.started == record.started);
        let is_open = open.is_some();
        if let Some(open) = open {
            open.cell = Some(key);
        }
        let cell = self.ledger.cell(key);
        cell.note(target, 1);
        if record.header.kind == KIND_FAILED {
            add(&mut cell.failed, usize::from(record.reason).min(reason::COUNT - 1), 1);
            return;
        }
        cell.opened += 1;
        cell.closed += u64::from(!is_open);
        if let Some(closed) = closed {
            cell.bytes_sent += closed.bytes_sent;
            cell.bytes_received += closed.bytes_received;
            if usize::from(closed.reason) < reason::COUNT {
                add(&mut cell.failed, usize::from(closed.reason), 1);
            }
        }
    }

    /// Books what the totals have and the records did not bring. `attribute` is asked with the flow and its totals,
    /// and how many connections or failures it is about.
    pub(super) fn reconcile(
        &mut self,
        now: Time,
        totals: &[(FlowKey, FlowTotals)],
        mut attribute: impl FnMut(&mut Ledger, &FlowKey, &FlowTotals, u64) -> Booking,
    ) {
        let mut lost_ends: HashMap<FlowKey, u64> = HashMap::new();
        for (key, totals) in totals {
            let state = self.flows.entry(*key).or_default();
            if state.last != *totals {
                (state.last, state.unchanged_since) = (*totals, now);
            }
            if !state.is_open() {
                state.guessed.clear();
            }
            let missing = missing(totals, &state.booked);
            if missing == FlowTotals::default() {
                continue;
            }
            let connections = missing.opened + missing.failed.iter().sum::<u64>();
            let booking = attribute(&mut self.ledger, key, totals, connections);
            if missing.opened > 0 {
                state.late_open.push((booking.map(|(cell, _)| cell), missing.opened));
            }
            if missing.closed > 0 {
                lost_ends.insert(*key, missing.closed);
            }
            add_all(&mut state.booked, &FlowTotals { closed: 0, ..missing });
            if let Some((cell, target)) = booking {
                let cell = self.ledger.cell(cell);
                cell.opened += missing.opened;
                cell.late += missing.opened;
                cell.bytes_sent += missing.bytes_sent;
                cell.bytes_received += missing.bytes_received;
                for (failed, more) in cell.failed.iter_mut().zip(missing.failed) {
                    *failed += more;
                }
                cell.note(&target, connections);
            }
        }
        self.close_lost(lost_ends);
    }

    /// Forgets the flows that have nothing open and have not changed for `idle`, and returns them: the kernel's
    /// entries can go too.
    pub(super) fn forget_idle(&mut self, now: Time, idle: Duration) -> Vec<FlowKey> {
        let mut forgotten = Vec::new();
        self.flows.retain(|key, state| {
            let keep = state.is_open() || now.since(state.unchanged_since) < idle;
            if !keep {
                forgotten.push(*key);
            }
            keep
        });
        forgotten
    }

    fn state(&mut self, flow: FlowKey) -> &mut FlowState {
        self.flows.entry(flow).or_default()
    }

    /// Enters an open connection. If its socket has an entry, that connection ended and the record of it was lost.
    fn replace(&mut self, socket: u64, started: u64, flow: FlowKey, cell: Option<CellKey>) {
        if let Some(older) = self.open.insert(socket, Open { started, flow, cell }) {
            self.book_end(older);
        }
    }

    fn book_end(&mut self, open: Open) {
        self.state(open.flow).booked.closed += 1;
        if let Some(cell) = open.cell {
            self.ledger.cell(cell).closed += 1;
        }
    }

    /// The cell of a connection that ended and has no entry: one that was booked late, or one that is not booked at all
    /// yet.
    fn close_unknown(
        &mut self,
        flow: FlowKey,
        record: &TcpRecord,
        attribute: impl FnOnce(&mut Ledger) -> Booking,
    ) -> Option<CellKey> {
        let state = self.state(flow);
        let was_guessed = state.guessed.remove(&(record.socket, record.started));
        if let Some(cell) = take_late(&mut state.late_open) {
            return cell;
        }
        if was_guessed && let Some(socket) = self.oldest(flow) {
            return self.open.remove(&socket).and_then(|other| other.cell);
        }
        self.state(flow).booked.opened += 1;
        let (cell, target) = attribute(&mut self.ledger)?;
        let booked = self.ledger.cell(cell);
        booked.opened += 1;
        booked.late += 1;
        booked.note(&target, 1);
        Some(cell)
    }

    /// Ends as many connections of each flow as ended without a record: the oldest, then those without detail.
    fn close_lost(&mut self, lost_ends: HashMap<FlowKey, u64>) {
        let mut entries: HashMap<FlowKey, Vec<(u64, u64)>> = HashMap::new();
        for (socket, open) in self.open.iter().filter(|(_, open)| lost_ends.contains_key(&open.flow)) {
            entries.entry(open.flow).or_default().push((open.started, *socket));
        }
        for (flow, lost) in lost_ends {
            let mut oldest = entries.remove(&flow).unwrap_or_default();
            oldest.sort_unstable();
            let mut oldest = oldest.into_iter();
            for _ in 0..lost {
                let state = self.flows.entry(flow).or_default();
                state.booked.closed += 1;
                let cell = match oldest.next() {
                    Some((started, socket)) => {
                        state.guessed.insert((socket, started));
                        self.open.remove(&socket).and_then(|open| open.cell)
                    }
                    None => take_late(&mut state.late_open).flatten(),
                };
                if let Some(cell) = cell {
                    self.ledger.cell(cell).closed += 1;
                }
            }
        }
    }

    /// The socket of the flow's oldest connection with detail. Only asked when records were lost.
    fn oldest(&self, flow: FlowKey) -> Option<u64> {
        let own = self.open.iter().filter(|(_, open)| open.flow == flow);
        own.min_by_key(|(socket, open)| (open.started, **socket)).map(|(socket, _)| *socket)
    }
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

/// What `totals` has more than `booked`. Records may be ahead of totals that were read before them: then nothing.
fn missing(totals: &FlowTotals, booked: &FlowTotals) -> FlowTotals {
    let mut failed = [0; reason::COUNT];
    for ((missing, total), booked) in failed.iter_mut().zip(totals.failed).zip(booked.failed) {
        *missing = total.saturating_sub(booked);
    }
    FlowTotals {
        opened: totals.opened.saturating_sub(booked.opened),
        closed: totals.closed.saturating_sub(booked.closed),
        failed,
        bytes_sent: totals.bytes_sent.saturating_sub(booked.bytes_sent),
        bytes_received: totals.bytes_received.saturating_sub(booked.bytes_received),
        ..FlowTotals::default()
    }
}

fn add_all(booked: &mut FlowTotals, more: &FlowTotals) {
    booked.opened += more.opened;
    booked.closed += more.closed;
    booked.bytes_sent += more.bytes_sent;
    booked.bytes_received += more.bytes_received;
    for (booked, more) in booked.failed.iter_mut().zip(more.failed) {
        *booked += more;
    }
}

fn add(counts: &mut [u64], place: usize, more: u64) {
    if let Some(count) = counts.get_mut(place) {
        *count += more;
    }
}

/// One connection of those booked late and still open; the outer `None` if there is none.
fn take_late(late: &mut Vec<(Option<CellKey>, u64)>) -> Option<Option<CellKey>> {
    let (cell, count) = late.first_mut()?;
    let cell = *cell;
    *count -= 1;
    if *count == 0 {
        late.remove(0);
    }
    Some(cell)
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
