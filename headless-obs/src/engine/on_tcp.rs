//! Handles connections that open, fail and end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headless_obs_ebpf::Address;
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::ring_record::{KIND_CLOSED, KIND_FAILED, KIND_OPENED, TcpRecord};

use super::client_stats::{ClientServiceKey, PortFate};
use super::happy_eyeballs::Attempt;
use super::ignore_list::IgnorePolicy;
use super::losses::{Holder, LossTable};
use super::reconcile::{Booking, was_turned_away};
use super::{Engine, ip};
use crate::answer_cache::AnswerCache;
use crate::attribution::{
    Attribution, ConnectAttempt, Target, Unattributed, attribute, named_service, with_balancer, with_history,
};
use crate::client::{Client, Clients, Role, sanitize};
use crate::cluster_zone::ClusterZone;
use crate::ledger::{CellKey, Ledger, LedgerEntry};
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
        self.collect_losses(Time(record.header.time));
    }

    fn on_opened(&mut self, record: &TcpRecord) {
        let client = self.identify(record);
        let connect_attempt = connect_attempt(record, client, &self.topology);
        let outcome =
            self.attribute(ip(record.destination), connect_attempt, client, sent_to(record, &self.topology));
        let booking = self.record_connect(record, client, outcome);
        self.answer_cache.touch(connect_attempt.now, client.scope);
        if let Attribution::Endpoint(target) = outcome {
            self.record_first_contact(&target, connect_attempt, client);
            self.happy_eyeballs.opened(connect_attempt.now, attempt(record, client, target.endpoint.service));
        }
        self.note_unreached(connect_attempt, client, outcome, 1);
        if self.reconciler.opened(record, booking) {
            self.count(record, client, outcome);
        }
        self.remember_answer(record, client, outcome);
        self.trace_tcp(record, client, outcome, None);
    }

    fn on_failed(&mut self, record: &TcpRecord) {
        let client = self.identify(record);
        let connect_attempt = connect_attempt(record, client, &self.topology);
        let outcome =
            self.attribute(ip(record.destination), connect_attempt, client, sent_to(record, &self.topology));
        let is_superseded = match (outcome, connect_attempt.started) {
            (Attribution::Endpoint(target), Some(started)) if may_be_happy_eyeballs_loss(record.reason) => {
                self.happy_eyeballs.beat(started, attempt(record, client, target.endpoint.service))
            }
            _ => false,
        };
        self.note_unreached(connect_attempt, client, outcome, 1);
        // A client that tries two families makes one selection; only the winning attempt counts.
        let booking = if is_superseded {
            self.booking(outcome, connect_attempt, client, false)
        } else {
            self.record_connect(record, client, outcome)
        };
        if self.reconciler.failed(record, booking, is_superseded) {
            self.count(record, client, outcome);
        }
        let why = if is_superseded { "superseded" } else { reason_name(record.reason) };
        self.trace_tcp(record, client, outcome, Some(why));
    }

    fn on_closed(&mut self, record: &TcpRecord) {
        self.pending.closed(record);
        let (grace, own) = (self.stale_grace, self.own_process);
        let Self { reconciler, clients, topology, zone, answer_cache, account, losses, .. } = self;
        // The opening has been attributed already.
        let place = reconciler.closed(record, |ledger| {
            let client = identify(clients, topology, own, record);
            let connect_attempt = connect_attempt(record, client, topology);
            let sent_to = sent_to(record, topology);
            let outcome =
                attribute_for((topology, zone), answer_cache, ledger, connect_attempt, client, sent_to);
            account.count(connect_attempt.now, outcome, 1);
            booking_of(outcome, connect_attempt, client, grace)
                .map(|(key, entry)| (admit(ledger, losses, key, entry.at), entry))
        });
        if let Some(key) = place.filter(|_| record.reason == reason::RESET) {
            self.count_reset(record, key);
        }
        if let Some(key) = place.filter(|_| was_turned_away(record)) {
            self.turned_away(Time(record.header.time), key);
        }
        if self.trace.is_some() {
            let client = self.identify(record);
            let outcome = self.attribution(
                connect_attempt(record, client, &self.topology),
                client,
                sent_to(record, &self.topology),
            );
            let why = (record.reason != reason::NONE).then(|| reason_name(record.reason));
            self.trace_tcp(record, client, outcome, why);
        }
    }

    /// Counts a reset for the client's pod.
    fn count_reset(&mut self, record: &TcpRecord, CellKey { endpoint, client, .. }: CellKey) {
        let scope = self.clients.scope_of(&self.topology, record.header.cgroup, ip(record.source));
        if let Some((scope, workload)) = scope.zip(client) {
            let client_service = (scope, workload, endpoint.service);
            self.client_stats.record_reset(&client_service, Time(record.header.time), endpoint.endpoint);
        }
    }

    /// The peer ended a connection at once, which is no success: a proxy in the pod accepts every port, and connections
    /// for a program that is not there.
    fn turned_away(&mut self, now: Time, key: CellKey) {
        let CellKey { endpoint, client, port, .. } = key;
        let state = self.topology.service_by_id(endpoint.service);
        let known = state.and_then(|state| Some((state, state.endpoint(endpoint.endpoint)?)));
        let has_port = known.is_none_or(|(state, endpoint)| state.serves(endpoint, port));
        if let Some(workload) = client {
            let who = (workload, endpoint.service);
            self.client_stats.turned_away(now, who, endpoint.endpoint, (!has_port).then_some(port));
        }
    }

    fn identify(&mut self, record: &TcpRecord) -> Client {
        identify(&mut self.clients, &self.topology, self.own_process, record)
    }

    /// Counts an attempt, or keeps it if its address may soon become an endpoint.
    fn count(&mut self, record: &TcpRecord, client: Client, outcome: Attribution) {
        let endpoint_unknown = outcome == Attribution::Unattributed(Unattributed::NotEndpoint);
        if endpoint_unknown && self.wait(record, client) {
            self.account.wait();
        } else {
            self.account.count(Time(record.header.time), outcome, 1);
        }
    }

    /// Keeps an attempt whose endpoint is not known yet; false if there is no room.
    fn wait(&mut self, record: &TcpRecord, client: Client) -> bool {
        let (now, started) = (Time(record.header.time), Time(record.started));
        let address = self.topology.original(ip(record.destination));
        let cached = self.answer_cache.cached(client.scope, address, started);
        let service = named_service(&self.topology, &self.zone, cached);
        self.pending.add(now, record, client, service)
    }

    /// Counts the connections that waited for this change of the topology. Each used the name of a Service, so another
    /// Service that gets the address first does not matter.
    pub(super) fn book_pending(&mut self, now: Time, touched: &Touched) {
        let original = |address| self.topology.original(address);
        for waiting in self.pending.of(&touched.addresses, original) {
            let connect_attempt = connect_attempt(&waiting.record, waiting.client, &self.topology);
            let outcome =
                self.attribution(connect_attempt, waiting.client, sent_to(&waiting.record, &self.topology));
            let is_its = match outcome {
                Attribution::Endpoint(target) => target.resolution != Resolution::None,
                Attribution::WrongPort(_) => true,
                Attribution::Unattributed(_) | Attribution::Excluded(_) | Attribution::Unrelated => false,
            };
            if !is_its {
                continue;
            }
            self.pending.remove(&waiting.record);
            self.account.settle(now, outcome, 1);
            if let Some((key, entry)) = self.record_connect(&waiting.record, waiting.client, outcome) {
                self.reconciler.record_deferred(&waiting.record, waiting.closed.as_ref(), key, &entry);
                self.remember_answer(&waiting.record, waiting.client, outcome);
            }
        }
    }

    fn attribution(
        &self,
        connect_attempt: ConnectAttempt,
        client: Client,
        sent_to: Option<IpAddr>,
    ) -> Attribution {
        let context = (&self.topology, &self.zone);
        let ledger = &self.reconciler.ledger;
        attribute_for(context, &self.answer_cache, ledger, connect_attempt, client, sent_to)
    }

    /// Attributes a connection. The kernel may ignore the address that was dialled if it belongs to no Service.
    pub(super) fn attribute(
        &mut self,
        dialled: IpAddr,
        connect_attempt: ConnectAttempt,
        client: Client,
        sent_to: Option<IpAddr>,
    ) -> Attribution {
        let outcome = self.attribution(connect_attempt, client, sent_to);
        if outcome == Attribution::Unrelated {
            let fails = self.is_in_vain(connect_attempt, client, outcome)
                && (connect_attempt.has_failed || self.unreached.has(connect_attempt.address));
            let policy = if fails { IgnorePolicy::Open } else { self.ignore_policy(connect_attempt.address) };
            self.ignored.unrelated(connect_attempt.now, dialled, policy);
        }
        outcome
    }

    /// The cell of a connection or an attempt, which also enters its client's statistics.
    fn record_connect(&mut self, record: &TcpRecord, client: Client, outcome: Attribution) -> Booking {
        let connect_attempt = connect_attempt(record, client, &self.topology);
        let at = connect_attempt.started.unwrap_or(connect_attempt.now);
        let is_selection = match outcome {
            Attribution::Endpoint(target) => {
                let client_service = (client.scope, client.workload, target.endpoint.service);
                let attempt = attempt(record, client, target.endpoint.service);
                let has_failed = connect_attempt.has_failed;
                let recorded = self.client_stats.record_connect(
                    client_service,
                    attempt,
                    &target,
                    at,
                    has_failed,
                    || comm_of(record),
                );
                if let Some(used_answer) = target.used_answer.filter(|_| recorded.is_selection) {
                    let who = (client.workload, target.endpoint.service);
                    let answer =
                        self.answer_cache.answer(client.scope, connect_attempt.address, used_answer.at);
                    let known = answer.map(|answer| &answer.offer);
                    let is_part = target.resolution == Resolution::Part;
                    match known.filter(|offer| !offer.members().is_empty()) {
                        Some(offer) => self.client_stats.selected_from(who, at, offer, is_part),
                        None if is_part => {}
                        None => {
                            let all = self.offers.of_ready(
                                connect_attempt.now,
                                target.endpoint.service,
                                connect_attempt.address.is_ipv6(),
                                &self.topology,
                            );
                            self.client_stats.selected_from(who, at, &all, false);
                        }
                    }
                }
                if recorded.wants_program {
                    self.learn_program(record, client_service);
                }
                if target.is_other_port {
                    let port = (target.endpoint.endpoint, connect_attempt.port);
                    self.client_stats.other_port(client_service, at, port, PortFate::Opened);
                }
                recorded.is_selection
            }
            Attribution::WrongPort(place) => {
                let client_service = (client.scope, client.workload, place.service);
                let fate =
                    if record.header.kind == KIND_FAILED { PortFate::Failed } else { PortFate::Elsewhere };
                let port = (place.endpoint, connect_attempt.port);
                self.client_stats.other_port(client_service, at, port, fate);
                if self.client_stats.wants_program(client_service, at, || comm_of(record)) {
                    self.learn_program(record, client_service);
                }
                false
            }
            _ => false,
        };
        self.booking(outcome, connect_attempt, client, is_selection)
    }

    /// Records how long a client took to find an endpoint that became ready during the observation.
    fn record_first_contact(&mut self, target: &Target, connect_attempt: ConnectAttempt, client: Client) {
        let at = connect_attempt.started.unwrap_or(connect_attempt.now);
        let place = target.endpoint;
        let known = self.topology.service_by_id(place.service);
        let later = known.and_then(|state| {
            let since = state.endpoint(place.endpoint)?.ready_since()?;
            (state.is_later(since, self.mature_after) && since <= at).then_some(since)
        });
        if let Some(since) = later.filter(|_| target.resolution.counts())
            && !self.reconciler.ledger.has_connected(client.workload, place, connect_attempt.port)
        {
            self.client_stats.record_convergence((client.workload, place.service), at, at.since(since));
        }
    }

    fn learn_program(&mut self, record: &TcpRecord, client_service: ClientServiceKey) {
        if self.program_lookups.len() < NAMELESS {
            self.program_lookups.push((record.tgid, client_service));
        }
    }

    /// The cell of a connection with this outcome.
    pub(super) fn booking(
        &mut self,
        outcome: Attribution,
        connect_attempt: ConnectAttempt,
        client: Client,
        is_selection: bool,
    ) -> Booking {
        let (key, entry) = booking_of(outcome, connect_attempt, client, self.stale_grace)?;
        let key = admit(&mut self.reconciler.ledger, &mut self.losses, key, entry.at);
        Some((key, LedgerEntry { is_selection, ..entry }))
    }

    /// Whether an address without a Service can become an endpoint.
    pub(super) fn ignore_policy(&self, address: IpAddr) -> IgnorePolicy {
        let is_local = address.is_loopback() || address.is_multicast() || address.is_unspecified();
        match &self.learner {
            Some(learner) if learner.admits(address) => IgnorePolicy::Open,
            Some(_) => IgnorePolicy::Never,
            None if is_local || self.topology.is_cluster_ip(address) => IgnorePolicy::Never,
            None => IgnorePolicy::Unowned,
        }
    }
}

/// The cell for a connection. If the ledger has no room for its client, that client's figures lack it.
pub(super) fn admit(ledger: &mut Ledger, losses: &mut LossTable, key: CellKey, at: Time) -> CellKey {
    let admitted = ledger.key_within_limit(key);
    if let Some(client) = key.client.filter(|_| admitted.client != key.client) {
        losses.add(at, Holder::Workload(client), Some(key.endpoint.service), "clients_folded", 1);
    }
    admitted
}

/// The name of the connecting thread.
fn comm_of(record: &TcpRecord) -> Arc<str> {
    Arc::from(&*sanitize::comm(&record.comm))
}

/// Whether the client may have abandoned an attempt with this failure. If the hook cannot see the error, this holds for
/// every failure.
fn may_be_happy_eyeballs_loss(why: u8) -> bool {
    matches!(why, reason::ABORTED | reason::OTHER)
}

/// The client of a connection.
fn identify(clients: &mut Clients, topology: &Topology, own_process: u32, record: &TcpRecord) -> Client {
    let client = clients.identify(topology, record.header.cgroup, ip(record.source), &record.comm);
    let role = if record.tgid == own_process { Role::Observer } else { client.role };
    Client { role, ..client }
}

/// Attribution by the client's DNS answers, and by its history.
pub(super) fn attribute_for(
    (topology, zone): (&Topology, &ClusterZone),
    answer_cache: &AnswerCache,
    ledger: &Ledger,
    connect_attempt: ConnectAttempt,
    client: Client,
    sent_to: Option<IpAddr>,
) -> Attribution {
    let at = connect_attempt.started.unwrap_or(connect_attempt.now);
    let cached = answer_cache.cached(client.scope, connect_attempt.address, at);
    let has_connected = |endpoint| ledger.has_connected(client.workload, endpoint, connect_attempt.port);
    let outcome = attribute(connect_attempt, topology, zone, cached);
    let outcome = with_history(outcome, connect_attempt, topology, has_connected);
    with_balancer(outcome, sent_to, topology)
}

pub(super) fn booking_of(
    outcome: Attribution,
    connect_attempt: ConnectAttempt,
    client: Client,
    grace: Duration,
) -> Booking {
    let Attribution::Endpoint(target) = outcome else { return None };
    let key = CellKey {
        endpoint: target.endpoint,
        client: Some(client.workload),
        port: connect_attempt.port,
        resolution: target.resolution,
    };
    let at = connect_attempt.started.unwrap_or(connect_attempt.now);
    Some((key, LedgerEntry { target, at, grace, is_selection: false }))
}

fn connect_attempt(record: &TcpRecord, client: Client, topology: &Topology) -> ConnectAttempt {
    ConnectAttempt {
        address: topology.original(ip(record.destination)),
        port: record.port,
        by: client.role,
        started: (record.started > 0).then_some(Time(record.started)),
        has_failed: record.header.kind == KIND_FAILED,
        now: Time(record.header.time),
    }
}

/// The address to which a socket-level load balancer sent the connection.
fn sent_to(record: &TcpRecord, topology: &Topology) -> Option<IpAddr> {
    given(record.sent_to, topology)
}

/// An address that is not zero.
pub(super) fn given(address: Address, topology: &Topology) -> Option<IpAddr> {
    (address != Address::default()).then(|| topology.original(ip(address)))
}

fn attempt(record: &TcpRecord, client: Client, service: ServiceId) -> Attempt {
    Attempt { scope: client.scope, process: record.tgid, service, is_ipv6: ip(record.destination).is_ipv6() }
}

fn reason_name(why: u8) -> &'static str {
    reason::NAMES.get(usize::from(why)).copied().unwrap_or("other")
}
