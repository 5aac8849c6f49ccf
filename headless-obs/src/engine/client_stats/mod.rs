//! Statistics per client and Service: the responses that the client received, and the connections that it made.
//!
//! In: responses with their Service, attributed connections and attempts. Out: whether a connection was a selection,
//! and the statistics of a workload, summed over its pods.
//!
//! Invariants: bounded; what does not fit is counted. Without room, clients with more than an equal share lose the
//! pairs that they did not use for longest, so no client can displace another's. Responses belong to a scope, as in the
//! answer cache, because only the cgroup identifies the sender of a query. Connections belong to a scope and a
//! workload, because outside of containers several workloads may share a scope.

use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

mod aggregate;
mod connects;
mod counters;
mod expected;
mod recovery;
mod responses;
mod used_endpoints;

use super::dns_stats::Transport;
use super::happy_eyeballs::Attempt;
use super::losses::Holder;
use crate::attribution::Target;
use crate::client::{ClientId, WorkloadId};
use crate::dns::Answer;
use crate::hash::HashMap;
use crate::offer::Offer;
use crate::time::Time;
use crate::topology::{EndpointId, ServiceId};
use crate::windowed::{Slot, Sum, Windowed, trim};

pub(super) use aggregate::{ClientStats, PodStats};
pub(super) use connects::{ConnectStats, ConnectSums};
pub(super) use counters::{ClientCounters, PortFate};
pub(super) use recovery::Recovery;
pub(super) use responses::{AnswerSummary, ResponseStats, ResponseSums};

/// The sums of a workload for one Service.
#[derive(Clone, Debug)]
pub(super) struct ClientTotals {
    /// The time at which it was seen first.
    pub(super) since: Time,
    /// And last.
    pub(super) last: Time,
    pub(super) sums: Windowed<ClientCounters>,
    /// Its successes since its failures.
    recovery: Recovery,
}

/// A client and a Service.
pub(super) type ClientServiceKey = (ClientId, WorkloadId, ServiceId);

/// The effect of a connection or an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectOutcome {
    /// It is the process's first by its answer.
    pub(super) is_selection: bool,
    /// The program behind the client should be looked up.
    pub(super) wants_program: bool,
}

/// The statistics of all clients.
#[derive(Debug)]
pub(super) struct ClientStatsTable {
    /// The most pairs of client and Service, for responses and for connections.
    limit: usize,
    answered: HashMap<(ClientId, ServiceId), ResponseStats>,
    connect_stats: HashMap<ClientServiceKey, ConnectStats>,
    totals: HashMap<(WorkloadId, ServiceId), ClientTotals>,
    /// Sums of forgotten workloads, by Service and namespace: sums over clients must not decrease.
    archived: HashMap<(ServiceId, Arc<str>), ClientCounters>,
    evicted: u64,
    /// Evictions that nobody has taken yet.
    evictions: Vec<(Holder, ServiceId)>,
}

impl ClientStatsTable {
    /// Empty statistics for at most `limit` pairs of client and Service.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            answered: HashMap::default(),
            connect_stats: HashMap::default(),
            totals: HashMap::default(),
            archived: HashMap::default(),
            evicted: 0,
            evictions: Vec::new(),
        }
    }

    /// A client received addresses for one of the Service's names.
    pub(super) fn answered(
        &mut self,
        now: Time,
        scope: ClientId,
        service: ServiceId,
        reception: &AnswerSummary,
    ) {
        self.answers_mut(now, (scope, service)).add(now, reception);
    }

    /// A client sent a query for gRPC's service configuration.
    pub(super) fn asked_for_grpc(&mut self, now: Time, scope: ClientId, service: ServiceId) {
        self.answers_mut(now, (scope, service)).grpc = true;
    }

    /// The responses that a client received for a Service; created if needed.
    fn answers_mut(&mut self, now: Time, key: (ClientId, ServiceId)) -> &mut ResponseStats {
        let gone = make_room(&mut self.answered, self.limit, key, |(scope, _)| *scope, |known| known.last);
        self.note(gone.into_iter().map(|(scope, service)| (Holder::Client(scope), service)));
        self.answered.entry(key).or_insert_with(|| ResponseStats { last: now, ..ResponseStats::default() })
    }

    /// A process connects, or tries to.
    pub(super) fn record_connect(
        &mut self,
        client_service: ClientServiceKey,
        who: Attempt,
        target: &Target,
        at: Time,
        has_failed: bool,
        thread: impl FnOnce() -> Arc<str>,
    ) -> ConnectOutcome {
        let known = self.known(pair(client_service), at);
        known.recovery.record(target.endpoint.endpoint, has_failed);
        if let Some(used_answer) = &target.used_answer {
            known.sums.at(at).record_connect(used_answer, at);
        }
        let known = self.connects_mut(client_service, at);
        let wants_program = known.wants_program(at, thread);
        let is_selection = known.record_connect(at, (who.process, who.is_ipv6), target, has_failed);
        ConnectOutcome { is_selection, wants_program }
    }

    /// The endpoints that a selection was made from: all of the Service's, or those of a part.
    pub(super) fn selected_from(
        &mut self,
        who: (WorkloadId, ServiceId),
        at: Time,
        offer: &Arc<Offer>,
        is_part: bool,
    ) {
        let sums = self.totals(who, at);
        let expected =
            if is_part { sums.expected_in_part.get_or_insert_default() } else { &mut sums.expected };
        expected.select(offer, 1);
    }

    /// A client connected to a port that the endpoint does not have.
    pub(super) fn other_port(
        &mut self,
        client_service: ClientServiceKey,
        at: Time,
        port: (EndpointId, u16),
        fate: PortFate,
    ) {
        self.connect_stats(client_service, at);
        self.totals(pair(client_service), at).other_port(port, fate);
    }

    /// The peer ended a connection at once; `port` if the endpoint does not have it.
    pub(super) fn turned_away(
        &mut self,
        now: Time,
        who: (WorkloadId, ServiceId),
        endpoint: EndpointId,
        port: Option<u16>,
    ) {
        let known = self.known(who, now);
        known.recovery.record(endpoint, true);
        if let Some(port) = port {
            known.sums.at(now).turned_away((endpoint, port));
        }
    }

    /// A client received a response for one of the Service's names, with or without addresses.
    pub(super) fn responded(
        &mut self,
        now: Time,
        who: (WorkloadId, ServiceId),
        answer: &Answer,
        transport: Transport,
    ) {
        self.totals(who, now).answered(answer, transport);
    }

    /// A client made its first connection to an endpoint, this long after the endpoint became ready.
    pub(super) fn record_convergence(&mut self, who: (WorkloadId, ServiceId), at: Time, took: Duration) {
        self.totals(who, at).convergence.record(took.as_secs_f64());
    }

    fn totals(&mut self, who: (WorkloadId, ServiceId), at: Time) -> &mut ClientCounters {
        self.known(who, at).sums.at(at)
    }

    /// The figures of a workload for a Service; created if needed.
    fn known(&mut self, who: (WorkloadId, ServiceId), at: Time) -> &mut ClientTotals {
        let gone =
            make_room(&mut self.totals, self.limit, who, |(workload, _)| *workload, |known| known.last);
        self.note(gone.into_iter().map(|(workload, service)| (Holder::Workload(workload), service)));
        let new =
            || ClientTotals { since: at, last: at, sums: Windowed::default(), recovery: Recovery::default() };
        let known = self.totals.entry(who).or_insert_with(new);
        known.last = known.last.max(at);
        known
    }

    /// The connections of a client; created if needed.
    pub(super) fn connect_stats(&mut self, client_service: ClientServiceKey, at: Time) -> &mut ConnectStats {
        self.totals(pair(client_service), at);
        self.connects_mut(client_service, at)
    }

    fn connects_mut(&mut self, client_service: ClientServiceKey, at: Time) -> &mut ConnectStats {
        let gone = make_room(
            &mut self.connect_stats,
            self.limit,
            client_service,
            |(scope, ..)| *scope,
            |known| known.last,
        );
        // Without its pair, a pod is no part of its workload's row any more.
        self.note(gone.into_iter().map(|(_, workload, service)| (Holder::Workload(workload), service)));
        let known = self.connect_stats.entry(client_service).or_default();
        known.first.get_or_insert(at);
        known.last = known.last.max(at);
        known
    }

    /// Whether to look up the client's program. Until then, the name of the `thread` stands for it.
    pub(super) fn wants_program(
        &mut self,
        client_service: ClientServiceKey,
        at: Time,
        thread: impl FnOnce() -> Arc<str>,
    ) -> bool {
        self.connect_stats(client_service, at).wants_program(at, thread)
    }

    /// A connection was reset.
    pub(super) fn record_reset(&mut self, client_service: &ClientServiceKey, at: Time, endpoint: EndpointId) {
        if let Some(known) = self.connect_stats.get_mut(client_service) {
            known.record_reset(at, endpoint);
        }
    }

    /// The program behind a client.
    pub(super) fn program(&mut self, client_service: &ClientServiceKey, name: &str) {
        if let Some(known) = self.connect_stats.get_mut(client_service) {
            known.program = Some(name.into());
        }
    }

    /// The clients that connected, with the statistics of their connections and responses.
    pub(super) fn all(
        &self,
    ) -> impl Iterator<Item = (&ClientServiceKey, &ConnectStats, Option<&ResponseStats>)> {
        self.connect_stats.iter().map(|(client_service, connect_stats)| {
            let (scope, _, service) = *client_service;
            (client_service, connect_stats, self.answered.get(&(scope, service)))
        })
    }

    /// The workloads that connected or received responses, with their sums.
    pub(super) fn sums(&self) -> impl Iterator<Item = (&(WorkloadId, ServiceId), &ClientTotals)> {
        self.totals.iter()
    }

    /// Drops slots before this one; returns the room that is taken, in bytes.
    pub(super) fn trim(&mut self, oldest: Slot) -> usize {
        let connects = self.connect_stats.values_mut().map(|known| trim(&mut known.sums, oldest));
        let answers = self.answered.values_mut().map(|known| trim(&mut known.sums, oldest));
        let totals = self.totals.values_mut().map(|known| trim(&mut known.sums, oldest));
        connects.chain(answers).chain(totals).sum()
    }

    /// The sums of forgotten workloads, by Service and namespace.
    pub(super) fn archived(&self) -> impl Iterator<Item = (&(ServiceId, Arc<str>), &ClientCounters)> {
        self.archived.iter()
    }

    /// Pairs that were forgotten because there was no room.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The evictions since the last call.
    pub(super) fn take_evictions(&mut self) -> Vec<(Holder, ServiceId)> {
        std::mem::take(&mut self.evictions)
    }

    fn note(&mut self, gone: impl Iterator<Item = (Holder, ServiceId)>) {
        let before = self.evictions.len();
        self.evictions.extend(gone);
        self.evicted += (self.evictions.len() - before) as u64;
    }

    /// Forgets Services that the topology has forgotten, and clients that have been silent for `keep`. Their sums stay
    /// until they are `past`, which then returns their namespace.
    pub(super) fn expire(
        &mut self,
        now: Time,
        keep: Duration,
        is_known: impl Fn(ServiceId) -> bool,
        past: impl Fn(WorkloadId, ServiceId) -> Option<Arc<str>>,
    ) {
        self.answered.retain(|(_, service), known| now.since(known.last) < keep && is_known(*service));
        self.connect_stats
            .retain(|(_, _, service), known| now.since(known.last) < keep && is_known(*service));
        let is_old = |_: &_, known: &mut ClientTotals| now.since(known.last) >= keep;
        let old: Vec<_> = self.totals.extract_if(is_old).collect();
        for ((workload, service), totals) in old {
            let Some(namespace) = past(workload, service) else {
                self.totals.insert((workload, service), totals);
                continue;
            };
            match self.archived.entry((service, namespace)) {
                Entry::Occupied(mut sum) => sum.get_mut().add(&totals.sums.total()),
                Entry::Vacant(none) => {
                    none.insert(totals.sums.total());
                }
            }
        }
        self.totals.retain(|(_, service), _| is_known(*service));
        self.archived.retain(|(service, _), _| is_known(*service));
    }
}

/// The workload and Service to whose sums a client belongs.
fn pair((_, workload, service): ClientServiceKey) -> (WorkloadId, ServiceId) {
    (workload, service)
}

/// Frees room for `key` if there is none: an eighth at once, because the search visits everything. Returns the removed
/// pairs. It removes the pairs that were silent for longest, of owners with more than an equal share, so one
/// client cannot take the room of others.
fn make_room<K: Copy + Eq + Hash, V, O: Eq + Hash>(
    known: &mut HashMap<K, V>,
    limit: usize,
    key: K,
    owner: impl Fn(&K) -> O,
    last: impl Fn(&V) -> Time,
) -> Vec<K> {
    if known.len() < limit || known.contains_key(&key) {
        return Vec::new();
    }
    let room = (limit / 8).max(1);
    let mut held: HashMap<O, usize> = HashMap::default();
    known.keys().for_each(|key| *held.entry(owner(key)).or_default() += 1);
    let share = (limit - room) / held.len().max(1);
    let mut by_age: Vec<(Time, K)> = known.iter().map(|(key, value)| (last(value), *key)).collect();
    by_age.sort_unstable_by_key(|(last, _)| *last);
    let mut gone = Vec::new();
    // The excess over the shares is at least the required room.
    for (_, key) in by_age {
        let Some(held) = held.get_mut(&owner(&key)).filter(|held| **held > share) else { continue };
        *held -= 1;
        known.remove(&key);
        gone.push(key);
        if gone.len() == room {
            break;
        }
    }
    gone
}

#[cfg(test)]
mod tests;
