//! One Service with everything that a dashboard can show: even and pinned clients, an idle pod, pods that come and go,
//! wrong ports, failures, truncated, outdated and missing DNS answers.
//!
//! It runs until it is dropped.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use lab::dns::Order;
use lab::*;

/// The port of all Services and pods.
const PORT: u16 = 8080;
/// The Service's DNS name.
const ORDERS: &str = "orders.shop.svc.cluster.local";
const MANIFESTS: &str = "services.yaml";

/// Service `shop/orders`, its clients and the daemon that observes them.
pub(crate) struct Market {
    pub(crate) lab: Lab,
    pub(crate) observer: Observer,
    node: Node,
    /// Sends complete answers.
    dns: DnsServer,
    /// Truncates answers over UDP.
    short: DnsServer,
    pods: Vec<Pod>,
    _clients: Vec<Client>,
}

impl Market {
    /// Four ready pods, of which DNS lists three.
    pub(crate) fn open() -> Self {
        let lab = Lab::new().unwrap();
        let node = lab.node("n1").unwrap();
        let dns = |name: &str, address: &str, options| {
            let pod = node.pod(PodSpec::new("kube-system", name).address(address)).unwrap();
            pod.dns(&DnsSpec { options, ..DnsSpec::new(pod.sockets(53)) }).unwrap()
        };
        let shuffled = DnsOptions { order: Order::Shuffle, ..DnsOptions::default() };
        let short = dns("short", "10.244.1.54/24", DnsOptions { udp_limit: Some(80), ..shuffled.clone() });
        let dns = dns("dns", "10.244.1.53/24", shuffled);
        let pods: Vec<Pod> = (0..4).map(|n| server(&node, n)).collect();
        for dns in [&dns, &short] {
            list(dns, &pods[..3]);
        }
        // The manifests have the clients from the start; otherwise they would get new series when the daemon learns
        // their names.
        let clients = clients(&node, dns.addresses()[0], short.addresses()[0]);
        let topology = publish(&lab, &pods);
        // The endpoints are in another zone, so all bytes cross.
        let options = ["--topology", &topology, "--zone", "west"];
        let observer = Observer::start(&lab, &ObserverSpec::new(&options)).unwrap();
        let clients = clients.iter().map(|(pod, spec)| pod.client(spec).unwrap()).collect();
        Self { lab, observer, node, dns, short, pods, _clients: clients }
    }

    /// A pod becomes ready, and DNS lists it.
    pub(crate) fn grow(&mut self) {
        let next = u8::try_from(self.pods.len()).unwrap();
        self.pods.push(server(&self.node, next));
        publish(&self.lab, &self.pods);
        let listed: Vec<Pod> = self.pods.iter().filter(|pod| pod.name() != "orders-3").cloned().collect();
        list(&self.dns, &listed);
    }

    /// The first pod leaves the Service, but DNS still lists it and it still accepts connections.
    pub(crate) fn shrink(&mut self) {
        self.pods.remove(0);
        publish(&self.lab, &self.pods);
    }

    /// One DNS server has no records for a while, and another one sends malformed responses.
    pub(crate) fn confuse(&self) {
        let options = DnsOptions { order: Order::Shuffle, udp_limit: Some(80), ..DnsOptions::default() };
        self.short.set_options(&DnsOptions { rcode: Some(3), ..options.clone() }).unwrap();
        let nonsense = || {
            let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
            let server = UdpSocket::bind(loopback(53))?;
            let client = UdpSocket::bind(loopback(0))?;
            client.connect(server.local_addr()?)?;
            client.send(b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01")?;
            // A response to one question, which is malformed after that.
            server
                .send_to(b"\x00\x01\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00\xff\xff", client.local_addr()?)?;
            Ok(())
        };
        // Longer than several queries and scrapes take on a slow machine: a counter without a second value has no rate.
        for _ in 0..8 {
            self.node.run(nonsense).unwrap();
            thread::sleep(Duration::from_secs(1));
        }
        self.short.set_options(&options).unwrap();
    }
}

fn server(node: &Node, n: u8) -> Pod {
    let spec = PodSpec::new("shop", &format!("orders-{n}")).address(&format!("10.244.1.{}/24", 100 + n));
    let pod = node.pod(spec).unwrap();
    pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
    pod
}

fn list(dns: &DnsServer, pods: &[Pod]) {
    let addresses: Vec<_> = pods.iter().map(|pod| pod.ip(true).unwrap()).collect();
    dns.set_addresses(ORDERS, &addresses).unwrap();
}

/// Returns the value of `--topology`.
fn publish(lab: &Lab, pods: &[Pod]) -> String {
    let mut service = ServiceSpec::new("shop", "orders", PORT, pods);
    service.endpoints.iter_mut().for_each(|endpoint| endpoint.zone = Some("east".to_owned()));
    format!("files:{}", lab.write_manifests(MANIFESTS, &[service]).unwrap().display())
}

/// Pods, and each one's client.
fn clients(node: &Node, dns: SocketAddr, short: SocketAddr) -> Vec<(Pod, ClientSpec)> {
    // As long as the market runs.
    let endless = |port, dns, rate| ClientSpec::new(ORDERS, port, dns, u64::MAX).rate(rate);
    let brief = |spec: ClientSpec| spec.dial(|dial| (dial.send, dial.hold_ms) = (1000, 100));
    let specs = [
        ("web", brief(endless(PORT, dns, 5.0)).random()),
        ("pinned", brief(endless(PORT, dns, 5.0))),
        // Keeps using its first answer.
        ("loyal", brief(endless(PORT, dns, 3.0)).round_robin(0).never_again()),
        ("astray", endless(PORT + 1, dns, 1.0)),
        ("cut", brief(endless(PORT, short, 2.0)).random()),
        // Each look finds connections that are open.
        ("pool", ClientSpec::new(ORDERS, PORT, dns, 6).random().keep()),
    ];
    let mut last = 20;
    specs
        .map(|(name, spec)| {
            last += 1;
            let pod = PodSpec::new("shop", name).address(&format!("10.244.1.{last}/24"));
            (node.pod(pod.workload("StatefulSet", name)).unwrap(), spec)
        })
        .into()
}
