//! Figures of the DNS answers for each Service's names. What search lists make of those names is none of them: every
//! lookup by the whole name would else look like a row of failures.

use std::collections::HashMap;

use crate::dns::name::candidates;
use crate::dns::{Answer, Rcode};
use crate::topology::{ServiceId, State, Topology};

/// How an answer travelled.
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

/// Answers for one Service's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AnswerCounts {
    /// Answers with addresses or SRV records, or cut so that none are left.
    pub answers: u64,
    /// Those with TC set.
    pub truncated: u64,
    /// By response code, in the order of [`RCODES`].
    pub rcodes: [u64; RCODES.len()],
    /// Over UDP and over TCP.
    pub transports: [u64; 2],
    /// Ready endpoints that answers for the Service's own name listed.
    listed: u64,
    /// Ready endpoints of the asked family that those answers could have listed.
    listable: u64,
}

impl AnswerCounts {
    /// Share of the ready endpoints that answers listed, 0 to 1; 1 without answers.
    pub(super) fn completeness(&self) -> f64 {
        if self.listable == 0 { 1.0 } else { crate::spread::ratio(self.listed, self.listable) }
    }
}

/// The most zones that are remembered; a cluster has one, rarely a few.
const ZONES: usize = 16;

/// Answers by Service.
#[derive(Debug, Default)]
pub(super) struct Answers {
    services: HashMap<ServiceId, AnswerCounts>,
    /// Zones of names that had records.
    zones: Vec<Box<str>>,
}

impl Answers {
    /// Counts an answer for one of the Service's names; `is_whole` if it was for the Service's own name.
    pub(super) fn count(
        &mut self,
        service: ServiceId,
        answer: &Answer,
        transport: Transport,
        is_whole: bool,
        topology: &Topology,
    ) {
        let is_empty = answer.addresses.is_empty() && answer.targets.is_empty();
        if !is_empty {
            self.learn_zone(&answer.question);
        } else if answer.rcode == Rcode::NxDomain && self.is_searched(&answer.question) {
            return;
        }
        let counts = self.services.entry(service).or_default();
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
        // An answer that was cut can have lost all of its records.
        if is_empty && !answer.truncated {
            return;
        }
        counts.answers += 1;
        counts.truncated += u64::from(answer.truncated);
        if let Some(state) = topology.service_by_id(service)
            && let Some(first) = answer.addresses.first()
            && is_whole
        {
            let is_ipv6 = first.address.is_ipv6();
            let listable = state.ready(is_ipv6);
            let listed = answer
                .addresses
                .iter()
                .filter(|record| {
                    let mut owners = topology.owners(record.address);
                    owners.any(|owner| owner.id().service == service && owner.state() == State::Ready)
                })
                .count();
            counts.listable += listable as u64;
            counts.listed += listed.min(listable) as u64;
        }
    }

    /// Figures of one Service.
    pub(super) fn of(&self, service: ServiceId) -> AnswerCounts {
        self.services.get(&service).cloned().unwrap_or_default()
    }

    /// Forgets Services that nobody remembers.
    pub(super) fn expire(&mut self, is_known: impl Fn(ServiceId) -> bool) {
        self.services.retain(|service, _| is_known(*service));
    }

    fn learn_zone(&mut self, name: &str) {
        if self.zones.len() < ZONES
            && let Some(meant) = candidates(name).next()
            && !self.zones.iter().any(|zone| **zone == *meant.zone)
        {
            self.zones.push(meant.zone.into());
        }
    }

    /// Whether a search list made the name: something follows the zone of a name that is whole already.
    fn is_searched(&self, name: &str) -> bool {
        let goes_on =
            |zone: &str, whole: &str| zone.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'));
        candidates(name).any(|meant| self.zones.iter().any(|whole| goes_on(meant.zone, whole)))
    }
}
