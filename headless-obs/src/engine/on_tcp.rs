//! Handles connections that open, fail and end, and the kernel's totals.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headless_obs_ebpf::flow::{FlowKey, FlowTotals, reason};
use headless_obs_ebpf::ring_record::{KIND_CLOSED, KIND_OPENED, SocketRecord, TcpRecord};

use super::client_stats::Dialler;
use super::happy_eyeballs::Attempt;
use super::ignore_list::IgnorePolicy;
use super::reconcile::Booking;
use super::{Engine, ip};
use crate::answer_cache::Evidence;
use crate::attribution::{Dial, Outcome, Target, Unattributed, attribute};
use crate::client::{Client, Clients, Role, sanitize};
use crate::ledger::{CellKey, Dialled};
use crate::service_resolution::Resolution;
use crate::time::Time;
use crate::topology::{ServiceId, Topology, Touched};

/// The most processes whose names are requested at once.
const NAMELESS: usize = 256;

impl Engine {
    /// A change in a connection's life.
    pub fn on_tcp(&mut self, record: &TcpRecord) {
        match record.header.kind {
            KIND_OPENED => self.on_opened(record),
            KIND_CLOSED => self.on_closed(record),
            _ => self.on_failed(record),
        }
    }

    fn on_opened(&mut self, record: &TcpRecord) {
        let client = self.identify(record);
        let dial = dial(record, client);
        let outcome = self.outcome(dial, client);
        let booking = self.chosen(record, client, outcome);
        self.evidence.touch(dial.now, client.scope);
        if let Outcome::To(target) = outcome {
            self.meet(&target, dial, client);
            self.winners.opened(dial.now, attempt(record, client, target.endpoint.service));
        }
        self.accounts.opened(record, booking);
        self.wait_if_ahead(record, client, outcome);
        self.trace_tcp(record, client, outcome, None);
    }

    fn on_failed(&mut self, record: &TcpRecord) {
        let client = self.identify(record);
        let dial = dial(record, client);
        let outcome = self.outcome(dial, client);
        let is_superseded = match (outcome, dial.started) {
            (Outcome::To(target), Some(started)) if may_be_given_up(record.reason) => {
                self.winners.beat(started, attempt(record, client, target.endpoint.service))
            }
            _ => false,
        };
        // A client that tries two families makes one selection; only the winning attempt counts.
        let booking = if is_superseded {
            self.booking(outcome, dial, client, false)
        } else {
            self.chosen(record, client, outcome)
        };
        self.accounts.failed(record, booking, is_superseded);
        self.wait_if_ahead(record, client, outcome);
        let why = if is_superseded { "superseded" } else { reason_name(record.reason) };
        self.trace_tcp(record, client, outcome, Some(why));
    }

    fn on_closed(&mut self, record: &TcpRecord) {
        self.pending.closed(record);
        let (grace, own) = (self.stale_grace, self.own_process);
        let Self { accounts, clients, topology, evidence, tally, .. } = self;
        // The opening has been attributed already.
        accounts.closed(record, |ledger| {
            let client = identify(clients, topology, own, record);
            let dial = dial(record, client);
            let outcome = find(topology, evidence, dial, client);
            tally.add(outcome, 1);
            booking_of(outcome, dial, client, grace).map(|(key, dialled)| (ledger.admit(key), dialled))
        });
        if self.trace.is_some() {
            let client = self.identify(record);
            let outcome = find(&self.topology, &self.evidence, dial(record, client), client);
            let why = (record.reason != reason::NONE).then(|| reason_name(record.reason));
            self.trace_tcp(record, client, outcome, why);
        }
    }

    /// Connections that are older than the daemon.
    pub fn adopt(&mut self, now: Time, existing: &[SocketRecord]) {
        for record in existing {
            let client =
                self.clients.identify(&self.topology, record.cgroup, ip(record.source), &record.comm);
            let address = ip(record.destination);
            let dial = Dial { address, port: record.port, by: client.role, started: None, now };
            let outcome = self.outcome(dial, client);
            if let Outcome::To(target) = outcome {
                let dialler = (client.scope, client.workload, target.endpoint.service);
                self.conducts.dialling(dialler, now);
            }
            let booking = self.booking(outcome, dial, client, false);
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

    /// Whether the kernel's totals include changes that no record has brought yet.
    pub fn is_behind(&self, totals: &[(FlowKey, FlowTotals)]) -> bool {
        self.accounts.is_behind(totals)
    }

    /// Counts the changes in the kernel's totals whose records were lost. The ring must have been drained up to the
    /// moment of their reading.
    pub fn reconcile(&mut self, now: Time, totals: &[(FlowKey, FlowTotals)]) {
        let grace = self.stale_grace;
        let Self { accounts, topology, evidence, clients, tally, .. } = self;
        accounts.reconcile(now, totals, |ledger, flow, totals, connections| {
            let client = clients.identify(topology, flow.cgroup, ip(flow.source), &totals.comm);
            let address = ip(flow.destination);
            let dial = Dial { address, port: flow.port, by: client.role, started: Some(now), now };
            let outcome = find(topology, evidence, dial, client);
            tally.add(outcome, connections);
            booking_of(outcome, dial, client, grace).map(|(key, dialled)| (ledger.admit(key), dialled))
        });
    }

    fn identify(&mut self, record: &TcpRecord) -> Client {
        identify(&mut self.clients, &self.topology, self.own_process, record)
    }

    /// Keeps a connection to an address that may soon become an endpoint.
    fn wait_if_ahead(&mut self, record: &TcpRecord, client: Client, outcome: Outcome) {
        let is_ahead = outcome == Outcome::ToNobody(Unattributed::NotEndpoint);
        if is_ahead && !self.pending.add(Time(record.header.time), record, client) {
            self.tally.add(outcome, 1);
        }
    }

    /// Counts the connections that waited for this change of the topology. Each used the name of a Service, so another
    /// Service that gets the address first does not matter.
    pub(super) fn book_pending(&mut self, touched: &Touched) {
        for waiting in self.pending.of(&touched.addresses) {
            let dial = dial(&waiting.record, waiting.client);
            let outcome = find(&self.topology, &self.evidence, dial, waiting.client);
            if matches!(outcome, Outcome::To(target) if target.resolution == Resolution::None) {
                continue;
            }
            if let Some((key, dialled)) = self.chosen(&waiting.record, waiting.client, outcome) {
                self.accounts.book_later(&waiting.record, waiting.closed.as_ref(), key, &dialled);
                self.pending.remove(&waiting.record);
            }
        }
    }

    /// Attributes a connection, and counts it if it belongs to no Service.
    fn outcome(&mut self, dial: Dial, client: Client) -> Outcome {
        let outcome = find(&self.topology, &self.evidence, dial, client);
        match outcome {
            // `wait_if_ahead` counts those that are not endpoints.
            Outcome::ToNobody(Unattributed::NotEndpoint) => {}
            Outcome::To(_) | Outcome::ToNobody(_) | Outcome::OtherPort(_) | Outcome::LeftOut(_) => {
                self.tally.add(outcome, 1)
            }
            Outcome::Unrelated => {
                let policy = self.ignore_policy(dial.address);
                self.ignored.unrelated(dial.now, dial.address, policy);
            }
        }
        outcome
    }

    /// The cell of a connection or an attempt, which also enters its client's statistics.
    fn chosen(&mut self, record: &TcpRecord, client: Client, outcome: Outcome) -> Booking {
        let dial = dial(record, client);
        let at = dial.started.unwrap_or(dial.now);
        let is_selection = match outcome {
            Outcome::To(target) => {
                let dialler = (client.scope, client.workload, target.endpoint.service);
                let attempt = attempt(record, client, target.endpoint.service);
                let state = self.topology.service_by_id(target.endpoint.service);
                let dialled = self.conducts.dialled(dialler, attempt, &target, at, state, || thread(record));
                if dialled.wants_program {
                    self.learn_program(record, dialler);
                }
                dialled.is_selection
            }
            Outcome::OtherPort(place) => {
                let dialler = (client.scope, client.workload, place.service);
                let has_failed = record.header.kind != KIND_OPENED;
                self.conducts.other_port(dialler, at, (place.endpoint, dial.port), has_failed);
                if self.conducts.wants_program(dialler, at, || thread(record)) {
                    self.learn_program(record, dialler);
                }
                false
            }
            _ => false,
        };
        self.booking(outcome, dial, client, is_selection)
    }

    /// Records how long a client took to find an endpoint that became ready during the observation.
    fn meet(&mut self, target: &Target, dial: Dial, client: Client) {
        let at = dial.started.unwrap_or(dial.now);
        let place = target.endpoint;
        let known = self.topology.service_by_id(place.service);
        let later = known.and_then(|state| {
            let since = state.endpoint(place.endpoint)?.ready_since()?;
            (state.is_later(since, self.mature_after) && since <= at).then_some(since)
        });
        if let Some(since) = later.filter(|_| target.resolution.counts())
            && !self.accounts.ledger.has_met(client.workload, place, dial.port)
        {
            self.conducts.converged((client.workload, place.service), at, at.since(since));
        }
    }

    fn learn_program(&mut self, record: &TcpRecord, dialler: Dialler) {
        if self.nameless.len() < NAMELESS {
            self.nameless.push((record.tgid, dialler));
        }
    }

    /// The cell of a connection with this outcome.
    fn booking(&mut self, outcome: Outcome, dial: Dial, client: Client, is_selection: bool) -> Booking {
        let (key, dialled) = booking_of(outcome, dial, client, self.stale_grace)?;
        Some((self.accounts.ledger.admit(key), Dialled { is_selection, ..dialled }))
    }

    /// Whether an address without a Service can become an endpoint.
    fn ignore_policy(&self, address: IpAddr) -> IgnorePolicy {
        let is_local = address.is_loopback() || address.is_multicast() || address.is_unspecified();
        match &self.learner {
            Some(learner) if learner.admits(address) => IgnorePolicy::Open,
            Some(_) => IgnorePolicy::Never,
            None if is_local || self.topology.is_cluster_ip(address) => IgnorePolicy::Never,
            None => IgnorePolicy::Unowned,
        }
    }
}

/// The name of the connecting thread.
fn thread(record: &TcpRecord) -> Arc<str> {
    Arc::from(&*sanitize::comm(&record.comm))
}

/// Whether the client may have abandoned an attempt with this failure. If the hook cannot see the error, this holds for
/// every failure.
fn may_be_given_up(why: u8) -> bool {
    matches!(why, reason::ABORTED | reason::OTHER)
}

/// The client of a connection.
fn identify(clients: &mut Clients, topology: &Topology, own_process: u32, record: &TcpRecord) -> Client {
    let client = clients.identify(topology, record.header.cgroup, ip(record.source), &record.comm);
    let role = if record.tgid == own_process { Role::Observer } else { client.role };
    Client { role, ..client }
}

/// Attribution by the client's DNS answers.
fn find(topology: &Topology, evidence: &Evidence, dial: Dial, client: Client) -> Outcome {
    let at = dial.started.unwrap_or(dial.now);
    attribute(dial, topology, evidence.sightings(client.scope, dial.address, at))
}

fn booking_of(outcome: Outcome, dial: Dial, client: Client, grace: Duration) -> Booking {
    let Outcome::To(target) = outcome else { return None };
    let key = CellKey {
        endpoint: target.endpoint,
        client: Some(client.workload),
        port: dial.port,
        resolution: target.resolution,
    };
    let at = dial.started.unwrap_or(dial.now);
    Some((key, Dialled { target, at, grace, is_selection: false }))
}

fn dial(record: &TcpRecord, client: Client) -> Dial {
    Dial {
        address: ip(record.destination),
        port: record.port,
        by: client.role,
        started: (record.started > 0).then_some(Time(record.started)),
        now: Time(record.header.time),
    }
}

fn attempt(record: &TcpRecord, client: Client, service: ServiceId) -> Attempt {
    Attempt { scope: client.scope, process: record.tgid, service, is_ipv6: ip(record.destination).is_ipv6() }
}

fn reason_name(why: u8) -> &'static str {
    reason::NAMES.get(usize::from(why)).copied().unwrap_or("other")
}
