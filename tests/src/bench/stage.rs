//! The environment: one node with a client, the three endpoints of a headless Service and a DNS server, each in its own
//! pod.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::{Lab, Node, Pod, PodSpec, ServiceSpec};

use crate::large_manifests::{NAMESPACE, Service, manifests, ten_thousand};
use crate::worker::Worker;
use crate::workload::{Command, Counts, Done, PORT, Pace, Role, SINK};

/// The Service that the client connects to.
pub(crate) const ORDERS: &str = "orders";
const ENDPOINTS: u8 = 3;

/// The pods and their programs.
pub(crate) struct Stage<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) node: Node,
    /// Manifests of these pods.
    pub(crate) topology: PathBuf,
    /// The same with 10,000 more endpoints.
    pub(crate) large: PathBuf,
    client: Worker,
    /// By pod name.
    servers: BTreeMap<String, Worker>,
    dns: SocketAddr,
    _dns: Worker,
    targets: Vec<SocketAddr>,
    sink: SocketAddr,
}

impl<'a> Stage<'a> {
    /// Makes pods and starts their programs, all on one processor. Waking another processor takes longer than the
    /// measured operations, and depends on that processor's load. The other processors are for the tools.
    pub(crate) fn new(lab: &'a Lab) -> Result<Self> {
        let node = lab.node("n1")?;
        let pod = |name: &str, host: u8| {
            node.pod(PodSpec::new(NAMESPACE, name).address(&format!("10.244.1.{host}/24")))
        };
        let pods =
            (0..ENDPOINTS).map(|n| pod(&format!("{ORDERS}-{n}"), 100 + n)).collect::<Result<Vec<Pod>>>()?;
        let targets =
            pods.iter().map(|pod| Ok(SocketAddr::new(pod.ip(true)?, PORT))).collect::<Result<Vec<_>>>()?;
        let serve = |pod: &Pod| {
            let role = Role::Server { cpu: 0, address: pod.ip(true)? };
            Ok((pod.name().to_owned(), Worker::start(pod, &role)?))
        };
        let servers = pods.iter().map(serve).collect::<Result<BTreeMap<_, _>>>()?;

        let others = [Service::new("twenty", 20, 20), Service::new("hundred", 100, 100)];
        let orders =
            Service { name: ORDERS.to_owned(), addresses: targets.iter().map(SocketAddr::ip).collect() };
        let names =
            others.iter().chain([&orders]).map(|service| (service.domain(), service.addresses.clone()));
        let server = pod("dns", 53)?;
        let address: IpAddr = server.ip(true)?;
        let dns = Worker::start(&server, &Role::Dns { cpu: 0, address, names: names.collect() })?;

        let client = pod("client", 200)?;
        // A connection without an answer must not outlast its phase by much.
        client.set("net/ipv4/tcp_syn_retries", "2")?;
        let client = Worker::start(&client, &Role::Client { cpu: 0 })?;

        let own = lab.manifests(&[ServiceSpec::new(NAMESPACE, ORDERS, PORT, &pods)]) + &manifests(&others);
        let write = |name: &str, text: &str| {
            let path = lab.folder().join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display())).map(|()| path)
        };
        let topology = write("services.yaml", &own)?;
        let large = write("large.yaml", &(own + &manifests(&ten_thousand())))?;
        let sink = targets.first().map(|target| SocketAddr::new(target.ip(), SINK)).context("no endpoint")?;
        let dns_address = SocketAddr::new(address, 53);
        Ok(Self { lab, node, topology, large, client, servers, dns: dns_address, _dns: dns, targets, sink })
    }

    /// The root cgroup.
    pub(crate) fn cgroup_root(&self) -> Result<&Path> {
        self.lab.cgroup().parent().context("the run's cgroup has no parent")
    }

    /// Connects to the Service's endpoints in turn, after one lookup.
    pub(crate) fn connect(&mut self, pace: Pace) -> Result<Done> {
        self.ask(ORDERS, 1, Pace { per_second: Some(100), millis: 10 })?;
        self.client.tell(&Command::Connect { targets: self.targets.clone(), pace })
    }

    /// Queries a Service's name.
    pub(crate) fn ask(&mut self, service: &str, window: usize, pace: Pace) -> Result<Done> {
        let name = format!("{service}.{NAMESPACE}.svc.cluster.local");
        self.client.tell(&Command::Ask { server: self.dns, name, window, pace })
    }

    /// Sends pieces to the first endpoint; returns the server's counts and the client's result.
    pub(crate) fn pour(&mut self, tcp: bool, size: usize, pace: Pace) -> Result<(Counts, Done)> {
        let before = self.first()?;
        let done = self.client.tell(&Command::Pour { target: self.sink, tcp, size, pace })?;
        let after = self.first()?;
        let arrived = Counts {
            accepted: after.accepted - before.accepted,
            tcp_bytes: after.tcp_bytes - before.tcp_bytes,
            packets: after.packets - before.packets,
            udp_bytes: after.udp_bytes - before.udp_bytes,
        };
        Ok((arrived, done))
    }

    /// Connections that each pod has accepted so far.
    pub(crate) fn accepted(&mut self) -> Result<BTreeMap<String, u64>> {
        let count = |(name, server): (&String, &mut Worker)| {
            Ok((name.clone(), server.tell::<Counts>(&Command::Count)?.accepted))
        };
        self.servers.iter_mut().map(count).collect()
    }

    fn first(&mut self) -> Result<Counts> {
        self.servers.values_mut().next().context("no server")?.tell(&Command::Count)
    }
}
