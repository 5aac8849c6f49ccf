//! The load of open connections: readings become counts while a connection is open, and its end adds only the rest.
//!
//! In: rounds of [`Reading`]s, of everything that is open, and the ends of connections. Out: loads in the ledger.
//!
//! Invariants: a flow's load in the ledger is that of the connections that ended, as records and totals tell it, and
//! what the last readings of its open connections told. If a connection is not read any more and no record tells of its
//! end, what it has brought is `ahead` of the totals: later totals count without it. The load that a
//! connection had carried before the daemon started is counted apart.

use headless_obs_ebpf::flow::FlowKey;
use headless_obs_ebpf::reading::Reading;

use super::FlowReconciler;
use super::flow_state::{Flow, Id, LedgerSlot};
use super::readings::{self, Rounds};
use crate::engine::answer_of_connection::AnswerOfConnection;
use crate::expose::snapshot::Readings;
use crate::ledger::{CellKey, Ledger, Load};
use crate::time::Time;

/// A connection of a socket.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) flow: FlowKey,
    pub(super) id: Id,
    pub(super) carried: ReadLoad,
    /// None without one, or if the record of the opening was lost.
    pub(super) answer: Option<AnswerOfConnection>,
}

impl Tracked {
    pub(super) fn new(flow: FlowKey, id: Id) -> Self {
        Self { flow, id, carried: ReadLoad::default(), answer: None }
    }

    pub(super) fn is(&self, flow: &FlowKey, id: Id) -> bool {
        self.id == id && self.flow == *flow
    }
}

/// The load that the readings of a connection have brought to the ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReadLoad {
    load: Load,
    /// 0 before the first reading. If it changes, the memory has another socket.
    source_port: u16,
    /// The round of the last reading.
    round: u32,
    /// It is open no more, as it seems, so its load is ahead.
    is_gone: bool,
    /// The segments that it had sent when its round trip was last taken.
    sampled: u32,
}

impl ReadLoad {
    /// A reading of the connection: returns what is new.
    fn read(&mut self, reading: &Reading, round: u32) -> Load {
        let load = Load::from(reading);
        if self.source_port != 0 && self.source_port != reading.source_port {
            return Load::NONE;
        }
        let more = load.since(self.load);
        (self.load, self.source_port, self.round) = (self.load.plus(more), reading.source_port, round);
        more
    }

    /// Whether this round has read it.
    pub(super) fn is_read_in(&self, round: u32) -> bool {
        self.source_port != 0 && self.round == round
    }

    /// The connection is open no more, but nothing told how it ended.
    pub(super) fn leave(&mut self, flow: &mut Flow) {
        if !self.is_gone {
            flow.ahead = flow.ahead.plus(self.load);
            self.is_gone = true;
        }
    }

    /// It is there after all. The part of its load that has been used up counts anew.
    fn come_back(&mut self, flow: &mut Flow) {
        if self.is_gone {
            self.load = self.load.least(flow.ahead);
            flow.ahead = flow.ahead.minus(self.load);
            self.is_gone = false;
        }
    }

    /// It ended with this load: returns the rest.
    pub(super) fn end(mut self, flow: &mut Flow, load: Load) -> Load {
        self.come_back(flow);
        // A reading may have taken the peer's FIN for a byte.
        let Load { bytes_sent, bytes_received, .. } = self.load.minus(load);
        flow.ahead = flow.ahead.plus(Load { bytes_sent, bytes_received, ..Load::NONE });
        load.since(self.load)
    }

    /// The same without a flow.
    pub(super) fn rest(self, load: Load) -> Load {
        load.since(self.load)
    }
}

impl FlowReconciler {
    /// A new round of readings begins.
    pub(in crate::engine) fn begin_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.readings.begin();
    }

    /// A reading of an open connection.
    pub(in crate::engine) fn read(&mut self, now: Time, reading: &Reading) {
        let id = (reading.started, reading.socket);
        let Self { ledger, flows, sockets, untracked_by_kernel, round, readings, read_at, .. } = self;
        if let Some((known, place, carried)) = untracked_by_kernel.get_mut(&reading.socket)
            && *known == id
        {
            return book((ledger, readings), now, id, *place, carried, reading, *round);
        }
        let Some(flow) = flows.get_mut(&reading.flow) else { return };
        let known = sockets.get_mut(&reading.socket).filter(|tracked| tracked.is(&reading.flow, id));
        let tracked = match known {
            Some(tracked) => tracked,
            // The record of the opening has come by now, unless it is lost.
            None if Time(reading.started) <= *read_at && flow.identify(id).is_some() => {
                sockets.entry(reading.socket).insert_entry(Tracked::new(reading.flow, id)).into_mut()
            }
            None => return,
        };
        tracked.carried.come_back(flow);
        if let Some(place) = flow.place(id) {
            book((ledger, readings), now, id, place, &mut tracked.carried, reading, *round);
        }
    }

    /// The cell of the open connection that a reading is about.
    pub(in crate::engine) fn cell_of(&self, reading: &Reading) -> Option<CellKey> {
        let id = (reading.started, reading.socket);
        let is_same = |carried: &ReadLoad| [0, reading.source_port].contains(&carried.source_port);
        if let Some((known, place, carried)) = self.untracked_by_kernel.get(&reading.socket)
            && *known == id
        {
            return place.filter(|_| is_same(carried));
        }
        let tracked = self.sockets.get(&reading.socket).filter(|tracked| tracked.is(&reading.flow, id))?;
        self.flows.get(&reading.flow)?.place(id)?.filter(|_| is_same(&tracked.carried))
    }

    /// The last complete round told this of a cell's open connections.
    pub(in crate::engine) fn readings(&self, cell: &CellKey) -> Readings {
        self.readings.of(cell)
    }

    /// The round has read everything that was open at its beginning, and the ring has been drained since.
    pub(in crate::engine) fn end_round(&mut self) {
        self.readings.end();
        for tracked in self.sockets.values_mut() {
            let carried = &mut tracked.carried;
            if carried.source_port != 0
                && !carried.is_read_in(self.round)
                && let Some(flow) = self.flows.get_mut(&tracked.flow)
            {
                carried.leave(flow);
            }
        }
    }
}

/// Counts what is new. Without a cell, nothing is taken: the connection may get its cell later.
fn book(
    (ledger, readings): (&mut Ledger, &mut Rounds),
    now: Time,
    (started, _): Id,
    place: LedgerSlot,
    carried: &mut ReadLoad,
    reading: &Reading,
    round: u32,
) {
    let Some(key) = place else { return };
    readings.add(key, reading);
    let is_before = started == 0 && carried.source_port == 0;
    let more = carried.read(reading, round);
    if more != Load::NONE {
        let cell = ledger.cell(key, now);
        if is_before {
            cell.carry_before(more)
        } else {
            cell.carry(more)
        }
        if let Some(round_trip) = readings::sample(reading, &mut carried.sampled) {
            cell.record_round_trip(round_trip);
        }
    }
}
