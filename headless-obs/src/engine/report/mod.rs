//! The engine's state as a [`Snapshot`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

mod aggregate;
mod client;
mod losses;
mod open_connections;
mod pods;
mod quality;
mod scrape;
mod spread;

use super::Engine;
use super::client_stats::ClientStats;
use crate::client::WorkloadId;
use crate::expose::metrics::cardinality::ClientLabels;
use crate::expose::snapshot::{Dns, Endpoint, History, SCHEMA, Service, Snapshot, TopologyState};
use crate::hash::{HashMap, HashSet};
use crate::ledger::{Cell, CellKey};
use crate::time::Time;
use crate::topology::{self, EndpointId, ServiceId, ServiceState, State};
use crate::verdict;

use aggregate::{dns, failures, stale};
use open_connections::Holders;
use pods::Pods;

/// The kernel side's data about itself, and the time of the snapshot.
#[derive(Clone, Debug)]
pub struct KernelState {
    /// Name of the node.
    pub node: String,
    /// When the observation began, by the wall clock of that moment. It never changes: it identifies an observation
    /// together with the node.
    pub from: Timestamp,
    /// The same moment on the monotonic clock, which measures the duration.
    pub began: Time,
    /// Now.
    pub to: Time,
    /// The topology's source; the engine itself knows whether it is current.
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
/// A Service's endpoints for output.
type Order<'a> = Vec<(&'a topology::Endpoint, &'a Endpoint)>;

/// The client of a row: a workload, or several together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Who {
    /// A workload; `None` stands for those for which the ledger had no room.
    Workload(Option<WorkloadId>),
    /// All of a namespace.
    Namespace(Arc<str>),
    /// All.
    All,
}

impl Who {
    fn workload(&self) -> Option<WorkloadId> {
        match self {
            Self::Workload(id) => *id,
            Self::Namespace(_) | Self::All => None,
        }
    }
}

/// The purpose of a snapshot.
#[derive(Clone, Copy, Debug)]
enum View {
    /// For people: everything that is remembered.
    Report,
    /// For series: clients in the required detail, and the counts of forgotten endpoints.
    Series(ClientLabels),
}

/// What there is to say, by Service.
struct Sources<'a> {
    cells: HashMap<ServiceId, Cells<'a>>,
    client_stats: HashMap<ServiceId, HashMap<WorkloadId, ClientStats<'a>>>,
    held: HashMap<ServiceId, Holders>,
    /// Only for a report.
    pods: Pods,
    moment: Moment,
}

/// When a snapshot is taken.
struct Moment {
    now: Time,
    /// Since observation began.
    seconds: f64,
    /// Clients that the spread excludes, and the reason.
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
    /// The whole state.
    pub fn snapshot(&self, kernel: &KernelState) -> Snapshot {
        let mut sources = self.sources(kernel, self.reconciler.ledger.cells());
        sources.pods = self.pods();
        let services = self.topology.services();
        let mut services: Vec<_> =
            services.map(|state| self.service(state, &mut sources, View::Report)).collect();
        services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let mut snapshot = self.frame(kernel, services);
        verdict::judge_all(&mut snapshot);
        snapshot
    }

    /// A snapshot of these Services.
    fn frame(&self, kernel: &KernelState, services: Vec<Service>) -> Snapshot {
        Snapshot {
            schema: SCHEMA.to_owned(),
            node: kernel.node.clone(),
            nodes: Vec::new(),
            from: kernel.from,
            // The clock may have been set back.
            to: self.wall(kernel.to).max(kernel.from),
            mature_after_seconds: self.mature_after.as_secs_f64(),
            quality: self.quality(kernel),
            services,
            unanswered: self.unanswered(),
        }
    }

    fn sources<'a>(&'a self, kernel: &KernelState, rows: impl Iterator<Item = CellRow<'a>>) -> Sources<'a> {
        let mut cells: HashMap<ServiceId, Cells<'_>> = HashMap::default();
        for (key, cell) in rows {
            cells.entry(key.endpoint.service).or_default().push((key, cell));
        }
        let mut client_stats: HashMap<ServiceId, HashMap<WorkloadId, ClientStats<'_>>> = HashMap::default();
        for ((scope, workload, service), connect_stats, answered) in self.client_stats.all() {
            let facts = client_stats.entry(*service).or_default().entry(*workload).or_default();
            facts.add(*scope, connect_stats, answered);
        }
        for ((workload, service), totals) in self.client_stats.sums() {
            client_stats.entry(*service).or_default().entry(*workload).or_default().sum_up(totals);
        }
        let booked = self.reconciler.ledger.cells().filter_map(|(key, _)| key.client);
        let clients: HashSet<WorkloadId> =
            booked.chain(client_stats.values().flat_map(HashMap::keys).copied()).collect();
        let moment = Moment {
            now: kernel.to,
            seconds: kernel.to.since(kernel.began).as_secs_f64(),
            excluded: clients.into_iter().filter_map(|id| Some((id, self.excluded(id)?))).collect(),
        };
        Sources {
            cells,
            client_stats,
            held: open_connections::by_service(&self.reconciler),
            pods: Pods::default(),
            moment,
        }
    }

    fn service(&self, state: &ServiceState, sources: &mut Sources<'_>, view: View) -> Service {
        let cells = sources.cells.remove(&state.id()).unwrap_or_default();
        let client_stats = sources.client_stats.remove(&state.id()).unwrap_or_default();
        let held = sources.held.remove(&state.id()).unwrap_or_default();
        let (moment, pods) = (&sources.moment, &sources.pods);
        let mut by_endpoint: HashMap<EndpointId, Cells<'_>> = HashMap::default();
        let mut by_client: BTreeMap<Who, Cells<'_>> = BTreeMap::new();
        for row in &cells {
            by_endpoint.entry(row.0.endpoint.endpoint).or_default().push(*row);
            by_client.entry(self.who(row.0.client, view)).or_default().push(*row);
        }
        for (workload, facts) in &client_stats {
            let is_shown = match view {
                // A client that only received answers is not a client yet, unless it tried to connect.
                View::Report => facts.totals().is_some_and(|totals| !totals.wrong_ports.is_empty()),
                View::Series(_) => true,
            };
            if is_shown {
                by_client.entry(self.who(Some(*workload), view)).or_default();
            }
        }
        let mut shown = match view {
            View::Report => remembered(state, &by_endpoint),
            View::Series(_) => scrape::shown(state, moment.now),
        };
        shown.sort_by_cached_key(|endpoint| (natural(&endpoint.label()), endpoint.state() == State::Removed));

        let answers = self.answers.of(state.id());
        let counting = || client_stats.iter().filter(|(client, _)| moment.excluded(Some(**client)).is_none());
        // The sum of nothing is negative zero.
        let exposure = |ready| counting().map(|(_, facts)| facts.exposure(ready)).sum::<f64>() + 0.0;
        let endpoints: Vec<_> = shown
            .iter()
            .map(|endpoint| {
                let cells = by_endpoint.get(&endpoint.id().endpoint).map_or(&[][..], Vec::as_slice);
                let is_mature = state.is_mature(endpoint, moment.now, self.mature_after);
                let first = answers.first_answered.get(&endpoint.id().endpoint);
                let row = self.endpoint(endpoint, cells, is_mature, first.copied(), moment);
                let expected = endpoint.ready_since().filter(|_| is_mature).map_or(0.0, exposure);
                Endpoint { expected, ..row }
            })
            .collect();
        let order: Order<'_> = shown.iter().copied().zip(&endpoints).collect();
        let counted: Vec<_> =
            cells.iter().filter(|(key, _)| moment.excluded(key.client).is_none()).copied().collect();
        let figures = spread::of(&counted, &order, exposure);
        let totals = || client_stats.values().filter_map(ClientStats::totals);
        let truncated_used = totals().map(|totals| totals.truncated_used).sum();
        let mut facts: HashMap<Who, ClientStats<'_>> = HashMap::default();
        for (workload, of_workload) in client_stats {
            facts.entry(self.who(Some(workload), view)).or_default().merge(of_workload);
        }
        if let View::Series(labels) = view {
            // A forgotten client without open connections has no series of its own, but counts in sums over several
            // clients.
            for ((_, namespace), totals) in
                self.client_stats.archived().filter(|((id, _), _)| *id == state.id())
            {
                let who = match labels {
                    ClientLabels::Workload => continue,
                    ClientLabels::Namespace => Who::Namespace(namespace.clone()),
                    ClientLabels::None => Who::All,
                };
                facts.entry(who).or_default().sum_up(totals);
            }
            by_client.retain(|who, cells| {
                who.workload().is_none() || self.has_series(facts.get(who), cells, moment.now)
            });
        }
        let mut clients: Vec<_> = by_client
            .iter()
            .map(|(who, cells)| {
                let held = who.workload().and_then(|id| held.get(&id)).map_or(&[][..], Vec::as_slice);
                self.client(state, who, cells, facts.get(who), (held, pods), &order, moment)
            })
            .collect();
        clients.sort_by(|a, b| (&a.namespace, &a.workload).cmp(&(&b.namespace, &b.workload)));

        let history = match view {
            View::Report => {
                let rows = order.iter().map(|(endpoint, row)| (endpoint.id(), row.pod.clone(), row.opened));
                self.history.of(rows)
            }
            // No series uses it.
            View::Series(_) => History::default(),
        };

        let key = state.key();
        let label =
            |endpoint: EndpointId| state.endpoint(endpoint).map(|endpoint| endpoint.label().to_string());
        Service {
            publishes_not_ready: state.publishes_not_ready(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            waste: (figures.spread.peak_to_mean - 1.0).max(0.0)
                * moment.per_second(figures.spread.connections),
            idle: verdict::idle::idle(&endpoints, &clients),
            spread: figures.spread,
            selections: figures.selections,
            open: figures.open,
            bytes: figures.bytes,
            stale: stale(&cells),
            dns: Dns { truncated_used, ..dns(&answers, label) },
            history,
            clients,
            endpoints,
        }
    }

    /// The client of this cell in this view.
    fn who(&self, client: Option<WorkloadId>, view: View) -> Who {
        match view {
            View::Report | View::Series(ClientLabels::Workload) => Who::Workload(client),
            View::Series(ClientLabels::None) => Who::All,
            View::Series(ClientLabels::Namespace) => {
                let name = client.and_then(|id| self.clients.workload(id));
                Who::Namespace(name.map_or_else(Arc::default, |name| name.namespace.clone()))
            }
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
        let included = cells.iter().filter(|(key, _)| moment.excluded(key.client).is_none()).copied();
        let (counted_active, counted_bytes) = spread::held_and_moved(included);
        Endpoint {
            expected: 0.0,
            counted_active,
            counted_bytes,
            ports: endpoint.ports().to_vec(),
            zone: endpoint.zone().map(ToString::to_string),
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

    /// Why the spread excludes a client, if it does.
    fn excluded(&self, client: WorkloadId) -> Option<&'static str> {
        if !self.count_host && self.clients.is_host(client) {
            return Some("host");
        }
        let name = self.clients.workload(client)?;
        self.exclude.matches(&name.namespace, &name.name).then_some("option")
    }

    /// A moment on the wall clock.
    pub(super) fn wall(&self, time: Time) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(time.0) + self.wall_offset).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Endpoints that exist, or that left and have counts.
fn remembered<'a>(
    state: &'a ServiceState,
    figures: &HashMap<EndpointId, Cells<'_>>,
) -> Vec<&'a topology::Endpoint> {
    let is_shown = |endpoint: &&topology::Endpoint| {
        endpoint.state() != State::Removed || figures.contains_key(&endpoint.id().endpoint)
    };
    state.endpoints().filter(is_shown).collect()
}

/// Sorts `pod-2` before `pod-10`, and addresses by number: text and numbers in turn.
pub(crate) fn natural(label: &str) -> Vec<(String, u128)> {
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
