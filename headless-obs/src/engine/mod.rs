//! The engine: the only owner of state. In: records, topology changes and cgroup paths, in the order in which they
//! happen. Out: counts in the ledger, and updates for the kernel and the shell.
//!
//! Invariants: no clock, no IO, no locks; the time is that of the records. The work per record does not grow with the
//! number of Services.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use headless_obs_ebpf::Address;
use headless_obs_ebpf::flow::{FlowKey, FlowTotals};

mod answer_of_connection;
mod attempt_account;
mod client_stats;
mod connection_history;
mod dns_stats;
mod dns_timeouts;
mod happy_eyeballs;
mod ignore_list;
mod losses;
mod on_dns;
mod on_tcp;
mod on_totals;
mod other_names;
mod pending_connections;
mod reconcile;
mod report;
mod sampled_totals;
mod trace_events;
mod unreached;
mod verdict_log;
mod zones;

pub use dns_stats::Transport;
pub use ignore_list::IgnoreUpdates;
pub use losses::KernelLoss;
pub(crate) use report::natural;
pub use report::{KernelState, Listing, Program};
pub use verdict_log::LOOK;

use crate::answer_cache::AnswerCache;
use crate::attribution::{Attribution, Unattributed};
use crate::client::exclude::Exclude;
use crate::client::proxy_names::ProxyNames;
use crate::client::{Clients, sanitize};
use crate::cluster_zone::ClusterZone;
use crate::dns;
use crate::dns::datagram::Datagrams;
use crate::dns::message::Decoder;
use crate::dns::tcp_stream::Streams;
use crate::expose::metrics::cardinality::{self, Governor};
use crate::expose::trace_events::TraceEvent;
use crate::hash::{HashMap, HashSet};
use crate::ledger::{NO_ENDPOINT, Retention};
use crate::offer::Offers;
use crate::time::Time;
use crate::topology::intent::NotObeyed;
use crate::topology::learned::Learner;
use crate::topology::model::Change;
use crate::topology::{EndpointRef, State, Topology, Touched};
use crate::windowed::{self, Slot, Windowed};

use attempt_account::AttemptAccount;
use client_stats::{ClientServiceKey, ClientStatsTable};
use dns_stats::DnsStats;
use dns_timeouts::DnsTimeouts;
use happy_eyeballs::RecentConnects;
use ignore_list::IgnoreList;
use losses::LossTable;
use other_names::OtherNames;
use pending_connections::PendingConnections;
use reconcile::FlowReconciler;
use sampled_totals::{SampledTotals, Totals};
use unreached::UnreachedTable;
use verdict_log::VerdictLog;
use zones::ForgottenZones;

/// Limits and modes of the engine.
#[derive(Debug)]
pub struct Config {
    /// Limits of the topology.
    pub topology: crate::topology::Config,
    /// Set if the topology is learned from answers.
    pub learner: Option<Learner>,
    /// The zone of the cluster in the names of Services.
    pub zone: ClusterZone,
    /// Limits of the client directory.
    pub clients: crate::client::Config,
    /// Proxies that the user names.
    pub proxies: ProxyNames,
    /// Limits of the answer cache.
    pub answer_cache: crate::answer_cache::Config,
    /// Limits of reassembly.
    pub streams: dns::tcp_stream::Limits,
    /// The most cells in the ledger, approximately; a cell takes some 300 bytes.
    pub cells: usize,
    /// The most room for the past of counts, in bytes. Without room, the oldest past is dropped.
    pub window_memory: usize,
    /// The most pairs of client and Service with statistics; a pair takes about 1 KiB.
    pub client_stats: usize,
    /// The size of the kernel's map of ignored destinations.
    pub ignored: usize,
    /// The time that a flow's totals are kept after they stopped changing.
    pub idle_flow: Duration,
    /// The time that an endpoint must have been ready before it counts in the spread.
    pub mature_after: Duration,
    /// The time after an endpoint's change in which a connection to it is not the client's fault.
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
            zone: ClusterZone::default(),
            clients: crate::client::Config::default(),
            proxies: ProxyNames::default(),
            answer_cache: crate::answer_cache::Config::default(),
            streams: dns::tcp_stream::Limits::default(),
            cells: 100_000,
            window_memory: 32 << 20,
            client_stats: 16_384,
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
pub struct ProgramLookup(ClientServiceKey);

/// The past that is kept, however much room it takes.
const MIN_REACH: Duration = Duration::from_secs(15 * 60);
/// The time for which no Service must have an address before the kernel ignores it.
const IGNORE_AFTER: Duration = Duration::from_secs(600);

/// All state of the daemon.
pub struct Engine {
    topology: Topology,
    forgotten_zones: ForgottenZones,
    zone: ClusterZone,
    learner: Option<Learner>,
    clients: Clients,
    answer_cache: AnswerCache,
    datagrams: Datagrams,
    offers: Offers,
    streams: Streams,
    reconciler: FlowReconciler,
    answers: DnsStats,
    other_names: OtherNames,
    ignored: IgnoreList,
    happy_eyeballs: RecentConnects,
    pending: PendingConnections,
    unreached: UnreachedTable,
    client_stats: ClientStatsTable,
    governor: Governor,
    account: AttemptAccount,
    /// The oldest slot of which everything is known.
    oldest_slot: Slot,
    window_memory: usize,
    verdict_log: VerdictLog,
    decoder: Decoder,
    dns_rejected: Windowed<Totals>,
    /// The counts of the kernel programs and of the engine's limits.
    sampled: SampledTotals,
    dns_timeouts: DnsTimeouts,
    losses: LossTable,
    idle_flow: Duration,
    mature_after: Duration,
    stale_grace: Duration,
    count_host: bool,
    exclude: Exclude,
    own_process: u32,
    /// The time that a silent client is remembered.
    client_ttl: Duration,
    /// Processes whose program is not known, and their clients.
    program_lookups: Vec<(u32, ClientServiceKey)>,
    /// The time at which the topology's source last reported anything.
    last_topology_event: Option<Time>,
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
            forgotten_zones: ForgottenZones::default(),
            zone: config.zone,
            learner: config.learner,
            clients: Clients::new(config.clients, config.proxies),
            answer_cache: AnswerCache::new(config.answer_cache),
            datagrams: Datagrams::default(),
            offers: Offers::default(),
            streams: Streams::new(config.streams),
            reconciler: FlowReconciler::new(config.cells),
            answers: DnsStats::default(),
            other_names: OtherNames::default(),
            ignored: IgnoreList::new(config.ignored, IGNORE_AFTER),
            happy_eyeballs: RecentConnects::default(),
            pending: PendingConnections::default(),
            unreached: UnreachedTable::default(),
            client_stats: ClientStatsTable::new(config.client_stats),
            governor: Governor::new(config.series),
            account: AttemptAccount::default(),
            oldest_slot: Slot::default(),
            window_memory: config.window_memory,
            verdict_log: VerdictLog::default(),
            decoder: Decoder::default(),
            dns_rejected: Windowed::default(),
            sampled: SampledTotals::default(),
            dns_timeouts: DnsTimeouts::new(),
            losses: LossTable::default(),
            idle_flow: config.idle_flow,
            mature_after: config.mature_after,
            stale_grace: config.stale_grace,
            count_host: config.count_host,
            exclude: config.exclude,
            own_process: config.own_process,
            client_ttl: config.answer_cache.keep,
            program_lookups: Vec::new(),
            last_topology_event: None,
            trace: None,
            wall_offset: 0,
        }
    }

    /// The topology changed.
    pub fn apply(&mut self, now: Time, change: Change) {
        if change != Change::Synced(false) {
            self.last_topology_event = Some(now);
        }
        let touched = self.topology.apply(now, change);
        self.touch(now, &touched);
    }

    /// Annotations that are not obeyed, of those that came since the last call.
    pub fn take_not_obeyed(&mut self) -> Vec<NotObeyed> {
        self.topology.take_not_obeyed()
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

    /// Forgets old state.
    pub fn expire(&mut self, now: Time) {
        let successors = self.successors();
        let touched = self.topology.expire(now);
        self.touch(now, &touched);
        // A stale source cannot prove that an endpoint does not exist.
        if self.synced() {
            let given_up = self.pending.expire(now);
            self.account.settle(now, Attribution::Unattributed(Unattributed::NotEndpoint), given_up);
        }
        self.answer_cache.expire(now);
        self.offers.expire();
        self.streams.expire(now);
        self.collect_losses(now);
        self.losses.expire(now, self.client_ttl);
        self.ignored.expire(now);
        self.unreached.expire(now);
        let booked =
            self.reconciler.ledger.cells().filter_map(|(key, _)| Some((key.client?, key.endpoint.service)));
        let booked: HashSet<_> = booked.collect();
        // A client that comes back continues with its former counts while its connections are remembered.
        let past = |workload, service| {
            let name = || self.clients.workload(workload).map(|name| name.namespace.clone());
            (!booked.contains(&(workload, service))).then(|| name().unwrap_or_default())
        };
        let is_known = |service| self.topology.service_by_id(service).is_some();
        self.client_stats.expire(now, self.client_ttl, is_known, past);
        let client_ttl = self.client_ttl;
        self.other_names.expire(is_known, |last| now.since(last) < client_ttl);
        let Self { reconciler, answers, topology, forgotten_zones, pending, unreached, client_stats, .. } =
            self;
        let zone = |place| forgotten_zones.of(topology, place).cloned();
        reconciler.ledger.expire(|place| retention(topology, &successors, place), zone);
        forgotten_zones.retain(&reconciler.ledger);
        let in_cells = reconciler.ledger.cells().filter_map(|(key, _)| key.client);
        let waiting = pending.clients().chain(unreached.clients());
        let connect_stats = client_stats.all().map(|((_, workload, _), ..)| *workload);
        let summed = client_stats.sums().map(|((workload, _), _)| *workload);
        let named = self.other_names.clients();
        let mut used: HashSet<_> =
            in_cells.chain(waiting).chain(connect_stats).chain(summed).chain(named).collect();
        // Sums over a namespace must not decrease, so what is left of a client that is forgotten stays with its namespace.
        let clients = &mut self.clients;
        reconciler.ledger.bequeath(|client| if used.contains(&client) { None } else { clients.heir(client) });
        used.extend(reconciler.ledger.departed().filter_map(|(key, ..)| key.client));
        self.clients.retain_workloads(|workload| used.contains(&workload));
        answers.expire(topology);
        let is_there = |namespace: &str, name: &str| topology.find(namespace, name).is_some();
        self.verdict_log.expire(is_there);
        self.trim(now);
    }

    /// Drops the oldest slots while all slots together take more room than they may.
    fn trim(&mut self, now: Time) {
        let mut reach = windowed::LONGEST;
        loop {
            let oldest = Slot::start(now, reach).max(self.oldest_slot);
            let room = self.reconciler.ledger.trim(oldest)
                + self.client_stats.trim(oldest)
                + self.answers.trim(oldest)
                + self.losses.trim(oldest)
                + self.pending.trim(oldest)
                + self.other_names.trim(oldest)
                + self.unreached.trim(oldest);
            if room <= self.window_memory || reach < MIN_REACH {
                self.oldest_slot = oldest;
                return;
            }
            reach = reach.mul_f64(0.75);
        }
    }

    /// Endpoints that left, with the endpoints that have their names now.
    fn successors(&self) -> HashMap<EndpointRef, EndpointRef> {
        let mut successors = HashMap::default();
        for state in self.topology.services() {
            let (left, there): (Vec<_>, Vec<_>) =
                state.endpoints().partition(|endpoint| endpoint.state() == State::Removed);
            if left.is_empty() {
                continue;
            }
            let named: HashMap<_, _> =
                there.into_iter().map(|endpoint| (endpoint.label(), endpoint.id())).collect();
            let found =
                left.into_iter().filter_map(|endpoint| Some((endpoint.id(), *named.get(endpoint.label())?)));
            successors.extend(found);
        }
        successors
    }

    /// Flows without open connections whose totals have not changed for long, with those totals. The kernel can forget
    /// them unless they have changed since.
    pub fn idle_flows(&self, now: Time) -> Vec<(FlowKey, FlowTotals)> {
        self.reconciler.idle(now, self.idle_flow)
    }

    /// Forgets a flow that the kernel has forgotten.
    pub fn forget_flow(&mut self, flow: FlowKey) {
        self.reconciler.forget(flow);
    }

    /// Updates of the kernel's ignored destinations.
    pub fn take_ignore_updates(&mut self) -> IgnoreUpdates {
        self.ignored.take()
    }

    /// Clients whose program should be looked up, with the process id. Each is returned once.
    pub fn take_program_lookups(&mut self) -> Vec<(u32, ProgramLookup)> {
        std::mem::take(&mut self.program_lookups)
            .into_iter()
            .map(|(process, who)| (process, ProgramLookup(who)))
            .collect()
    }

    /// Takes the name of a client's program.
    pub fn program(&mut self, who: &ProgramLookup, name: &[u8]) {
        self.client_stats.program(&who.0, &sanitize::comm(name));
    }

    /// Looks again at addresses whose owners changed.
    fn touch(&mut self, now: Time, touched: &Touched) {
        self.forgotten_zones.learn(&touched.zones);
        for &address in &touched.addresses {
            self.unignore(address);
            if self.topology.owners(address).next().is_some() {
                self.unreached.is_owned(address);
            }
        }
        self.book_pending(now, touched);
    }

    /// The kernel must report connections to this address, also to its translations.
    fn unignore(&mut self, address: IpAddr) {
        self.ignored.unignore(address);
        if !self.ignored.has_family(true) {
            return;
        }
        self.topology.translations(address).for_each(|translated| self.ignored.unignore(translated));
    }
}

/// Whether the counts of an endpoint stay, move or go.
fn retention(
    topology: &Topology,
    successors: &HashMap<EndpointRef, EndpointRef>,
    place: EndpointRef,
) -> Retention {
    if topology.service_by_id(place.service).is_none() {
        Retention::Drop
    } else if place.endpoint != NO_ENDPOINT && topology.endpoint(place).is_some() {
        Retention::Keep
    } else {
        successors.get(&place).map_or(Retention::Archive, |successor| Retention::MergeInto(*successor))
    }
}

/// An address of the interface; an IPv4-mapped one becomes IPv4.
fn ip(address: Address) -> IpAddr {
    Ipv6Addr::from(address).to_canonical()
}

#[cfg(test)]
mod tests;
