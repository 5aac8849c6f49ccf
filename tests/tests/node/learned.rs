//! Without any configuration, Services and their endpoints come from DNS answers.

use std::net::IpAddr;

use lab::client::{Families, SrvHabit};
use lab::*;
use serde_json::{Value, json};

use crate::{ORDERS, PATIENCE, PORT, Scene, ZONE, sum};

/// A name that is not a Kubernetes Service's.
const DB: &str = "db.example.internal";
/// A name with a single address.
const SINGLE: &str = "single.example.internal";

/// `count` pods, numbered from `first`, each with a server.
fn servers(scene: &Scene, name: &str, first: u8, count: u8) -> Vec<(Pod, Server)> {
    let pod = |n| {
        let last = first + n;
        let spec = PodSpec::new("elsewhere", &format!("{name}-{n}"));
        let spec = spec.address(&format!("10.244.1.{last}/24")).address(&format!("fd00:10:244:1::{last}/64"));
        let pod = scene.node.pod(spec).unwrap();
        let server = pod.serve_port(PORT).unwrap();
        (pod, server)
    };
    (0..count).map(pod).collect()
}

fn addresses(servers: &[(Pod, Server)]) -> Vec<IpAddr> {
    servers.iter().map(|(pod, _)| pod.ip(true).unwrap()).collect()
}

fn observe(scene: &Scene, options: &[&str]) -> Observer {
    let options: Vec<&str> = ["--topology", "dns"].iter().chain(options).copied().collect();
    Observer::start(&scene.lab, &ObserverSpec::new(&options)).unwrap()
}

/// Connects twice to each address of a name.
fn visit(scene: &Scene, web: &Pod, name: &str, count: u64) {
    let spec = ClientSpec::new(name, PORT, scene.resolver, 2 * count).round_robin(count);
    assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, 2 * count);
}

fn find<'a>(snapshot: &'a Value, namespace: &str, name: &str) -> Option<&'a Value> {
    let mut services = snapshot["services"].as_array().unwrap().iter();
    services.find(|service| service["namespace"] == namespace && service["name"] == name)
}

/// Waits until this many connections of a Service have ended. Its endpoints must be these pods, by address, with the
/// servers' counts.
fn check(observer: &Observer, namespace: &str, name: &str, servers: &[(Pod, Server)], closed: u64) -> Value {
    let done =
        |snapshot: &_| find(snapshot, namespace, name).is_some_and(|found| sum(found, "closed") == closed);
    let snapshot = observer.snapshot_when(PATIENCE, done).unwrap();
    let service = find(&snapshot, namespace, name).unwrap();
    let rows = service["endpoints"].as_array().unwrap().iter();
    let rows: Vec<_> =
        rows.map(|row| (row["pod"].clone(), row["addresses"].clone(), row["opened"].clone())).collect();
    let truth = servers.iter().map(|(pod, server)| {
        let address = pod.ip(true).unwrap();
        (json!(address), json!([address]), json!(server.total().unwrap()))
    });
    assert_eq!(rows, truth.collect::<Vec<_>>());
    assert_eq!((sum(service, "counted"), &service["spread"]["endpoints"]), (closed, &json!(servers.len())));
    snapshot
}

#[test]
fn names_that_answer_with_several_private_addresses_are_observed() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let orders = servers(&scene, "orders", 100, 3);
    let mut db = servers(&scene, "db", 110, 4);
    let single = servers(&scene, "single", 120, 1);
    let (newcomer, known) = (db.split_off(3), db);
    scene.dns.set_addresses(ORDERS, &addresses(&orders)).unwrap();
    scene.dns.set_addresses(DB, &addresses(&known)).unwrap();
    scene.dns.set_addresses(SINGLE, &addresses(&single)).unwrap();
    let observer = observe(&scene, &[]);
    for (name, count) in [(SINGLE, 1), (ORDERS, 3), (DB, 3)] {
        visit(&scene, &web, name, count);
    }
    check(&observer, "shop", "orders", &orders, 6);
    let snapshot = check(&observer, "", DB, &known, 6);
    let client = &find(&snapshot, "", DB).unwrap()["clients"][0];
    assert_eq!((&client["opened"], &client["resolution"]), (&json!(6), &json!({"service": 6})));
    assert_eq!(client["answer_position"], json!({"0": 2, "1": 2, "2": 2}));
    let topology = &snapshot["quality"]["topology"];
    assert_eq!((&topology["source"], &topology["synced"]), (&json!("dns"), &json!(true)));
    assert_eq!(find(&snapshot, "", SINGLE), None, "a single address leaves no choice");

    let all: Vec<_> = known.into_iter().chain(newcomer).collect();
    scene.dns.set_addresses(DB, &addresses(&all)).unwrap();
    visit(&scene, &web, DB, 4);
    check(&observer, "", DB, &all, 14);
}

#[test]
fn filters_widen_and_narrow() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let orders = servers(&scene, "orders", 100, 3);
    let db = servers(&scene, "db", 110, 3);
    let single = servers(&scene, "single", 120, 1);
    scene.dns.set_addresses(ORDERS, &addresses(&orders)).unwrap();
    scene.dns.set_addresses(DB, &addresses(&db)).unwrap();
    scene.dns.set_addresses(SINGLE, &addresses(&single)).unwrap();
    let visit_all =
        || [(ORDERS, 3), (DB, 3), (SINGLE, 1)].map(|(name, count)| visit(&scene, &web, name, count));

    let only_some = observe(&scene, &["--dns-names", "*.example.internal", "--dns-names", "!db.*"]);
    let all_but_some = observe(&scene, &["--dns-names", "!*.SVC.*"]);
    visit_all();
    let snapshot = check(&only_some, "", SINGLE, &single, 2);
    assert_eq!((find(&snapshot, "", DB), find(&snapshot, "shop", "orders")), (None, None));
    let snapshot = check(&all_but_some, "", DB, &db, 6);
    assert_eq!((find(&snapshot, "", SINGLE), find(&snapshot, "shop", "orders")), (None, None));
}

#[test]
fn hosts_below_a_name_make_two_addresses_one_endpoint() {
    let scene = Scene::new();
    let web =
        scene.node.pod(PodSpec::new("shop", "web").address("10.244.1.20/24").address("fd00:10:244:1::20/64"));
    let web = web.unwrap();
    let pods: Vec<_> = servers(&scene, "orders", 100, 3);
    let endpoints: Vec<Pod> = pods.iter().map(|(pod, _)| pod.clone()).collect();
    let srv = format!("_main._tcp.{ORDERS}");
    for (name, data) in ServiceSpec::new("shop", "orders", PORT, &endpoints).records(ZONE) {
        scene.dns.set(&name, 30, data).unwrap();
    }
    let observer = observe(&scene, &[]);
    let spec = ClientSpec::new(&srv, PORT, scene.resolver, 12).round_robin(6);
    let spec = spec.stub(|stub| (stub.srv, stub.families) = (Some(SrvHabit::LookUpTargets), Families::Both));
    assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, 12);
    let done =
        |snapshot: &_| find(snapshot, "shop", "orders").is_some_and(|found| sum(found, "closed") == 12);
    let snapshot = observer.snapshot_when(PATIENCE, done).unwrap();
    let orders = find(&snapshot, "shop", "orders").unwrap();
    let rows = orders["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["pod"], &row["addresses"], &row["opened"]));
    let truth: Vec<_> = pods
        .iter()
        .map(|(pod, server)| (json!(pod.name()), json!(pod.addresses()), json!(server.total().unwrap())))
        .collect();
    assert_eq!(
        rows.collect::<Vec<_>>(),
        truth.iter().map(|(pod, addresses, count)| (pod, addresses, count)).collect::<Vec<_>>()
    );
    assert_eq!((&orders["spread"]["endpoints"], sum(orders, "counted")), (&json!(3), 12));
}
