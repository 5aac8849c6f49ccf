//! Changes over time: states, moves, returns, resets, and what is forgotten.

use super::*;
use crate::windowed::{Slot, Stretch};

#[test]
fn an_address_that_goes_to_another_service_is_not_confused() {
    let mut test = Test::new();
    test.apply(slice("shop", "a", "a").with(ready("a-0", "10.0.0.1")));
    test.apply(slice("shop", "a", "a"));
    test.apply(slice("shop", "b", "a").with(ready("b-0", "10.0.0.1")));
    assert_eq!(test.dial("a", "10.0.0.1", 80), "a-0=removed");
    assert_eq!(test.dial("b", "10.0.0.1", 80), "b-0=ready");
    assert_eq!(test.owners("10.0.0.1"), ["b/b-0"]);
    // Past moments keep their owner.
    assert_eq!(test.dial_at("a", "10.0.0.1", 80, 1), "a-0=ready");
    assert_eq!(test.dial_at("b", "10.0.0.1", 80, 1), "b-0=?");
}

#[test]
fn an_address_that_goes_to_another_pod_of_the_service_keeps_both_apart() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1").uid("first")));
    test.apply(slice("shop", "orders", "a"));
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1").uid("second")));
    let uids = |at| {
        let id = test.orders().id();
        test.topology.lookup(ip("10.0.0.1"), 80, id, s(at)).unwrap().endpoint.pod().unwrap().uid.to_string()
    };
    assert_eq!(test.states(), ["orders-0=removed", "orders-0=ready"]);
    assert_eq!([uids(1), uids(2), uids(3)], ["first", "second", "second"]);
}

#[test]
fn a_pod_that_gets_another_address_is_the_same_endpoint() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1")));
    let id = test.orders().endpoints().next().unwrap().id();
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.2")));
    assert_eq!(test.states(), ["orders-0=ready"]);
    assert_eq!(test.dial("orders", "10.0.0.1", 80), "orders-0=removed");
    assert_eq!(test.dial_at("orders", "10.0.0.1", 80, 1), "orders-0=ready");
    assert_eq!(test.dial("orders", "10.0.0.2", 80), "orders-0=ready");
    let endpoint = test.topology.endpoint(id).unwrap();
    assert_eq!(endpoint.addresses().collect::<Vec<_>>(), [ip("10.0.0.2")]);
}

#[test]
fn states_follow_the_conditions_and_the_past_can_be_asked() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(unready("orders-0", "10.0.0.1")));
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1")));
    test.apply(slice("shop", "orders", "a").with(terminating("orders-0", "10.0.0.1")));
    test.apply(slice("shop", "orders", "a"));
    let at = |seconds| test.dial_at("orders", "10.0.0.1", 80, seconds);
    assert_eq!(
        [at(0), at(1), at(2), at(3), at(4), at(9)],
        [
            "orders-0=?",
            "orders-0=not_ready",
            "orders-0=ready",
            "orders-0=terminating",
            "orders-0=removed",
            "orders-0=removed"
        ]
    );
}

#[test]
fn ready_since_survives_updates_and_ends_with_readiness() {
    let mut test = Test::new();
    let since = |test: &Test| test.orders().endpoints().next().unwrap().ready_since();
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1")));
    test.apply(slice("shop", "orders", "a").ports(&[80]).with(ready("orders-0", "10.0.0.1")));
    assert_eq!(since(&test), Some(s(1)));
    test.apply(slice("shop", "orders", "a").with(unready("orders-0", "10.0.0.1")));
    assert_eq!(since(&test), None);
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1")));
    assert_eq!(since(&test), Some(s(4)));
}

#[test]
fn an_endpoint_that_returns_has_its_old_id_and_a_forgotten_one_does_not() {
    let mut test = Test::new();
    let id = |test: &Test| test.orders().endpoints().next().unwrap().id();
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    let first = id(&test);
    test.apply(slice("shop", "orders", "a"));
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    assert_eq!(id(&test), first);
    // It is back: the end of its time as a tombstone must not remove it.
    test.now += 4000;
    assert_eq!(test.topology.expire(s(test.now)), Touched::default());
    assert_eq!(test.states(), ["p=ready"]);

    test.apply(slice("shop", "orders", "a"));
    test.now += 4000;
    let touched = test.topology.expire(s(test.now));
    assert_eq!(touched.addresses, [ip("10.0.0.1")]);
    assert!(test.topology.endpoint(first).is_none());
    assert!(!test.topology.knows(ip("10.0.0.1")));
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    assert_ne!(id(&test), first);
}

#[test]
fn a_removed_endpoint_is_remembered_for_an_hour() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    let service = test.orders().id();
    test.delete_slice("orders-a");
    assert!(test.orders().headless());
    let _ = test.topology.expire(s(2 + 3599));
    assert_eq!(test.dial("orders", "10.0.0.1", 80), "p=removed");
    assert!(test.topology.knows(ip("10.0.0.1")));
    let _ = test.topology.expire(s(2 + 3600));
    assert!(test.topology.service(&service_key("shop", "orders")).is_none());
    assert!(test.topology.service_by_id(service).is_none());
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    assert_ne!(test.orders().id(), service);
}

#[test]
fn the_number_of_remembered_endpoints_is_bounded() {
    let mut test = Test::with(Config { removed: 2, ..Config::default() });
    let all = |range: std::ops::Range<u32>| {
        range.fold(slice("shop", "orders", "a"), |slice, index| {
            slice.with(ready(&format!("p{index}"), &format!("10.0.0.{index}")))
        })
    };
    test.apply(all(0..4));
    for index in 1..5 {
        test.apply(all(index..4));
    }
    assert_eq!(test.states(), ["p2=removed", "p3=removed"]);
    assert_eq!(test.topology.counters().removed_evicted, 2);
    assert!(!test.topology.knows(ip("10.0.0.0")));
}

#[test]
fn the_history_is_bounded_and_what_is_forgotten_is_unknown() {
    let mut test = Test::with(Config { history: 2, ..Config::default() });
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    test.apply(slice("shop", "orders", "a").with(unready("p", "10.0.0.1")));
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    assert_eq!(test.dial_at("orders", "10.0.0.1", 80, 1), "p=?");
    assert_eq!(test.dial_at("orders", "10.0.0.1", 80, 2), "p=not_ready");
    assert_eq!(test.topology.counters().history_evicted, 1);
}

#[test]
fn former_addresses_are_bounded() {
    let mut test = Test::new();
    for index in 0..20 {
        test.apply(slice("shop", "orders", "a").with(ready("p", &format!("10.0.0.{index}"))));
    }
    assert!(!test.topology.knows(ip("10.0.0.0")));
    assert_eq!(test.dial("orders", "10.0.0.18", 80), "p=removed");
    assert_eq!(test.dial("orders", "10.0.0.19", 80), "p=ready");
    assert_eq!(test.topology.counters().addresses_evicted, 15);
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut test = Test::with(Config { services: 1, endpoints: 3, pods: 1, ..Config::default() });
    let many = || {
        (0..5).fold(slice("shop", "orders", "a"), |slice, index| {
            slice.with(ready(&format!("p{index}"), &format!("10.0.0.{index}")))
        })
    };
    test.apply(many());
    test.apply(many());
    test.apply(service("shop", "other"));
    test.apply(pod("shop", "one", &["10.1.0.1"]));
    test.apply(pod("shop", "two", &["10.1.0.2"]));
    assert_eq!(test.orders().endpoints().count(), 2);
    let counters = *test.topology.counters();
    assert_eq!((counters.endpoints_full, counters.services_full, counters.pods_full), (6, 1, 1));
    // Endpoints that left make room.
    test.delete_slice("orders-a");
    test.apply(slice("shop", "orders", "b").with(ready("q", "10.0.0.9")));
    assert_eq!(test.dial("orders", "10.0.0.9", 80), "q=ready");
    test.apply(Change::Delete(Kind::Pod, key("shop", "one")));
    test.apply(pod("shop", "two", &["10.1.0.2"]));
    assert!(test.topology.pod_by_address(ip("10.1.0.2")).is_some());
}

#[test]
fn a_reset_removes_what_is_missing_and_leaves_the_rest_alone() {
    let mut test = Test::new();
    test.apply(
        slice("shop", "orders", "a").with(ready("stays", "10.0.0.1")).with(ready("moves", "10.0.0.2")),
    );
    test.apply(slice("shop", "orders", "b").with(ready("leaves", "10.0.0.3")));
    test.apply(pod("shop", "client-0", &["10.1.0.1"]));
    test.apply(pod("shop", "client-1", &["10.1.0.2"]));
    test.apply(service("shop", "orders"));
    test.apply(service("shop", "gone").cluster_ip("10.96.0.9"));

    test.apply(Change::Reset(
        Kind::Slice,
        vec![
            Object::Slice(slice("shop", "orders", "a").with(ready("stays", "10.0.0.1"))),
            Object::Slice(slice("shop", "orders", "c").with(ready("moves", "10.0.0.2"))),
        ],
    ));
    assert_eq!(test.states(), ["stays=ready", "moves=ready", "leaves=removed"]);
    assert!(test.orders().endpoints().take(2).all(|endpoint| endpoint.ready_since() == Some(s(1))));

    test.apply(Change::Reset(Kind::Pod, vec![Object::Pod(pod("shop", "client-1", &["10.1.0.2"]))]));
    assert!(test.topology.pod_by_address(ip("10.1.0.1")).is_none());
    assert!(test.topology.pod_by_address(ip("10.1.0.2")).is_some());

    test.apply(Change::Reset(Kind::Service, vec![Object::Service(service("shop", "orders"))]));
    assert!(!test.topology.is_cluster_ip(ip("10.96.0.9")));
    assert_eq!(test.states(), ["stays=ready", "moves=ready", "leaves=removed"]);
}

#[test]
fn touched_names_addresses_whose_owner_changed_and_no_others() {
    let mut test = Test::new();
    let with = |endpoint| Change::from(slice("shop", "orders", "a").with(endpoint));
    let cases: [(&str, Change, &[&str]); 8] = [
        ("new", with(ready("p", "10.0.0.1")), &["10.0.0.1"]),
        ("the same again", with(ready("p", "10.0.0.1")), &[]),
        ("another state", with(unready("p", "10.0.0.1")), &[]),
        ("gone", slice("shop", "orders", "a").into(), &["10.0.0.1"]),
        ("back", with(ready("p", "10.0.0.1")), &["10.0.0.1"]),
        ("a Pod", pod("shop", "c", &["10.1.0.1"]).into(), &["10.1.0.1"]),
        ("the same Pod", pod("shop", "c", &["10.1.0.1"]).into(), &[]),
        ("a ClusterIP", service("shop", "vip").cluster_ip("10.96.0.1").into(), &["10.96.0.1"]),
    ];
    for (case, change, expected) in cases {
        test.apply(change);
        let expected: Vec<_> = expected.iter().map(|address| ip(address)).collect();
        assert_eq!(test.touched, expected, "{case}");
    }
}

#[test]
fn losing_touch_keeps_the_last_state() {
    let mut test = Test::new();
    assert!(!test.topology.synced());
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    test.apply(Change::Synced(true));
    assert!(test.topology.synced());
    test.apply(Change::Synced(false));
    assert!(!test.topology.synced());
    assert_eq!(test.states(), ["p=ready"]);
}

#[test]
fn times_that_stand_still_do_no_harm() {
    let mut topology = Topology::new(Config { keep_removed: Duration::from_secs(1), ..Config::default() });
    for change in [
        slice("shop", "orders", "a").with(ready("p", "10.0.0.1")),
        slice("shop", "orders", "a"),
        slice("shop", "orders", "a").with(ready("p", "10.0.0.1")),
    ] {
        let _ = topology.apply(Time(0), change.into());
    }
    let id = topology.find("shop", "orders").unwrap();
    let found = topology.lookup(ip("10.0.0.1"), 80, id, Time(0)).unwrap();
    assert_eq!(found.status.unwrap().1.state, State::Ready);
}

#[test]
fn an_endpoint_that_comes_back_again_and_again_flaps() {
    let mut test = Test::with(Config { history: 2, ..Config::default() });
    let slice = |endpoint| slice("shop", "orders", "a").with(endpoint);
    let flaps = |test: &Test| {
        let since = |seconds| Stretch::Since(Slot::of(s(seconds)));
        let over = |stretch| test.orders().endpoints().map(|endpoint| endpoint.flaps(stretch)).sum::<u64>();
        (over(Stretch::All), over(since(100)))
    };
    // A pod starts, and becomes ready for the first time.
    test.apply(slice(unready("p", "10.0.0.1")));
    test.apply(slice(ready("p", "10.0.0.1")));
    assert_eq!(flaps(&test), (0, 0));
    for _ in 0..5 {
        test.apply(slice(unready("p", "10.0.0.1")));
        test.apply(slice(ready("p", "10.0.0.1")));
    }
    assert_eq!(flaps(&test), (5, 0), "also those whose states are forgotten");
    test.now = 120;
    test.apply(slice(unready("p", "10.0.0.1")));
    test.apply(slice(ready("p", "10.0.0.1")));
    // Its end is no flap, and neither is one of another pod under its name.
    test.apply(slice(terminating("p", "10.0.0.1")));
    test.apply(slice(ready("p", "10.0.0.2").uid("another")));
    assert_eq!(flaps(&test), (6, 1));
}
