//! Clients that use an address after it has left their Service: endpoints leave while the daemon runs, and it reads its
//! manifests again.

use lab::*;
use serde_json::{Value, json};

use crate::snapshot_figures::{cell, client, endpoint, failed};
use crate::{ORDERS, PATIENCE, PORT, Scene, orders, service, sum};

/// A client that looked `orders` up once, and opens `connections` right away to the first pod of the answer.
fn loyal(scene: &Scene, pod: &Pod, connections: u64) -> Client {
    let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, 0).never_again();
    let client = pod.client(&spec).unwrap();
    assert_eq!(client.open(connections).unwrap().open, connections);
    client
}

/// Rewrites the manifests and waits until the daemon reports this state for a pod of `orders`.
fn reload(scene: &Scene, observer: &Observer, services: &[ServiceSpec], pod: &str, state: &str) {
    scene.lab.write_manifests("services.yaml", services).unwrap();
    let arrived = |snapshot: &Value| endpoint(orders(snapshot), pod)["state"] == state;
    observer.snapshot_when(PATIENCE, arrived).unwrap();
}

/// The snapshot after this many attempts to reach `orders`.
fn after(observer: &Observer, attempts: u64) -> Value {
    let made = |service: &Value| {
        let all = service["clients"].as_array().unwrap().iter();
        all.map(|client| client["opened"].as_u64().unwrap() + client["failed"].as_u64().unwrap()).sum::<u64>()
    };
    observer.snapshot_when(PATIENCE, |snapshot| made(orders(snapshot)) >= attempts).unwrap()
}

fn stale(counts: &[(&str, u64)]) -> Value {
    let mut all = json!({"removed": 0, "terminating": 0, "not_ready": 0, "ip_reused": 0, "grace": 0});
    counts.iter().for_each(|(kind, count)| all[kind] = json!(count));
    all
}

#[test]
fn endpoints_on_their_way_out_are_told_from_ready_ones() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (ready, _servers) = scene.orders(2, &ServerMode::Hold);
    let observer = scene.observe(std::slice::from_ref(&ready), &[]);
    let client = loyal(&scene, &web, 1);
    let mut expected = Vec::new();
    let mut dial = |service: ServiceSpec, state: &'static str, connections, expect| {
        reload(&scene, &observer, &[service], "orders-0", state);
        let before = after(&observer, 1);
        client.open(connections).unwrap();
        let made = sum(orders(&before), "opened") + connections;
        expected.push(expect);
        let snapshot = after(&observer, made);
        assert_eq!(orders(&snapshot)["stale"], stale(&expected), "{state}");
        assert_eq!(endpoint(orders(&snapshot), "orders-0")["opened"], made, "{state}");
    };
    let with = |change: &dyn Fn(&mut EndpointSpec)| {
        let mut service = ready.clone();
        change(&mut service.endpoints[0]);
        service
    };
    dial(with(&|endpoint| endpoint.serving = false), "not_ready", 2, ("not_ready", 2));
    // DNS still lists it: it is an endpoint like others, whose pod is not ready.
    let published = ServiceSpec { publish_not_ready: true, ..with(&|endpoint| endpoint.serving = false) };
    dial(published, "ready", 1, ("not_ready", 3));
    dial(with(&|endpoint| endpoint.terminating = true), "terminating", 3, ("terminating", 3));
    let gone = ServiceSpec { endpoints: ready.endpoints[1..].to_vec(), ..ready.clone() };
    dial(gone, "removed", 4, ("removed", 4));

    // Finally the pod itself goes: a failed attempt is as stale as a successful one.
    let pod = &ready.endpoints[0].pod;
    pod.remove().unwrap();
    assert_eq!(client.open(5).unwrap().total().unreachable, 5);
    let snapshot = after(&observer, 16);
    let orders = orders(&snapshot);
    assert_eq!(orders["stale"], stale(&[("not_ready", 3), ("terminating", 3), ("removed", 9)]));
    assert_eq!(endpoint(orders, "orders-0")["failed"], failed(&[("unreachable", 5)]));
    assert_eq!(orders["spread"]["endpoints"], 1);
    assert_eq!(cell(orders, "web", "orders-1")["opened"], 0);
}

#[test]
fn an_address_that_goes_to_another_service_is_not_confused() {
    let scene = Scene::new();
    let [web, auditor] =
        [("web", 20), ("auditor", 21)].map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    let (before, _servers) = scene.orders(2, &ServerMode::Close);
    let observer = scene.observe(std::slice::from_ref(&before), &[]);
    let client_of_orders = loyal(&scene, &web, 1);
    let old = &before.endpoints[0].pod;
    let address = old.ip(true).unwrap();
    // The server must have seen the end of the first connection before its pod goes.
    observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 1).unwrap();
    old.remove().unwrap();

    // The same address in another pod of another Service.
    let new = scene.pod("audit-0", &format!("{address}/24"));
    new.serve_port(PORT).unwrap();
    let orders_now = ServiceSpec { endpoints: before.endpoints[1..].to_vec(), ..before.clone() };
    let audit = ServiceSpec::new("shop", "audit", PORT, &[new]);
    let audit_name = audit.domain(crate::ZONE);
    scene.dns.set_addresses(&audit_name, &[address]).unwrap();
    reload(&scene, &observer, &[orders_now, audit], "orders-0", "removed");
    assert_eq!(client_of_orders.open(4).unwrap().total().connected, 5);
    let spec = ClientSpec::new(&audit_name, PORT, scene.resolver, 6);
    assert_eq!(auditor.client(&spec).unwrap().wait().unwrap().total().connected, 6);

    let closed = |snapshot: &Value, name| sum(service(snapshot, name), "closed");
    let done = |snapshot: &Value| closed(snapshot, "audit") + closed(snapshot, "orders") >= 11;
    let snapshot = observer.snapshot_when(PATIENCE, done).unwrap();
    let (orders, audit) = (orders(&snapshot), service(&snapshot, "audit"));
    assert_eq!(orders["stale"], stale(&[("ip_reused", 4)]), "{orders:#}");
    assert_eq!(cell(orders, "web", "orders-0")["opened"], 5);
    assert_eq!(audit["stale"], stale(&[]), "{audit:#}");
    assert_eq!(endpoint(audit, "audit-0")["opened"], 6);
    assert_eq!(client(audit, "auditor")["resolution"], json!({"service": 6}));
    assert_eq!(
        audit["clients"].as_array().unwrap().len(),
        1,
        "the client of orders is none of audit: {audit:#}"
    );
    assert_eq!(snapshot["quality"]["unattributed"]["ambiguous"], 0);
}
