//! Tests of the lab itself, as root: other tests rely on its truth.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod cleanup;
mod dns;
mod network;
mod outcomes;
mod traffic;

use std::net::{IpAddr, SocketAddr};

use lab::{DnsServer, DnsSpec, Node, Pod, PodSpec, TruthRow};

const ZONE: &str = "cluster.local";
const NAME: &str = "orders.shop.svc.cluster.local";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A pod of the namespace `shop` without a workload.
fn pod(node: &Node, name: &str, addresses: &[&str]) -> Pod {
    let spec = addresses.iter().fold(PodSpec::new("shop", name), |spec, address| spec.address(address));
    node.pod(spec).unwrap()
}

/// A row of the truth for a client and a pod of `shop`.
fn row(client: &str, pod: &str, accepted: u64) -> TruthRow {
    let [client, namespace, pod] = [client, "shop", pod].map(str::to_owned);
    TruthRow { client, namespace, pod, accepted }
}

/// Three pods with servers on port 80, and their addresses.
fn orders(node: &Node) -> (Vec<Pod>, Vec<IpAddr>) {
    let pods: Vec<Pod> =
        (0..3).map(|n| pod(node, &format!("orders-{n}"), &[&format!("10.244.1.1{n}/24")])).collect();
    for pod in &pods {
        pod.serve_port(80).unwrap();
    }
    let addresses = pods.iter().flat_map(Pod::addresses).collect();
    (pods, addresses)
}

/// A DNS server in its own pod, on the usual port.
fn dns_server(node: &Node) -> (DnsServer, SocketAddr) {
    let pod = pod(node, "dns", &["10.244.1.2/24", "fd00:10:244:1::2/64"]);
    let server = pod.dns(&DnsSpec::new(pod.sockets(53))).unwrap();
    let address = server.addresses()[0];
    (server, address)
}
