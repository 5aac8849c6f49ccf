//! Socket-level load balancers: a program at `connect()` sends what a client dials to a pod. Such connections are the
//! balancer's choice and belong to no headless Service of the same pods.

use std::net::SocketAddr;
use std::path::Path;

use lab::client::Families;
use lab::socket_balancer::SocketBalancer;
use lab::*;
use serde_json::Value;

use crate::{ORDERS, PATIENCE, PORT, Scene, opened, orders};

/// Connections of each client.
const CONNECTIONS: u64 = 200;

/// A ClusterIP, of either family, and its port.
fn cluster_ip(is_ipv6: bool) -> SocketAddr {
    if is_ipv6 { "[fd00:10:96::10]:80" } else { "10.96.0.10:80" }.parse().unwrap()
}

fn connect(pod: &Pod, spec: &ClientSpec) {
    let report = pod.client(spec).unwrap().wait().unwrap();
    assert_eq!(report.total().connected, spec.connections, "{report:?}");
}

/// Opens connections to the ClusterIP and to the headless Service, with a balancer at `place`; returns the snapshot.
#[track_caller]
fn observe(scene: &Scene, is_ipv6: bool, is_mapped: bool, place: &Path) -> Value {
    let pods: Vec<Pod> = (0..3)
        .map(|n| {
            let spec = PodSpec::new("shop", &format!("orders-{n}"))
                .address(&format!("10.244.1.{}/24", 100 + n))
                .address(&format!("fd00:10:244:1::{}/64", 100 + n));
            scene.node.pod(spec).unwrap()
        })
        .collect();
    let _servers: Vec<Server> = pods
        .iter()
        .map(|pod| pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Close)).unwrap())
        .collect();
    let mut balancer = SocketBalancer::attach(place).unwrap();
    let backends: Vec<SocketAddr> =
        pods.iter().map(|pod| SocketAddr::new(pod.ip(!is_ipv6).unwrap(), PORT)).collect();
    balancer.forward(cluster_ip(is_ipv6), &backends).unwrap();
    let [one, other] = ["one", "other"].map(|name| {
        let last = if name == "one" { 20 } else { 21 };
        let spec = PodSpec::new("shop", name)
            .address(&format!("10.244.1.{last}/24"))
            .address(&format!("fd00:10:244:1::{last}/64"));
        scene.node.pod(spec).unwrap()
    });
    let service = ServiceSpec::new("shop", "orders", PORT, &pods);
    let observer = scene.observe(&[service], &[]);

    let families = if is_ipv6 { Families::V6 } else { Families::V4 };
    let by_name = ClientSpec::new(ORDERS, PORT, scene.resolver, CONNECTIONS)
        .random()
        .stub(|stub| stub.families = families);
    let dialled = ClientSpec::fixed(&[cluster_ip(is_ipv6).ip()], cluster_ip(is_ipv6).port(), CONNECTIONS)
        .dial(|dial| dial.mapped = is_mapped);
    connect(&one, &dialled);
    // The same client knows the pods' addresses by name, and then dials the ClusterIP as well.
    connect(&other, &by_name);
    connect(&other, &dialled);
    let all = |snapshot: &Value| snapshot["quality"]["attempts"]["seen"].as_u64() >= Some(3 * CONNECTIONS);
    observer.snapshot_when(PATIENCE, all).unwrap()
}

/// The ClusterIP's connections are in no figure of the headless Service, and its own all are.
#[track_caller]
fn are_apart(snapshot: &Value) {
    let quality = &snapshot["quality"];
    assert_eq!(quality["excluded"]["load_balanced"], 2 * CONNECTIONS, "{quality:#}");
    // Before Linux 6.17, what processes in the root itself dial is not known.
    assert!(quality["probes"]["connects"].as_str().unwrap().starts_with("cgroup/connect"), "{quality:#}");
    let cells = opened(orders(snapshot));
    assert!(cells.keys().all(|(client, _)| client == "other"), "{cells:?}");
    assert_eq!(cells.values().sum::<u64>(), CONNECTIONS, "{cells:?}");
    let resolution = &crate::snapshot_figures::client(orders(snapshot), "other")["resolution"];
    assert_eq!(*resolution, serde_json::json!({"service": CONNECTIONS}));
}

#[test]
fn what_a_balancer_above_the_pods_chooses_is_not_the_headless_services() {
    for (is_ipv6, is_mapped) in [(false, false), (true, false), (false, true)] {
        let scene = Scene::new();
        let place = scene.lab.cgroup().to_owned();
        are_apart(&observe(&scene, is_ipv6, is_mapped, &place));
    }
}

/// At the root of all cgroups, where the daemon's own programs are, too.
#[test]
fn what_a_balancer_at_the_same_cgroup_chooses_is_not_the_headless_services() {
    for is_ipv6 in [false, true] {
        let scene = Scene::new();
        let root = scene.lab.cgroup().parent().unwrap().to_owned();
        are_apart(&observe(&scene, is_ipv6, false, &root));
    }
}

/// A name server behind a balancer, asked over a connected socket and over one that is not.
#[test]
fn a_name_server_behind_a_balancer_is_heard() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(3, &ServerMode::Close);
    let frontend: SocketAddr = "10.96.0.53:53".parse().unwrap();
    let mut balancer = SocketBalancer::attach(scene.lab.cgroup()).unwrap();
    balancer.forward(frontend, &[scene.resolver]).unwrap();
    let web = scene.pod("web", "10.244.1.20/24");
    let observer = scene.observe(&[service], &[]);
    connect(&web, &ClientSpec::new(ORDERS, PORT, frontend, CONNECTIONS).random());
    let all = |snapshot: &Value| snapshot["quality"]["attempts"]["seen"].as_u64() >= Some(CONNECTIONS);
    let snapshot = observer.snapshot_when(PATIENCE, all).unwrap();
    let resolution = &crate::snapshot_figures::client(orders(&snapshot), "web")["resolution"];
    assert_eq!(*resolution, serde_json::json!({"service": CONNECTIONS}));
    assert_eq!(snapshot["quality"]["dns_refused"]["unsolicited"], 0);
}

#[test]
fn nothing_is_attached_where_nobody_balances() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(1, &ServerMode::Close);
    let observer = scene.observe(&[service], &[]);
    let snapshot = observer.snapshot().unwrap();
    assert!(snapshot["quality"]["probes"].get("connects").is_none(), "{snapshot:#}");
    let ours = bpf_objects::held_by(observer.pid()).unwrap();
    let names = bpf_objects::loaded();
    let held: Vec<_> = ours.iter().filter_map(|object| names.get(object)).collect();
    assert!(held.iter().any(|name| *name == "tcp_state"), "{held:?}");
    assert!(!held.iter().any(|name| name.starts_with("headless_conn")), "{held:?}");
}
