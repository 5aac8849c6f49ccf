//! Facts that refute a cause: what the Service asks for, pods that are gone, shared addresses, and the client itself.

use super::*;
use crate::topology::model::{Kind, Pod};
use crate::topology::test_builders::{key, pod, service as service_object};

const THREE: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

fn world(slices: impl IntoIterator<Item = Slice>) -> World {
    let config =
        Config { mature_after: Duration::from_secs(600), stale_grace: Duration::from_secs(5), ..config() };
    let mut world = World::with(config, slices);
    world.engine.apply(Time(1), Change::Synced(true));
    web(&mut world, 1);
    world
}

fn web(world: &mut World, n: u8) {
    let one: Pod = pod("shop", &format!("web-{n}"), &[&format!("10.9.0.{n}")]);
    world.apply(one);
}

/// A client looks up and connects, each time to the next of so many pods.
fn in_turn(world: &mut World, client: u8, pods: u8, times: u32) {
    let all: Vec<String> = (1..=pods).map(|n| format!("10.0.0.{n}")).collect();
    for turn in 0..times {
        let mut order: Vec<&str> = all.iter().map(String::as_str).collect();
        order.rotate_left(turn as usize % usize::from(pods));
        world.resolve(client, ORDERS, &order);
        let dialled = world.connect(client, order[0]);
        world.close(dialled);
    }
}

fn cause(client: &ClientRow) -> Option<Cause> {
    client.verdict.as_ref().map(|verdict| verdict.cause)
}

/// `orders` whose third pod shuts down; the controller writes `ready` where the Service publishes such pods.
fn leaving(is_published: bool) -> Slice {
    let mut pods = pods(3);
    pods[2] = SliceEndpoint {
        ready: is_published,
        serving: true,
        terminating: true,
        ..ready("orders-2", "10.0.0.3")
    };
    orders(&pods)
}

#[test]
fn who_publishes_pods_that_are_shutting_down_asks_for_them() {
    // The object says so, the slice says so, and neither does.
    for (has_object, is_published, expected) in
        [(true, true, true), (false, true, true), (false, false, false)]
    {
        let mut world = world([orders(&pods(3))]);
        if has_object {
            world.apply(service_object("shop", "orders").publish_not_ready());
        }
        in_turn(&mut world, 1, 3, 30);
        world.apply(leaving(is_published));
        world.pass(Duration::from_secs(10));
        in_turn(&mut world, 1, 3, 30);
        let service = world.service("orders");
        let client = world.client("orders");
        let case = format!("{has_object} {is_published}: {:?}", client.verdict);
        assert_eq!(service.publishes_not_ready, expected, "{case}");
        assert_eq!(service.dns.removed_answered == 0, expected, "{case}");
        assert_eq!(cause(&client) != Some(Cause::DnsStale), expected, "{case}");
        assert_eq!(service.stale["terminating"] == 0, expected, "{case}");
    }
}

#[test]
fn pods_that_are_not_ready_have_not_left() {
    let mut world = world([orders(&pods(3))]);
    let mut unready = pods(3);
    unready[2] = crate::topology::test_builders::unready("orders-2", "10.0.0.3");
    world.apply(orders(&unready));
    world.pass(Duration::from_secs(10));
    in_turn(&mut world, 1, 3, 30);
    assert_eq!(world.service("orders").dns.removed_answered, 0);
}

#[test]
fn published_pods_that_are_not_ready_are_blamed_where_they_fail() {
    for has_failed in [false, true] {
        let mut three = pods(3);
        three[2] = crate::topology::test_builders::unready("orders-2", "10.0.0.3");
        let mut world = world([orders(&three)]);
        world.apply(service_object("shop", "orders").publish_not_ready());
        world.pass(Duration::from_secs(700));
        for turn in 0..60 {
            world.resolve(1, ORDERS, &THREE);
            let dialled = world.dial(1, THREE[turn % 3]);
            if has_failed && turn % 3 == 2 {
                world.fail(dialled, reason::REFUSED);
            } else {
                let open = world.open(dialled);
                world.close(open);
            }
        }
        let client = world.client("orders");
        assert_eq!(cause(&client) == Some(Cause::DialsNotReady), has_failed, "{:?}", client.verdict);
    }
}

#[test]
fn pods_that_are_gone_do_not_make_the_living_ones_stale() {
    let mut world = world([orders(&pods(3))]);
    web(&mut world, 2);
    world.resolve(1, ORDERS, &THREE);
    let old: Vec<_> = THREE[..2].iter().map(|address| world.connect(1, address)).collect();
    world.pass(Duration::from_secs(60));
    old.into_iter().for_each(|dialled| world.close(dialled));
    world.apply(Change::Delete(Kind::Pod, key("shop", "web-1")));
    world.pass(Duration::from_secs(60));
    world.apply(orders(&pods(4)));
    world.pass(Duration::from_secs(60));
    let four = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
    world.resolve(2, ORDERS, &four);
    world.connect(2, "10.0.0.1");
    world.connect(2, "10.0.0.2");
    for _ in 0..30 {
        world.pass(Duration::from_secs(30));
        world.resolve(2, ORDERS, &four);
    }
    let client = world.client("orders");
    assert_eq!((client.endpoints[3].unaware_pods, client.endpoints[3].answered_pods), (0, 1));
    assert_ne!(cause(&client), Some(Cause::NeverReResolved), "{:?}", client.verdict);
}

#[test]
fn a_pod_at_work_that_was_never_told_is_stale_whatever_the_others_know() {
    let mut world = world([orders(&pods(3))]);
    web(&mut world, 2);
    for client in [1, 2] {
        world.resolve(client, ORDERS, &THREE);
        THREE.iter().for_each(|address| {
            world.connect(client, address);
        });
    }
    world.pass(Duration::from_secs(60));
    world.apply(orders(&pods(4)));
    world.pass(Duration::from_secs(700));
    world.resolve(2, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    let client = world.client("orders");
    assert_eq!((client.endpoints[3].unaware_pods, client.endpoints[3].answered_pods), (1, 1));
    assert_eq!(cause(&client), Some(Cause::NeverReResolved), "{:?}", client.verdict);
    assert_eq!(world.service("orders").idle, ["orders-3"]);
}

#[test]
fn a_pod_of_the_hosts_network_that_left_is_not_reused_because_the_node_has_other_pods() {
    let ingress = |uid: &str| {
        service("ingress", &[ready("ingress-a", "192.168.0.1").uid(uid), ready("ingress-b", "192.168.0.2")])
    };
    let exporter = |port: u16| service("exporter", &[ready("exporter-a", "192.168.0.1")]).ports(&[port]);
    for (port, expected) in [(9_100, false), (PORT, true)] {
        let mut world = world([ingress("one"), exporter(port)]);
        for _ in 0..50 {
            world.resolve(1, "ingress.shop.svc.cluster.local", &["192.168.0.1", "192.168.0.2"]);
            let dialled = world.connect(1, "192.168.0.1");
            world.close(dialled);
        }
        world.apply(service("ingress", &[ready("ingress-b", "192.168.0.2")]));
        world.pass(Duration::from_secs(1));
        let dialled = world.dial(1, "192.168.0.1");
        world.fail(dialled, reason::REFUSED);
        let client = world.client("ingress");
        assert_eq!(cause(&client) == Some(Cause::IpReused), expected, "{port}: {:?}", client.verdict);
    }
}

#[test]
fn a_member_never_connects_to_itself() {
    for members in [2_u8, 3, 10, 50] {
        let all: Vec<String> = (1..=members).map(|n| format!("10.9.0.{n}")).collect();
        let endpoints: Vec<_> = (1..=members)
            .map(|n| ready(&format!("orders-{n}"), &all[usize::from(n) - 1]).uid(&format!("uid-orders-{n}")))
            .collect();
        // With the Pod of the member on this node, and with its address alone.
        for has_pod in [true, false] {
            let mut world = World::with(config(), [orders(&endpoints)]);
            world.engine.apply(Time(1), Change::Synced(true));
            if has_pod {
                let own: Pod = pod("shop", "orders-1", &["10.9.0.1"]);
                world.apply(own);
            }
            world.resolve(1, ORDERS, &all.iter().map(String::as_str).collect::<Vec<_>>());
            for other in &all[1..] {
                world.connect(1, other);
            }
            world.pass(Duration::from_secs(70));
            let client = world.client("orders");
            let case = format!("{members} {has_pod}: {:?}", client.verdict);
            assert_eq!((client.endpoints[0].own_pods, client.coverage), (1, 1.0), "{case}");
            assert_eq!(cause(&client), Some(Cause::Even), "{case}");
            assert_eq!(world.service("orders").idle, [""; 0], "{case}");
        }
    }
}

#[test]
fn a_member_that_was_replaced_under_its_name_dialled_the_other_one_all_the_same() {
    let member = |number: u8, address: &str, uid: &str| ready(&format!("orders-{number}"), address).uid(uid);
    let mut world = World::with(
        config(),
        [orders(&[member(0, "10.9.0.1", "old"), member(1, "10.9.0.2", "uid-orders-1")])],
    );
    world.engine.apply(Time(1), Change::Synced(true));
    let mut own: Pod = pod("shop", "orders-0", &["10.9.0.1"]);
    own.uid = "old".into();
    world.apply(own);
    for _ in 0..60 {
        world.resolve(1, ORDERS, &["10.9.0.1", "10.9.0.2"]);
        let connected = world.connect(1, "10.9.0.2");
        world.close(connected);
    }
    assert_eq!(cause(&world.client("orders")), Some(Cause::Even));
    world.apply(orders(&[member(0, "10.9.0.3", "new"), member(1, "10.9.0.2", "uid-orders-1")]));
    let client = world.client("orders");
    assert_eq!(client.endpoints[0].own_pods, 1, "{:?}", client.endpoints);
    assert_eq!(cause(&client), Some(Cause::Even), "{:?}", client.verdict);
}

#[test]
fn connections_that_end_at_once_are_told_apart() {
    let mut world = world([orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    let (brief, long) = (world.connect(1, "10.0.0.1"), world.connect(1, "10.0.0.2"));
    world.close(brief);
    world.pass(Duration::from_secs(6));
    world.close(long);
    let rows: Vec<_> = world.client("orders").endpoints.iter().map(|own| (own.brief, own.lasting)).collect();
    assert_eq!(rows, [(1, 0), (0, 1)]);
}

#[test]
fn a_ttl_of_zero_is_not_outdated_at_the_next_connection() {
    let mut world = world([orders(&pods(3))]);
    let mut message = addresses_of(ORDERS, &THREE);
    message.answers.iter_mut().for_each(|record| record.ttl = 0);
    world.answer(1, &message);
    for (seconds, past) in [(0, 0), (4, 0), (4, 1)] {
        world.pass(Duration::from_secs(seconds));
        world.connect(1, "10.0.0.1");
        assert_eq!(world.client("orders").answer_age.past_ttl, past);
    }
}

#[test]
fn a_client_whose_names_another_process_resolves_leaves_nothing_idle() {
    let mut world = world([orders(&pods(3))]);
    world.apply(Pod { workload: "resolved".into(), ..pod("shop", "resolved-1", &["10.9.0.2"]) });
    world.pass(Duration::from_secs(700));
    for _ in 0..60 {
        world.resolve(2, ORDERS, &THREE);
        let dialled = world.connect(1, "10.0.0.1");
        world.close(dialled);
    }
    let service = world.service("orders");
    let client = service.clients.iter().find(|client| client.opened > 0).unwrap();
    assert_eq!((client.verdict.as_ref(), client.withheld.as_deref()), (None, Some("resolved_elsewhere")));
    let unaware: u64 = client.endpoints.iter().map(|own| own.unaware_pods).sum();
    assert_eq!((service.idle, unaware), (Vec::new(), 0));
}

#[test]
fn a_driver_that_found_its_endpoint_long_ago_looks_for_nothing_more() {
    let mut world = world([orders(&pods(3))]);
    for turn in 0..10 {
        world.resolve(1, ORDERS, &THREE);
        let standby = world.connect(1, THREE[1 + turn % 2]);
        world.close(standby);
        world.connect(1, THREE[0]);
    }
    for hours in [1, 20] {
        world.pass(Duration::from_secs(3_600 * hours));
        let snapshot = world.engine.snapshot(&world.kernel(), Some(Duration::from_secs(900)));
        let client = &snapshot.services[0].clients[0];
        assert_eq!(cause(client), Some(Cause::SeeksRole), "{hours} h: {:?}", client.verdict);
    }
}

#[test]
fn a_member_alone_has_a_service_without_idle_capacity() {
    let endpoints = [ready("orders-1", "10.9.0.1").uid("uid-orders-1"), ready("orders-2", "10.0.0.2")];
    let mut world = World::with(config(), [orders(&endpoints)]);
    world.engine.apply(Time(1), Change::Synced(true));
    world.apply(Pod { workload: "orders".into(), ..pod("shop", "orders-1", &["10.9.0.1"]) });
    for _ in 0..40 {
        world.resolve(1, ORDERS, &["10.9.0.1", "10.0.0.2"]);
        let dialled = world.connect(1, "10.0.0.2");
        world.close(dialled);
    }
    let service = world.service("orders");
    assert_eq!((service.spread.endpoints, service.spread.coverage, service.waste), (1, 1.0, 0.0));
    // Another client could use both.
    web(&mut world, 2);
    world.resolve(2, ORDERS, &["10.9.0.1", "10.0.0.2"]);
    world.connect(2, "10.0.0.2");
    assert_eq!(world.service("orders").spread.endpoints, 2);
}
