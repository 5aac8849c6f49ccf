//! The load of connections, minute by minute, and how long it took to connect.

use super::windows::{address, world};
use super::*;
use crate::expose::snapshot::{ClientEndpoint, LoadDraws};

/// A client with bytes.
struct Load {
    world: World,
}

impl Load {
    fn new(pods: u8) -> Self {
        let mut world = world(config(), pods);
        world.pass(Duration::from_secs(60));
        Self { world }
    }

    /// Resolves, and connects to a pod; the connection takes so many milliseconds.
    fn connect(&mut self, pods: usize, pod: usize, milliseconds: u64) -> Dialled {
        let all: Vec<String> = (0..pods).map(|n| address((n + pod) % pods)).collect();
        self.world.resolve(1, ORDERS, &all.iter().map(String::as_str).collect::<Vec<_>>());
        let dialled = self.world.dial(1, &address(pod));
        self.world.now += milliseconds;
        self.world.open(dialled)
    }

    fn end(&mut self, Dialled(record): Dialled, sent: u64, received: u64) {
        let ended = TcpRecord { bytes_sent: sent, bytes_received: received, ..record };
        self.world.submit(KIND_CLOSED, Dialled(ended));
    }

    fn minutes(&mut self, minutes: u64, mut each: impl FnMut(&mut Self)) {
        for _ in 0..minutes {
            let next = self.world.now + 60_000;
            each(self);
            self.world.now = next;
        }
    }

    fn rows(&self) -> Vec<ClientEndpoint> {
        let client = self.world.client("orders");
        client.endpoints
    }
}

#[test]
fn short_connections_with_a_hundred_to_one_are_named_while_it_lasts() {
    let mut load = Load::new(3);
    let visit = |heavy: u64| {
        move |load: &mut Load| {
            for turn in 0..6 {
                let dialled = load.connect(3, turn % 3, 1);
                load.end(dialled, 300, if turn % 3 == 0 { heavy } else { 3_000 });
            }
        }
    };
    load.minutes(20, visit(300_000));
    let verdict = load.world.client("orders").verdict.unwrap();
    assert_eq!((verdict.cause, verdict.confidence), (Cause::UnevenLoad, Confidence::High), "{verdict:?}");
    assert!(verdict.evidence[0].starts_with("orders-0 has 98 % of"), "{verdict:?}");
    assert!(verdict.evidence[0].contains("with 33 % of the connections"), "{verdict:?}");
    load.minutes(20, visit(3_000));
    let verdict = load.world.client("orders").verdict.unwrap();
    assert_eq!(verdict.cause, Cause::Even, "over once a quarter of an hour shows it: {verdict:?}");
}

#[test]
fn a_connection_counts_in_the_minutes_in_which_it_was_open() {
    let mut load = Load::new(3);
    let early = [load.connect(3, 0, 1), load.connect(3, 1, 1)];
    // The exchange of these two, by connections of their own.
    let exchange = |pods: usize| {
        move |load: &mut Load| {
            for pod in 0..pods {
                let dialled = load.connect(3, pod, 1);
                load.end(dialled, 10_000, 10_000);
            }
        }
    };
    load.minutes(10, exchange(2));
    load.minutes(10, exchange(3));
    let rows = load.rows();
    let minutes: Vec<u64> = rows.iter().map(|own| own.load.exchanged.minutes).collect();
    assert!(minutes[0] >= 20 && minutes[2] <= 11, "{minutes:?}");
    assert_eq!(rows[2].load.exchanged.behind, 0, "it is behind nobody before it came: {rows:?}");
    assert_eq!((rows[0].load.connections, rows[2].load.connections), (21, 10));
    assert_eq!((rows[0].load.bytes, rows[2].load.bytes), (400_000, 200_000));
    early.into_iter().for_each(|dialled| load.end(dialled, 0, 0));
}

#[test]
fn the_rows_of_a_short_stretch_have_no_draws() {
    let mut load = Load::new(2);
    let visit = |load: &mut Load| {
        let dialled = load.connect(2, 0, 1);
        load.end(dialled, 9_000, 9_000);
    };
    load.minutes(3, visit);
    let kernel = load.world.kernel();
    let short = load.world.engine.snapshot(&kernel, Some(Duration::from_secs(60)));
    let own = &short.services[0].clients[0].endpoints[0];
    assert_eq!((own.load.is_empty(), own.connect_times.seconds.count, own.connect_times.times), (true, 1, 0));
    let own = &load.rows()[0];
    assert_eq!(
        (own.load.ended, own.load.bytes, own.connect_times.seconds.count),
        (LoadDraws::default(), 54_000, 3)
    );
}

#[test]
fn a_pod_that_takes_twenty_milliseconds_is_named() {
    let mut load = Load::new(3);
    load.minutes(5, |load| {
        for _ in 0..4 {
            for pod in 0..3 {
                let dialled = load.connect(3, pod, if pod == 1 { 21 } else { 1 });
                load.end(dialled, 1, 1);
            }
            load.world.pass(Duration::from_secs(10));
        }
    });
    let verdict = load.world.client("orders").verdict.unwrap();
    assert_eq!((verdict.cause, verdict.confidence), (Cause::SlowEndpoint, Confidence::High), "{verdict:?}");
    assert!(verdict.evidence[0].contains("to orders-1 took 2"), "{verdict:?}");
}

#[test]
fn a_pod_of_another_zone_is_not_slow() {
    let zoned = |count: u8| {
        let mut endpoints = pods(count);
        endpoints.last_mut().unwrap().zone = Some("far".into());
        endpoints
    };
    let mut load = Load::new(3);
    load.world.apply(orders(&zoned(3)));
    load.minutes(5, |load| {
        for _ in 0..4 {
            for pod in 0..3 {
                let dialled = load.connect(3, pod, if pod == 2 { 31 } else { 1 });
                load.end(dialled, 1, 1);
            }
            load.world.pass(Duration::from_secs(10));
        }
    });
    let client = load.world.client("orders");
    let times: Vec<u64> = client.endpoints.iter().map(|own| own.connect_times.times).collect();
    assert!(times[0] >= 20 && times[2] == 0, "there is none to compare it with: {times:?}");
    assert_eq!(client.verdict.unwrap().cause, Cause::Even);
}
