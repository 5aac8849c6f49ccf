//! The engine: the only owner of state. In: records, topology changes and cgroup paths, in the order in which they
//! happen. Out: counts in the ledger, and updates for the kernel and the shell.
//!
//! Invariants: no clock, no IO, no locks; the time is that of the records. The work per record does not grow with the
//! number of Services.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use headless_obs_ebpf::Address;
use headless_obs_ebpf::flow::{FlowKey, FlowTotals};

mod client_stats;
mod connection_history;
mod dns_stats;
mod dns_timeouts;
mod happy_eyeballs;
mod ignore_list;
mod on_dns;
mod on_tcp;
mod pending_connections;
mod reconcile;
mod report;
mod trace_events;
mod unattributed;

pub use dns_stats::Transport;
pub use ignore_list::IgnoreUpdates;
pub use report::KernelState;
pub(crate) use report::natural;

use crate::answer_cache::Evidence;
use crate::attribution::{Outcome, Unattributed};
use crate::client::exclude::Exclude;
use crate::client::{Clients, sanitize};
use crate::dns;
use crate::dns::message::{Decoder, Reject};
use crate::dns::tcp_stream::Streams;
use crate::expose::metrics::cardinality::{self, Governor};
use crate::expose::trace_events::TraceEvent;
use crate::hash::{HashMap, HashSet};
use crate::ledger::{Fate, NOBODY};
use crate::time::Time;
use crate::topology::learned::Learner;
use crate::topology::model::Change;
use crate::topology::{EndpointRef, State, Topology, Touched};

use client_stats::{Conducts, Dialler};
use connection_history::Past;
use dns_stats::Answers;
use dns_timeouts::Silences;
use happy_eyeballs::Winners;
use ignore_list::IgnoreList;
use pending_connections::Pending;
use reconcile::Accounts;
use unattributed::Tally;

/// Limits and modes of the engine.
#[derive(Debug)]
pub struct Config {
    /// Limits of the topology.
    pub topology: crate::topology::Config,
    /// Set if the topology is learned from answers.
    pub learner: Option<Learner>,
    /// Limits of the client directory.
    pub clients: crate::client::Config,
    /// Limits of the answer cache.
    pub evidence: crate::answer_cache::Config,
    /// Limits of reassembly.
    pub streams: dns::tcp_stream::Limits,
    /// The most cells in the ledger, approximately; a cell takes some 300 bytes.
    pub cells: usize,
    /// The most pairs of client and Service with statistics; a pair takes about 1 KiB.
    pub conducts: usize,
    /// The size of the kernel's map of ignored destinations.
    pub ignored: usize,
    /// How long a flow's totals are kept after they stopped changing.
    pub idle_flow: Duration,
    /// How long an endpoint must have been ready before it counts in the spread.
    pub mature_after: Duration,
    /// How long after an endpoint's change a connection to it is not the client's fault.
    pub stale_grace: Duration,
    /// Whether programs on the node itself count in the spread.
    pub count_host: bool,
    /// Clients that the spread excludes.
    pub exclude: Exclude,
    /// Limits of the series in a scrape.
    pub series: cardinality::Config,
    /// The daemon's own process, whose connections do not count; 0: none.
    pub own_process: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topology: crate::topology::Config::default(),
            learner: None,
            clients: crate::client::Config::default(),
            evidence: crate::answer_cache::Config::default(),
            streams: dns::tcp_stream::Limits::default(),
            cells: 100_000,
            conducts: 16_384,
            ignored: 16_384,
            idle_flow: Duration::from_secs(600),
            mature_after: Duration::from_secs(600),
            stale_grace: Duration::from_secs(5),
            count_host: true,
            exclude: Exclude::default(),
            series: cardinality::Config::default(),
            own_process: 0,
        }
    }
}

/// A client whose program is not known.
#[derive(Debug)]
pub struct Nameless(Dialler);

/// How long no Service must have an address before the kernel ignores it.
const UNOWNED: Duration = Duration::from_secs(600);

/// All state of the daemon.
pub struct Engine {
    topology: Topology,
    learner: Option<Learner>,
    clients: Clients,
    evidence: Evidence,
    streams: Streams,
    accounts: Accounts,
    answers: Answers,
    ignored: IgnoreList,
    winners: Winners,
    pending: Pending,
    conducts: Conducts,
    governor: Governor,
    tally: Tally,
    past: Past,
    decoder: Decoder,
    dns_rejected: [u64; Reject::ALL.len()],
    silences: Silences,
    idle_flow: Duration,
    mature_after: Duration,
    stale_grace: Duration,
    count_host: bool,
    exclude: Exclude,
    own_process: u32,
    /// How long a silent client is remembered.
    keep: Duration,
    /// Processes whose program is not known, and their clients.
    nameless: Vec<(u32, Dialler)>,
    /// When the topology's source last reported anything.
    last_told: Option<Time>,
    /// Events since the last call of `take_trace`; `None`: there is no reader.
    trace: Option<Vec<TraceEvent>>,
    /// Nanoseconds between the monotonic clock and the wall clock, for traces.
    wall_offset: i128,
}

impl Engine {
    /// An engine without any state.
    pub fn new(config: Config) -> Self {
        Self {
            topology: Topology::new(config.topology),
            learner: config.learner,
            clients: Clients::new(config.clients),
            evidence: Evidence::new(config.evidence),
            streams: Streams::new(config.streams),
            accounts: Accounts::new(config.cells),
            answers: Answers::default(),
            ignored: IgnoreList::new(config.ignored, UNOWNED),
            winners: Winners::default(),
            pending: Pending::default(),
            conducts: Conducts::new(config.conducts),
            governor: Governor::new(config.series),
            tally: Tally::default(),
            past: Past::default(),
            decoder: Decoder::default(),
            dns_rejected: [0; Reject::ALL.len()],
            silences: Silences::new(),
            idle_flow: config.idle_flow,
            mature_after: config.mature_after,
            stale_grace: config.stale_grace,
            count_host: config.count_host,
            exclude: config.exclude,
            own_process: config.own_process,
            keep: config.evidence.keep,
            nameless: Vec::new(),
            last_told: None,
            trace: None,
            wall_offset: 0,
        }
    }

    /// The topology changed.
    pub fn apply(&mut self, now: Time, change: Change) {
        if change != Change::Synced(false) {
            self.last_told = Some(now);
        }
        let touched = self.topology.apply(now, change);
        self.touch(&touched);
    }

    /// Whether the topology is complete and current.
    pub fn synced(&self) -> bool {
        self.topology.synced()
    }

    /// Services and Pods.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The client directory, which needs the paths of cgroups.
    pub fn clients(&mut self) -> &mut Clients {
        &mut self.clients
    }

    /// Samples the history; to be called about once a second.
    pub fn remember(&mut self, now: Time) {
        self.past.look(now, self.wall_offset, &self.accounts.ledger);
    }

    /// Forgets old state.
    pub fn expire(&mut self, now: Time) {
        let heirs = self.heirs();
        let touched = self.topology.expire(now);
        self.touch(&touched);
        // A stale source cannot prove that an endpoint does not exist.
        if self.synced() {
            let given_up = self.pending.expire(now);
            self.tally.add(Outcome::ToNobody(Unattributed::NotEndpoint), given_up);
        }
        self.evidence.expire(now);
        self.streams.expire(now);
        self.ignored.expire(now);
        let booked =
            self.accounts.ledger.cells().filter_map(|(key, _)| Some((key.client?, key.endpoint.service)));
        let booked: HashSet<_> = booked.collect();
        // A client that comes back continues with its former counts while its connections are remembered.
        let past = |workload, service| {
            let name = || self.clients.workload(workload).map(|name| name.namespace.clone());
            (!booked.contains(&(workload, service))).then(|| name().unwrap_or_default())
        };
        let is_known = |service| self.topology.service_by_id(service).is_some();
        self.conducts.expire(now, self.keep, is_known, past);
        let Self { accounts, answers, topology, pending, conducts, past, .. } = self;
        accounts.ledger.expire(|place| fate(topology, &heirs, place));
        let booked: HashSet<_> = accounts.ledger.cells().map(|(key, _)| key.endpoint).collect();
        past.expire(|endpoint| booked.contains(&endpoint));
        let in_cells = accounts.ledger.cells().filter_map(|(key, _)| key.client);
        let waiting = pending.clients().map(|client| client.workload);
        let dialling = conducts.all().map(|((_, workload, _), ..)| *workload);
        let summed = conducts.sums().map(|((workload, _), _)| *workload);
        let used: HashSet<_> = in_cells.chain(waiting).chain(dialling).chain(summed).collect();
        self.clients.retain_workloads(|workload| used.contains(&workload));
        answers.expire(topology);
    }

    /// Endpoints that left, with the endpoints that have their names now.
    fn heirs(&self) -> HashMap<EndpointRef, EndpointRef> {
        let mut heirs = HashMap::default();
        for state in self.topology.services() {
            let (left, there): (Vec<_>, Vec<_>) =
                state.endpoints().partition(|endpoint| endpoint.state() == State::Removed);
            if left.is_empty() {
                continue;
            }
            let named: HashMap<_, _> =
                there.into_iter().map(|endpoint| (endpoint.label(), endpoint.id())).collect();
            let found =
                left.into_iter().filter_map(|endpoint| Some((endpoint.id(), *named.get(&endpoint.label())?)));
            heirs.extend(found);
        }
        heirs
    }

    /// Flows without open connections whose totals have not changed for long, with those totals. The kernel can forget
    /// them unless they have changed since.
    pub fn idle_flows(&self, now: Time) -> Vec<(FlowKey, FlowTotals)> {
        self.accounts.idle(now, self.idle_flow)
    }

    /// Forgets a flow that the kernel has forgotten.
    pub fn forget_flow(&mut self, flow: FlowKey) {
        self.accounts.forget(flow);
    }

    /// Updates of the kernel's ignored destinations.
    pub fn take_ignore_updates(&mut self) -> IgnoreUpdates {
        self.ignored.take()
    }

    /// Clients whose program should be looked up, with the process id. Each is returned once.
    pub fn take_nameless(&mut self) -> Vec<(u32, Nameless)> {
        std::mem::take(&mut self.nameless)
            .into_iter()
            .map(|(process, who)| (process, Nameless(who)))
            .collect()
    }

    /// Takes the name of a client's program.
    pub fn program(&mut self, who: &Nameless, name: &[u8]) {
        self.conducts.program(&who.0, &sanitize::comm(name));
    }

    /// Looks again at addresses whose owners changed.
    fn touch(&mut self, touched: &Touched) {
        touched.addresses.iter().for_each(|address| self.ignored.unignore(*address));
        self.book_pending(touched);
    }
}

/// Whether the counts of an endpoint stay, move or go.
fn fate(topology: &Topology, heirs: &HashMap<EndpointRef, EndpointRef>, place: EndpointRef) -> Fate {
    if topology.service_by_id(place.service).is_none() {
        Fate::Void
    } else if place.endpoint != NOBODY && topology.endpoint(place).is_some() {
        Fate::Known
    } else {
        heirs.get(&place).map_or(Fate::Gone, |heir| Fate::Heir(*heir))
    }
}

/// An address of the interface; an IPv4-mapped one becomes IPv4.
fn ip(address: Address) -> IpAddr {
    Ipv6Addr::from(address).to_canonical()
}

#[cfg(test)]
mod tests;
