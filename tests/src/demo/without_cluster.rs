//! The demonstration without a cluster: a DNS server that shuffles its answers, and manifests for the daemon.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use lab::dns::Order;
use lab::{
    DnsOptions, DnsServer, DnsSpec, Lab, Node, Observer, ObserverSpec, Pod, PodSpec, ResolvConf, ServiceSpec,
    TruthRow,
};

use crate::shop::{PODS, PORT, Scene, TIMES, TTL, address, callers, serve};

const ZONE: &str = "cluster.local";

/// The lab, its pods and files.
pub(crate) struct Plain {
    lab: Lab,
    node: Node,
    dns: DnsServer,
    resolver: SocketAddr,
    orders: Vec<Pod>,
    callers: Vec<Pod>,
}

impl Plain {
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let node = lab.node("demo-node")?;
        let server = node.pod(PodSpec::new("kube-system", "dns").address("10.244.1.53/24"))?;
        let dns = server.dns(&DnsSpec::new(server.sockets(53)))?;
        dns.set_options(&DnsOptions { order: Order::Shuffle, ..DnsOptions::default() })?;
        let resolver = *dns.addresses().first().context("the DNS server has no listening address")?;
        let mut plain = Self { lab, node, dns, resolver, orders: Vec::new(), callers: Vec::new() };
        for _ in 0..PODS {
            plain.add_order_pod()?;
        }
        let settings = ResolvConf::kubelet(resolver.ip(), "shop", ZONE);
        for (name, address) in callers() {
            let spec = PodSpec::new("shop", name).address(&address).resolv_conf(settings.clone());
            plain.callers.push(plain.node.pod(spec)?);
        }
        plain.publish()?;
        Ok(plain)
    }

    fn add_order_pod(&mut self) -> Result<()> {
        let n = self.orders.len();
        let pod = self.node.pod(PodSpec::new("shop", &format!("orders-{n}")).address(&address(n)))?;
        serve(&pod)?;
        self.orders.push(pod);
        Ok(())
    }

    /// Writes the present Service to DNS and to the manifests.
    fn publish(&self) -> Result<()> {
        let service = ServiceSpec::new("shop", "orders", PORT, &self.orders);
        for (name, data) in service.records(ZONE) {
            self.dns.set(&name, TTL, data)?;
        }
        self.lab.write_manifests("services.yaml", &[service]).map(drop)
    }
}

impl Scene for Plain {
    fn observe(&self) -> Result<Observer> {
        let manifests = self.lab.folder().join("services.yaml");
        let topology = format!("files:{}", manifests.display());
        Observer::start(
            &self.lab,
            &ObserverSpec::new(
                &[&TIMES[..], &["--topology", &topology, "--node", self.node.name()]].concat(),
            ),
        )
    }

    fn callers(&self) -> Vec<Pod> {
        self.callers.clone()
    }

    fn resolver(&self) -> SocketAddr {
        self.resolver
    }

    fn add_pod(&mut self) -> Result<()> {
        self.add_order_pod()?;
        self.publish()
    }

    fn truth(&self) -> Result<Vec<TruthRow>> {
        self.lab.truth()
    }
}
