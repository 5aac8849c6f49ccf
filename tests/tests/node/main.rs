//! One node, real traffic: compares the daemon's report with the servers' counts.
//!
//! Each file is one subject. A [`Scene`] is a lab with one node, a DNS server and a Service `orders` in namespace
//! `shop`; the daemon runs on this machine's kernel, outside of all pods.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

mod attribution;
mod balancer;
mod capabilities;
mod channels;
mod clock;
mod commands;
mod connections;
mod container;
mod control_group;
mod dns;
mod failures;
mod false_attribution;
mod families;
mod faults;
mod hostile;
mod hostile_names;
mod http_load;
mod identity;
mod learned;
mod load;
mod many_clients;
mod memory;
mod mesh;
mod one_shot;
mod redirected_dns;
mod refusals;
mod restart;
mod seccomp;
mod shop;
mod snapshot_figures;
mod soak;
mod stale;
mod standby;
mod totals;
mod unsolicited_dns;
mod ways_to_connect;
mod web;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lab::*;
use serde_json::Value;

/// The time that an event may take from the kernel to the report.
const PATIENCE: Duration = Duration::from_secs(60);
/// The port of all Services and pods.
const PORT: u16 = 8080;
/// The DNS zone.
const ZONE: &str = "cluster.local";
/// The Service's DNS name.
const ORDERS: &str = "orders.shop.svc.cluster.local";

/// A node with a DNS server.
struct Scene {
    lab: Lab,
    node: Node,
    dns: DnsServer,
    resolver: SocketAddr,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new().unwrap();
        let node = lab.node("n1").unwrap();
        let server = node.pod(
            PodSpec::new("kube-system", "dns").address("10.244.1.53/24").address("fd00:10:244:1::53/64"),
        );
        let server = server.unwrap();
        let dns = server.dns(&DnsSpec::new(server.sockets(53))).unwrap();
        let resolver = dns.addresses()[0];
        Self { lab, node, dns, resolver }
    }

    /// A pod of namespace `shop`.
    fn pod(&self, name: &str, address: &str) -> Pod {
        self.node.pod(PodSpec::new("shop", name).address(address)).unwrap()
    }

    /// `count` pods `orders-N` at 10.244.1.100 and up, each with a server.
    fn orders(&self, count: u8, mode: &ServerMode) -> (ServiceSpec, Vec<Server>) {
        let pods: Vec<Pod> = (0..count)
            .map(|n| self.pod(&format!("orders-{n}"), &format!("10.244.1.{}/24", 100 + n)))
            .collect();
        let servers = pods
            .iter()
            .map(|pod| pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(*mode)).unwrap())
            .collect();
        (ServiceSpec::new("shop", "orders", PORT, &pods), servers)
    }

    /// Writes these Services to DNS and to the manifests, and starts the daemon with them.
    fn observe(&self, services: &[ServiceSpec], options: &[&str]) -> Observer {
        for (name, data) in services.iter().flat_map(|service| service.records(ZONE)) {
            self.dns.set(&name, 30, data).unwrap();
        }
        let path = self.lab.write_manifests("services.yaml", services).unwrap();
        let topology = format!("files:{}", path.display());
        let options: Vec<&str> = ["--topology", &topology].iter().chain(options).copied().collect();
        Observer::start(&self.lab, &ObserverSpec::new(&options)).unwrap()
    }
}

/// The Service `shop/orders` of a snapshot.
fn orders(snapshot: &Value) -> &Value {
    service(snapshot, "orders")
}

/// A Service of namespace `shop`.
fn service<'a>(snapshot: &'a Value, name: &str) -> &'a Value {
    let found = snapshot["services"]
        .as_array()
        .unwrap()
        .iter()
        .find(|service| service["namespace"] == "shop" && service["name"] == name);
    found.unwrap_or_else(|| panic!("no Service shop/{name} in {snapshot:#}"))
}

/// (client, pod) → opened connections, without zeros.
fn opened(service: &Value) -> BTreeMap<(String, String), u64> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut cells = BTreeMap::new();
    for client in service["clients"].as_array().unwrap() {
        for endpoint in client["endpoints"].as_array().unwrap() {
            let opened = endpoint["opened"].as_u64().unwrap();
            if opened > 0 {
                *cells.entry((text(&client["workload"]), text(&endpoint["pod"]))).or_default() += opened;
            }
        }
    }
    cells
}

/// The same from the servers of this Service's pods.
fn accepted(lab: &Lab) -> BTreeMap<(String, String), u64> {
    let rows = lab.truth().unwrap().into_iter();
    rows.filter(|row| row.accepted > 0).map(|row| ((row.client, row.pod), row.accepted)).collect()
}

/// Sum of a field over a Service's endpoints.
fn sum(service: &Value, figure: &str) -> u64 {
    service["endpoints"].as_array().unwrap().iter().map(|endpoint| endpoint[figure].as_u64().unwrap()).sum()
}
