//! The endpoints that one client used, with its connections and failed attempts at each.
//!
//! Invariant: bounded. A connection to one endpoint more is in no row.

use crate::topology::EndpointId;

/// The most endpoints per client; beyond that a client uses "many".
const ENDPOINTS: usize = 512;

/// A client's acts at one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Use {
    pub(in crate::engine) endpoint: EndpointId,
    /// Connections and attempts for which an answer gave it a choice.
    chosen: u32,
    pub(in crate::engine) opened: u32,
    pub(in crate::engine) failed: u32,
}

/// The rows, by endpoint.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct UsedEndpoints(Vec<Use>);

impl UsedEndpoints {
    /// A connection that was opened, or an attempt that failed.
    pub(super) fn record(&mut self, endpoint: EndpointId, is_chosen: bool, has_failed: bool) {
        let [chosen, failed] = [is_chosen, has_failed].map(u32::from);
        self.add_row(Use { endpoint, chosen, opened: 1 - failed, failed });
    }

    /// A connection that was opened was reset, so its user sees a failure.
    pub(super) fn record_reset(&mut self, endpoint: EndpointId) {
        self.add_row(Use { endpoint, chosen: 0, opened: 0, failed: 1 });
    }

    pub(super) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|row| self.add_row(*row));
    }

    /// The number of endpoints that the client chose.
    pub(super) fn chosen(&self) -> u64 {
        self.0.iter().filter(|row| row.chosen > 0).count() as u64
    }

    pub(in crate::engine) fn rows(&self) -> impl Iterator<Item = Use> {
        self.0.iter().copied()
    }

    fn add_row(&mut self, row: Use) {
        match self.0.binary_search_by_key(&row.endpoint, |known| known.endpoint) {
            Ok(place) => {
                if let Some(known) = self.0.get_mut(place) {
                    known.chosen = known.chosen.saturating_add(row.chosen);
                    known.opened = known.opened.saturating_add(row.opened);
                    known.failed = known.failed.saturating_add(row.failed);
                }
            }
            Err(place) if self.0.len() < ENDPOINTS => self.0.insert(place, row),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::Random;

    #[test]
    fn rows_are_sums_in_any_order_and_bounded() {
        let mut random = Random::new(19);
        for endpoints in [1, 7, ENDPOINTS] {
            let mut expected: BTreeMap<u32, [u32; 3]> = BTreeMap::new();
            let mut parts = vec![UsedEndpoints::default(); 3];
            for _ in 0..4 * ENDPOINTS {
                let endpoint = u32::try_from(random.below(endpoints)).unwrap();
                let [is_chosen, has_failed] = [0; 2].map(|_| random.below(2) == 0);
                parts[random.below(3)].record(EndpointId(endpoint), is_chosen, has_failed);
                let [chosen, opened, failed] = expected.entry(endpoint).or_default();
                *chosen += u32::from(is_chosen);
                *(if has_failed { failed } else { opened }) += 1;
            }
            let mut sum = UsedEndpoints::default();
            parts.iter().for_each(|part| sum.add(part));
            let rows = sum.rows().map(|row| (row.endpoint.0, [row.chosen, row.opened, row.failed]));
            assert_eq!(rows.collect::<BTreeMap<_, _>>(), expected);
            assert_eq!(sum.chosen(), expected.values().filter(|[chosen, ..]| *chosen > 0).count() as u64);
            sum.record(EndpointId(u32::MAX), true, false);
            assert_eq!(sum.rows().count(), (expected.len() + 1).min(ENDPOINTS));
        }
    }
}
