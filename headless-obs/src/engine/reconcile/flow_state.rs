//! One flow: which part of the kernel's totals is counted, and which of its connections are open.
//!
//! Invariants: the number of open connections always follows from the counted totals. Records say which ones are open.
//! If a lost record leaves a choice, the code guesses, and corrects the guess by later records.

use std::collections::BTreeMap;

use headless_obs_ebpf::flow::{FlowTotals, reason};

use crate::ledger::{CellKey, Load};
use crate::time::Time;

/// A connection: its start, and its socket. Older ones compare as less.
pub(in crate::engine) type Id = (u64, u64);

/// The cell of a connection; none if it belongs to no headless Service.
pub(super) type LedgerSlot = Option<CellKey>;

/// The state of a flow.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The counted part of the totals.
    pub(super) booked: FlowTotals,
    /// Connections that no total includes as opened: those that are older than the daemon, and those that ended in
    /// FLOWS but had no room there when they opened.
    pub(super) preexisting: u64,
    /// The totals at their last reading, and since when they have been the same.
    pub(super) last: FlowTotals,
    pub(super) unchanged_since: Time,
    /// Open connections with a record.
    open: BTreeMap<Id, LedgerSlot>,
    /// Open connections that only the totals include.
    late: Crowd,
    /// Those of `open` of which a reading told instead of their record, which may still come.
    identified: u64,
    /// Connections that were guessed to have ended. If one of them turns out to be open, another one ended.
    guessed: BTreeMap<Id, LedgerSlot>,
    pub(super) failed_late: [u64; reason::COUNT],
    /// The part of the ledger's load that is ahead: it was read while connections were open that are open no more, and
    /// whose end is not counted yet.
    pub(super) ahead: Load,
    closed_late: Crowd,
}

/// The way in which a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was open and counted here.
    Open(LedgerSlot),
    /// The totals reported its end before.
    Booked,
    /// Nothing reported its opening yet.
    Unknown,
}

impl Flow {
    /// Whether any of its connections is open.
    pub(super) fn is_open(&self) -> bool {
        self.booked.opened + self.preexisting > self.booked.closed
    }

    /// Whether nothing was open at the last reading of the totals, and nothing happened since.
    pub(super) fn is_over(&self) -> bool {
        let (last, booked) = (&self.last, &self.booked);
        !self.is_open() && (last.opened, last.closed) == (booked.opened, booked.closed)
    }

    /// A connection opened; `was_read`: before the last reading of the totals. False: the reading has brought it
    /// already.
    pub(super) fn opened(&mut self, id: Id, place: LedgerSlot, was_read: bool) -> bool {
        if self.identified > 0 && self.place(id).is_some() {
            self.identified -= 1;
            return false;
        }
        if was_read && let Some(place) = self.late.take() {
            self.open.insert(id, place);
            return false;
        }
        if was_read && let Some(place) = self.closed_late.take() {
            self.guessed.insert(id, place);
            return false;
        }
        self.open.insert(id, place);
        true
    }

    /// A record tells that a connection ended; `was_read` as in [`opened`](Self::opened).
    pub(super) fn ended(&mut self, id: Id, was_read: bool) -> Ended {
        let was_guessed = self.guessed.remove(&id).is_some();
        if was_guessed && was_read {
            return Ended::Booked;
        }
        let place = if was_guessed {
            // It was open until now, so the lost end was another's.
            self.take_oldest().or_else(|| self.late.take())
        } else if let Some(place) = self.open.remove(&id) {
            Some(place)
        } else if was_read && self.closed_late.take().is_some() {
            return Ended::Booked;
        } else {
            // A connection that only the totals include. If all of those have ended already, one of these ends was
            // another's.
            self.late.take().or_else(|| self.closed_late.take().and_then(|_| self.take_oldest()))
        };
        match place {
            // The reading brought an end, and the wrong connection was taken as ended.
            Some(place) if was_read && self.revive(place) => Ended::Booked,
            Some(place) => Ended::Open(place),
            None if was_guessed => Ended::Booked,
            None => Ended::Unknown,
        }
    }

    /// A connection ended, because its socket has another one now, and the record of its end was lost. Returns its
    /// cell, unless the totals brought the end before.
    pub(super) fn replaced(&mut self, id: Id) -> Option<LedgerSlot> {
        let Some(place) = self.open.remove(&id) else {
            self.guessed.remove(&id);
            return None;
        };
        (!self.revive(place)).then_some(place)
    }

    /// The totals include this number of ends without a record; `book` is called for each.
    pub(super) fn close_without_record(&mut self, ends: u64, mut book: impl FnMut(LedgerSlot)) {
        self.booked.closed += ends;
        for _ in 0..ends {
            if let Some(place) = self.take_oldest() {
                book(place);
            } else if let Some(place) = self.late.take() {
                self.closed_late.add(place, 1);
                book(place);
            } else {
                return;
            }
        }
    }

    /// The totals include connections that opened without a record.
    pub(super) fn open_without_record(&mut self, place: LedgerSlot, count: u64) {
        self.late.add(place, count);
    }

    /// A reading tells of an open connection whose record was lost; returns its cell.
    pub(super) fn identify(&mut self, id: Id) -> Option<LedgerSlot> {
        let place = self.late.take()?;
        self.open.insert(id, place);
        self.identified += 1;
        Some(place)
    }

    /// The cell of a connection that is open, or that was guessed to have ended.
    pub(super) fn place(&self, id: Id) -> Option<LedgerSlot> {
        self.open.get(&id).or_else(|| self.guessed.get(&id)).copied()
    }

    /// A new reading of the totals.
    pub(super) fn read(&mut self, now: Time, totals: &FlowTotals) {
        if self.last != *totals {
            (self.last, self.unchanged_since) = (*totals, now);
        }
    }

    /// Gives a connection without a cell its cell; returns whether it is open.
    pub(super) fn settle(&mut self, id: Id, place: LedgerSlot) -> bool {
        let open = self.open.get_mut(&id);
        let is_open = open.is_some();
        if let Some(known) = open.or_else(|| self.guessed.get_mut(&id)) {
            *known = place;
        }
        is_open
    }

    /// The connections that were guessed to have ended.
    pub(super) fn guessed(&self) -> impl Iterator<Item = Id> {
        self.guessed.keys().copied()
    }

    /// Forgets the guesses and returns their ids; without open connections they cannot be wrong.
    pub(super) fn forget_guessed(&mut self) -> impl Iterator<Item = Id> + use<> {
        let guessed = std::mem::take(&mut self.guessed);
        guessed.values().for_each(|place| self.closed_late.add(*place, 1));
        guessed.into_keys()
    }

    /// Its open connections that have a cell, as far as each is known.
    pub(super) fn each_open(&self) -> impl Iterator<Item = (Id, CellKey)> {
        self.open.iter().filter_map(|(id, place)| Some((*id, (*place)?)))
    }

    /// The cells of its open connections, with number and start of the oldest; 0 if that is not known.
    pub(super) fn held(&self) -> impl Iterator<Item = (CellKey, u64, Time)> {
        let known = self.each_open().map(|((started, _), cell)| (cell, 1, Time(started)));
        let late = self.late.0.iter().filter_map(|(place, count)| Some(((*place)?, *count, Time(0))));
        known.chain(late)
    }

    /// The number of open connections.
    #[cfg(test)]
    pub(super) fn open(&self) -> u64 {
        self.open.len() as u64 + self.late.0.iter().map(|(_, count)| count).sum::<u64>()
    }

    /// Takes the oldest connection as ended.
    fn take_oldest(&mut self) -> Option<LedgerSlot> {
        let (id, place) = self.open.pop_first()?;
        self.guessed.insert(id, place);
        Some(place)
    }

    /// Opens a connection again that was guessed to have ended, instead of one that did end; returns whether there was
    /// one. The end stays counted where it is, so the open connection takes over the cell of the other one.
    fn revive(&mut self, place: LedgerSlot) -> bool {
        if let Some((other, _)) = self.guessed.pop_last() {
            self.open.insert(other, place);
            return true;
        }
        let was_late = self.closed_late.take().is_some();
        if was_late {
            self.late.add(place, 1);
        }
        was_late
    }
}

/// Connections of which only number and cell are known.
#[derive(Debug, Default)]
struct Crowd(Vec<(LedgerSlot, u64)>);

impl Crowd {
    fn add(&mut self, place: LedgerSlot, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == place) {
            Some((_, known)) => *known += count,
            None => self.0.push((place, count)),
        }
    }

    fn take(&mut self) -> Option<LedgerSlot> {
        let (place, count) = self.0.last_mut()?;
        let place = *place;
        *count -= 1;
        if *count == 0 {
            self.0.pop();
        }
        Some(place)
    }
}

/// The excess of `totals` over `booked`. Records may be ahead of totals that were read before them; then it is 0.
pub(super) fn missing(totals: &FlowTotals, booked: &FlowTotals) -> FlowTotals {
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
        segments_sent: totals.segments_sent.saturating_sub(booked.segments_sent),
        segments_received: totals.segments_received.saturating_sub(booked.segments_received),
        retransmitted: totals.retransmitted.saturating_sub(booked.retransmitted),
        ..FlowTotals::default()
    }
}

/// Adds to one of several counts.
pub(super) fn add(counts: &mut [u64], place: usize, more: u64) {
    if let Some(count) = counts.get_mut(place) {
        *count += more;
    }
}
