//! The sums of a workload for one Service, over a stretch of time. Pods come and go and are forgotten. The sums of all
//! time stay, because they are exported as counters, which must not decrease.

use super::expected::Expected;
use crate::attribution::AnswerRef;
use crate::dns::{Answer, QueryType, Rcode};
use crate::engine::dns_stats::Transport;
use crate::expose::snapshot::{AnswerAge, Counts, Histogram, Responses};
use crate::time::Time;
use crate::topology::EndpointId;
use crate::windowed::Sum;

/// The most combinations of endpoint and wrong port.
const PORTS: usize = 64;
/// The same for the sum of several workloads.
const MERGED_PORTS: usize = 512;
/// Upper bounds of the age classes, in seconds.
const AGES: [(u64, &str); 5] = [(1, "1"), (5, "5"), (30, "30"), (300, "300"), (3600, "3600")];

/// The fate of an attempt at a port that the endpoint does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum PortFate {
    /// It was established, and is in the Service's figures.
    Opened,
    /// It was established, but perhaps with another pod.
    Elsewhere,
    /// It failed.
    Failed,
}

/// A port that an endpoint does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct WrongPort {
    pub(in crate::engine) endpoint: EndpointId,
    pub(in crate::engine) port: u16,
    pub(in crate::engine) connections: u64,
    /// Those that the Service's other figures include.
    pub(in crate::engine) opened: u64,
    /// Those that failed, or that the peer ended at once.
    pub(in crate::engine) failed: u64,
}

/// The kind of a response. All fields come from short lists, so there are few kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ResponseKind {
    rcode: &'static str,
    truncated: bool,
    transport: &'static str,
    qtype: &'static str,
}

/// The sums.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct ClientCounters {
    /// The selections that random choice among the offered endpoints would have made.
    pub(in crate::engine) expected: Expected,
    /// The same for selections by a name for a part of the endpoints.
    pub(in crate::engine) expected_in_part: Option<Box<Expected>>,
    pub(in crate::engine) truncated_used: u64,
    within_ttl: u64,
    past_ttl: u64,
    oldest: f64,
    ages: [u64; AGES.len() + 1],
    age: Histogram,
    /// Seconds from an endpoint's becoming ready to the first connection there.
    pub(in crate::engine) convergence: Histogram,
    pub(in crate::engine) wrong_ports: Vec<WrongPort>,
    responses: Vec<(ResponseKind, u64)>,
    /// Responses with addresses or SRV records.
    pub(in crate::engine) usable: u64,
}

impl ClientCounters {
    /// A connection or an attempt that uses an answer.
    pub(super) fn record_connect(&mut self, used_answer: &AnswerRef, at: Time) {
        let age = at.since(used_answer.at);
        self.truncated_used += u64::from(used_answer.truncated);
        *if used_answer.is_past_ttl(at) { &mut self.past_ttl } else { &mut self.within_ttl } += 1;
        self.oldest = self.oldest.max(age.as_secs_f64());
        let bucket = AGES.iter().position(|(bound, _)| age.as_secs() < *bound).unwrap_or(AGES.len());
        if let Some(count) = self.ages.get_mut(bucket) {
            *count += 1;
        }
        self.age.record(age.as_secs_f64());
    }

    pub(super) fn other_port(&mut self, port: (EndpointId, u16), fate: PortFate) {
        // Beyond the limit, only the counts of attempts include it.
        if let Some(known) = self.wrong_port(port) {
            known.connections += 1;
            known.opened += u64::from(fate == PortFate::Opened);
            known.failed += u64::from(fate == PortFate::Failed);
        }
    }

    /// The peer ended a connection to such a port at once.
    pub(super) fn turned_away(&mut self, port: (EndpointId, u16)) {
        if let Some(known) = self.wrong_port(port) {
            known.failed += 1;
        }
    }

    /// The counts of a port; created if there is room.
    fn wrong_port(&mut self, (endpoint, port): (EndpointId, u16)) -> Option<&mut WrongPort> {
        let is_it = |known: &WrongPort| (known.endpoint, known.port) == (endpoint, port);
        if !self.wrong_ports.iter().any(is_it) && self.wrong_ports.len() < PORTS {
            self.wrong_ports.push(WrongPort { endpoint, port, connections: 0, opened: 0, failed: 0 });
        }
        self.wrong_ports.iter_mut().find(|known| is_it(known))
    }

    /// A response for one of the Service's names.
    pub(super) fn answered(&mut self, answer: &Answer, transport: Transport) {
        self.usable += u64::from(!(answer.addresses.is_empty() && answer.targets.is_empty()));
        let kind = ResponseKind {
            rcode: rcode(answer.rcode),
            truncated: answer.truncated,
            transport: transport.as_str(),
            qtype: match answer.kind {
                QueryType::A => "a",
                QueryType::Aaaa => "aaaa",
                QueryType::Srv => "srv",
                QueryType::Other(_) => "other",
            },
        };
        match self.responses.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.responses.push((kind, 1)),
        }
    }

    pub(in crate::engine) fn answer_age(&self) -> AnswerAge {
        let names = AGES.iter().map(|(_, name)| *name).chain(["+Inf"]);
        let buckets: Counts = names
            .zip(self.ages)
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        AnswerAge {
            within_ttl: self.within_ttl,
            past_ttl: self.past_ttl,
            max_seconds: self.oldest,
            buckets,
            histogram: self.age.clone(),
        }
    }

    /// The number of kinds.
    pub(in crate::engine) fn response_kinds(&self) -> usize {
        self.responses.len()
    }

    pub(in crate::engine) fn responses(&self) -> Vec<Responses> {
        let mut responses: Vec<_> = self
            .responses
            .iter()
            .map(|(kind, count)| Responses {
                rcode: kind.rcode.to_owned(),
                truncated: kind.truncated,
                transport: kind.transport.to_owned(),
                qtype: kind.qtype.to_owned(),
                count: *count,
            })
            .collect();
        let order =
            |one: &Responses| (one.rcode.clone(), one.qtype.clone(), one.transport.clone(), one.truncated);
        responses.sort_by_cached_key(order);
        responses
    }
}

impl Sum for ClientCounters {
    fn add(&mut self, other: &Self) {
        // Each field by its name, so that a new one cannot be left out.
        let Self {
            expected,
            expected_in_part,
            truncated_used,
            within_ttl,
            past_ttl,
            oldest,
            ages,
            age,
            convergence,
            wrong_ports,
            responses,
            usable,
        } = other;
        self.expected.add(expected);
        if let Some(more) = expected_in_part {
            self.expected_in_part.get_or_insert_default().add(more);
        }
        self.truncated_used += truncated_used;
        self.within_ttl += within_ttl;
        self.past_ttl += past_ttl;
        self.oldest = self.oldest.max(*oldest);
        self.ages.iter_mut().zip(ages).for_each(|(sum, more)| *sum += more);
        self.age.add(age);
        self.convergence.add(convergence);
        for wrong in wrong_ports {
            let key = |wrong: &WrongPort| (wrong.endpoint, wrong.port);
            let has_room = self.wrong_ports.len() < MERGED_PORTS;
            match self.wrong_ports.iter_mut().find(|known| key(known) == key(wrong)) {
                Some(known) => {
                    known.connections += wrong.connections;
                    known.opened += wrong.opened;
                    known.failed += wrong.failed;
                }
                None if has_room => self.wrong_ports.push(*wrong),
                None => {}
            }
        }
        self.usable += usable;
        for (kind, more) in responses {
            match self.responses.iter_mut().find(|(known, _)| known == kind) {
                Some((_, count)) => *count += more,
                None => self.responses.push((*kind, *more)),
            }
        }
    }
}

fn rcode(rcode: Rcode) -> &'static str {
    match rcode {
        Rcode::NoError => "noerror",
        Rcode::NxDomain => "nxdomain",
        Rcode::ServFail => "servfail",
        Rcode::Other(_) => "other",
    }
}
