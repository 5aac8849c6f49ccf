//! Totals that others count, over stretches of time: the counters of the kernel programs, and those of the engine's parts.
//!
//! In: readings of all totals, from time to time. Out: by how much each grew in a stretch, or the totals themselves.
//!
//! Invariants: what grew since the last reading belongs to the present. So a stretch lacks nothing that happened in it,
//! and it has at most what happened between two readings before it.

use std::collections::BTreeMap;

use crate::time::Time;
use crate::windowed::{Stretch, Windowed};

/// Totals by name.
pub(super) type Totals = BTreeMap<&'static str, u64>;

/// All readings.
#[derive(Debug, Default)]
pub(super) struct SampledTotals {
    last: Totals,
    growth: Windowed<Totals>,
}

impl SampledTotals {
    /// Takes a reading.
    pub(super) fn read(&mut self, now: Time, totals: Totals) {
        let growth = self.since_last(&totals);
        if !growth.is_empty() {
            crate::windowed::Sum::add(self.growth.at(now), &growth);
        }
        self.last = totals;
    }

    /// The growth of each of these totals, which are those of now, in a stretch that ends now.
    pub(super) fn over(&self, stretch: Stretch, totals: &Totals) -> Totals {
        if stretch == Stretch::All {
            return totals.clone();
        }
        let (before, rest) = (self.growth.over(stretch), self.since_last(totals));
        let of = |growth: &Totals, name| growth.get(name).copied().unwrap_or(0);
        totals.keys().map(|name| (*name, of(&before, name) + of(&rest, name))).collect()
    }

    fn since_last(&self, totals: &Totals) -> Totals {
        let grown = |(name, total): (&&'static str, &u64)| {
            let known = self.last.get(name).copied().unwrap_or(0);
            Some((*name, total.checked_sub(known)?)).filter(|(_, growth)| *growth > 0)
        };
        totals.iter().filter_map(grown).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::windowed::Slot;

    fn s(seconds: u64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    #[test]
    fn a_stretch_has_what_grew_in_it() {
        let mut sampled = SampledTotals::default();
        let totals = |lost, full| Totals::from([("lost", lost), ("full", full)]);
        sampled.read(s(100), totals(3, 0));
        sampled.read(s(1_000), totals(5, 0));
        sampled.read(s(1_010), totals(5, 0));
        let over = |seconds, now| {
            let stretch = Stretch::Since(Slot::start(s(1_020), Duration::from_secs(seconds)));
            sampled.over(stretch, &now)
        };
        assert_eq!(over(60, totals(6, 1)), totals(3, 1), "two were read, and the rest was not");
        assert_eq!(over(10, totals(6, 1)), totals(1, 1));
        assert_eq!(over(1_000, totals(6, 1)), totals(6, 1));
        assert_eq!(sampled.over(Stretch::All, &totals(6, 1)), totals(6, 1));
    }
}
