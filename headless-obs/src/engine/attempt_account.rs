//! The account of all connect attempts: what became of each one that the daemon saw.
//!
//! In: attempts with their outcome and its time. Out: sums over a stretch of time, or over all time.
//!
//! The unit is an attempt that has ended: a connection that was established, or an attempt that failed, each once. A
//! connection that is older than the daemon counts when the daemon finds it. An attempt that is under way is not seen
//! yet. One that waits for its endpoint is an attempt of the present, and counts in a stretch when its outcome is known.
//!
//! Invariant: every attempt that was seen is in exactly one place: attributed, unattributed or excluded by a reason,
//! unrelated, or waiting for its endpoint. The sum of the places is the number that was seen, in every stretch.

use crate::attribution::{Attribution, Excluded, Unattributed};
use crate::time::Time;
use crate::windowed::{Stretch, Sum, Windowed};

/// The account.
#[derive(Debug, Default)]
pub(super) struct AttemptAccount {
    sums: Windowed<AttemptCounts>,
    /// Attempts that wait.
    waiting: u64,
}

/// Attempts whose outcome became known in a stretch of time.
#[derive(Clone, Debug, Default)]
pub(super) struct AttemptCounts {
    /// All.
    pub(super) seen: u64,
    /// Those that the ledger has.
    pub(super) attributed: u64,
    /// Those that have nothing to do with a headless Service.
    pub(super) unrelated: u64,
    unattributed: [u64; Unattributed::ALL.len()],
    excluded: [u64; Excluded::ALL.len()],
}

impl AttemptAccount {
    /// Attempts with this outcome were seen.
    pub(super) fn count(&mut self, now: Time, outcome: Attribution, attempts: u64) {
        let sums = self.sums.at(now);
        sums.seen += attempts;
        if let Some(count) = sums.place(outcome) {
            *count += attempts;
        }
    }

    /// An attempt was seen that waits for its endpoint.
    pub(super) fn wait(&mut self) {
        self.waiting += 1;
    }

    /// Attempts that waited have this outcome.
    pub(super) fn settle(&mut self, now: Time, outcome: Attribution, attempts: u64) {
        self.waiting = self.waiting.saturating_sub(attempts);
        self.count(now, outcome, attempts);
    }

    /// Attempts that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// The sums over a stretch of time.
    pub(super) fn over(&self, stretch: Stretch) -> AttemptCounts {
        self.sums.over(stretch)
    }
}

impl AttemptCounts {
    fn place(&mut self, outcome: Attribution) -> Option<&mut u64> {
        match outcome {
            Attribution::Endpoint(_) => Some(&mut self.attributed),
            Attribution::Unattributed(reason) => of(&mut self.unattributed, &Unattributed::ALL, reason),
            Attribution::WrongPort(_) => {
                of(&mut self.unattributed, &Unattributed::ALL, Unattributed::OtherPort)
            }
            Attribution::Excluded(reason) => of(&mut self.excluded, &Excluded::ALL, reason),
            Attribution::Unrelated => Some(&mut self.unrelated),
        }
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

impl Sum for AttemptCounts {
    fn add(&mut self, other: &Self) {
        let Self { seen, attributed, unrelated, unattributed, excluded } = other;
        self.seen += seen;
        self.attributed += attributed;
        self.unrelated += unrelated;
        self.unattributed.iter_mut().zip(unattributed).for_each(|(sum, more)| *sum += more);
        self.excluded.iter_mut().zip(excluded).for_each(|(sum, more)| *sum += more);
    }
}

fn of<'a, T: PartialEq>(counts: &'a mut [u64], all: &[T], reason: T) -> Option<&'a mut u64> {
    counts.get_mut(all.iter().position(|known| *known == reason)?)
}
