//! The endpoints of a Service, and their ports.

use super::*;
use crate::topology::model::ServicePort;

#[test]
fn slices_are_joined_and_an_endpoint_in_two_of_them_counts_once() {
    let mut test = Test::new();
    let mut whole: Vec<Slice> = ["a", "b", "c"].map(|suffix| slice("shop", "orders", suffix)).into();
    for index in 0..250_usize {
        let entry = ready(&format!("orders-{index}"), &format!("10.0.{}.{}", index / 100, index % 100));
        whole[index / 100] = whole[index / 100].clone().with(entry.clone());
        if index == 99 {
            whole[1] = whole[1].clone().with(entry);
        }
    }
    for slice in whole {
        test.apply(slice);
    }
    assert_eq!(test.orders().endpoints().count(), 250);
    assert_eq!(test.owners("10.0.0.99"), ["orders/orders-99"]);

    // The move ends: the endpoint is only in the second slice, and it never left.
    let first = (0..99).fold(slice("shop", "orders", "a"), |slice, index| {
        slice.with(ready(&format!("orders-{index}"), &format!("10.0.0.{index}")))
    });
    test.apply(first);
    assert_eq!(test.dial("orders", "10.0.0.99", 80), "orders-99=ready");
    let moved = test.topology.owners(ip("10.0.0.99")).next().unwrap();
    assert_eq!(moved.ready_since(), Some(s(1)));
}

#[test]
fn a_thousand_endpoints_and_more_are_no_problem() {
    let mut test = Test::new();
    let large = (0..1500_u32).fold(slice("shop", "orders", "a"), |slice, index| {
        slice.with(ready(&format!("orders-{index}"), &format!("10.0.{}.{}", index / 250, index % 250)))
    });
    test.apply(large);
    assert_eq!(test.orders().endpoints().filter(|e| e.state() == State::Ready).count(), 1500);
}

#[test]
fn a_dual_stack_pod_is_one_endpoint() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "v4").with(ready("orders-0", "10.0.0.1")));
    test.apply(slice("shop", "orders", "v6").with(ready("orders-0", "fd00::1")));
    let endpoint = test.orders().endpoints().next().unwrap();
    assert_eq!(test.orders().endpoints().count(), 1);
    assert_eq!(endpoint.addresses().collect::<Vec<_>>(), [ip("10.0.0.1"), ip("fd00::1")]);
    assert_eq!(test.dial("orders", "10.0.0.1", 80), "orders-0=ready");
    assert_eq!(test.dial("orders", "fd00::1", 80), "orders-0=ready");

    // One family goes first: the pod stays, its address does not.
    test.delete_slice("orders-v6");
    assert_eq!(test.states(), ["orders-0=ready"]);
    assert_eq!(test.dial("orders", "fd00::1", 80), "orders-0=removed");
    test.delete_slice("orders-v4");
    assert_eq!(test.states(), ["orders-0=removed"]);
    let last: Vec<_> = test.orders().endpoints().next().unwrap().addresses().collect();
    assert_eq!(last, [ip("10.0.0.1")]);
}

#[test]
fn ipv4_mapped_addresses_are_ipv4() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "::ffff:10.0.0.1")));
    assert_eq!(test.owners("10.0.0.1"), ["orders/orders-0"]);
}

#[test]
fn what_makes_a_service_headless() {
    let labelled = || Change::from(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1")));
    let unlabelled =
        || Change::from(slice("shop", "orders", "a").unlabelled().with(ready("orders-0", "10.0.0.1")));
    let headless = || Change::from(service("shop", "orders"));
    let cluster_ip = || Change::from(service("shop", "orders").cluster_ip("10.96.0.9"));
    let service_gone = || Change::Delete(Kind::Service, key("shop", "orders"));
    let cases: [(&str, Vec<Change>, &[&str]); 9] = [
        ("the label is enough", vec![labelled()], &["orders-0=ready"]),
        ("no label, no Service", vec![unlabelled()], &[]),
        ("slice before Service", vec![unlabelled(), headless()], &["orders-0=ready"]),
        ("Service before slice", vec![headless(), unlabelled()], &["orders-0=ready"]),
        ("ClusterIP Service", vec![unlabelled(), cluster_ip()], &[]),
        ("ClusterIP Service first", vec![cluster_ip(), unlabelled()], &[]),
        ("the Service's word counts", vec![labelled(), cluster_ip()], &["orders-0=removed"]),
        ("Service gone, label left", vec![labelled(), headless(), service_gone()], &["orders-0=ready"]),
        ("Service gone, no label", vec![unlabelled(), headless(), service_gone()], &["orders-0=removed"]),
    ];
    for (case, changes, expected) in cases {
        let mut test = Test::new();
        for change in changes {
            test.apply(change);
        }
        assert_eq!(test.states(), expected, "{case}");
    }
}

#[test]
fn a_cluster_ip_service_beside_a_headless_one_owns_no_endpoints() {
    let mut test = Test::new();
    test.apply(service("shop", "x").cluster_ip("10.96.0.9").port("http", 80));
    test.apply(slice("shop", "x", "a").unlabelled().with(ready("x-0", "10.0.0.1")));
    test.apply(service("shop", "x-headless"));
    test.apply(slice("shop", "x-headless", "a").with(ready("x-0", "10.0.0.1")));
    assert_eq!(test.owners("10.0.0.1"), ["x-headless/x-0"]);
    assert_eq!(test.dial("x", "10.0.0.1", 80), "none");
    assert!(test.topology.is_cluster_ip(ip("10.96.0.9")));
    assert!(!test.topology.knows(ip("10.96.0.9")));
    assert_eq!(test.topology.services().count(), 1);

    test.apply(Change::Delete(Kind::Service, key("shop", "x")));
    assert!(!test.topology.is_cluster_ip(ip("10.96.0.9")));
    assert_eq!(test.touched, [ip("10.96.0.9")]);
}

#[test]
fn a_pod_behind_two_headless_services_is_an_endpoint_of_each() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(ready("p", "10.0.0.1")));
    test.apply(slice("shop", "audit", "a").with(ready("p", "10.0.0.1")));
    let mut owners = test.owners("10.0.0.1");
    owners.sort();
    assert_eq!(owners, ["audit/p", "orders/p"]);
    assert_eq!(test.dial("orders", "10.0.0.1", 80), "p=ready");
    assert_eq!(test.dial("audit", "10.0.0.1", 80), "p=ready");
}

#[test]
fn published_endpoints_are_ready_but_known_not_to_serve() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(unready("orders-0", "10.0.0.1")));
    assert_eq!(test.states(), ["orders-0=not_ready"]);
    test.apply(service("shop", "orders").publish_not_ready());
    let status = test.orders().endpoints().next().unwrap().status();
    assert_eq!(status, EndpointStatus { state: State::Ready, serving: false });
    // That it becomes able to serve does not change since when clients should use it.
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1")));
    let endpoint = test.orders().endpoints().next().unwrap();
    assert_eq!((endpoint.status().serving, endpoint.ready_since()), (true, Some(s(2))));
    test.apply(slice("shop", "orders", "a").with(unready("orders-0", "10.0.0.1")));
    test.apply(service("shop", "orders"));
    assert_eq!(test.states(), ["orders-0=not_ready"]);
}

#[test]
fn slices_that_disagree_for_a_moment_are_resolved() {
    let cases = [
        (ready("p", "10.0.0.1"), unready("p", "10.0.0.1"), "p=ready"),
        (ready("p", "10.0.0.1"), terminating("p", "10.0.0.1"), "p=terminating"),
        (unready("p", "10.0.0.1"), terminating("p", "10.0.0.1"), "p=terminating"),
    ];
    for (one, other, expected) in cases {
        for (first, second) in [(one.clone(), other.clone()), (other, one)] {
            let mut test = Test::new();
            test.apply(slice("shop", "orders", "a").with(first));
            test.apply(slice("shop", "orders", "b").with(second));
            assert_eq!(test.states(), [expected]);
        }
    }
}

#[test]
fn ports_are_the_endpoints_own() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").ports(&[8080]).with(ready("old", "10.0.0.1")));
    test.apply(slice("shop", "orders", "b").ports(&[9090, 9091]).with(ready("new", "10.0.0.2")));
    let cases = [
        ("10.0.0.1", 8080, "old=ready"),
        ("10.0.0.1", 9090, "old=ready!"),
        ("10.0.0.2", 9091, "new=ready"),
        ("10.0.0.2", 80, "new=ready!"),
    ];
    for (address, port, expected) in cases {
        assert_eq!(test.dial("orders", address, port), expected);
    }
}

#[test]
fn ports_of_several_slices_add_up_and_none_means_any() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "http").ports(&[8080]).with(ready("p", "10.0.0.1")));
    test.apply(slice("shop", "orders", "metrics").ports(&[9100]).with(ready("p", "10.0.0.1")));
    assert_eq!(test.orders().endpoints().next().unwrap().ports(), [8080, 9100]);
    assert_eq!(test.dial("orders", "10.0.0.1", 1), "p=ready!");
    test.apply(slice("shop", "orders", "http").with(ready("p", "10.0.0.1")));
    assert_eq!(test.dial("orders", "10.0.0.1", 1), "p=ready");
}

#[test]
fn host_network_endpoints_that_share_an_address_are_told_apart_by_port() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").ports(&[7001]).with(ready("one", "192.168.0.1")));
    test.apply(slice("shop", "orders", "b").ports(&[7002]).with(ready("two", "192.168.0.1")));
    assert_eq!(test.states(), ["one=ready", "two=ready"]);
    assert_eq!(test.dial("orders", "192.168.0.1", 7001), "one=ready");
    assert_eq!(test.dial("orders", "192.168.0.1", 7002), "two=ready");
    assert!(test.dial("orders", "192.168.0.1", 7003).ends_with('!'));
    // One leaves: its port still stands for it, and not for the other one.
    test.delete_slice("orders-a");
    assert_eq!(test.dial("orders", "192.168.0.1", 7001), "one=removed");
    assert_eq!(test.dial("orders", "192.168.0.1", 7002), "two=ready");
}

#[test]
fn an_endpoint_without_a_pod_is_called_by_its_address() {
    let mut test = Test::new();
    test.apply(service("shop", "orders").port("pg", 5432));
    test.apply(slice("shop", "orders", "a").unlabelled().ports(&[5432]).with(bare("192.0.2.10")));
    assert_eq!(test.dial("orders", "192.0.2.10", 5432), "192.0.2.10=ready");
    assert_eq!(test.orders().ports()[0].port, 5432);
}

#[test]
fn an_endpoint_that_comes_to_be_known_by_a_better_name_is_the_same() {
    let mut test = Test::new();
    let ids = |test: &Test| test.orders().endpoints().map(Endpoint::id).collect::<Vec<_>>();
    test.apply(slice("shop", "orders", "a").with(bare("10.0.0.1")));
    let before = ids(&test);
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1").uid("")));
    test.apply(slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1").uid("u")));
    assert_eq!(ids(&test), before);
    assert_eq!(test.states(), ["orders-0=ready"]);

    // But if an address is left and later becomes a pod's, that pod is another endpoint.
    test.apply(slice("shop", "orders", "a").with(bare("10.0.0.2")));
    test.apply(slice("shop", "orders", "a"));
    test.apply(slice("shop", "orders", "a").with(ready("orders-1", "10.0.0.2")));
    assert_eq!(test.states(), ["orders-0=removed", "10.0.0.2=removed", "orders-1=ready"]);
}

#[test]
fn of_two_pods_with_one_address_the_one_that_serves_has_it_whatever_their_order() {
    // A virtual machine that moves: source and copy.
    let steps = [
        (ready("source", "10.0.0.1"), unready("copy", "10.0.0.1"), "source=ready"),
        (terminating("source", "10.0.0.1"), unready("copy", "10.0.0.1"), "source=terminating"),
        (unready("source", "10.0.0.1"), ready("copy", "10.0.0.1"), "copy=ready"),
        (terminating("source", "10.0.0.1"), ready("copy", "10.0.0.1"), "copy=ready"),
    ];
    for is_swapped in [false, true] {
        let mut test = Test::new();
        for (source, copy, expected) in steps.clone() {
            let (first, second) = if is_swapped { (copy, source) } else { (source, copy) };
            let other = ready("other", "10.0.0.2");
            test.apply(slice("shop", "orders", "a").ports(&[80]).with(first).with(second).with(other));
            assert_eq!(test.dial("orders", "10.0.0.1", 80), expected, "swapped: {is_swapped}");
            assert_eq!(test.dial("orders", "10.0.0.1", 81), format!("{expected}!"));
            let reached = test.orders().endpoints().filter(|e| test.topology.is_reached(e, s(test.now)));
            let reached: Vec<_> = reached.map(|e| e.label().to_string()).collect();
            assert!(reached.contains(&"other".to_owned()) && reached.len() == 2, "{reached:?}");
        }
        // An address that was dialled before the change is looked up as of then.
        assert_eq!(test.dial_at("orders", "10.0.0.1", 80, 1), "source=ready");
    }
}

#[test]
fn both_ready_at_one_address_count_once_and_the_later_one_has_it() {
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").with(ready("source", "10.0.0.1")).with(ready("x", "10.0.0.2")));
    let before = test.orders().changes();
    test.apply(slice("shop", "orders", "b").with(ready("copy", "10.0.0.1")).with(ready("x", "fd00::2")));
    assert_eq!(test.dial("orders", "10.0.0.1", 80), "copy=ready");
    assert_eq!((test.orders().ready(false), test.orders().ready(true)), (2, 1));
    assert!(test.orders().changes() > before);
    test.apply(slice("shop", "orders", "a").with(ready("x", "10.0.0.2")));
    assert_eq!((test.orders().ready(false), test.dial("orders", "10.0.0.1", 80).as_str()), (2, "copy=ready"));
    test.delete_slice("orders-b");
    assert_eq!((test.orders().ready(false), test.orders().ready(true)), (1, 0));
}

#[test]
fn an_address_with_several_numbers_of_one_port_is_several_endpoints() {
    for suffixes in [["a", "b"], ["b", "a"]] {
        let mut test = Test::new();
        let of = |suffix: &str, name: &str, port| {
            let mut slice = slice("shop", "orders", suffix).with(bare("192.0.2.1")).with(bare("fd00::1"));
            slice.ports = vec![ServicePort { name: name.into(), port }];
            slice
        };
        let ports = [("a", 20_001), ("b", 20_002)];
        for suffix in suffixes {
            let (_, port) = ports.iter().find(|(known, _)| *known == suffix).unwrap();
            test.apply(of(suffix, "http", *port));
        }
        let labels = |test: &Test| {
            let mut labels: Vec<_> = test.orders().endpoints().map(|e| e.label().to_string()).collect();
            labels.sort();
            labels
        };
        let all = ["192.0.2.1:20001", "192.0.2.1:20002", "[fd00::1]:20001", "[fd00::1]:20002"];
        assert_eq!(labels(&test), all);
        assert_eq!(test.dial("orders", "192.0.2.1", 20_001), "192.0.2.1:20001=ready");
        assert_eq!(test.dial("orders", "192.0.2.1", 20_002), "192.0.2.1:20002=ready");
        // The same slices again change nothing, and one slice takes its instance alone.
        test.apply(of("a", "http", 20_001));
        assert_eq!(labels(&test), all);
        test.delete_slice("orders-a");
        assert_eq!(test.dial("orders", "192.0.2.1", 20_001), "192.0.2.1:20001=removed");
        assert_eq!(test.dial("orders", "192.0.2.1", 20_002), "192.0.2.1:20002=ready");
        // Nothing is left after its time.
        test.delete_slice("orders-b");
        let _ = test.topology.expire(s(1_000_000));
        assert!(test.topology.is_empty());
    }
    // Ports with other names are of the same machine.
    let mut test = Test::new();
    test.apply(slice("shop", "orders", "a").ports(&[80]).with(bare("192.0.2.1")));
    test.apply(slice("shop", "orders", "b").ports(&[443]).with(bare("192.0.2.1")));
    assert_eq!(test.states(), ["192.0.2.1=ready"]);
}

#[test]
fn pods_of_other_namespaces_have_names_of_their_own() {
    let mut test = Test::new();
    let mut foreign = ready("orders-0", "10.0.0.2").uid("other");
    foreign.pod.as_mut().unwrap().key.namespace = "elsewhere".into();
    let mut slice = slice("shop", "orders", "a").with(ready("orders-0", "10.0.0.1"));
    slice.endpoints.push(foreign);
    test.apply(slice);
    assert_eq!(test.states(), ["orders-0=ready", "elsewhere/orders-0=ready"]);
}
