//! DNS messages as they arrive: into the evidence, the figures of answers, and what is learnt of Services.

use std::net::SocketAddr;

use headless_obs_ebpf::record::DnsRecord;

use super::{Engine, Transport, ip};
use crate::attribution::{Resolution, meant};
use crate::client::Role;
use crate::dns::message::{Reject, decode};
use crate::dns::name::candidates;
use crate::dns::stream::{Segment, StreamKey};
use crate::dns::{Answer, Rcode};
use crate::time::Time;

impl Engine {
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
        if client.role == Role::Elsewhere {
            return;
        }
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
}
