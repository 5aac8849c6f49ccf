//! The engine's state as a [`Snapshot`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

mod aggregate;
mod client;
mod client_pods;
mod connection_list;
mod counted;
mod intents;
mod load;
mod losses;
mod open_connections;
mod pods;
mod quality;
mod scrape;
mod spread;
mod stretches;
mod tally;
mod zones;

use super::Engine;
use super::client_stats::ClientStats;
use super::connection_history::ConnectionHistory;
use crate::client::{WorkloadId, sanitize};
use crate::expose::metrics::cardinality::ClientLabels;
use crate::expose::snapshot::{
    Client, ClientEndpoint, Dns, Endpoint, History, Service, TopologyState, Zones,
};
use crate::hash::HashMap;
use crate::ledger::CellKey;
use crate::service_resolution::Resolution;
use crate::time::Time;
use crate::topology::{self, EndpointId, ServiceId, ServiceState, State};
use crate::verdict;
use crate::windowed::Stretch;

use aggregate::{carried, dns, ends, failures, stale};
use client::ClientFacts;
use client_pods::PodDetail;
use counted::{Counted, Sources};
use tally::Tally;

pub use connection_list::{Listing, Program};

/// The kernel side's data about itself, and the time of the snapshot.
#[derive(Clone, Debug)]
pub struct KernelState {
    /// Name of the node.
    pub node: String,
    /// The time at which the observation began, by the wall clock of that moment. It never changes: it identifies an
    /// observation together with the node.
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
    /// The probes wait for another daemon on this machine to end.
    pub stands_by: bool,
}

/// A cell with its key.
type CellRow<'a> = (&'a CellKey, &'a Tally);
type Cells<'a> = Vec<CellRow<'a>>;
/// The selections of each endpoint that random choice would have made.
type Expectation = HashMap<EndpointId, f64>;
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

/// Facts that the Services of a snapshot share.
struct Common<'a> {
    moment: Moment<'a>,
    counted: &'a Counted<'a>,
    /// Only for a report that shows the pods of clients.
    pod_detail: Option<PodDetail>,
    /// Only for a report.
    history: ConnectionHistory,
}

/// The time of a snapshot, and the stretch of time that it is about.
struct Moment<'a> {
    now: Time,
    stretch: Stretch,
    /// Length of the stretch.
    seconds: f64,
    /// Everything that is counted, and whose connections are not.
    counted: &'a Counted<'a>,
}

impl<'a> Moment<'a> {
    fn new(kernel: &KernelState, stretch: Stretch, counted: &'a Counted<'a>) -> Self {
        let seconds = match stretch {
            Stretch::All => kernel.to.since(kernel.began),
            Stretch::Since(start) => kernel.to.since(start.begin()),
        };
        Self { now: kernel.to, stretch, seconds: seconds.as_secs_f64(), counted }
    }

    /// The reason why the spread excludes a client of a Service.
    fn excluded(&self, service: ServiceId, client: Option<WorkloadId>) -> Option<&'static str> {
        self.counted.why_excluded(service, client)
    }

    fn per_second(&self, count: u64) -> f64 {
        // Counts far beyond 2^52 do not occur, and a rate need not be exact.
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }
}

impl Engine {
    /// A Service over the stretch, from its sums.
    fn service(&self, state: &ServiceState, sums: Sources<'_>, common: &Common<'_>, view: View) -> Service {
        let Common { moment, counted, pod_detail, history } = common;
        let own = counted.of(state.id());
        let Sources { cells, client_stats } = sums;
        let cells: Cells<'_> = cells.iter().map(|(key, tally)| (*key, tally)).collect();
        let mut by_endpoint: HashMap<EndpointId, Cells<'_>> = HashMap::default();
        let mut by_client: BTreeMap<Who, Cells<'_>> = BTreeMap::new();
        for row in &cells {
            by_endpoint.entry(row.0.endpoint.endpoint).or_default().push(*row);
            by_client.entry(self.who(row.0.client, view)).or_default().push(*row);
        }
        for (workload, facts) in &client_stats {
            let is_shown = match view {
                // A client that asked is shown also if it got no usable answer, or made no connection. If only the
                // process has a name, nobody knows which one asked.
                View::Report => facts.totals().is_some_and(|totals| {
                    !totals.wrong_ports.is_empty() || totals.response_kinds() > 0 && self.has_name(*workload)
                }),
                View::Series(_) => true,
            };
            if is_shown {
                by_client.entry(self.who(Some(*workload), view)).or_default();
            }
        }
        let elsewhere = self.pending.of_service(state.id(), moment.stretch);
        if let View::Report = view {
            for id in elsewhere.keys() {
                by_client.entry(Who::Workload(Some(*id))).or_default();
            }
        }
        let mut shown = match view {
            View::Report => remembered(state, &by_endpoint),
            View::Series(_) => scrape::shown(state, moment.now),
        };
        shown.sort_by_cached_key(|endpoint| (natural(endpoint.label()), endpoint.state() == State::Removed));

        let answers = self.answers.of(state.id(), moment.stretch);
        let find = |address| {
            let found = self.topology.lookup_in(state, address, 0, moment.now)?;
            Some(found.endpoint.id().endpoint)
        };
        let expectations: HashMap<WorkloadId, [Expectation; 2]> = match view {
            View::Report => {
                client_stats.iter().map(|(client, facts)| (*client, facts.expected(find))).collect()
            }
            // No series uses them, and a large answer has thousands for each of its clients.
            View::Series(_) => HashMap::default(),
        };
        let mut expected = Expectation::default();
        for (client, [of_all, _]) in &expectations {
            if moment.excluded(state.id(), Some(*client)).is_none() {
                of_all.iter().for_each(|(endpoint, share)| *expected.entry(*endpoint).or_default() += share);
            }
        }
        let endpoints: Vec<_> = shown
            .iter()
            .map(|endpoint| {
                let cells = by_endpoint.get(&endpoint.id().endpoint).map_or(&[][..], Vec::as_slice);
                let is_mature = state.is_mature(endpoint, moment.now, self.mature_after)
                    && self.topology.is_reached(endpoint, moment.now);
                let first = self.answers.first_answered(state.id(), endpoint.id().endpoint);
                let row = self.endpoint(endpoint, cells, is_mature, first, moment);
                let own = expected.get(&endpoint.id().endpoint).filter(|_| is_mature);
                Endpoint { expected: own.copied().unwrap_or_default(), ..row }
            })
            .collect();
        let order: Order<'_> = shown.iter().copied().zip(&endpoints).collect();
        let included: Vec<_> = cells
            .iter()
            .filter(|(key, _)| moment.excluded(state.id(), key.client).is_none())
            .copied()
            .collect();
        let totals = || client_stats.values().filter_map(ClientStats::totals);
        let truncated_used = totals().map(|totals| totals.truncated_used).sum();
        let mut by_who: HashMap<Who, Expectation> = HashMap::default();
        for (client, own) in expectations {
            let sum = by_who.entry(self.who(Some(client), view)).or_default();
            own.into_iter()
                .flatten()
                .for_each(|(endpoint, share)| *sum.entry(endpoint).or_default() += share);
        }
        let mut facts: HashMap<Who, ClientStats<'_>> = HashMap::default();
        for (workload, of_workload) in client_stats {
            facts.entry(self.who(Some(workload), view)).or_default().merge(of_workload);
        }
        if let View::Series(labels) = view {
            // A forgotten client without open connections has no series of its own, but counts in sums over several
            // clients.
            for (namespace, totals) in own.into_iter().flat_map(|own| &own.archived) {
                let who = match labels {
                    ClientLabels::Workload => continue,
                    ClientLabels::Namespace => Who::Namespace(Arc::clone(namespace)),
                    ClientLabels::None => Who::All,
                };
                facts.entry(who).or_default().sum_up_archived(totals);
            }
            by_client.retain(|who, cells| {
                who.workload().is_none() || self.has_series(facts.get(who), cells, moment.now)
            });
        }
        let choice = match view {
            View::Report => Resolution::is_choice,
            View::Series(_) => Resolution::counts,
        };
        let is_long = moment.seconds >= load::SHORTEST || moment.stretch == Stretch::All;
        let ledger = (matches!(view, View::Report) && is_long).then_some(&self.reconciler.ledger);
        let mut clients: Vec<_> = by_client
            .iter()
            .map(|(who, cells)| {
                let held = own.zip(who.workload()).and_then(|(own, id)| own.held.get(&id));
                let held = held.map_or(&[][..], Vec::as_slice);
                let facts = ClientFacts {
                    stats: facts.get(who),
                    expected: by_who.get(who),
                    held,
                    pods: &counted.pods,
                    pod_detail: pod_detail.as_ref(),
                    ledger,
                    choice,
                };
                let not_endpoint = who.workload().and_then(|id| elsewhere.get(&id)).copied().unwrap_or(0);
                Client { not_endpoint, ..self.client(state, who, cells, &facts, &order, moment) }
            })
            .collect();
        clients.sort_by(|a, b| (&a.namespace, &a.workload).cmp(&(&b.namespace, &b.workload)));

        // An endpoint that only its own clients could use, but for itself, is no part of the spread.
        let counting = || clients.iter().filter(|client| client.excluded.is_none());
        let is_own = |place: usize| {
            let mut rows = counting().filter_map(|client| client.endpoints.get(place)).peekable();
            rows.peek().is_some() && rows.all(ClientEndpoint::is_self)
        };
        let others = order.iter().enumerate().filter(|(place, _)| !is_own(*place));
        let figures =
            spread::of(&included, &others.map(|(_, row)| *row).collect(), &expected, Resolution::counts);

        let history = match view {
            View::Report => {
                let rows = order.iter().map(|(endpoint, row)| (endpoint.id(), row.pod.clone()));
                history.service(rows)
            }
            // No series uses it.
            View::Series(_) => History::default(),
        };

        let intent = intents::of_service(state);
        let key = state.key();
        let label =
            |endpoint: EndpointId| state.endpoint(endpoint).map(|endpoint| endpoint.label().to_string());
        let dns = Dns { truncated_used, ..dns(&answers, label) };
        Service {
            publishes_not_ready: state.publishes_not_ready(),
            distribution: state.distribution().map(ToString::to_string),
            zones: Zones::sum(clients.iter().map(|client| &client.zones)),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            waste: (figures.spread.peak_to_mean - 1.0).max(0.0)
                * moment.per_second(figures.spread.connections),
            changes: Vec::new(),
            other_names: match view {
                View::Report => self.names_of(state.id(), moment.stretch),
                View::Series(_) => Vec::new(),
            },
            idle: match view {
                View::Report if !intent.allows_idle() => verdict::idle::idle(&endpoints, &clients, &dns),
                View::Report | View::Series(_) => Vec::new(),
            },
            intent,
            spread: figures.spread,
            selections: figures.selections,
            open: figures.open,
            bytes: figures.bytes,
            segments: figures.segments,
            stale: stale(&cells),
            dns,
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

    /// Whether a client is more than an unknown process.
    fn has_name(&self, client: WorkloadId) -> bool {
        self.clients.workload(client).is_some_and(|workload| *workload.name != *sanitize::comm(&[]))
    }

    fn endpoint(
        &self,
        endpoint: &topology::Endpoint,
        cells: &[CellRow<'_>],
        mature: bool,
        first_answered: Option<Time>,
        moment: &Moment<'_>,
    ) -> Endpoint {
        let sum = |figure: fn(&Tally) -> u64| cells.iter().map(|(_, cell)| figure(cell)).sum();
        let counting = || {
            let counts = |key: &CellKey| {
                key.resolution.counts() && moment.excluded(key.endpoint.service, key.client).is_none()
            };
            cells.iter().filter(move |(key, _)| counts(key)).map(|(_, cell)| *cell)
        };
        let is_included =
            |(key, _): &&CellRow<'_>| moment.excluded(key.endpoint.service, key.client).is_none();
        let included = cells.iter().filter(is_included).copied();
        let counts = spread::InSpread::of(included, Resolution::counts);
        Endpoint {
            expected: 0.0,
            counted_active: counts.active,
            counted_bytes: counts.bytes,
            counted_segments: counts.segments,
            ports: endpoint.ports().to_vec(),
            zone: endpoint.zone().map(ToString::to_string),
            hints: endpoint.hints().iter().map(ToString::to_string).collect(),
            pod: endpoint.label().to_string(),
            addresses: endpoint.addresses().map(|address| address.to_string()).collect(),
            state: endpoint.state().name().to_owned(),
            state_since: endpoint.state_since().map(|time| self.wall(time)),
            ready_since: endpoint.ready_since().map(|time| self.wall(time)),
            mature,
            first_answered: first_answered.map(|time| self.wall(time)),
            flaps: endpoint.flaps(moment.stretch),
            opened: sum(|cell| cell.opened),
            counted: counting().map(|cell| cell.opened).sum(),
            selections: counting().map(|cell| cell.selections).sum(),
            failed: failures(cells),
            superseded: sum(|cell| cell.superseded),
            active: sum(Tally::active),
            closed: sum(|cell| cell.closed),
            bytes_sent: sum(|cell| cell.bytes_sent),
            bytes_received: sum(|cell| cell.bytes_received),
            carried: carried(cells),
            ends: ends(cells),
        }
    }

    /// The reason why the spread excludes a client, if it does.
    pub(in crate::engine) fn excluded(&self, client: WorkloadId) -> Option<&'static str> {
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
