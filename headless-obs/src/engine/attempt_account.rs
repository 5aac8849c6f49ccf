//! The account of all connect attempts: what became of each one that the daemon saw.
//!
//! The unit is an attempt that has ended: a connection that was established, or an attempt that failed, each once. A
//! connection that is older than the daemon counts when the daemon finds it. An attempt that is under way is not seen
//! yet.
//!
//! Invariant: every attempt that was seen is in exactly one place: attributed, unattributed or excluded by a reason,
//! unrelated, or waiting for its endpoint. The sum of the places is the number that was seen.

use crate::attribution::{Attribution, Excluded, Unattributed};

/// The account.
#[derive(Debug, Default)]
pub(super) struct AttemptAccount {
    seen: u64,
    attributed: u64,
    unrelated: u64,
    unattributed: [u64; Unattributed::ALL.len()],
    excluded: [u64; Excluded::ALL.len()],
}

impl AttemptAccount {
    /// Attempts with this outcome were seen.
    pub(super) fn count(&mut self, outcome: Attribution, attempts: u64) {
        self.seen += attempts;
        self.settle(outcome, attempts);
    }

    /// An attempt was seen that waits for its endpoint.
    pub(super) fn wait(&mut self) {
        self.seen += 1;
    }

    /// Attempts that waited have this outcome.
    pub(super) fn settle(&mut self, outcome: Attribution, attempts: u64) {
        let place = match outcome {
            Attribution::Endpoint(_) => Some(&mut self.attributed),
            Attribution::Unattributed(reason) => of(&mut self.unattributed, &Unattributed::ALL, reason),
            Attribution::WrongPort(_) => {
                of(&mut self.unattributed, &Unattributed::ALL, Unattributed::OtherPort)
            }
            Attribution::Excluded(reason) => of(&mut self.excluded, &Excluded::ALL, reason),
            Attribution::Unrelated => Some(&mut self.unrelated),
        };
        if let Some(count) = place {
            *count += attempts;
        }
    }

    /// All that were seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Those that the ledger has.
    pub(super) fn attributed(&self) -> u64 {
        self.attributed
    }

    /// Those that have nothing to do with a headless Service.
    pub(super) fn unrelated(&self) -> u64 {
        self.unrelated
    }

    /// Those that no Service gets, by reason.
    pub(super) fn unattributed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Unattributed::ALL.into_iter().map(Unattributed::as_str).zip(self.unattributed)
    }

    /// Those that are left out, by reason.
    pub(super) fn excluded(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Excluded::ALL.into_iter().map(Excluded::as_str).zip(self.excluded)
    }
}

fn of<'a, T: PartialEq>(counts: &'a mut [u64], all: &[T], reason: T) -> Option<&'a mut u64> {
    counts.get_mut(all.iter().position(|known| *known == reason)?)
}
