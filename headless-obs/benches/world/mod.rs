//! Shared by benchmarks and tests of single events: an engine with a cluster's topology, and events in the kernel's
//! record format.
//!
//! Clients look a Service up and connect ten times with each answer. A connection is its opening and its end; both go
//! through attribution, client statistics, reconciliation and ledger.

use std::hint::black_box;
use std::net::Ipv4Addr;

use headless_obs::engine::{Config, Engine};
use headless_obs::time::Time;
use headless_obs::topology::model::{Change, Object};
use headless_obs_ebpf::end;
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::ring_record::{DnsRecord, Header, KIND_CLOSED, KIND_DNS, KIND_OPENED, TcpRecord};

pub(crate) mod cluster;

use cluster::{CLIENTS, ENDPOINTS, LARGE, SERVICES, answer, endpoint, local, looked_up, pod, slice};

/// An engine with the topology, and the state of the traffic.
pub(crate) struct World {
    /// The engine.
    pub(crate) engine: Engine,
    /// Nanoseconds; each event is a microsecond later.
    pub(crate) now: u64,
    connections: u64,
}

impl World {
    /// An engine without any events.
    pub(crate) fn new() -> Self {
        let mut engine = Engine::new(Config { count_host: false, ..Config::default() });
        for service in 0..SERVICES {
            let count = if service == SERVICES - 1 { LARGE } else { ENDPOINTS };
            engine.apply(Time(1), Change::Apply(Object::Slice(slice(service, count))));
        }
        for client in 0..CLIENTS {
            engine.apply(Time(1), Change::Apply(Object::Pod(pod(client))));
        }
        Self { engine, now: 1_000_000_000, connections: 0 }
    }

    fn tick(&mut self) -> u64 {
        self.now += 1_000;
        self.now
    }

    /// Passes an answer to a client.
    pub(crate) fn answered(&mut self, client: u32, payload: &[u8]) {
        let time = self.tick();
        let record = DnsRecord {
            header: Header {
                kind: KIND_DNS,
                length: u32::try_from(payload.len()).unwrap(),
                time,
                cgroup: client.into(),
            },
            client: local(client).to_ipv6_mapped().octets(),
            server: Ipv4Addr::new(10, 96, 0, 10).to_ipv6_mapped().octets(),
            client_port: 40_000,
            server_port: 53,
            protocol: 17,
            tcp_flags: 0,
            truncated_len: 0,
            sequence: 0,
            following: 0,
            queried_at: 0,
        };
        self.engine.on_dns(&record, payload);
    }

    /// Opens and closes one connection of a client.
    pub(crate) fn connect(&mut self, client: u32, destination: Ipv4Addr) {
        self.connections += 1;
        let started = self.tick();
        let header = Header { kind: KIND_OPENED, length: 0, time: self.tick(), cgroup: client.into() };
        let record = TcpRecord {
            header,
            source: local(client).to_ipv6_mapped().octets(),
            destination: destination.to_ipv6_mapped().octets(),
            port: 8080,
            _pad: [0; 6],
            socket: self.connections % 512,
            bytes_sent: 100,
            started,
            bytes_received: 1_000,
            sent_to: [0; 16],
            comm: *b"client\0\0\0\0\0\0\0\0\0\0",
            tgid: 1_000 + client,
            reason: reason::NONE,
            in_flow_totals: 1,
            end: end::NONE,
            _last: 0,
            segments_sent: 0,
            segments_received: 0,
            retransmitted: 0,
            rtt: 0,
        };
        self.engine.on_tcp(&record);
        let header = Header { kind: KIND_CLOSED, time: self.tick(), ..header };
        self.engine.on_tcp(&TcpRecord { header, ..record });
        black_box(self.engine.take_ignore_updates());
        black_box(self.engine.take_program_lookups());
    }

    /// An engine after every client has looked its Services up.
    pub(crate) fn told() -> Self {
        let mut world = Self::new();
        let answers: Vec<Vec<u8>> = (0..SERVICES - 1).map(|service| answer(service, ENDPOINTS)).collect();
        for client in 0..CLIENTS {
            for turn in 0..50 {
                world.answered(client, &answers[looked_up(client, turn) as usize]);
            }
        }
        world
    }

    /// Makes the next connection of a client to an endpoint of a Service that it has looked up.
    pub(crate) fn connect_next(&mut self) {
        let turn = u32::try_from(self.connections).unwrap();
        let client = turn % CLIENTS;
        self.connect(client, endpoint(looked_up(client, turn / CLIENTS), turn % ENDPOINTS));
    }
}
