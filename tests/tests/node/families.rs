//! IPv4 and IPv6, alone and together, and IPv6 sockets that use IPv4.

use std::net::{IpAddr, SocketAddr};

use lab::client::Families;
use lab::*;
use serde_json::{Value, json};

use crate::ways_to_connect::{EACH, PODS, Way, check, client, pods};
use crate::{ORDERS, PORT, Scene, orders};

/// Pods `orders-N` with one address of each of these families, each with a server.
fn endpoints(scene: &Scene, families: &[bool]) -> ServiceSpec {
    let pods: Vec<Pod> = (0..PODS)
        .map(|n| {
            let address = |is_v4: &bool| match is_v4 {
                true => format!("10.244.1.{}/24", 100 + n),
                false => format!("fd00:10:244:1::{}/64", 100 + n),
            };
            let name = format!("orders-{n}");
            let spec =
                families.iter().fold(PodSpec::new("shop", &name), |spec, v4| spec.address(&address(v4)));
            let pod = scene.node.pod(spec).unwrap();
            pod.serve_port(PORT).unwrap();
            pod
        })
        .collect();
    ServiceSpec::new("shop", "orders", PORT, &pods)
}

/// The DNS server's IPv6 address.
fn resolver_v6(scene: &Scene) -> SocketAddr {
    scene.dns.addresses().iter().copied().find(SocketAddr::is_ipv6).unwrap()
}

/// The same server's address for an IPv6 socket that uses IPv4.
fn resolver_mapped(scene: &Scene) -> SocketAddr {
    let IpAddr::V4(address) = scene.resolver.ip() else { panic!("{} is no IPv4 address", scene.resolver) };
    SocketAddr::new(address.to_ipv6_mapped().into(), scene.resolver.port())
}

#[test]
fn ipv6_alone() {
    for hook in ["tp_btf", "tracepoint"] {
        let scene = Scene::new();
        let service = endpoints(&scene, &[false]);
        let way = |pod| Way::new(pod, &scene, ORDERS).stub(|stub| stub.families = Families::V6);
        let resolver = resolver_v6(&scene);
        let ways = [
            way("all-v6").stub(|stub| stub.server = resolver),
            way("stream").stub(|stub| (stub.server, stub.tcp) = (resolver, true)),
            way("asks-over-v4"),
            way("non-blocking").stub(|stub| stub.server = resolver).dial(|dial| dial.nonblocking = true),
        ];
        let pods = pods(&scene, &ways);
        let observer = scene.observe(&[service], &["--tcp-hook", hook]);
        let snapshot = check(&scene, &observer, &ways, &pods);
        assert_eq!(orders(&snapshot)["spread"]["endpoints"], PODS);
        assert_eq!(snapshot["quality"]["probes"]["tcp"], hook);
    }
}

#[test]
fn ipv4_by_way_of_ipv6_sockets_and_without_waiting() {
    for hook in ["tp_btf", "tracepoint"] {
        let scene = Scene::new();
        let service = endpoints(&scene, &[true]);
        let way = |pod| Way::new(pod, &scene, ORDERS);
        let mapped = resolver_mapped(&scene);
        let ways = [
            way("mapped").dial(|dial| dial.mapped = true),
            way("all-mapped").stub(|stub| stub.server = mapped).dial(|dial| dial.mapped = true),
            way("mapped-stream").stub(|stub| (stub.server, stub.tcp) = (mapped, true)),
            way("non-blocking").dial(|dial| dial.nonblocking = true),
            way("mapped-non-blocking").dial(|dial| (dial.mapped, dial.nonblocking) = (true, true)),
        ];
        let pods = pods(&scene, &ways);
        let observer = scene.observe(&[service], &["--tcp-hook", hook]);
        let snapshot = check(&scene, &observer, &ways, &pods);
        let addresses =
            orders(&snapshot)["endpoints"].as_array().unwrap().iter().map(|row| &row["addresses"]);
        assert_eq!(
            addresses.cloned().collect::<Value>(),
            json!([["10.244.1.100"], ["10.244.1.101"], ["10.244.1.102"]])
        );
        assert_eq!(snapshot["quality"]["probes"]["tcp"], hook);
    }
}

#[test]
fn a_pod_with_two_addresses_is_one_endpoint() {
    let scene = Scene::new();
    let service = endpoints(&scene, &[true, false]);
    let way = |pod, families| Way::new(pod, &scene, ORDERS).stub(|stub| stub.families = families);
    // Six addresses of three pods, each once.
    let both =
        Way { spec: way("both", Families::Both).spec.round_robin(EACH), ..way("both", Families::Both) };
    let ways = [both, way("only-v4", Families::V4), way("only-v6", Families::V6)];
    let pods = pods(&scene, &ways);
    let observer = scene.observe(&[service], &[]);
    let snapshot = check(&scene, &observer, &ways, &pods);
    let orders = orders(&snapshot);
    let endpoints = orders["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), usize::from(PODS));
    for (n, endpoint) in endpoints.iter().enumerate() {
        assert_eq!(endpoint["pod"], format!("orders-{n}"));
        let addresses = [format!("10.244.1.{}", 100 + n), format!("fd00:10:244:1::{}", 100 + n)];
        assert_eq!(endpoint["addresses"], json!(addresses));
        assert_eq!(endpoint["opened"], 6, "two of each client, whatever the family");
    }
    assert_eq!((&orders["spread"]["endpoints"], &orders["spread"]["coverage"]), (&json!(PODS), &json!(1.0)));
    assert_eq!(orders["spread"]["jain"], 1.0);
    assert_eq!(orders["dns"]["completeness"], 1.0, "an answer has no more than its family's addresses");
    for row in client(orders, "both")["endpoints"].as_array().unwrap() {
        assert_eq!(row["opened"], 2);
    }
}
