//! Verdicts are about the present, and expectations cover the same time and the same endpoints as counts.

use super::*;
use crate::expose::snapshot::Verdict;
use crate::testing::Random;
use crate::topology::test_builders::{pod, unready};

const MATURE: Duration = Duration::from_secs(600);

fn long_config() -> Config {
    Config { mature_after: MATURE, stale_grace: Duration::from_secs(5), ..config() }
}

/// A world with so many pods, and the client web with one pod.
pub(super) fn world(config: Config, count: u8) -> World {
    let mut world = World::with(config, [orders(&pods(count))]);
    world.engine.apply(Time(1), Change::Synced(true));
    world.apply(pod("shop", "web-1", &["10.9.0.1"]));
    world
}

pub(super) fn address(n: usize) -> String {
    format!("10.0.0.{}", n + 1)
}

/// A client resolves and connects, each time to the next of these pods.
fn in_turn(world: &mut World, pods: usize, times: usize) {
    visit(world, pods, times, |turn| turn % pods);
}

/// A client resolves, gets all these pods, and connects to the chosen one.
fn visit(world: &mut World, pods: usize, times: usize, choose: impl FnMut(usize) -> usize) {
    visit_at(world, pods, times, Duration::ZERO, choose);
}

fn visit_at(
    world: &mut World,
    pods: usize,
    times: usize,
    pause: Duration,
    mut choose: impl FnMut(usize) -> usize,
) {
    let all: Vec<String> = (0..pods).map(address).collect();
    for turn in 0..times {
        let mut order = all.clone();
        order.rotate_left(turn % pods);
        let order: Vec<&str> = order.iter().map(String::as_str).collect();
        world.resolve(1, ORDERS, &order);
        let dialled = world.connect(1, &all[choose(turn)]);
        world.close(dialled);
        world.pass(pause);
    }
}

fn cause(world: &World) -> Option<Cause> {
    world.client("orders").verdict.map(|verdict| verdict.cause)
}

pub(super) fn show(world: &World) -> String {
    let client = world.client("orders");
    let rows: Vec<_> = client
        .endpoints
        .iter()
        .map(|own| format!("{} selections {} expected {:.1}", own.pod, own.selections, own.expected))
        .collect();
    format!("{:?} {:?} z {:?}\n{}", client.verdict, client.withheld, client.spread.z, rows.join("\n"))
}

#[test]
fn a_pod_that_was_not_ready_for_half_a_minute_is_not_taken_for_overloaded() {
    let mut world = world(long_config(), 3);
    in_turn(&mut world, 3, 3_000);
    assert_eq!(cause(&world), Some(Cause::Even));
    let mut flapping = pods(3);
    flapping[2] = unready("orders-2", "10.0.0.3");
    world.apply(orders(&flapping));
    world.pass(Duration::from_secs(30));
    world.apply(orders(&pods(3)));
    world.pass(MATURE);
    in_turn(&mut world, 3, 60);
    assert_eq!(cause(&world), Some(Cause::Even), "{}", show(&world));
}

#[test]
fn a_syn_from_before_the_scale_up_does_not_take_the_new_pods_expectation() {
    for pods_later in [3, 4] {
        let mut world = world(config(), 2);
        in_turn(&mut world, 2, 20);
        // One lookup and SYN is under way when the topology learns of the third pod.
        world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
        let dialled = world.dial(1, "10.0.0.1");
        world.apply(orders(&pods(3)));
        world.open(dialled);
        world.close(dialled);
        in_turn(&mut world, 3, 300);
        let expected = world.client("orders").endpoints[2].expected;
        assert!(expected > 90.0, "{expected}\n{}", show(&world));
        if pods_later > 3 {
            world.apply(orders(&pods(4)));
            in_turn(&mut world, 4, 80);
        }
        assert_eq!(cause(&world), Some(Cause::Even), "{}", show(&world));
    }
}

#[test]
fn many_changes_do_not_take_expectations_from_old_endpoints() {
    let mut world = world(long_config(), 3);
    in_turn(&mut world, 3, 3_000);
    // A fourth pod, young, then 40 flaps of a fifth; the fourth is mature in the end.
    world.apply(orders(&pods(4)));
    for _ in 0..40 {
        world.apply(orders(&pods(5)));
        in_turn(&mut world, 4, 4);
        let mut flapping = pods(5);
        flapping[4] = unready("orders-4", "10.0.0.5");
        world.apply(orders(&flapping));
        in_turn(&mut world, 4, 4);
    }
    world.pass(MATURE);
    assert_eq!(cause(&world), Some(Cause::Even), "{}", show(&world));
}

#[test]
fn a_port_that_was_wrong_last_week_is_no_verdict_today() {
    let mut world = world(long_config(), 3);
    for turn in (0..3).cycle().take(600) {
        world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let Dialled(record) = world.dial(1, &address(turn));
        world.fail(Dialled(TcpRecord { port: 80, ..record }), reason::REFUSED);
    }
    assert_eq!(cause(&world), Some(Cause::PortMismatch));
    // Fixed; a week of work.
    for _ in 0..7 {
        in_turn(&mut world, 3, 3_000);
        world.pass(Duration::from_secs(24 * 3_600));
        let now = world.time();
        world.engine.expire(now);
    }
    assert_ne!(cause(&world), Some(Cause::PortMismatch), "{}", show(&world));
}

#[test]
fn forgotten_pods_of_a_client_leave_their_expectation_with_their_counts() {
    let mut world = world(Config { client_stats: 8, ..config() }, 3);
    for client in 1..60 {
        world.apply(pod("shop", &format!("web-{client}"), &[&format!("10.9.0.{client}")]));
        for turn in 0..12 {
            world.resolve(client, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
            let dialled = world.connect(client, &address(turn % 3));
            world.close(dialled);
        }
    }
    let client = world.client("orders");
    let expected: f64 = client.endpoints.iter().map(|own| own.expected).sum();
    let selections: u64 = client.endpoints.iter().map(|own| own.selections).sum();
    assert!((expected - selections as f64).abs() < 1e-6, "{expected} {selections}");
}

/// The pod that a client takes at a turn, of this number of pods.
type Habit = fn(usize, usize) -> usize;

/// A client with these habits, one after another, each for a time; returns the verdict at the end of each.
fn turns(pods_count: u8, rate: u64, habits: &[(u64, Habit)]) -> Vec<Option<Verdict>> {
    let mut world = world(config(), pods_count);
    let pods = usize::from(pods_count);
    let pause = Duration::from_millis(1_000 / rate.max(1) - 4);
    habits
        .iter()
        .map(|(seconds, habit)| {
            let times = usize::try_from(seconds * rate).unwrap();
            visit_at(&mut world, pods, times, pause, |turn| habit(turn, pods));
            world.client("orders").verdict
        })
        .collect()
}

#[test]
fn a_change_of_behaviour_shows_within_a_minute_and_says_since_when() {
    let even: Habit = |turn, pods| turn % pods;
    let one: Habit = |_, pods| pods - 1;
    for pods in [2, 3, 10] {
        let rate = u64::from(pods);
        let verdicts = turns(pods, rate, &[(7_200, even), (60, one), (7_200, one), (60, even)]);
        let causes: Vec<_> =
            verdicts.iter().map(|verdict| verdict.as_ref().map(|verdict| verdict.cause)).collect();
        let expected = [Cause::Even, Cause::Pinned, Cause::Pinned, Cause::Even].map(Some);
        assert_eq!(causes, expected, "{pods} {verdicts:?}");
        let seconds = verdicts.iter().flatten().map(|verdict| verdict.stretch_seconds);
        assert!(seconds.clone().all(|seconds| seconds <= 70.0), "{:?}", seconds.collect::<Vec<_>>());
    }
}

#[test]
fn a_quiet_stretch_does_not_hide_what_a_longer_one_shows() {
    // Twice as many to one pod, one connection in two seconds: a minute is too short to tell.
    let mut world = world(config(), 3);
    visit_at(&mut world, 3, 450, Duration::from_secs(2), |turn| if turn % 2 == 0 { 0 } else { turn % 3 });
    assert_eq!(cause(&world), Some(Cause::Unexplained), "{}", show(&world));
}

#[test]
fn a_snapshot_has_what_happened_in_its_stretch() {
    let mut world = world(config(), 2);
    visit(&mut world, 2, 100, |_| 0);
    world.pass(Duration::from_secs(3_600));
    visit(&mut world, 2, 7, |_| 1);
    let opened = |length: Option<Duration>| {
        let snapshot = world.engine.snapshot(&world.kernel(), length);
        let client = &snapshot.services[0].clients[0];
        (
            client.opened,
            client.answers.count,
            client.endpoints.iter().map(|own| own.opened).collect::<Vec<_>>(),
        )
    };
    assert_eq!(opened(Some(Duration::from_secs(900))), (7, 7, vec![0, 7]));
    assert_eq!(opened(Some(Duration::from_secs(7_200))), (107, 107, vec![100, 7]));
    assert_eq!(opened(None), (107, 107, vec![100, 7]));
}

/// Random histories of endpoints under a client that is fair: what it is told it uses in equal parts.
#[test]
fn a_fair_client_is_never_blamed_whatever_happens_to_endpoints() {
    let (mut looks, mut alarms) = (0, Vec::new());
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let count = 2 + random.below(5);
        let mut world = world(Config { mature_after: Duration::from_secs(60), ..long_config() }, 1);
        let (mut there, mut is_ready) = (count, vec![true; 12]);
        let slice = |there: usize, is_ready: &[bool]| {
            let all: Vec<_> = (0..there)
                .map(|n| {
                    let name = format!("orders-{n}");
                    if is_ready[n] { ready(&name, &address(n)) } else { unready(&name, &address(n)) }
                })
                .collect();
            orders(&all)
        };
        world.apply(slice(there, &is_ready));
        // Sometimes the daemon is old.
        world.pass(Duration::from_secs([0, 3_600, 90 * 24 * 3_600][random.below(3)]));
        for _ in 0..60 {
            match random.below(6) {
                0 => there = 1 + random.below(10),
                1 => {
                    let n = random.below(12);
                    is_ready[n] = !is_ready[n] || there < 3;
                }
                2 => is_ready.iter_mut().for_each(|one| *one = true),
                _ => {}
            }
            world.apply(slice(there, &is_ready));
            let told: Vec<String> = (0..there).filter(|n| is_ready[*n]).map(address).collect();
            if told.is_empty() {
                continue;
            }
            for _ in 0..random.below(150) {
                let told: Vec<&str> = told.iter().map(String::as_str).collect();
                world.resolve(1, ORDERS, &told);
                let dialled = world.connect(1, told[random.below(told.len())]);
                world.close(dialled);
                world.pass(Duration::from_millis(random.below(1_000) as u64));
            }
            looks += 1;
            let snapshot = world.engine.snapshot(&world.kernel(), Some(Duration::from_secs(900)));
            let verdicts = snapshot.services.iter().flat_map(|service| &service.clients);
            for verdict in verdicts.filter_map(|client| client.verdict.as_ref()) {
                if !verdict.cause.is_well() {
                    alarms.push(format!("seed {seed}: {verdict:?}"));
                }
            }
            if random.below(10) == 0 {
                world.pass(Duration::from_secs(1_000));
                let now = world.time();
                world.engine.expire(now);
            }
        }
    }
    assert!(alarms.len() * 1_000 <= looks, "{} of {looks}: {}", alarms.len(), alarms.join("\n"));
}
