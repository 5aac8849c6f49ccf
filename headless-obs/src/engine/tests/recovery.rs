//! Failures that are over blame nobody, and those that go on are named.

use super::*;
use crate::testing::Random;

const ADDRESSES: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

fn world() -> World {
    let mut world = World::new([orders(&pods(3))]);
    world.engine.apply(Time(1), Change::Synced(true));
    world
}

/// The client asks for the name and tries one address, which accepts or refuses.
fn try_at(world: &mut World, endpoint: usize, accepts: bool) {
    world.pass(Duration::from_millis(100));
    world.resolve(1, ORDERS, &ADDRESSES);
    let dialled = world.dial(1, ADDRESSES[endpoint]);
    if accepts {
        world.open(dialled);
    } else {
        world.fail(dialled, reason::REFUSED);
    }
}

fn blames(world: &World) -> Option<Cause> {
    let cause = world.client("orders").verdict.map(|verdict| verdict.cause);
    cause.filter(|cause| matches!(cause, Cause::FailingEndpoint | Cause::CannotConnect | Cause::GivesUpEarly))
}

#[test]
fn who_tries_until_the_servers_are_up_has_no_failing_endpoint() {
    let mut random = Random::new(4);
    for _ in 0..200 {
        let mut world = world();
        let up_after = [random.below(30), random.below(30), random.below(30)];
        // It tries all of them again and again until each is up, or until one is: a leader is enough for some.
        let is_enough = random.below(2) == 0;
        for turn in 0..=30 {
            let up = up_after.map(|after| turn >= after);
            (0..3).for_each(|endpoint| try_at(&mut world, endpoint, up[endpoint]));
            if up.iter().all(|is_up| *is_up) || is_enough && up.contains(&true) {
                break;
            }
        }
        let leader = (0..3).min_by_key(|endpoint| up_after[*endpoint]).unwrap();
        (0..20).for_each(|_| try_at(&mut world, leader, true));
        let cause = blames(&world);
        assert_eq!(cause, None, "{up_after:?} {is_enough}");
    }
}

#[test]
fn attempts_from_before_an_endpoint_was_ready_blame_nobody() {
    let starting = |name: &str, address: &str| SliceEndpoint { serving: false, ..ready(name, address) };
    let all = |last: SliceEndpoint| orders(&[pods(2), vec![last]].concat());
    // As with a cluster whose members try one another until they are up; DNS lists all of them from the start.
    let mut world = World::new([all(starting("orders-2", ADDRESSES[2]))]);
    world.engine.apply(Time(1), Change::Synced(true));
    world.apply(crate::topology::test_builders::service("shop", "orders").publish_not_ready());
    let cause = |world: &World| world.client("orders").verdict.map(|verdict| verdict.cause);
    (0..60).for_each(|turn| try_at(&mut world, turn % 3, turn % 3 < 2));
    assert_eq!(cause(&world), Some(Cause::DialsNotReady));
    world.apply(all(ready("orders-2", ADDRESSES[2])));
    let after = cause(&world);
    assert!(
        !matches!(after, Some(Cause::DialsNotReady | Cause::FailingEndpoint | Cause::CannotConnect)),
        "{after:?}"
    );
}

#[test]
fn failures_that_go_on_are_named_whatever_worked_before() {
    let mut random = Random::new(5);
    for _ in 0..50 {
        let mut world = world();
        (0..random.below(20)).for_each(|turn| try_at(&mut world, turn % 3, true));
        let bad = random.below(3);
        for turn in 0..90 {
            try_at(&mut world, turn % 3, turn % 3 != bad);
        }
        assert_eq!(blames(&world), Some(Cause::FailingEndpoint));
        for turn in 0..90 {
            try_at(&mut world, turn % 3, true);
        }
        assert_eq!(blames(&world), None, "once it works again");
    }
}

#[test]
fn connections_that_worked_and_were_reset_are_no_failures() {
    let mut world = world();
    for turn in 0..30 {
        world.pass(Duration::from_millis(100));
        world.resolve(1, ORDERS, &ADDRESSES);
        let Dialled(record) = world.connect(1, ADDRESSES[turn % 3]);
        world.reset(Dialled(TcpRecord { bytes_received: 30_000, ..record }));
    }
    let client = world.client("orders");
    assert_eq!((client.failed, blames(&world)), (30, None));
    assert!(client.endpoints.iter().all(|own| own.turned_away == 0));
}

#[test]
fn an_endpoint_that_accepts_and_ends_at_once_fails() {
    for is_reset in [true, false] {
        let mut world = world();
        for turn in 0..60 {
            world.pass(Duration::from_millis(100));
            world.resolve(1, ORDERS, &ADDRESSES);
            let Dialled(record) = world.connect(1, ADDRESSES[turn % 3]);
            match turn % 3 {
                0 if is_reset => world.reset(Dialled(record)),
                0 => world.submit(KIND_CLOSED, Dialled(TcpRecord { end: end::SERVER, ..record })),
                _ => world.close(Dialled(record)),
            }
        }
        assert_eq!(blames(&world), Some(Cause::FailingEndpoint), "{is_reset}");
        let evidence = world.client("orders").verdict.unwrap().evidence;
        assert!(
            evidence[0].contains("20 of 20 attempts at orders-0 failed (20 ended at once)."),
            "{evidence:?}"
        );
    }
}
