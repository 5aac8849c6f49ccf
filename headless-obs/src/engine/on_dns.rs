//! Handles DNS messages: updates the answer cache, the counts of responses, and the learned topology.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use headless_obs_ebpf::ring_record::DnsRecord;

use super::client_stats::AnswerSummary;
use super::{Engine, Transport, ip};
use crate::answer_cache::AnswerContext;
use crate::client::{Client, Role};
use crate::dns::datagram::Piece;
use crate::dns::service_name::candidates;
use crate::dns::tcp_stream::{Segment, StreamKey};
use crate::dns::{Answer, Rcode, SrvTarget};
use crate::offer::Offer;
use crate::service_resolution::{Resolution, ResolvedName, meant, service_of};
use crate::time::Time;
use crate::topology::{EndpointId, ServiceId, Topology};

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
            Ok(answer) => self.on_answer(record, &answer, transport),
            Err(reject) => {
                let rejected = self.dns_rejected.at(Time(record.header.time));
                *rejected.entry(reject.as_str()).or_default() += 1;
            }
        }
    }

    fn on_answer(&mut self, record: &DnsRecord, answer: &Answer, transport: Transport) {
        let now = Time(record.header.time);
        if let Some(learner) = &mut self.learner {
            for change in learner.observe(now, answer) {
                self.last_topology_event = Some(now);
                let touched = self.topology.apply(now, change);
                self.touch(now, &touched);
            }
        }
        let client = self.clients.identify(&self.topology, record.header.cgroup, ip(record.client), &[]);
        if client.role == Role::OtherNode {
            return;
        }
        if let Some(service) = asked_for_grpc(&answer.question, &self.topology) {
            self.client_stats.asked_for_grpc(now, client.scope, service);
        }
        let meant = meant(answer, &self.topology);
        if let Some((_, service, resolution)) = meant {
            if !self.answers.is_of_search_list(answer) {
                self.client_stats.responded(now, (client.workload, service), answer, transport);
            }
            let is_whole = resolution == Resolution::Service;
            let first = self.answers.count(
                now,
                service,
                answer,
                (transport, is_whole),
                &self.topology,
                self.stale_grace,
            );
            if record.queried_at > 0 && !self.answers.is_of_search_list(answer) {
                self.answers.took(now, service, now.since(Time(record.queried_at)));
            }
            let is_empty = answer.addresses.is_empty() && answer.targets.is_empty();
            if resolution.counts() && !is_empty {
                self.client_stats.answered(now, client.scope, service, &reception(answer, first));
            }
        }
        if answer.rcode == Rcode::NoError {
            // A name with the form of a Service's name counts before the topology knows it, because the topology may be
            // behind DNS.
            let likely = || answer.chain.iter().rev().find(|name| candidates(name).next().is_some());
            let name = meant.map(|(name, ..)| name).or_else(likely);
            // Clients reach resolvers on the host or in the pod from a loopback address.
            let local = Some(ip(record.client)).filter(|local| !local.is_loopback());
            let renamed = self.topology.renamed();
            let meaning = meant.map(|(_, service, resolution)| ResolvedName { service, resolution, renamed });
            let offer = match meant.filter(|(.., resolution)| resolution.counts()) {
                Some((_, service, _)) => self.offer(now, Some(service), answer, (client, local)),
                None if meant.is_none() && name.is_some() => self.offer(now, None, answer, (client, local)),
                None => Arc::default(),
            };
            let context = AnswerContext { name, meaning, local, offer: &offer };
            self.answer_cache.observe(now, client.scope, answer, context);
            if meant.is_some() {
                let of_targets = answer.targets.iter().flat_map(|target| &target.addresses);
                let listed = answer.addresses.iter().chain(of_targets);
                listed.for_each(|record| self.ignored.unignore(record.address));
            }
        }
        self.trace_dns(now, client, meant.map(|(_, service, _)| service), answer, transport);
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

/// The Service whose gRPC configuration a query requests.
fn asked_for_grpc(question: &str, topology: &Topology) -> Option<ServiceId> {
    let name = question.strip_prefix("_grpc_config.")?;
    service_of(name, topology).map(|(service, _)| service)
}
