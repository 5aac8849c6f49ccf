//! The paths between clients and endpoints: how long it took to connect, round trips, and how connections ended.

use headless_obs_ebpf::end;
use headless_obs_ebpf::reading::Reading;

use super::expiry::{flow, totals};
use super::windows::{address, world};
use super::*;
use crate::expose::metrics::{Format, encode};
use crate::expose::snapshot::{Counts, Readings};

/// Connects to a pod; the connection takes so many milliseconds.
fn connect(world: &mut World, pod: usize, milliseconds: u64) -> Dialled {
    world.resolve(1, ORDERS, &[&address(pod)]);
    let dialled = world.dial(1, &address(pod));
    // The record's own tick is one.
    world.now += milliseconds - 1;
    world.open(dialled)
}

/// The value of the only series with this name and these texts, apart by `&`, in its labels.
fn value(world: &mut World, metric: &str, labels: &str) -> f64 {
    let kernel = world.kernel();
    let text =
        String::from_utf8(encode(world.engine.scrape(&kernel).into(), Format::Plain).unwrap()).unwrap();
    let of = |line: &&str| {
        line.starts_with(&format!("{metric}{{")) && labels.split('&').all(|label| line.contains(label))
    };
    let lines: Vec<&str> = text.lines().filter(of).collect();
    let [line] = lines[..] else { panic!("{metric} {labels}: {lines:?}") };
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn times_to_connect_are_a_histogram_of_each_client_and_endpoint() {
    let mut world = world(config(), 2);
    for milliseconds in [2, 2, 1_002] {
        connect(&mut world, 0, milliseconds);
    }
    connect(&mut world, 1, 30);
    let of = |pod: u8, le: &str| {
        format!("pod=\"orders-{pod}\",client_namespace=\"shop\",client_workload=\"web\"{le}")
    };
    assert_eq!(value(&mut world, "headless_connect_seconds_count", &of(0, "")), 3.0);
    assert!((value(&mut world, "headless_connect_seconds_sum", &of(0, "")) - 1.006).abs() < 0.001);
    for (le, expected) in [("0.001953125", 0.0), ("0.00390625", 2.0), ("1.0", 2.0), ("4.0", 3.0)] {
        assert_eq!(
            value(&mut world, "headless_connect_seconds_bucket", &of(0, &format!("&le=\"{le}\""))),
            expected,
            "{le}"
        );
    }
    assert_eq!(value(&mut world, "headless_connect_seconds_count", &of(1, "")), 1.0);
    // A day later the snapshot of the last minutes has none; counters never go back.
    world.pass(Duration::from_secs(90_000));
    connect(&mut world, 0, 2);
    assert_eq!(value(&mut world, "headless_connect_seconds_count", &of(0, "")), 4.0);
    let kernel = world.kernel();
    let recent = world.engine.snapshot(&kernel, Some(Duration::from_secs(60)));
    let row = &recent.services[0].clients[0].endpoints[0];
    assert_eq!((row.connect_times.seconds.count, row.connect_times.times), (1, 0));
}

#[test]
fn who_ended_connections_and_how_long_they_lived() {
    let mut world = world(config(), 2);
    for (times, way) in
        (1..).zip([end::CLIENT, end::SERVER, end::CLIENT_RESET, end::SERVER_RESET, end::TIMEOUT, end::OTHER])
    {
        for turn in 0..times {
            let Dialled(record) = connect(&mut world, turn % 2, 1);
            world.pass(Duration::from_secs(4));
            world.submit(KIND_CLOSED, Dialled(TcpRecord { end: way, ..record }));
        }
    }
    let service = world.service("orders");
    let ends = &service.clients[0].ends;
    let by: Vec<u64> = end::NAMES.iter().map(|name| ends.by[*name]).collect();
    assert_eq!(by, [1, 2, 3, 4, 5, 6]);
    let lived = ends.lifetimes.sum / 21.0;
    assert!(ends.lifetimes.count == 21 && (4.0..4.1).contains(&lived), "{ends:?}");
    let of_endpoints: u64 = service.endpoints.iter().flat_map(|row| row.ends.by.values()).sum();
    assert_eq!(of_endpoints, 21);
    let labels = "client_namespace=\"shop\",client_workload=\"web\",by=\"timeout\"";
    assert_eq!(value(&mut world, "headless_connections_closed_total", labels), 5.0);
    assert_eq!(
        value(&mut world, "headless_connection_lifetime_seconds_count", "client_workload=\"web\""),
        21.0
    );
}

#[test]
fn an_end_that_nobody_saw_counts_as_other() {
    let mut world = world(config(), 1);
    let dialled = connect(&mut world, 0, 1);
    let now = world.tick();
    world.engine.reconcile(now, &[(flow(dialled), totals(1, 1))]);
    let client = world.client("orders");
    assert_eq!(client.ends.by, Counts::from([("other".to_owned(), 1)]));
    assert!(client.ends.lifetimes.is_empty());
}

#[test]
fn syns_that_were_sent_again_count_in_connections_and_in_failed_attempts() {
    let mut world = world(config(), 1);
    world.resolve(1, ORDERS, &[&address(0)]);
    let Dialled(record) = world.dial(1, &address(0));
    world.open(Dialled(TcpRecord { retransmitted: 2, ..record }));
    let Dialled(record) = world.dial(1, &address(0));
    world.fail(Dialled(TcpRecord { retransmitted: 5, ..record }), reason::TIMEOUT);
    assert_eq!(world.client("orders").endpoints[0].syns_retransmitted, 7);
    assert_eq!(value(&mut world, "headless_syns_retransmitted_total", "pod=\"orders-0\""), 7.0);
}

/// A reading of an open connection.
fn reading(dialled: Dialled, segments_sent: u32, rtt: u32, min_rtt: u32) -> Reading {
    let Dialled(record) = dialled;
    Reading {
        flow: flow(dialled),
        socket: record.socket,
        started: record.started,
        bytes_sent: u64::from(segments_sent) * 100,
        bytes_received: 0,
        segments_sent,
        segments_received: 0,
        retransmitted: 0,
        rtt,
        min_rtt,
        unsent: 3,
        unacknowledged: 4,
        source_port: 40_000,
        _pad: 0,
    }
}

fn read(world: &mut World, readings: &[Reading]) {
    let now = world.tick();
    world.engine.begin_readings();
    world.engine.on_readings(now, readings);
    world.engine.end_readings();
}

#[test]
fn readings_are_of_the_last_round_alone() {
    let mut world = world(config(), 1);
    let (one, other) = (connect(&mut world, 0, 1), connect(&mut world, 0, 1));
    read(&mut world, &[reading(one, 5, 300, 200), reading(other, 5, 0, u32::MAX)]);
    let of = |world: &World| world.client("orders").endpoints[0].readings;
    let expected = Readings {
        connections: 2,
        measured: 1,
        mean_rtt_us: 300.0,
        max_rtt_us: 300,
        least_rtt_us: 200,
        unsent_bytes: 6,
        unacknowledged_bytes: 8,
    };
    assert_eq!(of(&world), expected);
    let labels = "pod=\"orders-0\",client_namespace=\"shop\",client_workload=\"web\",reading=\"least\"";
    assert_eq!(value(&mut world, "headless_connection_rtt_seconds", labels), 0.000_2);
    world.close(one);
    read(&mut world, &[reading(other, 6, 0, u32::MAX)]);
    assert_eq!((of(&world).connections, of(&world).measured), (1, 0));
}

#[test]
fn a_round_trip_is_taken_after_ten_segments_and_not_if_it_may_be_a_late_acknowledgement() {
    let mut world = world(config(), 1);
    let (fast, late) = (connect(&mut world, 0, 1), connect(&mut world, 0, 1));
    for (segments, taken) in [(9, 0), (10, 1), (10, 1), (19, 1), (20, 2), (45, 3)] {
        read(&mut world, &[reading(fast, segments, 300, 200), reading(late, segments, 41_000, 41_000)]);
        assert_eq!(world.client("orders").endpoints[0].round_trips.seconds.count, taken, "{segments}");
    }
}

#[test]
fn a_pod_that_is_slow_on_open_connections_alone_is_named() {
    let named = |slow: u32| {
        let mut world = world(config(), 3);
        let open: Vec<Dialled> = (0..3).map(|pod| connect(&mut world, pod, 1)).collect();
        for slot in 1..=60 {
            world.pass(Duration::from_secs(10));
            let rtt = |pod: usize| if pod == 1 { slow } else { 200 };
            let readings: Vec<Reading> =
                (0..3).map(|pod| reading(open[pod], slot * 20, rtt(pod), rtt(pod))).collect();
            read(&mut world, &readings);
        }
        world.client("orders").verdict.unwrap()
    };
    let verdict = named(21_000);
    assert_eq!((verdict.cause, verdict.confidence), (Cause::SlowEndpoint, Confidence::Medium), "{verdict:?}");
    assert!(verdict.evidence[0].contains("connections to orders-1"), "{verdict:?}");
    assert_ne!(named(400).cause, Cause::SlowEndpoint);
}
