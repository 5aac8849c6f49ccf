//! The environment of one run: a lab with one node, a DNS server, and pods of the namespace `shop`; the daemon reads
//! manifests.
//!
//! In: pods and Services. Out: handles, snapshots. Dropping the stage removes everything.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab::dns::{Data, Order};
use lab::{
    DnsOptions, DnsServer, DnsSpec, Lab, Node, Observer, ObserverSpec, Pod, PodSpec, ResolvConf, ServerMode,
    ServerSpec, ServiceSpec,
};
use serde_json::Value;

use crate::scenario::{Scenario, Seen, find, service};

/// The zone of all names.
pub(crate) const ZONE: &str = "cluster.local";
/// The namespace of all pods.
pub(crate) const NAMESPACE: &str = "shop";
/// The Service of most scenarios.
pub(crate) const ORDERS: &str = "shop/orders";
/// The default port of Services and pods.
pub(crate) const PORT: u16 = 8080;
/// The default time to live of answers, in seconds.
pub(crate) const TTL: u32 = 5;
/// Endpoints that are added after this time do not count as initial ones: `--mature-after` plus a margin.
pub(crate) const BEGINNING: Duration = Duration::from_millis(2_200);
/// The time that an event may take from the kernel to the snapshot.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a scenario once, on its own stage.
pub(crate) fn run(scenario: &Scenario) -> Result<Seen> {
    (scenario.run)(&Stage::new()?)
}

/// The environment of a scenario.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) node: Node,
    pub(crate) dns: DnsServer,
    /// The DNS server's address.
    pub(crate) resolver: SocketAddr,
}

impl Stage {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let node = lab.node("n1")?;
        let server = node.pod(PodSpec::new("kube-system", "dns").address("10.244.1.53/24"))?;
        let dns = server.dns(&DnsSpec::new(server.sockets(53)))?;
        let resolver = *dns.addresses().first().context("the DNS server has no listening address")?;
        let stage = Self { lab, node, dns, resolver };
        stage.answers(|options| options.order = Order::Shuffle)?;
        Ok(stage)
    }

    /// Sets the DNS server's options: the defaults with this change.
    pub(crate) fn answers(&self, change: impl FnOnce(&mut DnsOptions)) -> Result<()> {
        let mut options = DnsOptions::default();
        change(&mut options);
        self.dns.set_options(&options)
    }

    /// The spec of a pod of the namespace, with a kubelet's resolver settings. By convention, clients have addresses
    /// from 10.244.1.10 on.
    pub(crate) fn spec(&self, name: &str, address: &str) -> PodSpec {
        let settings = ResolvConf::kubelet(self.resolver.ip(), NAMESPACE, ZONE);
        PodSpec::new(NAMESPACE, name).address(address).resolv_conf(settings)
    }

    /// A pod without a process.
    pub(crate) fn pod(&self, name: &str, address: &str) -> Result<Pod> {
        self.node.pod(self.spec(name, address))
    }

    /// Pods `NAME-N` without processes, at 10.244.1.100+N.
    pub(crate) fn idle_pods(&self, name: &str, numbers: Range<u8>) -> Result<Vec<Pod>> {
        numbers.map(|n| self.pod(&format!("{name}-{n}"), &format!("10.244.1.{}/24", 100 + n))).collect()
    }

    /// Pods `NAME-N` at 10.244.1.100 and up, each with a server that keeps connections until the client closes them.
    pub(crate) fn backends(&self, name: &str, count: u8) -> Result<Vec<Pod>> {
        self.more_backends(name, 0..count)
    }

    /// The same with these numbers.
    pub(crate) fn more_backends(&self, name: &str, numbers: Range<u8>) -> Result<Vec<Pod>> {
        numbers.map(|n| self.backend(&format!("{name}-{n}"), 100 + n)).collect()
    }

    /// One such pod, at 10.244.1.LAST.
    pub(crate) fn backend(&self, name: &str, last: u8) -> Result<Pod> {
        let pod = self.pod(name, &format!("10.244.1.{last}/24"))?;
        pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold))?;
        Ok(pod)
    }

    /// The Service `orders` with these pods.
    pub(crate) fn orders(&self, pods: &[Pod]) -> ServiceSpec {
        ServiceSpec::new(NAMESPACE, "orders", PORT, pods)
    }

    /// Writes Services to DNS and to the manifests.
    pub(crate) fn publish(&self, services: &[ServiceSpec]) -> Result<()> {
        self.publish_for(services, TTL)
    }

    /// The same with another time to live, in seconds.
    pub(crate) fn publish_for(&self, services: &[ServiceSpec], ttl: u32) -> Result<()> {
        self.set_dns(services, ttl)?;
        self.publish_manifests(services)
    }

    /// Writes Services to DNS alone.
    pub(crate) fn publish_dns(&self, services: &[ServiceSpec]) -> Result<()> {
        self.set_dns(services, TTL)
    }

    fn set_dns(&self, services: &[ServiceSpec], ttl: u32) -> Result<()> {
        let records = services.iter().flat_map(|service| service.records(ZONE));
        records.into_iter().try_for_each(|(name, data): (String, Vec<Data>)| self.dns.set(&name, ttl, data))
    }

    /// Writes Services to the manifests alone.
    pub(crate) fn publish_manifests(&self, services: &[ServiceSpec]) -> Result<()> {
        self.lab.write_manifests("services.yaml", services).map(drop)
    }

    /// Starts the daemon with the published manifests. Call it after all initial pods were made.
    pub(crate) fn observe(&self) -> Result<Observer> {
        self.observe_with(&[])
    }

    /// The same with more options.
    pub(crate) fn observe_with(&self, more: &[&str]) -> Result<Observer> {
        let manifests = self.lab.folder().join("services.yaml");
        let topology = format!("files:{}", manifests.display());
        // Short times, so that a scenario takes seconds. A larger ring than by default, because the daemon is built
        // without optimisations and reads it slowly.
        let mut options = vec!["--topology", &topology, "--node", self.node.name()];
        for default in [["--mature-after", "2s"], ["--stale-grace", "1s"], ["--ring-size", "16MiB"]] {
            if !more.contains(&default[0]) {
                options.extend(default);
            }
        }
        options.extend(more);
        Observer::start(&self.lab, &ObserverSpec::new(&options))
    }
}

/// The DNS name of a Service of the namespace.
pub(crate) fn domain(service: &str) -> String {
    format!("{service}.{NAMESPACE}.svc.{ZONE}")
}

/// The snapshot after a client of a Service has made `attempts` connections and failed attempts.
pub(crate) fn after(observer: &Observer, name: &str, workload: &str, attempts: u64) -> Result<Value> {
    let made = |snapshot: &Value| {
        let client = find(snapshot, name, workload).ok()?;
        Some(client["opened"].as_u64()? + client["failed"].as_u64()?)
    };
    observer.snapshot_when(PATIENCE, |snapshot| made(snapshot) >= Some(attempts))
}

/// Waits until a Service has `count` endpoints in a state.
pub(crate) fn wait_state(observer: &Observer, name: &str, state: &str, count: usize) -> Result<Value> {
    let has = |snapshot: &Value| {
        let endpoints = service(snapshot, name).ok()?["endpoints"].as_array()?;
        Some(endpoints.iter().filter(|endpoint| endpoint["state"] == state).count())
    };
    observer.snapshot_when(PATIENCE, |snapshot| has(snapshot) == Some(count))
}

/// Waits until a pod is no longer a ready endpoint. The report then omits a pod that had no connections.
pub(crate) fn wait_left(observer: &Observer, name: &str, pod: &Pod) -> Result<Value> {
    let is_there = |snapshot: &Value| {
        let mut endpoints = service(snapshot, name).ok()?["endpoints"].as_array()?.iter();
        Some(endpoints.any(|endpoint| endpoint["pod"] == pod.name() && endpoint["state"] == "ready"))
    };
    observer.snapshot_when(PATIENCE, |snapshot| is_there(snapshot) == Some(false))
}

/// Waits until `count` endpoints of a Service count in the spread.
pub(crate) fn wait_mature(observer: &Observer, name: &str, count: usize) -> Result<Value> {
    let mature = |snapshot: &Value| {
        let endpoints = service(snapshot, name).ok()?["endpoints"].as_array()?;
        Some(endpoints.iter().filter(|endpoint| endpoint["mature"] == true).count())
    };
    observer.snapshot_when(PATIENCE, |snapshot| mature(snapshot) == Some(count))
}

/// Waits until `count` answers for a Service have come.
pub(crate) fn wait_answers(observer: &Observer, name: &str, count: u64) -> Result<Value> {
    let answers = |snapshot: &Value| service(snapshot, name).ok()?["dns"]["answers"].as_u64();
    observer.snapshot_when(PATIENCE, |snapshot| answers(snapshot) >= Some(count))
}

/// Waits for a time that the scenario needs, such as a TTL.
pub(crate) fn pass(duration: Duration) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::sleep(left);
    }
}
