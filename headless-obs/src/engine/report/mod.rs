//! The engine's state as a [`Snapshot`].

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

mod cells;
mod client;
mod figures;
mod held;
mod quality;

use super::Engine;
use super::conduct::Facts;
use crate::client::WorkloadId;
use crate::expose::snapshot::{Dns, Endpoint, SCHEMA, Service, Snapshot, TopologyState};
use crate::ledger::{Cell, CellKey};
use crate::time::Time;
use crate::topology::{self, EndpointId, ServiceId, ServiceState, State};
use crate::verdict;

use cells::{dns, failures, stale};
use figures::idle;
use held::Holders;

/// What the kernel side knows of itself, and the moment of the snapshot.
#[derive(Clone, Debug)]
pub struct KernelState {
    /// Name of the node.
    pub node: String,
    /// When observation began.
    pub from: Timestamp,
    /// Now.
    pub to: Timestamp,
    /// The topology's source; the engine itself knows whether it is synced.
    pub topology: TopologyState,
    /// Counters by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// Map → entries and capacity.
    pub maps: BTreeMap<&'static str, (u64, u64)>,
    /// Probe → hook.
    pub hooks: BTreeMap<String, String>,
    /// Ring records that could not be read.
    pub unknown_records: u64,
}

/// A cell with its key.
type CellRow<'a> = (&'a CellKey, &'a Cell);
type Cells<'a> = Vec<CellRow<'a>>;
/// A Service's endpoints as they are shown.
type Order<'a> = Vec<(&'a topology::Endpoint, &'a Endpoint)>;

/// When a snapshot is taken.
struct Moment {
    now: Time,
    /// Since observation began.
    seconds: f64,
    /// Clients that are left out of the headline, and why.
    excluded: HashMap<WorkloadId, &'static str>,
}

impl Moment {
    fn excluded(&self, client: Option<WorkloadId>) -> Option<&'static str> {
        self.excluded.get(&client?).copied()
    }

    fn per_second(&self, count: u64) -> f64 {
        // Counts far beyond 2^52 do not occur, and a rate need not be exact.
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }
}

impl Engine {
    /// Everything the observer knows.
    pub fn snapshot(&self, kernel: &KernelState) -> Snapshot {
        let mut by_service: HashMap<ServiceId, Cells<'_>> = HashMap::new();
        for (key, cell) in self.accounts.ledger.cells() {
            by_service.entry(key.endpoint.service).or_default().push((key, cell));
        }
        let mut conducts: HashMap<ServiceId, HashMap<WorkloadId, Facts<'_>>> = HashMap::new();
        for ((scope, workload, service), dialling, answered) in self.conducts.all() {
            let facts = conducts.entry(*service).or_default().entry(*workload).or_default();
            facts.add(*scope, dialling, answered);
        }
        let booked = self.accounts.ledger.cells().filter_map(|(key, _)| key.client);
        let clients: HashSet<WorkloadId> =
            booked.chain(conducts.values().flat_map(HashMap::keys).copied()).collect();
        let (held, nothing_held) = (held::by_service(&self.accounts), Holders::new());
        let moment = Moment {
            now: self.monotonic(kernel.to),
            seconds: kernel.to.duration_since(kernel.from).as_secs_f64(),
            excluded: clients.into_iter().filter_map(|id| Some((id, self.excluded(id)?))).collect(),
        };
        let mut services: Vec<_> = self
            .topology
            .services()
            .map(|state| {
                let cells = by_service.get(&state.id()).map_or(&[][..], Vec::as_slice);
                let held = held.get(&state.id()).unwrap_or(&nothing_held);
                let conducts = conducts.remove(&state.id()).unwrap_or_default();
                self.service(state, cells, conducts, held, &moment)
            })
            .collect();
        services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let mut snapshot = Snapshot {
            schema: SCHEMA.to_owned(),
            node: kernel.node.clone(),
            from: kernel.from,
            to: kernel.to,
            mature_after_seconds: self.mature_after.as_secs_f64(),
            quality: self.quality(kernel),
            services,
        };
        verdict::judge_all(&mut snapshot);
        snapshot
    }

    fn service(
        &self,
        state: &ServiceState,
        cells: &[CellRow<'_>],
        conducts: HashMap<WorkloadId, Facts<'_>>,
        held: &Holders,
        moment: &Moment,
    ) -> Service {
        let mut by_endpoint: HashMap<EndpointId, Cells<'_>> = HashMap::new();
        let mut by_client: BTreeMap<Option<WorkloadId>, Cells<'_>> = BTreeMap::new();
        for row in cells {
            by_endpoint.entry(row.0.endpoint.endpoint).or_default().push(*row);
            by_client.entry(row.0.client).or_default().push(*row);
        }
        for (workload, facts) in &conducts {
            if facts.dialling().any(|dialling| !dialling.wrong_ports.is_empty()) {
                by_client.entry(Some(*workload)).or_default();
            }
        }
        let mut shown: Vec<_> = state
            .endpoints()
            .filter(|endpoint| {
                endpoint.state() != State::Removed || by_endpoint.contains_key(&endpoint.id().endpoint)
            })
            .collect();
        shown.sort_by_cached_key(|endpoint| (natural(&endpoint.label()), endpoint.state() == State::Removed));

        let answers = self.answers.of(state.id());
        let endpoints: Vec<_> = shown
            .iter()
            .map(|endpoint| {
                let cells = by_endpoint.get(&endpoint.id().endpoint).map_or(&[][..], Vec::as_slice);
                let is_mature = state.is_mature(endpoint, moment.now, self.mature_after);
                let first = answers.first_answered.get(&endpoint.id().endpoint);
                self.endpoint(endpoint, cells, is_mature, first.copied(), moment)
            })
            .collect();
        let order: Order<'_> = shown.iter().copied().zip(&endpoints).collect();
        let mut clients: Vec<_> = by_client
            .iter()
            .map(|(client, cells)| {
                let facts = client.and_then(|id| conducts.get(&id));
                let held = client.and_then(|id| held.get(&id)).map_or(&[][..], Vec::as_slice);
                self.client(state, *client, cells, facts, held, &order, moment)
            })
            .collect();
        clients.sort_by(|a, b| (&a.namespace, &a.workload).cmp(&(&b.namespace, &b.workload)));

        let counted: Vec<_> =
            cells.iter().filter(|(key, _)| moment.excluded(key.client).is_none()).copied().collect();
        let counting = || conducts.iter().filter(|(client, _)| moment.excluded(Some(**client)).is_none());
        let exposure = |ready| counting().map(|(_, facts)| facts.exposure(ready)).sum();
        let figures = figures::of(&counted, &order, exposure);
        let truncated_used =
            conducts.values().flat_map(Facts::dialling).map(|dialling| dialling.truncated_used).sum();
        let key = state.key();
        let label =
            |endpoint: EndpointId| state.endpoint(endpoint).map(|endpoint| endpoint.label().to_string());
        Service {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            waste: (figures.spread.peak_to_mean - 1.0).max(0.0)
                * moment.per_second(figures.spread.connections),
            idle: idle(&counted, &order),
            spread: figures.spread,
            selections: figures.selections,
            open: figures.open,
            bytes: figures.bytes,
            stale: stale(cells),
            dns: Dns { truncated_used, ..dns(&answers, label) },
            history: self
                .past
                .of(order.iter().map(|(endpoint, row)| (endpoint.id(), row.pod.clone(), row.opened))),
            clients,
            endpoints,
        }
    }

    fn endpoint(
        &self,
        endpoint: &topology::Endpoint,
        cells: &[CellRow<'_>],
        mature: bool,
        first_answered: Option<Time>,
        moment: &Moment,
    ) -> Endpoint {
        let sum = |figure: fn(&Cell) -> u64| cells.iter().map(|(_, cell)| figure(cell)).sum();
        let counting = || {
            let counts = |key: &CellKey| key.resolution.counts() && moment.excluded(key.client).is_none();
            cells.iter().filter(move |(key, _)| counts(key)).map(|(_, cell)| *cell)
        };
        Endpoint {
            ports: Vec::new(),
            zone: None,
            pod: endpoint.label().to_string(),
            addresses: endpoint.addresses().map(|address| address.to_string()).collect(),
            state: endpoint.state().name().to_owned(),
            state_since: endpoint.state_since().map(|time| self.wall(time)),
            ready_since: endpoint.ready_since().map(|time| self.wall(time)),
            mature,
            first_answered: first_answered.map(|time| self.wall(time)),
            opened: sum(|cell| cell.opened),
            counted: counting().map(|cell| cell.opened).sum(),
            selections: counting().map(|cell| cell.selections).sum(),
            failed: failures(cells),
            superseded: sum(|cell| cell.superseded),
            active: sum(Cell::active),
            closed: sum(|cell| cell.closed),
            bytes_sent: sum(|cell| cell.bytes_sent),
            bytes_received: sum(|cell| cell.bytes_received),
        }
    }

    /// Why a client is left out of the headline, if it is.
    fn excluded(&self, client: WorkloadId) -> Option<&'static str> {
        if !self.count_host && self.clients.is_host(client) {
            return Some("host");
        }
        let name = self.clients.workload(client)?;
        self.exclude.matches(&name.namespace, &name.name).then_some("option")
    }

    /// A moment of the wall clock on the monotonic one.
    fn monotonic(&self, wall: Timestamp) -> Time {
        Time(u64::try_from(wall.as_nanosecond() - self.wall_offset).unwrap_or(0))
    }

    /// A moment on the wall clock.
    pub(super) fn wall(&self, time: Time) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(time.0) + self.wall_offset).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Sorts `pod-2` before `pod-10`, and addresses by number: text and numbers in turn.
fn natural(label: &str) -> Vec<(String, u128)> {
    let mut parts = Vec::new();
    let mut rest = label;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(end);
        parts.push((text.to_owned(), number.parse().unwrap_or(u128::MAX)));
        rest = tail;
    }
    parts
}
