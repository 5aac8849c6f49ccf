//! Losses: whom each can concern, and that nobody else loses a verdict.

use super::*;
use crate::topology::model::Pod;
use crate::topology::test_builders::{pod, unready};

const ANSWER: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/// `orders` with three pods, and the clients `shop/web-1` and `shop/web-2`.
fn world(config: Config) -> World {
    let mut world = World::with(config, [orders(&pods(3))]);
    world.apply(Change::Synced(true));
    for client in [1, 2] {
        let name = format!("web-{client}");
        let one: Pod = pod("shop", &name, &[&format!("10.9.0.{client}")]);
        world.apply(Pod { workload: name.as_str().into(), ..one });
    }
    world
}

/// A client looks up and connects, to each pod in turn.
fn in_turn(world: &mut World, client: u8, times: usize) {
    for turn in 0..times {
        let mut order = ANSWER;
        order.rotate_left(turn % 3);
        world.resolve(client, ORDERS, &order);
        let dialled = world.connect(client, order[0]);
        world.close(dialled);
    }
}

/// The cause, or the reason for no verdict, of `web-1` and `web-2`.
fn verdicts(world: &World) -> [String; 2] {
    ["web-1", "web-2"].map(|name| {
        let clients = world.service("orders").clients;
        let client = clients.into_iter().find(|client| client.workload == name).unwrap();
        let cause = client.verdict.map(|verdict| verdict.cause.as_str().to_owned());
        cause.or(client.withheld).unwrap()
    })
}

#[test]
fn pod_that_crashes_again_and_again_takes_nobodys_verdict() {
    let crashing = |is_ready: bool| {
        let pod = if is_ready { ready("queue-0", "10.0.9.1") } else { unready("queue-0", "10.0.9.1") };
        service("queue", &[pod])
    };
    let mut world = world(config());
    world.apply(crashing(true));
    in_turn(&mut world, 1, 300);
    in_turn(&mut world, 2, 300);
    // CrashLoopBackOff, every five minutes, for two hours; and each time another address.
    for turn in 0..24 {
        world.apply(crashing(false));
        world.pass(Duration::from_secs(300));
        world.apply(service("queue", &[ready("queue-0", &format!("10.0.9.{turn}"))]));
        world.apply(crashing(true));
    }
    assert!(world.snapshot().quality.events_lost["topology_evicted"] > 20);
    assert_eq!(verdicts(&world), ["even", "even"]);
}

#[test]
fn client_that_floods_dns_loses_its_own_verdict_alone() {
    let answer_cache = crate::answer_cache::Config { addresses: 64, ..Default::default() };
    let mut world = world(Config { answer_cache, ..config() });
    in_turn(&mut world, 1, 300);
    in_turn(&mut world, 2, 300);
    world.apply(service("big", &[ready("big-0", "10.1.0.1")]));
    for n in 0..200 {
        world.resolve(2, &format!("p{n}.orders.shop.svc.cluster.local"), &[&format!("10.2.0.{n}")]);
    }
    assert!(world.snapshot().quality.events_lost["answers_evicted"] > 100);
    assert_eq!(verdicts(&world), ["even", "losses"]);
}

#[test]
fn stream_with_gaps_concerns_the_client_that_received_it() {
    let mut world = world(config());
    in_turn(&mut world, 1, 300);
    in_turn(&mut world, 2, 300);
    for n in 0..8 {
        // The beginning of a message, whose rest is missing, then data after a gap.
        world.segment(2, 1 + n * 100_000, &[0, 200, 1, 2, 3]);
        world.segment(2, 1 + n * 100_000 + 500, &[1, 2, 3]);
        world.pass(Duration::from_secs(3));
    }
    assert_eq!(verdicts(&world), ["even", "losses"], "{:?}", world.snapshot().quality.events_lost);
}

#[test]
fn kernels_losses_concern_their_client_and_those_of_unknown_origin_everybody() {
    for reason in ["dns_ring_full", "dns_copy_failed", "dns_cut", "connections_full", "flows_full"] {
        let mut world = world(config());
        in_turn(&mut world, 1, 300);
        in_turn(&mut world, 2, 300);
        let now = world.time();
        let mut totals = BTreeMap::from([(reason, 50), ("ring_full", 1_000)]);
        let named = KernelLoss { cgroup: 2, client: address_of(2), reason, count: 50 };
        world.engine.count_kernel_losses(now, &totals, &[named]);
        assert_eq!(verdicts(&world), ["even", "losses"], "{reason}");
        totals.insert(reason, 60);
        world.engine.count_kernel_losses(now, &totals, &[]);
        world.engine.count_kernel_losses(now, &totals, &[]);
        assert_eq!(verdicts(&world), ["losses", "losses"], "{reason}");
        let losses = world.service("orders").clients.into_iter().map(|client| client.losses[reason]);
        assert_eq!(losses.collect::<Vec<_>>(), [10, 60], "{reason}");
    }
}

#[test]
fn client_without_room_in_the_ledger_has_no_verdict_and_others_keep_theirs() {
    let mut world = world(Config { cells: 5, ..config() });
    in_turn(&mut world, 1, 300);
    in_turn(&mut world, 2, 300);
    assert_eq!(verdicts(&world), ["even", "losses"]);
    let clients = world.service("orders").clients;
    let other = clients.into_iter().find(|client| client.workload == "~other").unwrap();
    assert_eq!((other.verdict, other.withheld.as_deref()), (None, Some("losses")));
}

#[test]
fn clients_that_share_a_name_for_lack_of_room_have_no_verdict() {
    let clients = crate::client::Config { workloads: 1, ..Default::default() };
    let mut world = world(Config { clients, ..config() });
    in_turn(&mut world, 1, 300);
    in_turn(&mut world, 2, 300);
    let clients = world.service("orders").clients;
    let rows: Vec<_> = clients.iter().map(|row| (row.workload.as_str(), row.withheld.as_deref())).collect();
    assert_eq!(rows, [("other", Some("losses")), ("web-1", None)]);
}

#[test]
fn service_with_endpoints_that_did_not_fit_has_no_verdict() {
    let topology = crate::topology::Config { endpoints: 6, ..Default::default() };
    let mut world = world(Config { topology, ..config() });
    world.apply(service("large", &[ready("large-0", "10.1.0.1"), ready("large-1", "10.1.0.2")]));
    let large = ["10.1.0.1"; 30];
    for address in large {
        world.resolve(1, "large.shop.svc.cluster.local", &[address]);
        world.connect(1, address);
    }
    in_turn(&mut world, 1, 300);
    in_turn(&mut world, 2, 300);
    assert_eq!(verdicts(&world), ["even", "even"]);
    assert_eq!(world.client("large").withheld.as_deref(), Some("losses"));
    world.apply(service("large", &[ready("large-0", "10.1.0.1")]));
    assert_eq!(world.client("large").withheld, None, "now there is room");
}

#[test]
fn scope_that_is_forgotten_takes_its_own_answers_alone() {
    let clients = crate::client::Config { scopes: 8, ..Default::default() };
    let mut world = world(Config { clients, ..config() });
    in_turn(&mut world, 2, 60);
    for other in 10..20 {
        in_turn(&mut world, 1, 20);
        world.resolve(other, "www.example.org", &["192.0.2.1"]);
    }
    assert_eq!(verdicts(&world), ["even", "losses"]);
    let lost = world.snapshot().quality.events_lost;
    assert_eq!((lost["answers_evicted"], lost["clients_evicted"] > 0), (3, true));
}
