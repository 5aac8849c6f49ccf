//! One flow's books: how far the kernel's totals are booked, and which of its connections are open.
//!
//! Invariants: the number of open connections is always what the booked totals say. Which ones they are is known as
//! far as records told; where a lost record leaves a choice, the books make one and correct it when they learn better.

use std::collections::BTreeMap;

use headless_obs_ebpf::flow::{FlowTotals, reason};

use crate::ledger::CellKey;
use crate::time::Time;

/// A connection: when it was started, and its socket. Older ones are less.
pub(super) type Id = (u64, u64);

/// Where a connection is booked: nowhere if it belongs to no headless Service.
pub(super) type Place = Option<CellKey>;

/// The books of a flow.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// What of the totals is booked.
    pub(super) booked: FlowTotals,
    /// Connections older than the observer, and those that ended in FLOWS and had no room there when they were opened: no
    /// totals tell of their opening.
    pub(super) preexisting: u64,
    /// The totals when they were last read, and since when they are the same.
    pub(super) last: FlowTotals,
    pub(super) unchanged_since: Time,
    /// Open connections that records told of.
    open: BTreeMap<Id, Place>,
    /// Open connections that only the totals told of.
    late: Crowd,
    /// Connections that were taken for those whose ends were lost. If one of them turns out to have been open, it was
    /// another.
    guessed: BTreeMap<Id, Place>,
    pub(super) failed_late: [u64; reason::COUNT],
    closed_late: Crowd,
}

/// How a connection ended, to the books.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was open, and booked here.
    Open(Place),
    /// The totals told of its end before.
    Booked,
    /// Nothing told of its opening yet.
    Unknown,
}

impl Flow {
    /// Whether any of its connections is open.
    pub(super) fn is_open(&self) -> bool {
        self.booked.opened + self.preexisting > self.booked.closed
    }

    /// Whether nothing was open when the totals were read, and nothing happened since.
    pub(super) fn is_over(&self) -> bool {
        let (last, booked) = (&self.last, &self.booked);
        !self.is_open() && (last.opened, last.closed) == (booked.opened, booked.closed)
    }

    /// A connection opened; `was_read`: before the latest reading of the totals. False: that brought it already, and
    /// there is nothing to book.
    pub(super) fn opened(&mut self, id: Id, place: Place, was_read: bool) -> bool {
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
            // It was open until now: another one was it whose end was lost.
            self.take_oldest().or_else(|| self.late.take())
        } else if let Some(place) = self.open.remove(&id) {
            Some(place)
        } else if was_read && self.closed_late.take().is_some() {
            return Ended::Booked;
        } else {
            // One that only the totals told of. If all of those have ended by the books, one of them was another.
            self.late.take().or_else(|| self.closed_late.take().and_then(|_| self.take_oldest()))
        };
        match place {
            // The reading brought an end, and another connection was taken for the one that ended.
            Some(place) if was_read && self.revive(place) => Ended::Booked,
            Some(place) => Ended::Open(place),
            None if was_guessed => Ended::Booked,
            None => Ended::Unknown,
        }
    }

    /// A connection ended, as its socket is another's now, and the record of it was lost. The place to book its end
    /// at, unless the totals told of it before.
    pub(super) fn replaced(&mut self, id: Id) -> Option<Place> {
        let Some(place) = self.open.remove(&id) else {
            self.guessed.remove(&id);
            return None;
        };
        (!self.revive(place)).then_some(place)
    }

    /// As many connections ended as the totals have more than records told; `book` is asked to book each.
    pub(super) fn ended_unseen(&mut self, ends: u64, mut book: impl FnMut(Place)) {
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

    /// The totals told of connections that opened.
    pub(super) fn opened_unseen(&mut self, place: Place, count: u64) {
        self.late.add(place, count);
    }

    /// A new reading of the totals.
    pub(super) fn read(&mut self, now: Time, totals: &FlowTotals) {
        if self.last != *totals {
            (self.last, self.unchanged_since) = (*totals, now);
        }
    }

    /// Gives a connection that was booked nowhere its place; whether it is open.
    pub(super) fn settle(&mut self, id: Id, place: Place) -> bool {
        let open = self.open.get_mut(&id);
        let is_open = open.is_some();
        if let Some(known) = open.or_else(|| self.guessed.get_mut(&id)) {
            *known = place;
        }
        is_open
    }

    /// Forgets who it was that it took to have ended, and returns their ids: with nothing open there was no other.
    pub(super) fn forget_guessed(&mut self) -> impl Iterator<Item = Id> + use<> {
        let guessed = std::mem::take(&mut self.guessed);
        guessed.values().for_each(|place| self.closed_late.add(*place, 1));
        guessed.into_keys()
    }

    /// Where its open connections are booked, how many, and when the oldest was started; 0 if that is not known.
    pub(super) fn held(&self) -> impl Iterator<Item = (CellKey, u64, Time)> {
        let known = self.open.iter().filter_map(|((started, _), place)| Some(((*place)?, 1, Time(*started))));
        let late = self.late.0.iter().filter_map(|(place, count)| Some(((*place)?, *count, Time(0))));
        known.chain(late)
    }

    /// Connections open by the books.
    #[cfg(test)]
    pub(super) fn open(&self) -> u64 {
        self.open.len() as u64 + self.late.0.iter().map(|(_, count)| count).sum::<u64>()
    }

    /// Takes the oldest connection to have ended.
    fn take_oldest(&mut self) -> Option<Place> {
        let (id, place) = self.open.pop_first()?;
        self.guessed.insert(id, place);
        Some(place)
    }

    /// Opens again one that was taken to have ended, in the place of one that did; whether there was one. The end
    /// stays booked where it is, so the one that is open takes over the place of the one that is not.
    fn revive(&mut self, place: Place) -> bool {
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

/// Connections of which nothing is known but their number and place.
#[derive(Debug, Default)]
struct Crowd(Vec<(Place, u64)>);

impl Crowd {
    fn add(&mut self, place: Place, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == place) {
            Some((_, known)) => *known += count,
            None => self.0.push((place, count)),
        }
    }

    fn take(&mut self) -> Option<Place> {
        let (place, count) = self.0.last_mut()?;
        let place = *place;
        *count -= 1;
        if *count == 0 {
            self.0.pop();
        }
        Some(place)
    }
}

/// What `totals` have more than `booked`. Records may be ahead of totals that were read before them: then nothing.
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
        ..FlowTotals::default()
    }
}

/// Adds to one of several counts.
pub(super) fn add(counts: &mut [u64], place: usize, more: u64) {
    if let Some(count) = counts.get_mut(place) {
        *count += more;
    }
}
