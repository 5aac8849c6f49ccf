//! What user space does per connection and per DNS answer: the engine alone, fed with records as the kernel writes them.
//!
//! A cluster of 2,000 headless Services with 10,000 endpoints; 200 client pods, which look a Service up and connect ten
//! times by each answer. A connection is its opening and its end: attribution, conduct, books and ledger.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends; its figures are what it is for"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use headless_obs::engine::{Config, Engine};
use headless_obs::time::Time;
use headless_obs::topology::object::{Change, Object, ObjectKey, Pod, PodRef, Proxies, Slice, SliceEndpoint};
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::record::{DnsRecord, Header, KIND_CLOSED, KIND_DNS, KIND_OPENED, TcpRecord};
use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

const SERVICES: u32 = 2_000;
const ENDPOINTS: u32 = 5;
const CLIENTS: u32 = 200;
/// Of the last Service, which has this many.
const LARGE: u32 = 100;

/// An engine that knows the cluster, and where the traffic is.
struct World {
    engine: Engine,
    now: u64,
    connections: u64,
}

fn endpoint(service: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + service * 128 + number)
}

fn local(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 9, 0, 0).to_bits() + client)
}

fn key(name: String) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: name.into() }
}

fn slice(service: u32, count: u32) -> Slice {
    let one = |number| SliceEndpoint {
        address: endpoint(service, number).into(),
        hostname: None,
        pod: Some(PodRef {
            key: key(format!("s{service}-{number}")),
            uid: format!("uid-{service}-{number}").into(),
        }),
        node: None,
        zone: None,
        ready: true,
        serving: true,
        terminating: false,
    };
    Slice {
        key: key(format!("s{service}-a")),
        service: format!("s{service}").into(),
        headless: true,
        ports: vec![8080],
        endpoints: (0..count).map(one).collect(),
    }
}

fn pod(client: u32) -> Pod {
    Pod {
        key: key(format!("client-{client}")),
        uid: format!("client-uid-{client}").into(),
        addresses: vec![IpAddr::V4(local(client))],
        host_network: false,
        workload: format!("client-{}", client % 20).into(),
        finished: false,
        proxies: Proxies::None,
    }
}

/// The answer for a Service's name.
fn answer(service: u32, count: u32) -> Vec<u8> {
    let name = Name::from_str(&format!("s{service}.shop.svc.cluster.local.")).unwrap();
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(Query::query(name.clone(), RecordType::A));
    let records = (0..count).map(|n| Record::from_rdata(name.clone(), 30, RData::A(A(endpoint(service, n)))));
    message.add_answers(records);
    message.to_bytes().unwrap()
}

impl World {
    fn new() -> Self {
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

    fn answered(&mut self, client: u32, payload: &[u8]) {
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
            cut: 0,
            sequence: 0,
            _pad: 0,
            asked: 0,
        };
        self.engine.on_dns(&record, payload);
    }

    /// One connection of a client, from its opening to its end.
    fn connect(&mut self, client: u32, destination: Ipv4Addr) {
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
            started,
            bytes_sent: 100,
            bytes_received: 1_000,
            comm: *b"client\0\0\0\0\0\0\0\0\0\0",
            tgid: 1_000 + client,
            reason: reason::NONE,
            counted: 1,
            _end: 0,
        };
        self.engine.on_tcp(&record);
        let header = Header { kind: KIND_CLOSED, time: self.tick(), ..header };
        self.engine.on_tcp(&TcpRecord { header, ..record });
        black_box(self.engine.take_effects());
        black_box(self.engine.take_nameless());
    }
}

fn attribution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attribution");
    let answers: Vec<Vec<u8>> = (0..SERVICES - 1).map(|service| answer(service, ENDPOINTS)).collect();
    let large = answer(SERVICES - 1, LARGE);

    let mut world = World::new();
    for client in 0..CLIENTS {
        for service in (0..50).map(|turn| (client * 37 + turn * 41) % (SERVICES - 1)) {
            world.answered(client, &answers[service as usize]);
        }
    }
    let mut turn = 0;
    group.bench_function("connection", |bencher| {
        bencher.iter(|| {
            turn += 1;
            let client = turn % CLIENTS;
            let service = (client * 37 + (turn / CLIENTS % 50) * 41) % (SERVICES - 1);
            world.connect(client, endpoint(service, turn % ENDPOINTS));
        });
    });
    for (name, payload, count) in [("answer_5", &answers[7], ENDPOINTS), ("answer_100", &large, LARGE)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || payload.clone(),
                |payload| world.answered(count % CLIENTS, black_box(&payload)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Memory of this process that is in RAM, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What as many clients as are remembered cost, and as many again.
fn memory(_criterion: &mut Criterion) {
    let mut world = World::new();
    let answers: Vec<Vec<u8>> = (0..100).map(|service| answer(service, ENDPOINTS)).collect();
    let limit = u32::try_from(Config::default().conducts).unwrap();
    let empty = resident();
    for (round, clients) in [("room for all", 0..limit), ("twice as many", limit..2 * limit)] {
        for client in clients {
            let service = client % 100;
            world.answered(client, &answers[service as usize]);
            for number in 0..ENDPOINTS {
                world.connect(client, endpoint(service, number));
            }
        }
        // As the daemon does once a minute with what the kernel has forgotten.
        world.now += 3_600_000_000_000;
        for (flow, _) in world.engine.idle_flows(Time(world.now)) {
            world.engine.forget_flow(flow);
        }
        let grown = resident().saturating_sub(empty);
        println!(
            "memory/{round}: {grown} KiB for {limit} clients, {} bytes each",
            grown * 1024 / u64::from(limit)
        );
    }
}

criterion_group!(benches, attribution, memory);
criterion_main!(benches);
