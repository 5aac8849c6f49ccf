//! The ledger: attributed totals per (client workload, Service, endpoint, port, resolution).
//!
//! In: what happened to attributed connections. Out: [`Cell`]s to sum over.
//!
//! Invariants: totals only grow, open connections excepted. The number of cells is bounded: what would exceed it is
//! added under [`FOLDED`] and port 0, so sums over clients and ports stay exact, and is counted.

use std::collections::HashMap;

use headless_obs_ebpf::flow::reason;

use crate::attribution::{Resolution, Stale, Target};
use crate::client::WorkloadId;
use crate::topology::EndpointRef;

/// Places in an answer that are told apart; later ones share one more.
pub const POSITIONS: usize = 32;

/// What a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// Service and endpoint.
    pub endpoint: EndpointRef,
    /// The client; `None` where the limit folded clients together.
    pub client: Option<WorkloadId>,
    /// Destination port.
    pub port: u16,
    /// What the connections were resolved by.
    pub resolution: Resolution,
}

/// The client of cells beyond the limit.
pub const FOLDED: Option<WorkloadId> = None;

/// Totals of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Connections established.
    pub opened: u64,
    /// Those of `opened` that were attributed late.
    pub late: u64,
    /// Connections that were open before the observer.
    pub preexisting: u64,
    /// Established connections that ended.
    pub closed: u64,
    /// Failures by reason.
    pub failed: [u64; reason::COUNT],
    /// Attempts given up because another address family won.
    pub superseded: u64,
    /// Bytes sent by the client in connections that ended.
    pub bytes_sent: u64,
    /// Bytes received by the client in connections that ended.
    pub bytes_received: u64,
    /// Connections to what was no ready endpoint, by [`Stale`].
    pub stale: [u64; Stale::ALL.len()],
    /// Connections by the place of the address in the answer, up to the last place seen.
    pub positions: Vec<u64>,
}

impl Cell {
    /// Connections open now.
    pub fn active(&self) -> u64 {
        (self.opened + self.preexisting).saturating_sub(self.closed)
    }

    /// Failures of all reasons.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Adds connections that were opened or that failed to what is known of the choice of their target.
    pub fn note(&mut self, target: &Target, connections: u64) {
        if let Some(stale) = target.stale
            && let Some(count) =
                Stale::ALL.iter().position(|kind| *kind == stale).and_then(|at| self.stale.get_mut(at))
        {
            *count += connections;
        }
        if let Some(position) = target.position {
            let place = usize::from(position).min(POSITIONS);
            if self.positions.len() <= place {
                self.positions.resize(place + 1, 0);
            }
            if let Some(count) = self.positions.get_mut(place) {
                *count += connections;
            }
        }
    }
}

/// All cells.
#[derive(Debug)]
pub struct Ledger {
    cells: HashMap<CellKey, Cell>,
    limit: usize,
    folded: u64,
}

impl Ledger {
    /// An empty ledger of at most about `limit` cells.
    pub fn new(limit: usize) -> Self {
        Self { cells: HashMap::new(), limit, folded: 0 }
    }

    /// The key to book under: `key` itself, or without its client and port if there is no room for one more.
    pub fn admit(&mut self, key: CellKey) -> CellKey {
        if self.cells.len() < self.limit || self.cells.contains_key(&key) {
            return key;
        }
        self.folded += 1;
        CellKey { client: FOLDED, port: 0, ..key }
    }

    /// The cell of an admitted key, made if need be.
    pub fn cell(&mut self, key: CellKey) -> &mut Cell {
        self.cells.entry(key).or_default()
    }

    /// Every cell, in no order.
    pub fn cells(&self) -> impl Iterator<Item = (&CellKey, &Cell)> {
        self.cells.iter()
    }

    /// Connections that were booked without their client because there was no room.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Forgets the cells of endpoints that nobody remembers, unless connections are open there.
    pub fn expire(&mut self, is_known: impl Fn(EndpointRef) -> bool) {
        self.cells.retain(|key, cell| cell.active() > 0 || is_known(key.endpoint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{EndpointId, ServiceId};

    fn key(client: u32, endpoint: u32) -> CellKey {
        CellKey {
            endpoint: EndpointRef { service: ServiceId(1), endpoint: EndpointId(endpoint) },
            client: Some(WorkloadId(client)),
            port: 80,
            resolution: Resolution::Service,
        }
    }

    #[test]
    fn beyond_the_limit_clients_are_folded_and_sums_stay_exact() {
        let mut ledger = Ledger::new(2);
        for client in [1, 2, 3, 4, 1] {
            let admitted = ledger.admit(key(client, 7));
            ledger.cell(admitted).opened += 1;
        }
        let sum: u64 = ledger.cells().map(|(_, cell)| cell.opened).sum();
        assert_eq!((sum, ledger.folded()), (5, 2));
        assert_eq!(ledger.cell(key(1, 7)).opened, 2, "a client that has a cell keeps it");
    }

    #[test]
    fn cells_of_forgotten_endpoints_go_once_nothing_is_open() {
        let mut ledger = Ledger::new(10);
        *ledger.cell(key(1, 7)) = Cell { opened: 3, closed: 3, ..Cell::default() };
        *ledger.cell(key(1, 8)) = Cell { opened: 3, closed: 2, ..Cell::default() };
        *ledger.cell(key(1, 9)) = Cell { opened: 3, closed: 3, ..Cell::default() };
        ledger.expire(|endpoint| endpoint.endpoint == EndpointId(9));
        let mut left: Vec<_> = ledger.cells().map(|(key, _)| key.endpoint.endpoint.0).collect();
        left.sort_unstable();
        assert_eq!(left, [8, 9]);
    }

    #[test]
    fn late_places_share_a_bucket() {
        let mut cell = Cell::default();
        for position in [0, 31, 32, 900] {
            cell.note(
                &Target {
                    endpoint: key(1, 1).endpoint,
                    resolution: Resolution::Service,
                    position: Some(position),
                    stale: Some(Stale::IpReused),
                },
                1,
            );
        }
        assert_eq!(
            (cell.positions.len(), cell.positions[0], cell.positions[31], cell.positions[32]),
            (33, 1, 1, 2)
        );
        assert_eq!(cell.stale, [0, 0, 0, 4]);
    }
}
