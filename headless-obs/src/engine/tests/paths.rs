//! The paths between clients and endpoints: how long it took to connect.

use super::windows::{address, world};
use super::*;
use crate::expose::metrics::{Format, encode};

/// Connects to a pod; the connection takes so many milliseconds.
fn connect(world: &mut World, pod: usize, milliseconds: u64) -> Dialled {
    world.resolve(1, ORDERS, &[&address(pod)]);
    let dialled = world.dial(1, &address(pod));
    // The record's own tick is one.
    world.now += milliseconds - 1;
    world.open(dialled)
}

/// The value of the only series with this name and this text in its labels.
fn value(world: &mut World, metric: &str, labels: &str) -> f64 {
    let kernel = world.kernel();
    let text =
        String::from_utf8(encode(world.engine.scrape(&kernel).into(), Format::Plain).unwrap()).unwrap();
    let of = |line: &&str| line.starts_with(&format!("{metric}{{")) && line.contains(labels);
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
    for (le, expected) in [("0.001953125", 0.0), ("0.00390625", 2.0), ("1", 2.0), ("4", 3.0)] {
        assert_eq!(
            value(&mut world, "headless_connect_seconds_bucket", &of(0, &format!(",le=\"{le}\""))),
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
