//! Counts of the connections that have to do with a headless Service and are booked nowhere, failed attempts included:
//! those that are nobody's, and those left out on purpose.

use crate::attribution::{Excluded, Outcome, Unattributed};

/// Counts by reason.
#[derive(Debug, Default)]
pub(super) struct Tally {
    unattributed: [u64; Unattributed::ALL.len()],
    excluded: [u64; Excluded::ALL.len()],
}

impl Tally {
    /// Counts connections with this outcome, unless they are booked or nobody's business.
    pub(super) fn add(&mut self, outcome: Outcome, connections: u64) {
        let count = match outcome {
            Outcome::ToNobody(reason) => of(&mut self.unattributed, &Unattributed::ALL, reason),
            Outcome::OtherPort(_) => of(&mut self.unattributed, &Unattributed::ALL, Unattributed::OtherPort),
            Outcome::LeftOut(reason) => of(&mut self.excluded, &Excluded::ALL, reason),
            Outcome::To(_) | Outcome::Unrelated => None,
        };
        if let Some(count) = count {
            *count += connections;
        }
    }

    /// Those that are nobody's.
    pub(super) fn unattributed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Unattributed::ALL.into_iter().map(Unattributed::as_str).zip(self.unattributed)
    }

    /// Those left out on purpose.
    pub(super) fn excluded(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Excluded::ALL.into_iter().map(Excluded::as_str).zip(self.excluded)
    }
}

fn of<'a, T: PartialEq>(counts: &'a mut [u64], all: &[T], reason: T) -> Option<&'a mut u64> {
    counts.get_mut(all.iter().position(|known| *known == reason)?)
}
