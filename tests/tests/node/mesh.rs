//! Service meshes: an application's connection through a proxy is one connection, the application's.

use lab::*;
use serde_json::{Value, json};

use crate::snapshot_figures::client;
use crate::{ORDERS, PATIENCE, PORT, Scene, accepted, opened, orders, service, sum};

/// Waits for this many connections of a Service, and for this many excluded as a proxy's.
fn after(observer: &Observer, name: &str, connections: u64, proxied: u64) -> Value {
    let reached = |snapshot: &Value| {
        sum(service(snapshot, name), "opened") >= connections
            && snapshot["quality"]["excluded"]["proxy"].as_u64().unwrap() >= proxied
    };
    observer.snapshot_when(PATIENCE, reached).unwrap()
}

fn open(pod: &Pod, scene: &Scene, name: &str, connections: u64) -> Client {
    let client = pod.client(&ClientSpec::new(name, PORT, scene.resolver, 0)).unwrap();
    let report = client.open(connections).unwrap();
    assert_eq!(report.open, connections, "{report:?}");
    client
}

#[test]
fn a_sidecar_is_not_counted_beside_its_application() {
    for container in ["istio-proxy", "linkerd-proxy"] {
        let scene = Scene::new();
        let web = PodSpec::new("shop", "web-0")
            .address("10.244.1.5/24")
            .sidecar(container)
            .workload("Deployment", "web");
        let web = scene.node.pod(web).unwrap();
        let (orders_service, _servers) = scene.orders(3, &ServerMode::Hold);
        let observer = scene.observe(&[orders_service], &[]);
        let _proxy = web.mesh(&web).unwrap();

        let _open = open(&web, &scene, ORDERS, 12);
        let snapshot = after(&observer, "orders", 12, 12);
        assert_eq!(
            opened(orders(&snapshot)),
            accepted(&scene.lab),
            "{container}: the servers count the same"
        );
        assert_eq!(client(orders(&snapshot), "web")["resolution"], json!({"service": 12}), "{container}");
        assert_eq!(snapshot["quality"]["excluded"]["proxy"], 12, "{container}: the proxy's own");
    }
}

#[test]
fn what_a_servers_own_proxy_delivers_is_no_connection_of_the_server_to_itself() {
    let scene = Scene::new();
    let behind = PodSpec::new("shop", "orders-0").address("10.244.1.100/24").sidecar("istio-proxy");
    let behind = scene.node.pod(behind).unwrap();
    let web = scene.pod("web-0", "10.244.1.5/24");
    let server = behind.serve(&ServerSpec::new(behind.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
    let observer =
        scene.observe(&[ServiceSpec::new("shop", "orders", PORT, std::slice::from_ref(&behind))], &[]);
    let _proxy = behind.mesh(&behind).unwrap();

    let _open = open(&web, &scene, ORDERS, 4);
    let snapshot = after(&observer, "orders", 4, 4);
    assert_eq!(opened(orders(&snapshot)), [(("web-0".into(), "orders-0".into()), 4)].into());
    assert_eq!(snapshot["quality"]["excluded"]["proxy"], 4, "from the proxy to the server");
    let from: Vec<_> = server.accepted().unwrap().into_iter().collect();
    assert_eq!(from, [("127.0.0.6".parse().unwrap(), 4)], "they did go through it");
}

#[test]
fn a_proxy_of_the_node_is_not_counted_beside_the_pods_it_serves() {
    let scene = Scene::new();
    let ztunnel = PodSpec::new("istio-system", "ztunnel-x7k2p").address("10.244.1.9/24");
    let ztunnel = ztunnel.known_as("istio-proxy", "ztunnel").workload("DaemonSet", "ztunnel");
    let ztunnel = scene.node.pod(ztunnel).unwrap();
    let web = scene.pod("web-0", "10.244.1.5/24");
    let (orders_service, _servers) = scene.orders(2, &ServerMode::Hold);
    let observer = scene.observe(&[orders_service], &[]);
    let _proxy = web.mesh(&ztunnel).unwrap();

    let _open = open(&web, &scene, ORDERS, 6);
    let snapshot = after(&observer, "orders", 6, 6);
    assert_eq!(opened(orders(&snapshot)), accepted(&scene.lab));
    assert_eq!(orders(&snapshot)["clients"].as_array().unwrap().len(), 1, "web-0 alone");
    assert_eq!(snapshot["quality"]["excluded"]["proxy"], 6);
}
