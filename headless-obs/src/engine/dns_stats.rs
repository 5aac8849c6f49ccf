//! Counts of the DNS responses for each Service's names. Denials of names that search lists made are left out by the
//! caller; otherwise every lookup of the full name would look like a series of failures.

use std::time::Duration;

use crate::dns::{Answer, QueryType, Rcode};
use crate::expose::snapshot::Histogram;
use crate::hash::{HashMap, HashSet};
use crate::time::Time;
use crate::topology::{Endpoint, EndpointId, ServiceId, ServiceState, State, Topology};
use crate::windowed::{Slot, Stretch, Sum, Windowed, trim};

/// The transport of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram.
    Udp,
    /// Over a stream.
    Tcp,
}

impl Transport {
    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// The names of response codes in output, in the order of [`AnswerCounts::rcodes`].
pub(super) const RCODES: [&str; 4] = ["noerror", "nxdomain", "servfail", "other"];

/// The counts for one Service over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AnswerCounts {
    /// Responses with addresses or SRV records, and truncated ones without any.
    pub answers: u64,
    /// Those with TC set.
    pub truncated: u64,
    /// By response code, in the order of [`RCODES`].
    pub rcodes: [u64; RCODES.len()],
    /// Over UDP and over TCP.
    pub transports: [u64; 2],
    /// Ready endpoints that the responses for the Service's own name listed.
    pub listed: u64,
    /// Ready endpoints of the requested family that those responses could have listed.
    pub listable: u64,
    /// `listed` divided by `listable`, for each response.
    pub ratio: Histogram,
    /// Seconds from a query to its response.
    pub latency: Histogram,
    /// Endpoint → responses for the Service's own name, with at least two addresses, that listed it first.
    pub firsts: HashMap<EndpointId, u64>,
    /// Responses that listed an endpoint that had left for longer than the grace.
    pub removed_answered: u64,
    /// Responses that were not truncated and lacked an endpoint that had been ready for longer than the grace.
    pub incomplete: u64,
    /// Responses without records although an endpoint had been ready for longer than the grace.
    pub denied: u64,
}

/// The responses for one Service.
#[derive(Debug, Default)]
struct ServiceAnswers {
    counts: Windowed<AnswerCounts>,
    /// Endpoint → the first response of any kind that listed it.
    first_answered: HashMap<EndpointId, Time>,
}

impl Sum for AnswerCounts {
    fn add(&mut self, other: &Self) {
        // Each field by its name, so that a new one cannot be left out.
        let Self {
            answers,
            truncated,
            rcodes,
            transports,
            listed,
            listable,
            ratio,
            latency,
            firsts,
            removed_answered,
            incomplete,
            denied,
        } = other;
        self.answers += answers;
        self.truncated += truncated;
        self.rcodes.iter_mut().zip(rcodes).for_each(|(sum, more)| *sum += more);
        self.transports.iter_mut().zip(transports).for_each(|(sum, more)| *sum += more);
        self.listed += listed;
        self.listable += listable;
        self.ratio.add(ratio);
        self.latency.add(latency);
        for (endpoint, more) in firsts {
            *self.firsts.entry(*endpoint).or_default() += more;
        }
        self.removed_answered += removed_answered;
        self.incomplete += incomplete;
        self.denied += denied;
    }
}

impl ServiceAnswers {
    /// Compares a response with the existing endpoints. Returns the endpoint that it lists first.
    fn list(
        &mut self,
        now: Time,
        state: &ServiceState,
        answer: &Answer,
        is_whole: bool,
        topology: &Topology,
        grace: Duration,
    ) -> Option<EndpointId> {
        let is_ipv6 = answer.addresses.first()?.address.is_ipv6();
        let (mut first, mut listed, mut has_removed) = (None, 0, false);
        for (place, record) in answer.addresses.iter().enumerate() {
            let Some(found) = topology.lookup_in(state, record.address, 0, now) else { continue };
            let id = found.endpoint.id().endpoint;
            if place == 0 {
                first = Some(id);
            }
            self.first_answered.entry(id).or_insert(now);
            match found.status {
                // An answer for both families is compared by the family that comes first.
                Some((_, status)) if status.state == State::Ready => {
                    listed += usize::from(record.address.is_ipv6() == is_ipv6);
                }
                Some((since, status)) => {
                    has_removed |= has_left(state, status.state) && now.since(since) >= grace
                }
                None => {}
            }
        }
        let counts = self.counts.at(now);
        counts.removed_answered += u64::from(has_removed);
        if !is_whole {
            return first;
        }
        if let Some(first) = first.filter(|_| answer.addresses.len() > 1) {
            *counts.firsts.entry(first).or_default() += 1;
        }
        let listable = state.ready(is_ipv6);
        counts.listable += listable as u64;
        let listed_of_these = listed.min(listable) as u64;
        counts.listed += listed_of_these;
        if listable > 0 {
            counts.ratio.record(crate::spread::ratio(listed_of_these, listable as u64));
        }
        let is_short = !answer.truncated && listed < listable;
        counts.incomplete += u64::from(is_short && listed < settled(state, is_ipv6, now, grace));
        first
    }
}

impl AnswerCounts {
    /// The share of the ready endpoints that the responses listed, 0 to 1; 1 without responses.
    pub(super) fn completeness(&self) -> f64 {
        if self.listable == 0 { 1.0 } else { crate::spread::ratio(self.listed, self.listable) }
    }
}

/// DNS should no longer list an endpoint in this state.
fn has_left(service: &ServiceState, state: State) -> bool {
    match state {
        State::Ready | State::NotReady => false,
        State::Terminating => !service.publishes_not_ready(),
        State::Removed => true,
    }
}

/// Addresses of a family, each once, whose endpoints have been ready for longer than the grace.
fn settled(state: &ServiceState, is_ipv6: bool, now: Time, grace: Duration) -> usize {
    let is_settled =
        |endpoint: &&Endpoint| endpoint.ready_since().is_some_and(|since| now.since(since) >= grace);
    let addresses = state.endpoints().filter(is_settled).flat_map(Endpoint::addresses);
    addresses.filter(|address| address.is_ipv6() == is_ipv6).collect::<HashSet<_>>().len()
}

/// Answers by Service.
#[derive(Debug, Default)]
pub(super) struct DnsStats {
    services: HashMap<ServiceId, ServiceAnswers>,
}

impl DnsStats {
    /// Counts a response for one of the Service's names; `is_whole` if it was for the Service's own name. Returns the
    /// endpoint that it lists first.
    pub(super) fn count(
        &mut self,
        now: Time,
        service: ServiceId,
        answer: &Answer,
        (transport, is_whole): (Transport, bool),
        topology: &Topology,
        grace: Duration,
    ) -> Option<EndpointId> {
        let is_empty = answer.addresses.is_empty() && answer.targets.is_empty();
        let answers = self.services.entry(service).or_default();
        let counts = answers.counts.at(now);
        let [udp, tcp] = &mut counts.transports;
        *match transport {
            Transport::Udp => udp,
            Transport::Tcp => tcp,
        } += 1;
        let [noerror, nxdomain, servfail, other] = &mut counts.rcodes;
        *match answer.rcode {
            Rcode::NoError => noerror,
            Rcode::NxDomain => nxdomain,
            Rcode::ServFail => servfail,
            Rcode::Other(_) => other,
        } += 1;
        let state = topology.service_by_id(service)?;
        // A truncated response can lack all of its records.
        if is_empty && !answer.truncated {
            let is_denial = matches!(answer.rcode, Rcode::NoError | Rcode::NxDomain);
            let asked = match answer.kind {
                QueryType::A => Some(false),
                QueryType::Aaaa => Some(true),
                QueryType::Srv | QueryType::Other(_) => None,
            };
            let is_wrong = |is_ipv6| settled(state, is_ipv6, now, grace) > 0;
            // The server of an alias may not know the zone to which it leads.
            let is_direct = is_whole && answer.chain.len() == 1;
            counts.denied += u64::from(is_direct && is_denial && asked.is_some_and(is_wrong));
            return None;
        }
        counts.answers += 1;
        counts.truncated += u64::from(answer.truncated);
        answers.list(now, state, answer, is_whole, topology, grace)
    }

    /// A response for one of the Service's names took this long.
    pub(super) fn took(&mut self, now: Time, service: ServiceId, latency: Duration) {
        if let Some(answers) = self.services.get_mut(&service) {
            answers.counts.at(now).latency.record(latency.as_secs_f64());
        }
    }

    /// The counts of one Service over a stretch of time.
    pub(super) fn of(&self, service: ServiceId, stretch: Stretch) -> AnswerCounts {
        self.services.get(&service).map(|answers| answers.counts.over(stretch)).unwrap_or_default()
    }

    /// The first response that listed an endpoint.
    pub(super) fn first_answered(&self, service: ServiceId, endpoint: EndpointId) -> Option<Time> {
        self.services.get(&service)?.first_answered.get(&endpoint).copied()
    }

    /// Drops slots before this one; returns the room that is taken, in bytes.
    pub(super) fn trim(&mut self, oldest: Slot) -> usize {
        self.services.values_mut().map(|answers| trim(&mut answers.counts, oldest)).sum()
    }

    /// Forgets Services and endpoints that the topology has forgotten.
    pub(super) fn expire(&mut self, topology: &Topology) {
        self.services.retain(|service, answers| {
            let Some(state) = topology.service_by_id(*service) else { return false };
            answers
                .counts
                .edit(|counts| counts.firsts.retain(|endpoint, _| state.endpoint(*endpoint).is_some()));
            answers.first_answered.retain(|endpoint, _| state.endpoint(*endpoint).is_some());
            true
        });
    }
}
