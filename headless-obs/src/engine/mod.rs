//! The engine: the one owner of all state. Records, topology changes and cgroup paths go in, in the order they
//! happen; bookings in the ledger come out, and what the kernel and the shell should do next.
//!
//! Invariants: no clock, no IO, no locks: time is the records' own. The work per record does not grow with the number
//! of Services.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use headless_obs_ebpf::Address;
use headless_obs_ebpf::flow::{FlowKey, FlowTotals, reason};
use headless_obs_ebpf::record::{DnsRecord, ExistingRecord, KIND_CLOSED, KIND_OPENED, TcpRecord};

mod accounts;
mod answers;
mod boring;
mod eyeballs;
mod pending;
mod report;
mod trace;

pub use answers::Transport;
pub use boring::Effects;
pub use report::KernelState;

use crate::attribution::{Dial, Outcome, Resolution, Unattributed, attribute, meant};
use crate::client::{Client, Clients};
use crate::dns::message::{Reject, decode};
use crate::dns::name::candidates;
use crate::dns::stream::{Segment, StreamKey, Streams};
use crate::dns::{self, Answer, Rcode};
use crate::evidence::Evidence;
use crate::expose::trace::TraceEvent;
use crate::ledger::CellKey;
use crate::time::Time;
use crate::topology::learned::Learner;
use crate::topology::object::Change;
use crate::topology::{Topology, Touched};

use accounts::{Accounts, Booking};
use answers::Answers;
use boring::{Boring, Prospect};
use eyeballs::{Attempt, Winners};
use pending::Pending;

/// Bounds and modes of the engine.
#[derive(Debug)]
pub struct Config {
    /// Bounds of the topology.
    pub topology: crate::topology::Config,
    /// Set where Services are learnt from answers instead of being told.
    pub learner: Option<Learner>,
    /// Bounds of the directory of clients.
    pub clients: crate::client::Config,
    /// Bounds of the evidence.
    pub evidence: crate::evidence::Config,
    /// Bounds of reassembly.
    pub streams: dns::stream::Limits,
    /// About how many cells the ledger may have.
    pub cells: usize,
    /// How many boring addresses the kernel can hold.
    pub boring: usize,
    /// How long a flow's totals are kept after they stopped changing.
    pub idle_flow: Duration,
}

/// How long nobody must own an address before connections to it are passed over.
const UNOWNED: Duration = Duration::from_secs(600);

/// All state of the observer.
pub struct Engine {
    topology: Topology,
    learner: Option<Learner>,
    clients: Clients,
    evidence: Evidence,
    streams: Streams,
    accounts: Accounts,
    answers: Answers,
    boring: Boring,
    winners: Winners,
    pending: Pending,
    unattributed: [u64; Unattributed::ALL.len()],
    dns_rejected: [u64; Reject::ALL.len()],
    idle_flow: Duration,
    /// Events since the last call of `take_trace`; `None`: nobody follows.
    trace: Option<Vec<TraceEvent>>,
    /// Nanoseconds between the monotonic clock and the wall clock, for traces.
    wall_offset: i128,
}

impl Engine {
    /// Knows nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            topology: Topology::new(config.topology),
            learner: config.learner,
            clients: Clients::new(config.clients),
            evidence: Evidence::new(config.evidence),
            streams: Streams::new(config.streams),
            accounts: Accounts::new(config.cells),
            answers: Answers::default(),
            boring: Boring::new(config.boring, UNOWNED),
            winners: Winners::default(),
            pending: Pending::default(),
            unattributed: [0; Unattributed::ALL.len()],
            dns_rejected: [0; Reject::ALL.len()],
            idle_flow: config.idle_flow,
            trace: None,
            wall_offset: 0,
        }
    }

    /// The topology changed.
    pub fn apply(&mut self, now: Time, change: Change) {
        let touched = self.topology.apply(now, change);
        self.touch(&touched);
    }

    /// Whether the topology is complete and in touch.
    pub fn synced(&self) -> bool {
        self.topology.synced()
    }

    /// The directory of clients, to tell it the paths of cgroups.
    pub fn clients(&mut self) -> &mut Clients {
        &mut self.clients
    }

    /// A DNS message, or a segment of a stream of them.
    pub fn on_dns(&mut self, record: &DnsRecord, payload: &[u8]) {
        const TCP: u8 = 6;
        if record.protocol != TCP {
            self.on_message(record, payload, Transport::Udp);
            return;
        }
        let key = StreamKey {
            cgroup: record.header.cgroup,
            client: SocketAddr::new(ip(record.client), record.client_port),
            server: SocketAddr::new(ip(record.server), record.server_port),
        };
        let segment =
            Segment { sequence: record.sequence, flags: record.tcp_flags, cut: record.cut, payload };
        // Taken out for as long as it hands messages to the engine that it is part of.
        let mut streams = std::mem::take(&mut self.streams);
        streams.push(Time(record.header.time), key, segment, |message| {
            self.on_message(record, message, Transport::Tcp);
        });
        self.streams = streams;
    }

    fn on_message(&mut self, record: &DnsRecord, message: &[u8], transport: Transport) {
        match decode(message) {
            Ok(answer) => self.on_answer(record, &answer, transport),
            Err(reject) => {
                let rejected = Reject::ALL.iter().position(|known| *known == reject);
                if let Some(count) = rejected.and_then(|place| self.dns_rejected.get_mut(place)) {
                    *count += 1;
                }
            }
        }
    }

    fn on_answer(&mut self, record: &DnsRecord, answer: &Answer, transport: Transport) {
        let now = Time(record.header.time);
        if let Some(learner) = &mut self.learner {
            for change in learner.observe(now, answer) {
                let touched = self.topology.apply(now, change);
                self.touch(&touched);
            }
        }
        let client = self.clients.identify(&self.topology, record.header.cgroup, ip(record.client), &[]);
        let meant = meant(answer, &self.topology);
        if let Some((_, service, resolution)) = meant {
            let is_whole = resolution == Resolution::Service;
            self.answers.count(service, answer, transport, is_whole, &self.topology);
        }
        if answer.rcode == Rcode::NoError {
            // A name that can mean a Service counts before the topology knows it: that may be behind DNS.
            let likely = || answer.chain.iter().rev().find(|name| candidates(name).next().is_some());
            let name = meant.map(|(name, ..)| name).or_else(likely);
            self.evidence.observe(now, client.scope, answer, name);
            if meant.is_some() {
                let of_targets = answer.targets.iter().flat_map(|target| &target.addresses);
                let listed = answer.addresses.iter().chain(of_targets);
                listed.for_each(|record| self.boring.interesting(record.address));
            }
        }
        self.trace_dns(now, client, meant.map(|(_, service, _)| service), answer, transport);
    }

    /// A change in a connection's life.
    pub fn on_tcp(&mut self, record: &TcpRecord) {
        let client = self.identify(record);
        match record.header.kind {
            KIND_OPENED => self.on_opened(record, client),
            KIND_CLOSED => self.on_closed(record, client),
            _ => self.on_failed(record, client),
        }
    }

    fn on_opened(&mut self, record: &TcpRecord, client: Client) {
        let dial = dial(record);
        let (outcome, booking) = self.book(dial, client, 1);
        self.evidence.touch(dial.now, client.scope);
        if let Outcome::To(target) = outcome {
            self.winners.opened(dial.now, attempt(record, client, target.endpoint.service));
        }
        self.accounts.opened(record, booking);
        self.wait_if_ahead(record, client, outcome);
        self.trace_tcp(record, client, outcome, None);
    }

    fn on_failed(&mut self, record: &TcpRecord, client: Client) {
        let dial = dial(record);
        let (outcome, booking) = self.book(dial, client, 1);
        let is_superseded = match (outcome, dial.started) {
            (Outcome::To(target), Some(started)) if may_be_given_up(record.reason) => {
                self.winners.beat(started, attempt(record, client, target.endpoint.service))
            }
            _ => false,
        };
        self.accounts.failed(record, booking, is_superseded);
        self.wait_if_ahead(record, client, outcome);
        let why = if is_superseded { "superseded" } else { reason_name(record.reason) };
        self.trace_tcp(record, client, outcome, Some(why));
    }

    fn on_closed(&mut self, record: &TcpRecord, client: Client) {
        self.pending.closed(record);
        let dial = dial(record);
        let Self { accounts, topology, evidence, unattributed, .. } = self;
        let mut outcome = Outcome::Unrelated;
        accounts.closed(record, |ledger| {
            outcome = find(topology, evidence, dial, client);
            booking_of(outcome, client, dial.port).map(|(key, target)| (ledger.admit(key), target))
        });
        if let Outcome::ToNobody(reason) = outcome {
            count(unattributed, reason, 1);
        }
        if self.trace.is_some() {
            let outcome = find(&self.topology, &self.evidence, dial, client);
            let why = (record.reason != reason::NONE).then(|| reason_name(record.reason));
            self.trace_tcp(record, client, outcome, why);
        }
    }

    /// Connections that are older than the observer.
    pub fn adopt(&mut self, now: Time, existing: &[ExistingRecord]) {
        for record in existing {
            let client =
                self.clients.identify(&self.topology, record.cgroup, ip(record.source), &record.comm);
            let dial = Dial { address: ip(record.destination), port: record.port, started: None, now };
            let (_, booking) = self.book(dial, client, 1);
            let flow = FlowKey {
                cgroup: record.cgroup,
                source: record.source,
                destination: record.destination,
                port: record.port,
                _pad: [0; 6],
            };
            self.accounts.adopted(record.socket, flow, booking);
        }
    }

    /// Books what the kernel's totals have and the ring lost. The ring must have been read up to the moment they were
    /// read.
    pub fn reconcile(&mut self, now: Time, totals: &[(FlowKey, FlowTotals)]) {
        let Self { accounts, topology, evidence, clients, unattributed, .. } = self;
        accounts.reconcile(now, totals, |ledger, flow, totals, connections| {
            let client = clients.identify(topology, flow.cgroup, ip(flow.source), &totals.comm);
            let dial = Dial { address: ip(flow.destination), port: flow.port, started: Some(now), now };
            let outcome = find(topology, evidence, dial, client);
            if let Outcome::ToNobody(reason) = outcome {
                count(unattributed, reason, connections);
            }
            booking_of(outcome, client, flow.port).map(|(key, target)| (ledger.admit(key), target))
        });
    }

    /// Forgets what is too old.
    pub fn expire(&mut self, now: Time) {
        let touched = self.topology.expire(now);
        self.touch(&touched);
        let given_up = self.pending.expire(now);
        count(&mut self.unattributed, Unattributed::NotEndpoint, given_up);
        self.evidence.expire(now);
        self.streams.expire(now);
        self.boring.expire(now);
        let Self { accounts, answers, topology, pending, .. } = self;
        accounts.ledger.expire(|endpoint| topology.endpoint(endpoint).is_some());
        let in_cells = accounts.ledger.cells().filter_map(|(key, _)| key.client);
        let used: HashSet<_> = in_cells.chain(pending.clients().map(|client| client.workload)).collect();
        self.clients.retain_workloads(|workload| used.contains(&workload));
        answers.expire(|service| topology.service_by_id(service).is_some());
    }

    /// Flows of which nothing is open and whose totals have not changed for long, with those totals: the kernel can
    /// forget them unless they have changed since.
    pub fn idle_flows(&self, now: Time) -> Vec<(FlowKey, FlowTotals)> {
        self.accounts.idle(now, self.idle_flow)
    }

    /// Forgets a flow that the kernel has forgotten.
    pub fn forget_flow(&mut self, flow: FlowKey) {
        self.accounts.forget(flow);
    }

    /// What the kernel should know about destinations.
    pub fn take_effects(&mut self) -> Effects {
        self.boring.take()
    }

    /// Looks anew at addresses whose owners changed.
    fn touch(&mut self, touched: &Touched) {
        touched.addresses.iter().for_each(|address| self.boring.interesting(*address));
        self.book_pending(touched);
    }

    fn identify(&mut self, record: &TcpRecord) -> Client {
        self.clients.identify(&self.topology, record.header.cgroup, ip(record.source), &record.comm)
    }

    /// Keeps a connection to what may become an endpoint any moment.
    fn wait_if_ahead(&mut self, record: &TcpRecord, client: Client, outcome: Outcome) {
        let is_ahead = outcome == Outcome::ToNobody(Unattributed::NotEndpoint);
        if is_ahead && !self.pending.add(Time(record.header.time), record, client) {
            count(&mut self.unattributed, Unattributed::NotEndpoint, 1);
        }
    }

    /// Books the connections that were ahead of what has become known.
    fn book_pending(&mut self, touched: &Touched) {
        for waiting in self.pending.of(&touched.addresses) {
            let dial = dial(&waiting.record);
            let outcome = find(&self.topology, &self.evidence, dial, waiting.client);
            if let Some((key, target)) = booking_of(outcome, waiting.client, dial.port) {
                let key = self.accounts.ledger.admit(key);
                self.accounts.book_later(&waiting.record, waiting.closed.as_ref(), key, &target);
                self.pending.remove(&waiting.record);
            }
        }
    }

    /// Attributes a connection, and counts it where it belongs to no Service.
    fn book(&mut self, dial: Dial, client: Client, connections: u64) -> (Outcome, Booking) {
        let outcome = find(&self.topology, &self.evidence, dial, client);
        match outcome {
            // `wait_if_ahead` counts those that are no endpoint.
            Outcome::To(_) | Outcome::ToNobody(Unattributed::NotEndpoint) => {}
            Outcome::ToNobody(reason) => count(&mut self.unattributed, reason, connections),
            Outcome::Unrelated => {
                let prospect = self.prospect(dial.address);
                self.boring.unrelated(dial.now, dial.address, prospect);
            }
        }
        let booking = booking_of(outcome, client, dial.port);
        (outcome, booking.map(|(key, target)| (self.accounts.ledger.admit(key), target)))
    }

    /// What can become of an address that no Service has.
    fn prospect(&self, address: IpAddr) -> Prospect {
        let is_local = address.is_loopback() || address.is_multicast() || address.is_unspecified();
        match &self.learner {
            Some(learner) if learner.admits(address) => Prospect::Open,
            Some(_) => Prospect::Never,
            None if is_local || self.topology.is_cluster_ip(address) => Prospect::Never,
            None => Prospect::Unowned,
        }
    }
}

/// Whether an attempt that failed so may be one that its client gave up: where the hook cannot see the error, every
/// failure may.
fn may_be_given_up(why: u8) -> bool {
    matches!(why, reason::ABORTED | reason::OTHER)
}

/// Attribution with the client's evidence.
fn find(topology: &Topology, evidence: &Evidence, dial: Dial, client: Client) -> Outcome {
    let at = dial.started.unwrap_or(dial.now);
    attribute(dial, topology, evidence.sightings(client.scope, dial.address, at))
}

fn booking_of(outcome: Outcome, client: Client, port: u16) -> Booking {
    let Outcome::To(target) = outcome else { return None };
    let key = CellKey {
        endpoint: target.endpoint,
        client: Some(client.workload),
        port,
        resolution: target.resolution,
    };
    Some((key, target))
}

fn count(unattributed: &mut [u64], reason: Unattributed, connections: u64) {
    if let Some(place) = Unattributed::ALL.iter().position(|kind| *kind == reason)
        && let Some(count) = unattributed.get_mut(place)
    {
        *count += connections;
    }
}

fn dial(record: &TcpRecord) -> Dial {
    Dial {
        address: ip(record.destination),
        port: record.port,
        started: (record.started > 0).then_some(Time(record.started)),
        now: Time(record.header.time),
    }
}

fn attempt(record: &TcpRecord, client: Client, service: crate::topology::ServiceId) -> Attempt {
    Attempt { scope: client.scope, process: record.tgid, service, is_ipv6: ip(record.destination).is_ipv6() }
}

fn reason_name(why: u8) -> &'static str {
    reason::NAMES.get(usize::from(why)).copied().unwrap_or("other")
}

/// An address of the ABI; IPv4-mapped ones become IPv4.
fn ip(address: Address) -> IpAddr {
    Ipv6Addr::from(address).to_canonical()
}

#[cfg(test)]
mod tests;
