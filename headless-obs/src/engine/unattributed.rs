//! Counts connections that are related to a headless Service but are in no row of the ledger, failed attempts included:
//! those that no Service gets, and those that are left out.

use crate::attribution::{Attribution, Excluded, Unattributed};

/// Counts by reason.
#[derive(Debug, Default)]
pub(super) struct UnattributedCounts {
    unattributed: [u64; Unattributed::ALL.len()],
    excluded: [u64; Excluded::ALL.len()],
}

impl UnattributedCounts {
    /// Counts connections with this outcome, unless the ledger counts them or they are unrelated.
    pub(super) fn add(&mut self, outcome: Attribution, connections: u64) {
        let count = match outcome {
            Attribution::Unattributed(reason) => of(&mut self.unattributed, &Unattributed::ALL, reason),
            Attribution::WrongPort(_) => {
                of(&mut self.unattributed, &Unattributed::ALL, Unattributed::OtherPort)
            }
            Attribution::Excluded(reason) => of(&mut self.excluded, &Excluded::ALL, reason),
            Attribution::Endpoint(_) | Attribution::Unrelated => None,
        };
        if let Some(count) = count {
            *count += connections;
        }
    }

    /// Those that no Service gets.
    pub(super) fn unattributed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Unattributed::ALL.into_iter().map(Unattributed::as_str).zip(self.unattributed)
    }

    /// Those that are left out.
    pub(super) fn excluded(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Excluded::ALL.into_iter().map(Excluded::as_str).zip(self.excluded)
    }
}

fn of<'a, T: PartialEq>(counts: &'a mut [u64], all: &[T], reason: T) -> Option<&'a mut u64> {
    counts.get_mut(all.iter().position(|known| *known == reason)?)
}
