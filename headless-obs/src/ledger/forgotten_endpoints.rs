//! The counts of forgotten endpoints. Counters include them, because counters must not decrease.
//!
//! In: the [`Retention`] of each endpoint, and its zone. Out: rows in addition to those of the ledger. If an endpoint's pod is back under
//! its name, its rows count for the new endpoint. The others count for no endpoint ([`NO_ENDPOINT`]), only for client and
//! Service. If the client is forgotten, too, they count for its namespace. The zone in which a connection ended stays with
//! its counts.
//!
//! Invariants: a count stays in some row for as long as its Service is known; these rows have no open connections.

use std::sync::Arc;

use super::{Cell, CellKey, Ledger, Retention, active};
use crate::client::WorkloadId;
use crate::hash::{HashMap, HashSet};
use crate::topology::{EndpointId, EndpointRef};
use crate::windowed::{Sum, Windowed};

/// Stands for all forgotten endpoints. Ids ascend from 0 and never reach this value.
pub const NO_ENDPOINT: EndpointId = EndpointId(u32::MAX);

/// The most zones of forgotten endpoints, in sums over all Services; further ones are not told apart from unknown ones.
const ZONES: usize = 64;

/// A row of a forgotten endpoint, and the zone in which that was.
pub(super) type Departed = (CellKey, Option<Arc<str>>);

impl Ledger {
    /// Forgets the cells of forgotten endpoints, unless they have open connections.
    pub fn expire(
        &mut self,
        retention: impl Fn(EndpointRef) -> Retention,
        zone: impl Fn(EndpointRef) -> Option<Arc<str>>,
    ) {
        let Self { cells, departed, .. } = self;
        let is_over = |key: &CellKey, cell: &mut Windowed<Cell>| {
            active(cell) == 0 && retention(key.endpoint) != Retention::Keep
        };
        // Rows that departed earlier move on if their successor is gone, too.
        let left = departed.extract_if(|(key, _), _| {
            key.endpoint.endpoint != NO_ENDPOINT && retention(key.endpoint) != Retention::Keep
        });
        let over = cells.extract_if(is_over).map(|(key, cell)| ((key, zone(key.endpoint)), cell.total()));
        let left: Vec<(Departed, Cell)> = left.chain(over).collect();
        if left.is_empty() {
            departed.retain(|(key, _), _| retention(key.endpoint) != Retention::Drop);
            return;
        }
        let mut zones: HashSet<Arc<str>> = departed.keys().filter_map(|(_, zone)| zone.clone()).collect();
        for ((key, zone), cell) in left {
            let key = match retention(key.endpoint) {
                Retention::MergeInto(endpoint) => CellKey { endpoint, ..key },
                Retention::Archive => {
                    let endpoint = EndpointRef { endpoint: NO_ENDPOINT, ..key.endpoint };
                    CellKey { endpoint, port: 0, ..key }
                }
                Retention::Keep | Retention::Drop => continue,
            };
            let zone = zone.filter(|zone| zones.len() < ZONES || zones.contains(zone));
            zones.extend(zone.clone());
            departed.entry((key, zone)).or_default().add(&cell);
        }
        departed.retain(|(key, _), _| retention(key.endpoint) != Retention::Drop);
    }

    /// Moves the counts of forgotten endpoints to the heirs of their clients, where a client has one.
    pub fn bequeath(&mut self, mut heir: impl FnMut(WorkloadId) -> Option<WorkloadId>) {
        let heirs: HashMap<WorkloadId, WorkloadId> = self
            .departed
            .keys()
            .filter_map(|(key, _)| key.client)
            .collect::<HashSet<_>>()
            .into_iter()
            .filter_map(|client| Some((client, heir(client)?)))
            .collect();
        if heirs.is_empty() {
            return;
        }
        let has_heir =
            |(key, _): &Departed, _: &mut Cell| key.client.is_some_and(|client| heirs.contains_key(&client));
        let left: Vec<(Departed, Cell)> = self.departed.extract_if(has_heir).collect();
        for ((key, zone), cell) in left {
            let client = key.client.and_then(|client| heirs.get(&client)).copied();
            self.departed.entry((CellKey { client, ..key }, zone)).or_default().add(&cell);
        }
    }

    /// The counts of forgotten endpoints, with the zones in which these were, in no order.
    pub fn departed(&self) -> impl Iterator<Item = (&CellKey, Option<&Arc<str>>, &Cell)> {
        self.departed.iter().map(|((key, zone), cell)| (key, zone.as_ref(), cell))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service_resolution::Resolution;
    use crate::time::Time;
    use crate::topology::ServiceId;

    fn key(endpoint: u32, port: u16) -> CellKey {
        CellKey {
            endpoint: EndpointRef { service: ServiceId(1), endpoint: EndpointId(endpoint) },
            client: Some(WorkloadId(1)),
            port,
            resolution: Resolution::Service,
        }
    }

    fn over(opened: u64) -> Cell {
        Cell { opened, closed: opened, positions: vec![opened], ..Cell::default() }
    }

    fn left(ledger: &Ledger) -> Vec<(u32, u16, u64)> {
        let rows = ledger.departed().map(|(key, _, cell)| (key.endpoint.endpoint.0, key.port, cell.opened));
        let mut rows: Vec<_> = rows.collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn counts_go_to_the_heir_then_to_nobody_then_with_the_service() {
        let mut ledger = Ledger::new(10);
        *ledger.cell(key(1, 80), Time(1)) = over(3);
        *ledger.cell(key(2, 80), Time(1)) = over(4);
        *ledger.cell(key(2, 81), Time(1)) = over(5);
        *ledger.cell(key(3, 80), Time(1)) = over(1);
        let heir = key(3, 80).endpoint;
        let no_zone = |_| None;
        let first = |endpoint: EndpointRef| match endpoint.endpoint.0 {
            1 => Retention::MergeInto(heir),
            2 => Retention::Archive,
            _ => Retention::Keep,
        };
        ledger.expire(first, no_zone);
        assert_eq!(left(&ledger), [(3, 80, 3), (NO_ENDPOINT.0, 0, 9)]);
        assert_eq!(ledger.cells().count(), 1);
        ledger.expire(|_| Retention::Archive, no_zone);
        assert_eq!(left(&ledger), [(NO_ENDPOINT.0, 0, 13)], "the heir is gone, too");
        let (_, _, cell) = ledger.departed().next().unwrap();
        assert_eq!((cell.positions[0], cell.opened - cell.closed), (13, 0));
        ledger.expire(|_| Retention::Drop, no_zone);
        assert_eq!(ledger.departed().count(), 0);
    }

    #[test]
    fn counts_stay_in_their_zone_wherever_they_go() {
        let mut ledger = Ledger::new(10);
        *ledger.cell(key(1, 80), Time(1)) = over(3);
        *ledger.cell(key(2, 80), Time(1)) = over(4);
        let zone = |endpoint: EndpointRef| match endpoint.endpoint.0 {
            1 => Some("a".into()),
            2 => Some("b".into()),
            _ => None,
        };
        let of_zones = |ledger: &Ledger| {
            let rows = ledger.departed().map(|(_, zone, cell)| (zone.map(ToString::to_string), cell.opened));
            let mut rows: Vec<_> = rows.collect();
            rows.sort_unstable();
            rows
        };
        let expected = [(Some("a".to_owned()), 3), (Some("b".to_owned()), 4)];
        // The pod of the first is back in another zone.
        let heir = key(3, 80).endpoint;
        ledger.expire(
            |endpoint| match endpoint.endpoint.0 {
                1 => Retention::MergeInto(heir),
                2 => Retention::Archive,
                _ => Retention::Keep,
            },
            zone,
        );
        assert_eq!(of_zones(&ledger), expected);
        ledger.expire(|_| Retention::Archive, zone);
        assert_eq!(of_zones(&ledger), expected, "the heir is gone, too");
        ledger.bequeath(|_| Some(WorkloadId(9)));
        assert_eq!(of_zones(&ledger), expected);
    }

    #[test]
    fn no_number_of_zones_fills_memory() {
        let mut ledger = Ledger::new(10_000);
        for number in 0..1_000 {
            *ledger.cell(key(number, 80), Time(1)) = over(1);
        }
        ledger.expire(|_| Retention::Archive, |endpoint| Some(format!("z{}", endpoint.endpoint.0).into()));
        assert!(ledger.departed().count() <= ZONES + 1);
        assert_eq!(ledger.departed().map(|(_, _, cell)| cell.opened).sum::<u64>(), 1_000);
    }
}
