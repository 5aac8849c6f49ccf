//! Attribution, with and without DNS answers. Times are seconds.

use super::*;
use crate::dns::{Answer, Name, QueryType, Rcode};
use crate::service_resolution::{meant, service_of};
use crate::topology::model::{Change, Kind, SliceEndpoint};
use crate::topology::test_builders::{bare, ip, key, pod, ready, service, slice, terminating, unready};
use crate::topology::{Config, Topology};

fn s(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

/// A topology of slices in namespace `shop`, port 80, as of second 10.
fn topology(services: &[(&str, &[SliceEndpoint])]) -> Topology {
    let mut topology = Topology::new(Config::default());
    for (name, endpoints) in services {
        apply(&mut topology, 10, name, endpoints);
    }
    topology
}

fn apply(topology: &mut Topology, at: u64, name: &str, endpoints: &[SliceEndpoint]) {
    let slice =
        endpoints.iter().cloned().fold(slice("shop", name, "a").ports(&[80]), |slice, one| slice.with(one));
    let _ = topology.apply(s(at), slice.into());
}

fn sighting(name: &str, at: u64) -> CachedAddress {
    let (name, at, meaning) = (name.into(), s(at), Meaning::Nobody);
    let offer = std::sync::Arc::default();
    let (renamed, ttl, size, nearest) = (0, 5, 4, 0);
    let answer = CachedAnswer { name, meaning, renamed, at, ttl, size, truncated: false, offer, nearest };
    CachedAddress { position: 3, is_near: false, answer: answer.into() }
}

/// Connects to `address:80` at second `at`; the names are the client's answers, best first.
fn dial(topology: &Topology, address: &str, at: u64, names: &[&str]) -> Attribution {
    dial_port(topology, address, 80, at, names)
}

fn dial_port(topology: &Topology, address: &str, port: u16, at: u64, names: &[&str]) -> Attribution {
    dial_by(topology, Role::Pod, address, port, at, names)
}

fn dial_by(topology: &Topology, by: Role, address: &str, port: u16, at: u64, names: &[&str]) -> Attribution {
    let dial = ConnectAttempt {
        address: ip(address),
        port,
        by,
        started: Some(s(at)),
        has_failed: false,
        now: s(at + 1),
    };
    let cached: Vec<_> = names.iter().map(|name| sighting(name, at)).collect();
    attribute(dial, topology, &ClusterZone::default(), cached.iter())
}

/// `service/endpoint resolution position stale` of an outcome, or the reason for none.
fn text(topology: &Topology, outcome: Attribution) -> String {
    match outcome {
        Attribution::Endpoint(target) => {
            let service = topology.service_by_id(target.endpoint.service).unwrap();
            let endpoint = topology.endpoint(target.endpoint).unwrap();
            let position = target
                .used_answer
                .map_or_else(|| "-".to_owned(), |used_answer| used_answer.position.to_string());
            let stale = target.stale.map_or("fresh", |stale| stale.kind.as_str());
            let resolution = target.resolution.as_str();
            format!("{}/{} {resolution} {position} {stale}", service.key().name, endpoint.label())
        }
        Attribution::Unattributed(why) => why.as_str().to_owned(),
        Attribution::WrongPort(_) => "other_port of the Service".to_owned(),
        Attribution::Excluded(why) => why.as_str().to_owned(),
        Attribution::Unrelated => "unrelated".to_owned(),
    }
}

const ORDERS: &str = "orders.shop.svc.cluster.local";
const BACKUP: &str = "backup.shop.svc.cluster.local";

#[test]
fn the_name_that_was_asked_for_decides_between_services_that_share_a_pod() {
    let both = [ready("p-0", "10.0.0.1")];
    let topology = topology(&[("orders", &both), ("backup", &both)]);
    let check = |names: &[&str], expected| {
        assert_eq!(text(&topology, dial(&topology, "10.0.0.1", 20, names)), expected);
    };
    check(&[ORDERS], "orders/p-0 service 3 fresh");
    check(&[BACKUP, ORDERS], "backup/p-0 service 3 fresh");
    // The client may mean the newest name, so older ones prove nothing.
    check(&["www.example.org", ORDERS], "other_name");
    check(&[ORDERS, "www.example.org"], "orders/p-0 service 3 fresh");
    check(&[], "ambiguous");
    check(&["nothing.shop.svc.cluster.local"], "other_name");
}

#[test]
fn what_of_the_service_was_asked_for() {
    let topology = topology(&[("orders", &[ready("p-0", "10.0.0.1")])]);
    let check = |name: &str, expected| {
        assert_eq!(text(&topology, dial(&topology, "10.0.0.1", 20, &[name])), expected, "{name}");
    };
    check("orders.shop.svc.corp.example", "other_name");
    check("eu.pin._zone.orders.shop.svc.cluster.local", "orders/p-0 part 3 fresh");
    check("p-0.orders.shop.svc.cluster.local", "orders/p-0 hostname 3 fresh");
    check("_http._tcp.orders.shop.svc.cluster.local", "orders/p-0 srv 3 fresh");
    assert_eq!(text(&topology, dial(&topology, "10.0.0.1", 20, &[])), "orders/p-0 none - fresh");
}

#[test]
fn outside_of_kubernetes_a_service_is_its_domain_name() {
    let mut topology = Topology::new(Config::default());
    let _ = topology.apply(s(1), slice("", "web.service.consul", "a").with(bare("10.0.0.1")).into());
    for (name, expected) in [
        ("web.service.consul", "web.service.consul/10.0.0.1 service 3 fresh"),
        ("_web._tcp.service.consul", "other_name"),
        ("service.consul", "other_name"),
    ] {
        assert_eq!(text(&topology, dial(&topology, "10.0.0.1", 20, &[name])), expected, "{name}");
    }
}

#[test]
fn what_a_name_meant_when_it_was_answered_counts_until_names_mean_others() {
    let mut topology =
        topology(&[("orders", &[ready("p-0", "10.0.0.1")]), ("backup", &[ready("p-0", "10.0.0.1")])]);
    let (service, resolution) = service_of(BACKUP, &topology, &ClusterZone::default()).unwrap();
    let (meaning, renamed) = (Meaning::Named { service, resolution }, topology.renamed());
    // The name does not fit the stored meaning, so the test shows which of the two decides.
    let CachedAddress { answer, position, is_near } = sighting(ORDERS, 20);
    let answer = CachedAnswer { meaning, renamed, ..(*answer).clone() }.into();
    let known = CachedAddress { answer, position, is_near };
    let dial = ConnectAttempt {
        address: ip("10.0.0.1"),
        port: 80,
        by: Role::Pod,
        started: Some(s(20)),
        has_failed: false,
        now: s(21),
    };
    let by_known = |topology: &Topology| {
        let zone = ClusterZone::default();
        text(topology, attribute(dial, topology, &zone, [&known].into_iter()))
    };
    assert_eq!(by_known(&topology), "backup/p-0 service 3 fresh");

    apply(&mut topology, 21, "orders", &[ready("p-0", "10.0.0.1"), ready("p-1", "10.0.0.2")]);
    assert_eq!(by_known(&topology), "backup/p-0 service 3 fresh", "endpoints are no names");
    apply(&mut topology, 22, "third", &[]);
    assert_eq!(by_known(&topology), "orders/p-0 service 3 fresh", "one more Service");

    let before = topology.renamed();
    let _ = topology.apply(s(23), Change::Delete(Kind::Slice, key("shop", "third-a")));
    let _ = topology.expire(s(100_000));
    assert_ne!(topology.renamed(), before, "one Service less");
}

#[test]
fn another_port_is_the_services_only_by_its_name_and_if_it_works() {
    let topology = topology(&[("orders", &[ready("p-0", "10.0.0.1")])]);
    let dial = |names: &[&str]| text(&topology, dial_port(&topology, "10.0.0.1", 8080, 20, names));
    assert_eq!(dial(&[ORDERS]), "orders/p-0 service 3 fresh");
    assert_eq!(dial(&[]), "other_port");
}

#[test]
fn an_older_answer_counts_where_the_newest_names_a_service_without_that_port_or_address() {
    let mut topology =
        topology(&[("orders", &[ready("p-0", "10.0.0.1")]), ("backup", &[ready("p-1", "10.0.0.2")])]);
    assert_eq!(
        text(&topology, dial(&topology, "10.0.0.1", 20, &[BACKUP, ORDERS])),
        "orders/p-0 service 3 fresh"
    );
    let other = slice("shop", "backup", "b").ports(&[9]).with(ready("p-0", "10.0.0.1"));
    let _ = topology.apply(s(11), other.into());
    assert_eq!(
        text(&topology, dial(&topology, "10.0.0.1", 20, &[BACKUP, ORDERS])),
        "orders/p-0 service 3 fresh"
    );
    let only_backup = dial(&topology, "10.0.0.1", 20, &[BACKUP]);
    assert_eq!(text(&topology, only_backup), "backup/p-0 service 3 fresh");
}

#[test]
fn an_address_that_dns_told_of_before_the_topology() {
    let mut topology = topology(&[("orders", &[ready("p-0", "10.0.0.1")])]);
    assert_eq!(
        dial(&topology, "10.0.0.9", 20, &[ORDERS]),
        Attribution::Unattributed(Unattributed::NotEndpoint)
    );
    assert_eq!(dial(&topology, "10.0.0.9", 20, &[]), Attribution::Unrelated);
    apply(&mut topology, 21, "orders", &[ready("p-0", "10.0.0.1"), ready("p-9", "10.0.0.9")]);
    assert_eq!(text(&topology, dial(&topology, "10.0.0.9", 20, &[ORDERS])), "orders/p-9 service 3 fresh");
}

#[test]
fn staleness_is_what_the_endpoint_was_when_it_was_dialled() {
    let pods = [ready("p-0", "10.0.0.1"), unready("p-1", "10.0.0.2"), terminating("p-2", "10.0.0.3")];
    let mut topology = topology(&[("orders", &pods)]);
    let check = |topology: &Topology, address, at, expected| {
        assert_eq!(text(topology, dial(topology, address, at, &[ORDERS])), expected);
    };
    check(&topology, "10.0.0.1", 20, "orders/p-0 service 3 fresh");
    check(&topology, "10.0.0.2", 20, "orders/p-1 service 3 not_ready");
    check(&topology, "10.0.0.3", 20, "orders/p-2 service 3 terminating");

    let _ = topology.apply(s(30), service("shop", "orders").publish_not_ready().into());
    check(&topology, "10.0.0.2", 31, "orders/p-1 service 3 not_ready");

    apply(&mut topology, 40, "orders", &[ready("p-1", "10.0.0.2")]);
    check(&topology, "10.0.0.1", 39, "orders/p-0 service 3 fresh");
    check(&topology, "10.0.0.1", 40, "orders/p-0 service 3 removed");
    check(&topology, "10.0.0.2", 40, "orders/p-1 service 3 fresh");
}

#[test]
fn an_address_that_is_another_pods_by_now() {
    let left = |also: &[(&str, SliceEndpoint)]| {
        let mut topology = topology(&[("orders", &[ready("p-0", "10.0.0.1")])]);
        apply(&mut topology, 30, "orders", &[]);
        for (name, endpoint) in also {
            apply(&mut topology, 30, name, std::slice::from_ref(endpoint));
        }
        topology
    };
    let check = |topology: &Topology, expected| {
        assert_eq!(text(topology, dial(topology, "10.0.0.1", 40, &[ORDERS])), expected);
    };
    check(&left(&[]), "orders/p-0 service 3 removed");
    check(&left(&[("backup", ready("q-0", "10.0.0.1"))]), "orders/p-0 service 3 ip_reused");
    check(&left(&[("backup", ready("p-0", "10.0.0.1"))]), "orders/p-0 service 3 removed");
    check(&left(&[("backup", ready("p-0", "10.0.0.1").uid("made-anew"))]), "orders/p-0 service 3 ip_reused");
    check(&left(&[("backup", bare("10.0.0.1"))]), "orders/p-0 service 3 removed");
    // A pod that is no endpoint of anything.
    let mut topology = left(&[]);
    let _ = topology.apply(s(31), pod("shop", "p-0", &["10.0.0.1"]).into());
    check(&topology, "orders/p-0 service 3 removed");
    let _ = topology.apply(s(32), Change::Delete(Kind::Pod, key("shop", "p-0")));
    let _ = topology.apply(s(32), pod("shop", "batch", &["10.0.0.1"]).into());
    check(&topology, "orders/p-0 service 3 ip_reused");
}

#[test]
fn a_pod_made_anew_at_the_same_address_is_not_the_one_that_left() {
    let mut topology = topology(&[("orders", &[ready("p-0", "10.0.0.1")])]);
    apply(&mut topology, 30, "orders", &[ready("p-0", "10.0.0.1").uid("made-anew")]);
    let at = |at| match dial(&topology, "10.0.0.1", at, &[ORDERS]) {
        Attribution::Endpoint(target) => (
            topology.endpoint(target.endpoint).unwrap().pod().unwrap().uid.clone(),
            target.stale.map(|stale| stale.kind),
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(at(29), ("uid-p-0".into(), None));
    assert_eq!(at(31), ("made-anew".into(), None));
}

#[test]
fn connections_older_than_the_observer_are_preexisting_whatever_the_evidence() {
    let topology = topology(&[("orders", &[ready("p-0", "10.0.0.1")])]);
    let dial = ConnectAttempt {
        address: ip("10.0.0.1"),
        port: 80,
        by: Role::Pod,
        started: None,
        has_failed: false,
        now: s(20),
    };
    for cached in [vec![], vec![sighting(ORDERS, 19)]] {
        let outcome = attribute(dial, &topology, &ClusterZone::default(), cached.iter());
        assert_eq!(text(&topology, outcome), "orders/p-0 preexisting - fresh");
    }
}

#[test]
fn an_answer_means_the_last_service_of_its_chain() {
    let topology =
        topology(&[("orders", &[ready("p-0", "10.0.0.1")]), ("backup", &[ready("p-1", "10.0.0.2")])]);
    let answer = |chain: &[&str]| Answer {
        question: chain[0].into(),
        kind: QueryType::A,
        rcode: Rcode::NoError,
        truncated: false,
        chain: chain.iter().map(|name| Name::from(*name)).collect(),
        addresses: vec![],
        targets: vec![],
    };
    let check = |chain: &[&str], expected: Option<&str>| {
        let answer = answer(chain);
        let (name, meaning) = meant(&answer, &topology, &ClusterZone::default());
        assert_eq!(meaning.service().map(|_| &**name), expected);
    };
    check(&[ORDERS], Some(ORDERS));
    check(&["db.example.org", ORDERS, BACKUP], Some(BACKUP));
    check(&[ORDERS, "unknown.shop.svc.cluster.local", "db.example.org"], Some(ORDERS));
    check(&["unknown.shop.svc.cluster.local"], None);
}

#[test]
fn what_is_no_clients_choice_is_left_out() {
    let on = |node: &str, endpoint: SliceEndpoint| SliceEndpoint { node: Some(node.into()), ..endpoint };
    let mut topology = Topology::new(Config { node: Some("node-1".into()), ..Config::default() });
    apply(
        &mut topology,
        10,
        "orders",
        &[
            on("node-1", ready("orders-0", "10.0.0.1")),
            on("node-2", ready("orders-1", "10.0.0.2")),
            bare("10.0.0.3"),
        ],
    );
    let by =
        |by, address: &str, names: &[&str]| text(&topology, dial_by(&topology, by, address, 80, 20, names));
    assert_eq!(by(Role::Host, "10.0.0.1", &[]), "probe");
    assert_eq!(by(Role::Host, "10.0.0.1", &[ORDERS]), "orders/orders-0 service 3 fresh", "it asked DNS");
    assert_eq!(
        by(Role::Host, "10.0.0.2", &[]),
        "orders/orders-1 none - fresh",
        "kubelet probes its own pods only"
    );
    assert_eq!(by(Role::Host, "10.0.0.3", &[]), "orders/10.0.0.3 none - fresh", "nobody knows where it is");
    assert_eq!(by(Role::Pod, "10.0.0.1", &[]), "orders/orders-0 none - fresh");
    for (role, why) in [(Role::Proxy, "proxy"), (Role::OtherNode, "other_node")] {
        assert_eq!(by(role, "10.0.0.1", &[ORDERS]), why);
        assert_eq!(by(role, "10.0.0.1", &[]), why);
        assert_eq!(by(role, "10.9.9.9", &[]), "unrelated");
    }
}

#[test]
fn endpoint_that_left_is_known_to_those_who_still_dial_it() {
    // The attempt: (address, when, has it failed).
    let outcome = |topology: &Topology, address: &str, at: u64, has_failed: bool| {
        let by = Role::Pod;
        let dial = ConnectAttempt {
            address: ip(address),
            port: 80,
            by,
            started: Some(s(at)),
            has_failed,
            now: s(at + 1),
        };
        text(topology, attribute(dial, topology, &ClusterZone::default(), std::iter::empty()))
    };
    let mut topology = topology(&[
        ("web", &[ready("web-0", "10.0.0.1"), ready("web-1", "10.0.0.2"), ready("web-2", "10.0.0.3")]),
        ("db", &[ready("db-0", "10.0.0.3"), ready("db-1", "10.0.0.4")]),
    ]);
    apply(&mut topology, 20, "web", &[ready("web-0", "10.0.0.1")]);
    apply(&mut topology, 20, "db", &[]);
    let removed = "web/web-1 none - removed";
    assert_eq!(outcome(&topology, "10.0.0.2", 30, true), removed);
    assert_eq!(outcome(&topology, "10.0.0.2", 30, false), "removed", "somebody else may have the address");
    assert_eq!(outcome(&topology, "10.0.0.2", 19, false), "web/web-1 none - fresh", "it was there");
    assert_eq!(outcome(&topology, "10.0.0.3", 30, true), "removed", "two Services had it");
    assert_eq!(outcome(&topology, "10.0.0.9", 30, true), "unrelated");
    assert_eq!(dial_port(&topology, "10.0.0.2", 81, 30, &[]), Attribution::Unrelated, "another port");
    // Its own pod is still there, or another one has the address.
    let _ = topology.apply(s(40), pod("shop", "web-1", &["10.0.0.2"]).into());
    let _ = topology.apply(s(40), pod("shop", "cron-1", &["10.0.0.4"]).into());
    assert_eq!(outcome(&topology, "10.0.0.2", 50, false), removed);
    assert_eq!(outcome(&topology, "10.0.0.4", 50, true), "unrelated");
    let _ = topology.expire(s(20 + 3_600));
    assert_eq!(outcome(&topology, "10.0.0.2", 4_000, true), "unrelated", "it is forgotten");
}
