//! The cost of a scrape in the worst case: one Service with 10,000 endpoints that 500 client workloads of the node use,
//! which would be 55 million series.
//!
//! It runs with the default limits, with limits that this Service uses up, and with many Services of which each fits.
//! It measures the engine, each format, and the size of the output.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends; its figures are what it is for"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use headless_obs::engine::{Config, Engine, KernelState};
use headless_obs::expose::metrics::cardinality::Config as Limits;
use headless_obs::expose::metrics::{Format, encode};
use headless_obs::expose::snapshot::TopologyState;
use headless_obs::time::Time;
use headless_obs::topology::model::{Change, Object, ObjectKey, PodRef, ServicePort, Slice, SliceEndpoint};
use headless_obs_ebpf::end;
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::ring_record::{Header, KIND_OPENED, TcpRecord};
use jiff::Timestamp;

/// A population and its limits.
struct Case {
    name: &'static str,
    services: u32,
    endpoints: u32,
    clients: u32,
    limits: Limits,
}

fn address(service: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + service * 16_384 + number)
}

fn slice(service: u32, count: u32) -> Slice {
    let key = |name: String| ObjectKey { namespace: "shop".into(), name: name.into() };
    let one = |number| SliceEndpoint {
        address: address(service, number).into(),
        port: None,
        hostname: None,
        pod: Some(PodRef {
            key: key(format!("orders-{service}-7d4b9c6f5d-{number:05}")),
            uid: format!("uid-{service}-{number}").into(),
        }),
        node: None,
        zone: Some("eu-central-1a".into()),
        hints: Box::default(),
        ready: true,
        serving: true,
        terminating: false,
    };
    Slice {
        key: key(format!("orders-{service}-a")),
        service: format!("orders-{service}").into(),
        headless: true,
        ports: vec![ServicePort { name: "http".into(), port: 8080 }],
        endpoints: (0..count).map(one).collect(),
        missing: 0,
    }
}

/// An engine in which every client of every Service has 20 connections to endpoints all over the Service.
fn engine(case: &Case) -> Engine {
    let mut engine = Engine::new(Config { series: case.limits, ..Config::default() });
    for service in 0..case.services {
        engine.apply(Time(1), Change::Apply(Object::Slice(slice(service, case.endpoints))));
    }
    engine.apply(Time(1), Change::Synced(true));
    let mut socket = 0;
    for service in 0..case.services {
        for client in 0..case.clients {
            for turn in 0..20 {
                socket += 1;
                let mut comm = [0; 16];
                comm.iter_mut().zip(format!("checkout-{client}").bytes()).for_each(|(to, from)| *to = from);
                let time = 1_000_000 + socket * 1_000;
                let number = (client * 19 + turn * 497) % case.endpoints;
                engine.on_tcp(&TcpRecord {
                    header: Header { kind: KIND_OPENED, length: 0, time: time + 500, cgroup: client.into() },
                    source: Ipv4Addr::from_bits(Ipv4Addr::new(10, 9, 0, 0).to_bits() + client)
                        .to_ipv6_mapped()
                        .octets(),
                    destination: address(service, number).to_ipv6_mapped().octets(),
                    port: 8080,
                    _pad: [0; 6],
                    socket,
                    started: time,
                    bytes_sent: 0,
                    bytes_received: 0,
                    sent_to: [0; 16],
                    comm,
                    tgid: 1_000 + client,
                    reason: reason::NONE,
                    in_flow_totals: 1,
                    end: end::NONE,
                    _last: 0,
                    segments_sent: 0,
                    segments_received: 0,
                    retransmitted: 0,
                    rtt: 0,
                });
            }
        }
    }
    engine
}

fn kernel() -> KernelState {
    KernelState {
        node: "node-1".to_owned(),
        from: Timestamp::UNIX_EPOCH,
        began: Time(0),
        to: Time(600_000_000_000),
        topology: TopologyState { source: "kubernetes".to_owned(), ..TopologyState::default() },
        counters: BTreeMap::new(),
        maps: BTreeMap::new(),
        hooks: BTreeMap::new(),
        unknown_records: 0,
        stands_by: false,
    }
}

fn scrape(criterion: &mut Criterion) {
    let defaults = Limits::default();
    let used_up = Limits { per_service: 60_000, total: 60_000, ..defaults };
    for case in [
        Case { name: "default_limits", services: 1, endpoints: 10_000, clients: 500, limits: defaults },
        Case { name: "limits_used_up", services: 1, endpoints: 10_000, clients: 500, limits: used_up },
        Case { name: "many_services", services: 30, endpoints: 14, clients: 9, limits: defaults },
    ] {
        let mut group = criterion.benchmark_group(format!("metrics/{}", case.name));
        group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
        let before = resident();
        let (mut engine, kernel) = (engine(&case), kernel());
        let idle = resident();
        group.bench_function("engine", |bencher| bencher.iter(|| engine.scrape(&kernel)));
        let scrape = Arc::new(engine.scrape(&kernel));
        for (name, format) in
            [("plain", Format::Plain), ("openmetrics", Format::OpenMetrics), ("protobuf", Format::Protobuf)]
        {
            let size = encode(scrape.clone(), format).unwrap().len();
            println!("metrics/{}/{name}: {} KiB", case.name, size / 1024);
            group.bench_function(name, |bencher| bencher.iter(|| encode(scrape.clone(), format).unwrap()));
        }
        let text = String::from_utf8(encode(scrape, Format::Plain).unwrap()).unwrap();
        let series = text.lines().find(|line| line.starts_with("headless_observer_series")).unwrap_or(&text);
        let series = series.rsplit(' ').next().unwrap_or_default();
        println!(
            "metrics/{}: {series} series; {} KiB of state, {} KiB more after scrapes",
            case.name,
            idle.saturating_sub(before),
            resident().saturating_sub(idle)
        );
        group.finish();
    }
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

criterion_group!(benches, scrape);
criterion_main!(benches);
