//! Handles DNS messages: updates the answer cache, the counts of responses, and the learned topology.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use headless_obs_ebpf::ring_record::DnsRecord;

use super::client_stats::AnswerSummary;
use super::{Engine, Transport, ip};
use crate::answer_cache::AnswerContext;
use crate::client::{Client, Role};
use crate::cluster_zone::ClusterZone;
use crate::dns::datagram::Piece;
use crate::dns::service_name::candidates;
use crate::dns::tcp_stream::{Segment, StreamKey};
use crate::dns::{Answer, Name, QueryType, Rcode, SrvTarget};
use crate::offer::Offer;
use crate::service_resolution::{Meaning, Resolution, here, holds, listed, meant, service_of};
use crate::time::Time;
use crate::topology::nat64::{IPV4_ONLY, Prefix};
use crate::topology::{EndpointId, ServiceId};

impl Engine {
    /// A DNS message, or a segment of a stream.
    pub fn on_dns(&mut self, record: &DnsRecord, payload: &[u8]) {
        const TCP: u8 = 6;
        if record.protocol == TCP {
            self.on_segment(record, payload);
        } else {
            self.on_piece(record, payload);
        }
        self.collect_losses(Time(record.header.time));
    }

    /// A datagram, or a part of a long one.
    fn on_piece(&mut self, record: &DnsRecord, payload: &[u8]) {
        // Nearly all are whole.
        if record.sequence == 0 && record.following == 0 {
            return self.on_message(record, payload, Transport::Udp);
        }
        let at = Time(record.header.time);
        let (key, offset, following) = (ends(record), record.sequence, record.following);
        // Moved out while it passes messages to the engine, which owns it.
        let mut datagrams = std::mem::take(&mut self.datagrams);
        let is_kept = datagrams.push(Piece { at, key, offset, following, payload }, |message| {
            self.on_message(record, message, Transport::Udp);
        });
        self.datagrams = datagrams;
        if !is_kept {
            self.lose(at, record.header.cgroup, ip(record.client), "dns_incomplete", 1);
        }
    }

    fn on_segment(&mut self, record: &DnsRecord, payload: &[u8]) {
        let key = ends(record);
        let segment = Segment {
            sequence: record.sequence,
            flags: record.tcp_flags,
            cut: record.truncated_len,
            payload,
        };
        // Moved out while it passes messages to the engine, which owns it.
        let mut streams = std::mem::take(&mut self.streams);
        streams.push(Time(record.header.time), key, segment, |message| {
            self.on_message(record, message, Transport::Tcp);
        });
        self.streams = streams;
    }

    fn on_message(&mut self, record: &DnsRecord, message: &[u8], transport: Transport) {
        match self.decoder.decode(message) {
            Ok(mut answer) => {
                self.undo_nat64(&mut answer);
                self.on_answer(record, &answer, transport);
            }
            Err(reject) => {
                let rejected = self.dns_rejected.at(Time(record.header.time));
                *rejected.entry(reject.as_str()).or_default() += 1;
            }
        }
    }

    fn on_answer(&mut self, record: &DnsRecord, answer: &Answer, transport: Transport) {
        let now = Time(record.header.time);
        let client = self.clients.identify(&self.topology, record.header.cgroup, ip(record.client), &[]);
        if let Some(learner) = &mut self.learner {
            for change in learner.observe(now, client.scope.0, answer, &self.zone) {
                self.last_topology_event = Some(now);
                let touched = self.topology.apply(now, change);
                self.touch(now, &touched);
            }
        }
        if client.role == Role::OtherNode {
            return;
        }
        if let Some(service) = self.asked_for_grpc(&answer.question) {
            self.client_stats.asked_for_grpc(now, client.scope, service);
        }
        let is_searched = is_denied_search(answer, &self.zone);
        let (mut name, mut meaning) = meant(answer, &self.topology, &self.zone);
        if self.learn_zone(answer, (name, &meaning)) {
            (name, meaning) = meant(answer, &self.topology, &self.zone);
        }
        let meant = meaning.service();
        if let Some((service, resolution)) = meant.filter(|_| !is_searched) {
            self.count_answer(record, answer, (client, transport), (service, &meaning, resolution));
        }
        let context = (&self.topology, &self.zone);
        match (&meaning, meant) {
            _ if !has_records(answer) => {}
            // Most answers: the query name is the Service's own.
            (Meaning::Named { .. }, _) if *name == answer.question => {}
            (Meaning::Nobody, _) => self.other_names.misled(now, client.workload, answer, context),
            (_, Some((service, _))) => {
                self.other_names.led(now, (client.workload, service), answer, context);
            }
            (_, None) => {}
        }
        if answer.rcode == Rcode::NoError {
            self.remember(now, (client, ip(record.client)), answer, (name, meaning));
        }
        self.trace_dns(now, client, meant.map(|(service, _)| service), answer, transport);
    }

    /// Counts an answer for a Service.
    fn count_answer(
        &mut self,
        record: &DnsRecord,
        answer: &Answer,
        (client, transport): (Client, Transport),
        (service, meaning, resolution): (ServiceId, &Meaning, Resolution),
    ) {
        let now = Time(record.header.time);
        self.client_stats.responded(now, (client.workload, service), answer, transport);
        // A name that is not the Service's own may stand for a part of it, and its server knows nothing of the others.
        // Hints in another record need not be complete.
        let is_named = matches!(meaning, Meaning::Named { resolution: Resolution::Service, .. });
        let is_whole = is_named && !matches!(answer.kind, QueryType::Other(_));
        let first =
            self.answers.count(now, service, answer, (transport, is_whole), &self.topology, self.stale_grace);
        if record.queried_at > 0 {
            self.answers.took(now, service, now.since(Time(record.queried_at)));
        }
        if resolution.is_choice() && has_records(answer) {
            self.client_stats.answered(now, client.scope, service, &reception(answer, first));
        }
    }

    /// Keeps an answer for the connections that use it.
    fn remember(
        &mut self,
        now: Time,
        (client, address): (Client, IpAddr),
        answer: &Answer,
        (name, meaning): (&Name, Meaning),
    ) {
        let meant = meaning.service();
        // A name of this cluster counts before the topology knows it, because the topology may be behind DNS. Of other
        // names, only those matter that lead to an endpoint.
        let is_likely = || candidates(name).any(|name| self.zone.is_own(name.zone));
        let matters = || listed(answer).any(|address| self.topology.knows(address));
        let is_kept = meaning != Meaning::Nobody || is_likely() || matters();
        // Clients reach resolvers on the host or in the pod from a loopback address.
        let local = Some(address).filter(|local| !local.is_loopback());
        let offer = match (&meaning, meant) {
            (_, Some((service, resolution))) if resolution.is_choice() => {
                self.offer(now, Some(service), answer, (client, local))
            }
            (Meaning::Nobody, _) if is_kept => self.offer(now, None, answer, (client, local)),
            _ => Arc::default(),
        };
        let context = AnswerContext {
            name: is_kept.then_some(name),
            meaning,
            renamed: self.topology.renamed(),
            local,
            offer: &offer,
        };
        self.answer_cache.observe(now, client.scope, answer, context);
        if meant.is_some() {
            listed(answer).for_each(|address| self.unignore(address));
        }
    }

    /// Compares an answer for a name of a Service of this cluster, whatever its zone, with the Service's endpoints.
    /// Returns whether another zone is the cluster's now. A topology that is learned from answers proves nothing about
    /// them.
    fn learn_zone(&mut self, answer: &Answer, (meant, meaning): (&Name, &Meaning)) -> bool {
        if self.learner.is_some() || !self.zone.is_learned() || !has_records(answer) {
            return false;
        }
        let Some(name) = answer.chain.last() else { return false };
        let is_right = |service| holds(answer, service, &self.topology);
        let right = match (meaning, self.zone.of(name)) {
            // Most answers.
            (Meaning::Named { service, .. }, Some(zone)) if meant == name => {
                is_right(*service).map(|is_right| (zone, is_right))
            }
            _ => candidates(name).find_map(|name| Some((name.zone, is_right(here(&name, &self.topology)?)?))),
        };
        right.is_some_and(|(zone, is_right)| self.zone.observe(zone, is_right))
    }

    /// Puts the addresses that endpoints have in place of translated ones.
    fn undo_nat64(&mut self, answer: &mut Answer) {
        if !listed(answer).any(|address| address.is_ipv6()) {
            return;
        }
        if let Some(prefix) = self.shown_nat64(answer) {
            self.topology.learn_nat64(prefix);
        }
        let of_targets = answer.targets.iter_mut().flat_map(|target| &mut target.addresses);
        for record in answer.addresses.iter_mut().chain(of_targets) {
            record.address = self.topology.original(record.address);
        }
    }

    /// The prefix under which an answer is a translation: all its addresses stand for endpoints of the Service that its
    /// name names, and are none themselves.
    fn shown_nat64(&self, answer: &Answer) -> Option<Prefix> {
        let translated = listed(answer).map(|address| match address {
            IpAddr::V6(translated) if !self.topology.knows(address) => Some(translated),
            _ => None,
        });
        if translated.clone().any(|address| address.is_none()) {
            return None;
        }
        let translated = translated.flatten();
        if &*answer.question == "ipv4only.arpa" {
            return Prefix::shown(translated, |original| IPV4_ONLY.contains(&original));
        }
        let mut names = answer.chain.iter().rev();
        let (service, _) = names.find_map(|name| service_of(name, &self.topology, &self.zone))?;
        Prefix::shown(translated, |original| {
            let mut owners = self.topology.owners(original.into());
            owners.any(|endpoint| endpoint.id().service == service)
        })
    }

    /// The Service whose gRPC configuration a query requests.
    fn asked_for_grpc(&self, question: &str) -> Option<ServiceId> {
        let name = question.strip_prefix("_grpc_config.")?;
        service_of(name, &self.topology, &self.zone).map(|(service, _)| service)
    }
}

/// Receiver and sender.
fn ends(record: &DnsRecord) -> StreamKey {
    StreamKey {
        cgroup: record.header.cgroup,
        client: SocketAddr::new(ip(record.client), record.client_port),
        server: SocketAddr::new(ip(record.server), record.server_port),
    }
}

impl Engine {
    /// The endpoints among which an answer lets the client choose. A member of a cluster does not connect to itself.
    fn offer<'a>(
        &mut self,
        now: Time,
        service: Option<ServiceId>,
        answer: &'a Answer,
        (client, local): (Client, Option<IpAddr>),
    ) -> Arc<Offer> {
        // On the host network the address belongs to others as well.
        let own = local.filter(|_| client.role == Role::Pod);
        let of_target =
            |target: &'a SrvTarget| target.addresses.iter().map(|record| (record.address, target.port));
        let addresses = answer.addresses.iter().map(|record| (record.address, 0));
        let all = addresses.chain(answer.targets.iter().flat_map(of_target));
        let others = all.filter(move |(address, _)| Some(*address) != own);
        self.offers.of(now, service, others, &self.topology)
    }
}

/// The part of an answer for the Service's name that enters its client's statistics.
fn reception(answer: &Answer, first: Option<EndpointId>) -> AnswerSummary {
    let ttls = answer.addresses.iter().map(|record| record.ttl);
    AnswerSummary {
        // A target of an SRV record stands for its addresses.
        size: u16::try_from(answer.addresses.len() + answer.targets.len()).unwrap_or(u16::MAX),
        truncated: answer.truncated,
        ttl: ttls.chain(answer.targets.iter().map(|target| target.ttl)).min().unwrap_or(0),
        is_ipv6: answer.addresses.first().is_some_and(|record| record.address.is_ipv6()),
        first,
    }
}

/// Whether the answer denies a name that only a search list can have made.
fn is_denied_search(answer: &Answer, zone: &ClusterZone) -> bool {
    let is_longer = || candidates(&answer.question).any(|name| zone.searched(name.zone).is_some());
    answer.rcode == Rcode::NxDomain && !has_records(answer) && is_longer()
}

/// Whether an answer lists anything.
fn has_records(answer: &Answer) -> bool {
    !answer.addresses.is_empty() || !answer.targets.is_empty()
}
