//! The Service of a connection, its resolution, and connections that belong to no Service.

use std::net::IpAddr;

use lab::*;
use serde_json::{Value, json};

use crate::snapshot_figures::{cell, client, endpoint};
use crate::{ORDERS, PATIENCE, PORT, Scene, orders, service, sum};

/// The other Service's DNS name.
const AUDIT: &str = "audit.shop.svc.cluster.local";

/// Two pods of both `orders` and `audit`.
fn two_services(scene: &Scene) -> ([ServiceSpec; 2], Vec<IpAddr>) {
    let (orders, _servers) = scene.orders(2, &ServerMode::Close);
    let audit = ServiceSpec { name: "audit".to_owned(), ..orders.clone() };
    let pods = orders.endpoints.iter();
    let addresses = pods.flat_map(|endpoint| endpoint.pod.addresses()).collect();
    ([orders, audit], addresses)
}

/// Makes all connections of a spec from a pod.
fn run(pod: &Pod, spec: &ClientSpec) {
    let report = pod.client(spec).unwrap().wait().unwrap();
    assert_eq!(report.total().connected, spec.connections, "{report:?}");
}

/// The snapshot after this many connections to Services have ended.
fn after(observer: &Observer, closed: u64) -> Value {
    let all = |snapshot: &Value| -> u64 {
        snapshot["services"].as_array().unwrap().iter().map(|service| sum(service, "closed")).sum()
    };
    observer.snapshot_when(PATIENCE, |snapshot| all(snapshot) >= closed).unwrap()
}

/// The snapshot after this many connections are unattributed for a reason.
fn unattributed(observer: &Observer, reason: &str, connections: u64) -> Value {
    let count = |snapshot: &Value| snapshot["quality"]["unattributed"][reason].as_u64().unwrap();
    observer.snapshot_when(PATIENCE, |snapshot| count(snapshot) >= connections).unwrap()
}

#[test]
fn of_two_services_the_one_whose_name_was_asked_for() {
    let scene = Scene::new();
    let [web, auditor, both] = [("web", 20), ("auditor", 21), ("both", 22)]
        .map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    let (services, _) = two_services(&scene);
    let observer = scene.observe(&services, &[]);
    let spec = |name, connections| ClientSpec::new(name, PORT, scene.resolver, connections).round_robin(1);
    run(&web, &spec(ORDERS, 10));
    run(&auditor, &spec(AUDIT, 20));
    // One process that uses both names in turn.
    run(&both, &spec(ORDERS, 15).also(AUDIT));
    let snapshot = after(&observer, 45);
    let opened = |name, workload| client(service(&snapshot, name), workload)["opened"].clone();
    assert_eq!((opened("orders", "web"), opened("audit", "auditor")), (json!(10), json!(20)));
    assert_eq!((opened("orders", "both"), opened("audit", "both")), (json!(8), json!(7)));
    for (name, connections) in [("orders", 18), ("audit", 27)] {
        let service = service(&snapshot, name);
        assert_eq!(
            (sum(service, "opened"), sum(service, "counted")),
            (connections, connections),
            "{service:#}"
        );
        assert_eq!(service["spread"]["connections"], connections);
        assert_eq!(service["clients"].as_array().unwrap().len(), 2, "{service:#}");
    }
    let quality = &snapshot["quality"]["unattributed"];
    assert_eq!(
        *quality,
        json!({"no_dns": 0, "ambiguous": 0, "other_port": 0, "not_endpoint": 0, "removed": 0, "other_name": 0})
    );
}

#[test]
fn without_an_answer_two_services_are_ambiguous() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (services, addresses) = two_services(&scene);
    let observer = scene.observe(&services, &[]);
    run(&web, &ClientSpec::fixed(&addresses, PORT, 6));
    let snapshot = unattributed(&observer, "ambiguous", 6);
    assert_eq!(snapshot["quality"]["unattributed"]["ambiguous"], 6);
    for name in ["orders", "audit"] {
        let service = service(&snapshot, name);
        assert_eq!((sum(service, "opened"), &service["clients"]), (0, &json!([])), "{service:#}");
    }
}

#[test]
fn without_an_answer_the_only_service_is_meant_but_not_in_its_spread() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (service, _servers) = scene.orders(2, &ServerMode::Close);
    let addresses = service.endpoints[0].pod.addresses();
    let observer = scene.observe(&[service], &[]);
    run(&web, &ClientSpec::fixed(&addresses, PORT, 6));
    run(&web, &ClientSpec::new(ORDERS, PORT, scene.resolver, 4).round_robin(2));
    let snapshot = after(&observer, 10);
    let orders = orders(&snapshot);
    assert_eq!(client(orders, "web")["resolution"], json!({"none": 6, "service": 4}));
    assert_eq!(endpoint(orders, "orders-0")["opened"], 8);
    assert_eq!(
        (&orders["spread"]["connections"], &orders["spread"]["peak_to_mean"]),
        (&json!(4), &json!(1.0))
    );
    assert_eq!(snapshot["quality"]["unattributed"]["no_dns"], 6);
}

#[test]
fn a_pods_own_name_is_outside_the_spread() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (service, _servers) = scene.orders(2, &ServerMode::Close);
    let observer = scene.observe(&[service], &[]);
    let by_name = |name: &str, connections| {
        run(&web, &ClientSpec::new(name, PORT, scene.resolver, connections).round_robin(2));
    };
    by_name(&format!("orders-1.{ORDERS}"), 9);
    by_name(ORDERS, 4);
    by_name(&format!("orders-1.{ORDERS}"), 1);
    let snapshot = after(&observer, 14);
    let orders = orders(&snapshot);
    assert_eq!(client(orders, "web")["resolution"], json!({"hostname": 10, "service": 4}));
    let row = endpoint(orders, "orders-1");
    assert_eq!((&row["opened"], &row["counted"]), (&json!(12), &json!(2)), "{row:#}");
    assert_eq!(cell(orders, "web", "orders-1")["resolution"], json!({"hostname": 10, "service": 2}));
    assert_eq!(
        (&orders["spread"]["connections"], &orders["spread"]["peak_to_mean"]),
        (&json!(4), &json!(1.0))
    );
}

#[test]
fn a_port_that_works_counts_for_those_who_asked_by_name() {
    const OTHER: u16 = 9090;
    let scene = Scene::new();
    let (web, scraper) = (scene.pod("web", "10.244.1.20/24"), scene.pod("scraper", "10.244.1.21/24"));
    let (service, _servers) = scene.orders(1, &ServerMode::Close);
    let pod = service.endpoints[0].pod.clone();
    pod.serve_port(OTHER).unwrap();
    let observer = scene.observe(&[service], &[]);
    run(&web, &ClientSpec::new(ORDERS, PORT, scene.resolver, 2));
    run(&web, &ClientSpec::new(ORDERS, OTHER, scene.resolver, 5));
    // The same by a client without any answer.
    run(&scraper, &ClientSpec::fixed(&pod.addresses(), OTHER, 3));
    let snapshot = unattributed(&observer, "other_port", 3);
    let orders = orders(&snapshot);
    assert_eq!((sum(orders, "opened"), sum(orders, "counted")), (7, 7), "{orders:#}");
    let port = &orders["clients"][0]["other_ports"][0];
    assert_eq!((&port["port"], &port["opened"]), (&json!(OTHER), &json!(5)), "{orders:#}");
    assert_eq!(orders["clients"].as_array().unwrap().len(), 1, "{orders:#}");
}

#[test]
fn the_port_tells_services_apart_and_none_means_any() {
    const OTHER: u16 = 9090;
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let ([orders, audit], addresses) = two_services(&scene);
    let audit = ServiceSpec { ports: vec![("main".to_owned(), OTHER)], ..audit };
    let peer = scene.pod("peer-0", "10.244.1.110/24");
    let peers = ServiceSpec {
        ports: Vec::new(),
        ..ServiceSpec::new("shop", "peers", PORT, std::slice::from_ref(&peer))
    };
    for pod in orders.endpoints.iter().map(|endpoint| &endpoint.pod).chain([&peer]) {
        pod.serve_port(OTHER).unwrap();
    }
    peer.serve_port(PORT).unwrap();
    let peers_name = peers.domain(crate::ZONE);
    let observer = scene.observe(&[orders, audit, peers], &[]);
    run(&web, &ClientSpec::fixed(&addresses, PORT, 2));
    run(&web, &ClientSpec::fixed(&addresses, OTHER, 4));
    for port in [PORT, OTHER] {
        run(&web, &ClientSpec::new(&peers_name, port, scene.resolver, 5));
    }
    let snapshot = after(&observer, 16);
    for (name, connections, resolution) in
        [("orders", 2, "none"), ("audit", 4, "none"), ("peers", 10, "service")]
    {
        let service = service(&snapshot, name);
        assert_eq!(sum(service, "opened"), connections, "{service:#}");
        assert_eq!(client(service, "web")["resolution"], json!({resolution: connections}));
    }
    assert_eq!(snapshot["quality"]["unattributed"]["other_port"], 0);
}
