//! The counts of forgotten endpoints. Counters include them, because counters must not decrease.
//!
//! In: the [`Retention`] of each endpoint. Out: rows in addition to those of the ledger. If an endpoint's pod is back under
//! its name, its rows count for the new endpoint. The others count for no endpoint ([`NO_ENDPOINT`]), only for client and
//! Service. If the client is forgotten, too, they count for its namespace.
//!
//! Invariants: a count stays in some row for as long as its Service is known; these rows have no open connections.

use super::{Cell, CellKey, Ledger, Retention, active};
use crate::client::WorkloadId;
use crate::hash::{HashMap, HashSet};
use crate::topology::{EndpointId, EndpointRef};
use crate::windowed::{Sum, Windowed};

/// Stands for all forgotten endpoints. Ids ascend from 0 and never reach this value.
pub const NO_ENDPOINT: EndpointId = EndpointId(u32::MAX);

impl Ledger {
    /// Forgets the cells of forgotten endpoints, unless they have open connections.
    pub fn expire(&mut self, retention: impl Fn(EndpointRef) -> Retention) {
        let Self { cells, departed, .. } = self;
        let is_over = |key: &CellKey, cell: &mut Windowed<Cell>| {
            active(cell) == 0 && retention(key.endpoint) != Retention::Keep
        };
        // Rows that departed earlier move on if their successor is gone, too.
        let left = departed.extract_if(|key, _| {
            key.endpoint.endpoint != NO_ENDPOINT && retention(key.endpoint) != Retention::Keep
        });
        let over = cells.extract_if(is_over).map(|(key, cell)| (key, cell.total()));
        let left: Vec<(CellKey, Cell)> = left.chain(over).collect();
        for (key, cell) in left {
            let key = match retention(key.endpoint) {
                Retention::MergeInto(endpoint) => CellKey { endpoint, ..key },
                Retention::Archive => {
                    let endpoint = EndpointRef { endpoint: NO_ENDPOINT, ..key.endpoint };
                    CellKey { endpoint, port: 0, ..key }
                }
                Retention::Keep | Retention::Drop => continue,
            };
            departed.entry(key).or_default().add(&cell);
        }
        departed.retain(|key, _| retention(key.endpoint) != Retention::Drop);
    }

    /// Moves the counts of forgotten endpoints to the heirs of their clients, where a client has one.
    pub fn bequeath(&mut self, mut heir: impl FnMut(WorkloadId) -> Option<WorkloadId>) {
        let heirs: HashMap<WorkloadId, WorkloadId> = self
            .departed
            .keys()
            .filter_map(|key| key.client)
            .collect::<HashSet<_>>()
            .into_iter()
            .filter_map(|client| Some((client, heir(client)?)))
            .collect();
        if heirs.is_empty() {
            return;
        }
        let has_heir =
            |key: &CellKey, _: &mut Cell| key.client.is_some_and(|client| heirs.contains_key(&client));
        let left: Vec<(CellKey, Cell)> = self.departed.extract_if(has_heir).collect();
        for (key, cell) in left {
            let client = key.client.and_then(|client| heirs.get(&client)).copied();
            self.departed.entry(CellKey { client, ..key }).or_default().add(&cell);
        }
    }

    /// The counts of forgotten endpoints, in no order.
    pub fn departed(&self) -> impl Iterator<Item = (&CellKey, &Cell)> {
        self.departed.iter()
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
        let rows = ledger.departed().map(|(key, cell)| (key.endpoint.endpoint.0, key.port, cell.opened));
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
        ledger.expire(|endpoint| match endpoint.endpoint.0 {
            1 => Retention::MergeInto(heir),
            2 => Retention::Archive,
            _ => Retention::Keep,
        });
        assert_eq!(left(&ledger), [(3, 80, 3), (NO_ENDPOINT.0, 0, 9)]);
        assert_eq!(ledger.cells().count(), 1);
        ledger.expire(|_| Retention::Archive);
        assert_eq!(left(&ledger), [(NO_ENDPOINT.0, 0, 13)], "the heir is gone, too");
        let (_, cell) = ledger.departed().next().unwrap();
        assert_eq!((cell.positions[0], cell.opened - cell.closed), (13, 0));
        ledger.expire(|_| Retention::Drop);
        assert_eq!(ledger.departed().count(), 0);
    }
}
