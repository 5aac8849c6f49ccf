//! The ledger: attributed totals per (client workload, Service, endpoint, port, resolution).
//!
//! In: what happened to attributed connections, and when. Out: [`Cell`]s to sum over, of all time or of a stretch of
//! time.
//!
//! Invariants: totals never decrease, except open connections. The number of cells is bounded. Without room, counts go
//! to [`FOLDED`] and port 0, so sums over clients and ports stay exact; this is counted.

use std::time::Duration;

mod ends;
mod forgotten_endpoints;
mod load;
mod stale_connects;
mod times;

pub use ends::Ends;
pub use forgotten_endpoints::NO_ENDPOINT;
pub use load::Load;
pub use stale_connects::StaleConnects;
pub use times::Times;

use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::ring_record::TcpRecord;

use crate::attribution::{StaleKind, Target};
use crate::client::WorkloadId;
use crate::hash::HashMap;
use crate::service_resolution::Resolution;
use crate::time::Time;
use crate::topology::EndpointRef;
use crate::windowed::{Slot, Stretch, Sum, Windowed, trim};

/// Positions in an answer with counts of their own; later positions share one more.
pub const POSITIONS: usize = 32;

/// A connection that ends within this time was not used for work: a client that looks for an endpoint with a role left
/// it, for example.
pub const BRIEF: Duration = Duration::from_secs(5);

/// The key of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// Service and endpoint.
    pub endpoint: EndpointRef,
    /// The client; `None` if the limit folded clients together.
    pub client: Option<WorkloadId>,
    /// Destination port.
    pub port: u16,
    /// The way in which the client resolved the address.
    pub resolution: Resolution,
}

/// The client of cells beyond the limit.
pub const FOLDED: Option<WorkloadId> = None;

/// The sums of one cell, over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Connections established.
    pub opened: u64,
    /// Those of `opened` that were counted from totals alone.
    pub reconciled: u64,
    /// Connections that were open before the daemon started.
    pub preexisting: u64,
    /// Established connections that ended.
    pub closed: u64,
    /// Those of `closed` that ended within [`BRIEF`].
    pub brief: u64,
    /// Those of `brief` that the peer ended before it had sent a byte.
    pub turned_away: u64,
    /// Failures by reason.
    pub failed: [u64; reason::COUNT],
    /// Attempts that were abandoned because the other address family won.
    pub superseded: u64,
    /// Bytes sent by the client, by the time of the reading of an open connection, or of the end.
    pub bytes_sent: u64,
    /// Bytes received by the client, likewise.
    pub bytes_received: u64,
    /// Bytes of the connections that ended, both directions, those included that readings had brought before.
    pub ended_bytes: u64,
    /// The ways in which they ended.
    pub ends: Option<Box<Ends>>,
    /// SYNs of connections and failed attempts that were sent again.
    pub syns_retransmitted: u64,
    /// The time that the connections took to be established.
    pub connect_times: Option<Box<Times>>,
    /// The least round-trip times of connections that were in use.
    pub round_trips: Option<Box<Times>>,
    /// Segments with data sent by the client, likewise.
    pub segments_sent: u64,
    /// Segments with data received by the client, likewise.
    pub segments_received: u64,
    /// Segments that the client sent again, likewise.
    pub retransmitted: u64,
    /// The load that connections had before the daemon started; in most cells nothing.
    before: Option<Box<Load>>,
    /// Those of `opened`, and failed attempts, that were a process's first by a new DNS answer.
    pub selections: u64,
    /// The first connection and the last one, failed attempts included.
    pub first: Option<Time>,
    /// See `first`.
    pub last: Option<Time>,
    /// Connections to addresses that were not a ready endpoint, without those within the grace; most cells have none.
    stale: Option<Box<[StaleConnects; StaleKind::ALL.len()]>>,
    /// Those within the grace.
    pub in_grace: u64,
    /// Connections by the position of the address in the answer, up to the last position seen.
    pub positions: Vec<u64>,
}

/// A connection for the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The Service and endpoint.
    pub target: Target,
    /// The time at which it was started.
    pub at: Time,
    /// The time after a change in which neither client nor server can know of it.
    pub grace: Duration,
    /// It is the process's first by a new answer.
    pub is_selection: bool,
}

impl Cell {
    /// A connection was established.
    fn open(&mut self, entry: &LedgerEntry, connections: u64) {
        self.opened += connections;
        self.first = Some(self.first.map_or(entry.at, |first| first.min(entry.at)));
        self.record_attempt(entry, connections);
    }

    /// A connection took this long to be established.
    pub fn record_connect_time(&mut self, time: Duration) {
        self.connect_times.get_or_insert_default().record(time.as_secs_f64());
    }

    /// A connection in use has this least round-trip time.
    pub fn record_round_trip(&mut self, time: Duration) {
        self.round_trips.get_or_insert_default().record(time.as_secs_f64());
    }

    /// A record tells how a connection ended.
    pub fn record_end(&mut self, record: &TcpRecord) {
        let TcpRecord { bytes_sent, bytes_received, .. } = *record;
        self.ended_bytes = self.ended_bytes.saturating_add(bytes_sent).saturating_add(bytes_received);
        self.ends.get_or_insert_default().record(record);
    }

    /// Connections to addresses that were not a ready endpoint, by the kind's place in [`StaleKind::ALL`].
    pub fn stale(&self, place: usize) -> StaleConnects {
        self.stale.as_ref().and_then(|stale| stale.get(place)).copied().unwrap_or_default()
    }

    /// Failures of all reasons.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Counts connections that were opened or that failed in the figures about the selection of their target.
    pub fn record_attempt(&mut self, entry: &LedgerEntry, connections: u64) {
        self.selections += u64::from(entry.is_selection);
        self.last = self.last.max(Some(entry.at));
        if let Some(stale) = entry.target.stale {
            let since = entry.at.since(stale.since);
            // An address that another pod has already is wrong from the first moment.
            if stale.kind != StaleKind::IpReused && since < entry.grace {
                self.in_grace += connections;
            } else if let Some(place) = StaleKind::ALL.iter().position(|kind| *kind == stale.kind)
                && let Some(stale_connects) = self.stale.get_or_insert_default().get_mut(place)
            {
                stale_connects.add(entry, stale.since, connections);
            }
        }
        if let Some(used_answer) = entry.target.used_answer {
            let place = usize::from(used_answer.position).min(POSITIONS);
            if self.positions.len() <= place {
                self.positions.resize(place + 1, 0);
            }
            if let Some(count) = self.positions.get_mut(place) {
                *count += connections;
            }
        }
    }
}

impl Sum for Cell {
    fn add(&mut self, other: &Self) {
        // Each field by its name, so that a new one cannot be left out.
        let Self {
            opened,
            reconciled,
            preexisting,
            closed,
            brief,
            turned_away,
            failed,
            superseded,
            bytes_sent,
            bytes_received,
            ended_bytes,
            ends,
            syns_retransmitted,
            connect_times,
            round_trips,
            segments_sent,
            segments_received,
            retransmitted,
            before,
            selections,
            first,
            last,
            stale,
            in_grace,
            positions,
        } = other;
        self.opened += opened;
        self.reconciled += reconciled;
        self.preexisting += preexisting;
        self.closed += closed;
        self.brief += brief;
        self.turned_away += turned_away;
        for (sum, more) in self.failed.iter_mut().zip(failed) {
            *sum += more;
        }
        self.superseded += superseded;
        self.bytes_sent += bytes_sent;
        self.bytes_received += bytes_received;
        self.ended_bytes += ended_bytes;
        if let Some(ends) = ends {
            self.ends.get_or_insert_default().add(ends);
        }
        self.syns_retransmitted += syns_retransmitted;
        if let Some(times) = connect_times {
            self.connect_times.get_or_insert_default().add(times);
        }
        if let Some(times) = round_trips {
            self.round_trips.get_or_insert_default().add(times);
        }
        self.segments_sent += segments_sent;
        self.segments_received += segments_received;
        self.retransmitted += retransmitted;
        self.carry_before(before.as_deref().copied().unwrap_or_default());
        self.selections += selections;
        self.first = [self.first, *first].into_iter().flatten().min();
        self.last = self.last.max(*last);
        if let Some(stale) = stale {
            for (sum, more) in self.stale.get_or_insert_default().iter_mut().zip(stale.iter()) {
                sum.connections += more.connections;
                sum.answered_after += more.answered_after;
                sum.past_ttl += more.past_ttl;
                sum.longest = sum.longest.max(more.longest);
            }
        }
        self.in_grace += in_grace;
        if self.positions.len() < positions.len() {
            self.positions.resize(positions.len(), 0);
        }
        for (sum, more) in self.positions.iter_mut().zip(positions) {
            *sum += more;
        }
    }
}

/// The future of an endpoint's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// The endpoint is known: keep them.
    Keep,
    /// The endpoint is forgotten, and its pod is back under the same name as this endpoint.
    MergeInto(EndpointRef),
    /// The endpoint is forgotten, and its Service is known.
    Archive,
    /// The Service is forgotten, too.
    Drop,
}

/// Connections of a cell that are open now.
pub fn active(cell: &Windowed<Cell>) -> u64 {
    let all = cell.total_of(|cell| cell.opened + cell.preexisting);
    all.saturating_sub(cell.total_of(|cell| cell.closed))
}

/// Connections of all cells, also of those that are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// Connections established.
    pub opened: u64,
    /// Those that were attributed by the address alone.
    pub by_address: u64,
    /// Those that were counted from totals alone.
    pub reconciled: u64,
}

impl Sum for Booked {
    fn add(&mut self, other: &Self) {
        let Self { opened, by_address, reconciled } = other;
        self.opened += opened;
        self.by_address += by_address;
        self.reconciled += reconciled;
    }
}

/// All cells.
#[derive(Debug)]
pub struct Ledger {
    cells: HashMap<CellKey, Windowed<Cell>>,
    booked: Windowed<Booked>,
    /// The counts of forgotten cells.
    departed: HashMap<forgotten_endpoints::Departed, Cell>,
    limit: usize,
    folded: u64,
}

impl Ledger {
    /// An empty ledger of at most about `limit` cells.
    pub fn new(limit: usize) -> Self {
        Self {
            cells: HashMap::default(),
            booked: Windowed::default(),
            departed: HashMap::default(),
            limit,
            folded: 0,
        }
    }

    /// The key for a connection: `key` itself, or without its client and port if there is no room for one more.
    pub fn key_within_limit(&mut self, key: CellKey) -> CellKey {
        if self.cells.len() < self.limit || self.cells.contains_key(&key) {
            return key;
        }
        self.folded += 1;
        CellKey { client: FOLDED, port: 0, ..key }
    }

    /// Counts connections that were established; returns their cell.
    pub fn open(&mut self, key: CellKey, now: Time, entry: &LedgerEntry, connections: u64) -> &mut Cell {
        let booked = self.booked.at(now);
        booked.opened += connections;
        booked.by_address += if key.resolution == Resolution::None { connections } else { 0 };
        let cell = self.cell(key, now);
        cell.open(entry, connections);
        cell
    }

    /// The same for connections of which only totals tell.
    pub fn reconcile(&mut self, key: CellKey, now: Time, entry: &LedgerEntry, connections: u64) {
        self.booked.at(now).reconciled += connections;
        self.open(key, now, entry, connections).reconciled += connections;
    }

    /// The connections of all cells over a stretch of time.
    pub fn booked(&self, stretch: Stretch) -> Booked {
        self.booked.over(stretch)
    }

    /// The cell of a key, if there is one.
    pub fn get(&self, key: &CellKey) -> Option<&Windowed<Cell>> {
        self.cells.get(key)
    }

    /// The cell of an admitted key, for changes at this moment; created if needed.
    pub fn cell(&mut self, key: CellKey, now: Time) -> &mut Cell {
        self.cells.entry(key).or_default().at(now)
    }

    /// Every cell, in no order.
    pub fn cells(&self) -> impl Iterator<Item = (&CellKey, &Windowed<Cell>)> {
        self.cells.iter()
    }

    /// Drops slots before this one; returns the room that is taken, in bytes.
    pub fn trim(&mut self, oldest: Slot) -> usize {
        self.cells.values_mut().map(|cell| trim(cell, oldest)).sum()
    }

    /// Connections that were counted without their client because there was no room.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Whether a client has connected to an endpoint's port.
    pub fn has_connected(&self, client: WorkloadId, endpoint: EndpointRef, port: u16) -> bool {
        Resolution::ALL.into_iter().any(|resolution| {
            let key = CellKey { endpoint, client: Some(client), port, resolution };
            self.cells.get(&key).is_some_and(|cell| {
                cell.parts().iter().any(|cell| cell.first.is_some() || cell.preexisting > 0)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{AnswerRef, Stale};
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
            let admitted = ledger.key_within_limit(key(client, 7));
            ledger.cell(admitted, Time(1)).opened += 1;
        }
        let sum: u64 = ledger.cells().map(|(_, cell)| cell.total_of(|cell| cell.opened)).sum();
        assert_eq!((sum, ledger.folded()), (5, 2));
        assert_eq!(ledger.cell(key(1, 7), Time(1)).opened, 2, "a client that has a cell keeps it");
    }

    #[test]
    fn cells_of_forgotten_endpoints_go_once_nothing_is_open() {
        let mut ledger = Ledger::new(10);
        *ledger.cell(key(1, 7), Time(1)) = Cell { opened: 3, closed: 3, ..Cell::default() };
        *ledger.cell(key(1, 8), Time(1)) = Cell { opened: 3, closed: 2, ..Cell::default() };
        *ledger.cell(key(1, 9), Time(1)) = Cell { opened: 3, closed: 3, ..Cell::default() };
        let retention = |endpoint: EndpointRef| match endpoint.endpoint {
            EndpointId(9) => Retention::Keep,
            _ => Retention::Archive,
        };
        ledger.expire(retention, |_| None);
        let mut left: Vec<_> = ledger.cells().map(|(key, _)| key.endpoint.endpoint.0).collect();
        left.sort_unstable();
        assert_eq!(left, [8, 9]);
    }

    fn entry(position: u16, used_answer: u64, left: u64, at: u64) -> LedgerEntry {
        let s = |seconds| Time(seconds * 1_000_000_000);
        let used_answer = AnswerRef {
            at: s(used_answer),
            position,
            size: 900,
            ttl: 5,
            truncated: false,
            nearest: 0,
            is_near: false,
        };
        let stale = Some(Stale { kind: StaleKind::Removed, since: s(left) });
        let resolution = Resolution::Service;
        let target = Target {
            endpoint: key(1, 1).endpoint,
            resolution,
            used_answer: Some(used_answer),
            stale,
            is_other_port: false,
        };
        LedgerEntry { target, at: s(at), grace: Duration::from_secs(3), is_selection: position == 0 }
    }

    #[test]
    fn late_places_share_a_bucket() {
        let mut cell = Cell::default();
        for position in [0, 31, 32, 900] {
            cell.record_attempt(&entry(position, 0, 0, 1), 1);
        }
        assert_eq!(
            (cell.positions.len(), cell.positions[0], cell.positions[31], cell.positions[32]),
            (33, 1, 1, 2)
        );
        assert_eq!(cell.selections, 1);
    }

    #[test]
    fn what_is_stale_counts_after_the_grace_and_says_whose_fault_it_is() {
        let mut cell = Cell::default();
        cell.record_attempt(&entry(0, 9, 10, 12), 1);
        assert_eq!((cell.in_grace, cell.stale(0).connections), (1, 0), "within the grace");
        cell.record_attempt(&entry(0, 9, 10, 14), 1);
        cell.record_attempt(&entry(0, 9, 10, 40), 1);
        cell.record_attempt(&entry(0, 13, 10, 14), 2);
        let expected = StaleConnects {
            connections: 4,
            answered_after: 2,
            past_ttl: 1,
            longest: Duration::from_secs(30),
        };
        assert_eq!((cell.in_grace, cell.stale(0)), (1, expected));
    }
}
