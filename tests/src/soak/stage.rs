//! The environment: three Services, their pods, a DNS server, and the manifests and DNS records.
//!
//! Most clients use `orders`; its pods come and go. `large` has so many pods that its answers need TCP. Behind `broken`
//! one pod refuses connections and one does not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ipnet::{Ipv4Net, Ipv6Net};
use lab::dns::{Data, Order};
use lab::{
    DnsOptions, DnsServer, DnsSpec, Lab, Node, NodeSpec, Observer, ObserverSpec, Pod, PodSpec, ResolvConf,
    Server, ServerMode, ServerSpec, ServiceSpec,
};

/// The port of all Services and pods.
pub(crate) const PORT: u16 = 8080;
const ZONE: &str = "cluster.local";
const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 246, 0, 53);
/// Number of pods behind `orders` at the beginning.
const ORDERS: usize = 5;
/// Number of addresses that pods of `orders` take in turn, so that addresses are reused.
const ADDRESSES: u32 = 40;
/// Number of pods behind `large`: too many for an answer of 512 bytes.
const LARGE: u8 = 36;

/// A pod of `orders`.
pub(crate) struct Backend {
    pod: Pod,
    server: Server,
}

/// Everything apart from the daemons and the clients' traffic.
pub(crate) struct Stage<'a> {
    pub(crate) lab: &'a Lab,
    node: Node,
    dns_pod: Pod,
    dns: DnsServer,
    orders: Vec<Backend>,
    large: Vec<Pod>,
    broken: Vec<Pod>,
    callers: BTreeMap<&'static str, Pod>,
    /// Pods of `orders` and clients made so far.
    made: u32,
    /// Manifests written so far.
    written: u32,
    /// Names that the DNS server knows.
    names: BTreeSet<String>,
}

impl<'a> Stage<'a> {
    /// Uses a range of addresses that no other lab has, because it may run for long while other labs run.
    pub(crate) fn new(lab: &'a Lab) -> Result<Self> {
        let node = lab.node_with(NodeSpec {
            name: "soak".to_owned(),
            gateway_v4: Ipv4Net::new(Ipv4Addr::new(10, 246, 0, 1), 16)?,
            gateway_v6: Ipv6Net::new("fd00:10:246::1".parse()?, 64)?,
            addresses: vec![Ipv4Addr::new(172, 18, 46, 1).into()],
        })?;
        let dns_pod = node.pod(PodSpec::new("kube-system", "dns").address(&format!("{RESOLVER}/16")))?;
        let dns = dns_pod.dns(&DnsSpec { options: options(), ..DnsSpec::new(dns_pod.sockets(53)) })?;
        let mut stage = Self {
            lab,
            node,
            dns_pod,
            dns,
            orders: Vec::new(),
            large: Vec::new(),
            broken: Vec::new(),
            callers: BTreeMap::new(),
            made: 0,
            written: 0,
            names: BTreeSet::new(),
        };
        for _ in 0..ORDERS {
            stage.make_backend()?;
        }
        for number in 0..LARGE {
            let spec = PodSpec::new("shop", &format!("large-{number}"));
            let pod = stage.node.pod(spec.address(&format!("10.246.4.{}/16", 1 + number)))?;
            pod.serve_port(PORT)?;
            stage.large.push(pod);
        }
        for (name, address) in [("refuses", "10.246.3.1/16"), ("silent", "10.246.3.2/16")] {
            stage.broken.push(stage.node.pod(PodSpec::new("shop", name).address(address))?);
        }
        stage.broken.last().context("no pods")?.silence()?;
        for name in super::traffic::CALLERS {
            stage.make_caller(name)?;
        }
        stage.write_manifests()?;
        stage.tell_dns()?;
        Ok(stage)
    }

    /// Starts a daemon, and waits until it is ready.
    pub(crate) fn observe(&self) -> Result<Observer> {
        let topology = format!("files:{}", self.manifests().display());
        Observer::start(self.lab, &ObserverSpec::new(&["--topology", &topology]))
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.lab.folder().join("services.yaml")
    }

    pub(crate) fn resolver(&self) -> SocketAddr {
        SocketAddr::new(RESOLVER.into(), 53)
    }

    pub(crate) fn caller(&self, name: &str) -> Result<&Pod> {
        self.callers.get(name).with_context(|| format!("no client {name}"))
    }

    pub(crate) fn callers(&self) -> impl Iterator<Item = &Pod> {
        self.callers.values()
    }

    /// The pods behind `broken`.
    pub(crate) fn broken(&self) -> &[Pod] {
        &self.broken
    }

    fn serial(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    fn make_backend(&mut self) -> Result<()> {
        let serial = self.serial();
        let name = format!("orders-{}", self.written * 100 + serial);
        let address = format!("10.246.1.{}/16", 1 + serial % ADDRESSES);
        let pod = self.node.pod(PodSpec::new("shop", &name).address(&address))?;
        let server = serve(&pod)?;
        self.orders.push(Backend { pod, server });
        Ok(())
    }

    fn make_caller(&mut self, name: &'static str) -> Result<()> {
        let serial = self.serial();
        let spec = PodSpec::new("shop", &format!("{name}-{}-{serial}", self.written))
            .workload("StatefulSet", name)
            .resolv_conf(ResolvConf::kubelet(RESOLVER.into(), "shop", ZONE))
            .address(&format!("10.246.{}.{}/16", 16 + serial / 250, 1 + serial % 250));
        let pod = self.node.pod(spec)?;
        self.callers.insert(name, pod);
        Ok(())
    }

    fn services(&self) -> Vec<ServiceSpec> {
        let orders: Vec<Pod> = self.orders.iter().map(|backend| backend.pod.clone()).collect();
        vec![
            ServiceSpec::new("shop", "orders", PORT, &orders),
            ServiceSpec::new("shop", "large", PORT, &self.large),
            ServiceSpec::new("shop", "broken", PORT, &self.broken),
        ]
    }

    /// A Service that exists in one version of the manifests only. It shows which version a daemon has read. The daemon
    /// remembers those of earlier versions for a while.
    fn marker(&self) -> String {
        format!("version-{}", self.written)
    }

    fn write_manifests(&mut self) -> Result<()> {
        self.written += 1;
        let mut services = self.services();
        services.push(ServiceSpec::new("shop", &self.marker(), PORT, std::slice::from_ref(&self.dns_pod)));
        self.lab.write_manifests("services.yaml", &services).map(drop)
    }

    /// Writes the manifests, and waits until these daemons have read them.
    pub(crate) fn publish(&mut self, observers: &[&Observer]) -> Result<()> {
        self.write_manifests()?;
        let marker = self.marker();
        for observer in observers {
            super::when(observer, "the manifests were not read", |snapshot| {
                snapshot["services"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one["name"] == marker.as_str()))
            })?;
        }
        Ok(())
    }

    fn tell_dns(&mut self) -> Result<()> {
        let mut records: BTreeMap<String, Vec<Data>> = BTreeMap::new();
        for service in self.services() {
            records.extend(service.records(ZONE));
        }
        for gone in self.names.iter().filter(|name| !records.contains_key(*name)) {
            self.dns.remove(gone)?;
        }
        self.names = records.keys().cloned().collect();
        records.into_iter().try_for_each(|(name, data)| self.dns.set(&name, 5, data))
    }

    /// Stops the DNS server and starts it again; it loses its records and gets them again.
    pub(crate) fn restart_dns(&mut self) -> Result<()> {
        self.dns.kill();
        thread::sleep(Duration::from_millis(300));
        self.dns =
            self.dns_pod.dns(&DnsSpec { options: options(), ..DnsSpec::new(self.dns_pod.sockets(53)) })?;
        self.names.clear();
        self.tell_dns()
    }

    /// Ends the server process of the oldest pod of `orders`; its open connections close.
    pub(crate) fn stop_server(&self) -> Result<()> {
        self.orders.first().context("no pods")?.server.kill();
        Ok(())
    }

    /// Starts that server again.
    pub(crate) fn start_server(&mut self) -> Result<()> {
        let backend = self.orders.first_mut().context("no pods")?;
        backend.server = serve(&backend.pod)?;
        Ok(())
    }

    /// Adds a pod of `orders`. Daemons know it before DNS does.
    pub(crate) fn add_backend(&mut self, observers: &[&Observer]) -> Result<()> {
        self.make_backend()?;
        self.publish(observers)?;
        self.tell_dns()
    }

    /// Removes the oldest pod of `orders`: first from DNS, then from the manifests, then the pod itself.
    pub(crate) fn remove_backend(&mut self, observers: &[&Observer]) -> Result<()> {
        let leaving = self.orders.remove(0);
        self.tell_dns()?;
        self.publish(observers)?;
        // No connection may be in the handshake when the pod goes: it accepts those that have come, and no more arrive.
        leaving.pod.silence()?;
        leaving.server.counts()?;
        leaving.pod.remove()
    }

    /// Replaces a client's pod.
    pub(crate) fn replace_caller(&mut self, name: &'static str, observers: &[&Observer]) -> Result<()> {
        self.caller(name)?.remove()?;
        self.make_caller(name)?;
        self.publish(observers)
    }
}

fn serve(pod: &Pod) -> Result<Server> {
    pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold))
}

/// The server shuffles answers, and sends those over TCP in several segments.
fn options() -> DnsOptions {
    DnsOptions { order: Order::Shuffle, tcp_piece: Some(300), ..DnsOptions::default() }
}

/// The name of a Service in DNS.
pub(crate) fn domain(service: &str) -> String {
    format!("{service}.shop.svc.{ZONE}")
}

/// The first address of a pod.
pub(crate) fn address(pod: &Pod) -> Result<IpAddr> {
    pod.ip(true)
}
