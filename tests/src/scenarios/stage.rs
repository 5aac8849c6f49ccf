//! The stage of one run: a lab with one node, a DNS server, and pods of the namespace `shop`; the daemon on manifests.
//!
//! In: what pods and Services there are. Out: handles, snapshots. Everything goes with the stage.

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
/// The Service of most scenes.
pub(crate) const ORDERS: &str = "shop/orders";
/// The port of Services and pods, where nothing else is said.
pub(crate) const PORT: u16 = 8080;
/// The time to live of answers, in seconds, where nothing else is said.
pub(crate) const TTL: u32 = 5;
/// Endpoints that come later than this are told from those of the beginning: `--mature-after`, and a little.
pub(crate) const BEGINNING: Duration = Duration::from_millis(2_200);
/// How long an event may take from the kernel to the snapshot.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Plays a scenario once, on a stage of its own.
pub(crate) fn run(scenario: &Scenario) -> Result<Seen> {
    (scenario.run)(&Stage::new()?)
}

/// What a scenario is played on.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) node: Node,
    pub(crate) dns: DnsServer,
    /// Where the DNS server answers.
    pub(crate) resolver: SocketAddr,
}

impl Stage {
    fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let node = lab.node("n1")?;
        let server = node.pod(PodSpec::new("kube-system", "dns").address("10.244.1.53/24"))?;
        let dns = server.dns(&DnsSpec::new(server.sockets(53)))?;
        let resolver = *dns.addresses().first().context("the DNS server listens nowhere")?;
        let stage = Self { lab, node, dns, resolver };
        stage.answers(|options| options.order = Order::Shuffle)?;
        Ok(stage)
    }

    /// Changes how the DNS server answers: with the usual options, but for this change.
    pub(crate) fn answers(&self, change: impl FnOnce(&mut DnsOptions)) -> Result<()> {
        let mut options = DnsOptions::default();
        change(&mut options);
        self.dns.set_options(&options)
    }

    /// What a pod of the namespace is made of, with a kubelet's resolver settings. Clients have addresses from
    /// 10.244.1.10 on, by convention.
    pub(crate) fn spec(&self, name: &str, address: &str) -> PodSpec {
        let settings = ResolvConf::kubelet(self.resolver.ip(), NAMESPACE, ZONE);
        PodSpec::new(NAMESPACE, name).address(address).resolv_conf(settings)
    }

    /// A pod that does nothing yet.
    pub(crate) fn pod(&self, name: &str, address: &str) -> Result<Pod> {
        self.node.pod(self.spec(name, address))
    }

    /// Pods `NAME-N` that do nothing yet, at 10.244.1.100+N.
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

    /// One of them, at 10.244.1.LAST.
    pub(crate) fn backend(&self, name: &str, last: u8) -> Result<Pod> {
        let pod = self.pod(name, &format!("10.244.1.{last}/24"))?;
        pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold))?;
        Ok(pod)
    }

    /// The Service `orders` over these pods.
    pub(crate) fn orders(&self, pods: &[Pod]) -> ServiceSpec {
        ServiceSpec::new(NAMESPACE, "orders", PORT, pods)
    }

    /// Puts Services into DNS and into the manifests, as they are now.
    pub(crate) fn publish(&self, services: &[ServiceSpec]) -> Result<()> {
        self.publish_for(services, TTL)
    }

    /// The same with another time to live, in seconds.
    pub(crate) fn publish_for(&self, services: &[ServiceSpec], ttl: u32) -> Result<()> {
        self.set_dns(services, ttl)?;
        self.publish_manifests(services)
    }

    /// Puts Services into DNS alone.
    pub(crate) fn publish_dns(&self, services: &[ServiceSpec]) -> Result<()> {
        self.set_dns(services, TTL)
    }

    fn set_dns(&self, services: &[ServiceSpec], ttl: u32) -> Result<()> {
        let records = services.iter().flat_map(|service| service.records(ZONE));
        records.into_iter().try_for_each(|(name, data): (String, Vec<Data>)| self.dns.set(&name, ttl, data))
    }

    /// Puts Services into the manifests alone.
    pub(crate) fn publish_manifests(&self, services: &[ServiceSpec]) -> Result<()> {
        self.lab.write_manifests("services.yaml", services).map(drop)
    }

    /// Starts the daemon on what was published. It is to be called after all pods of the beginning were made.
    pub(crate) fn observe(&self) -> Result<Observer> {
        self.observe_with(&[])
    }

    /// The same with more options.
    pub(crate) fn observe_with(&self, more: &[&str]) -> Result<Observer> {
        let manifests = self.lab.folder().join("services.yaml");
        let topology = format!("files:{}", manifests.display());
        // Short, so that a scene takes seconds.
        let mut options = vec!["--topology", &topology, "--node", self.node.name()];
        for default in [["--mature-after", "2s"], ["--stale-grace", "1s"]] {
            if !more.contains(&default[0]) {
                options.extend(default);
            }
        }
        options.extend(more);
        Observer::start(&self.lab, &ObserverSpec::new(&options))
    }
}

/// The name of a Service of the namespace in DNS.
pub(crate) fn domain(service: &str) -> String {
    format!("{service}.{NAMESPACE}.svc.{ZONE}")
}

/// The snapshot once a client of a Service has made so many connections and failed attempts.
pub(crate) fn after(observer: &Observer, name: &str, workload: &str, attempts: u64) -> Result<Value> {
    let made = |snapshot: &Value| {
        let client = find(snapshot, name, workload).ok()?;
        Some(client["opened"].as_u64()? + client["failed"].as_u64()?)
    };
    observer.snapshot_when(PATIENCE, |snapshot| made(snapshot) >= Some(attempts))
}

/// Waits until a Service has so many endpoints in a state.
pub(crate) fn wait_state(observer: &Observer, name: &str, state: &str, count: usize) -> Result<Value> {
    let has = |snapshot: &Value| {
        let endpoints = service(snapshot, name).ok()?["endpoints"].as_array()?;
        Some(endpoints.iter().filter(|endpoint| endpoint["state"] == state).count())
    };
    observer.snapshot_when(PATIENCE, |snapshot| has(snapshot) == Some(count))
}

/// Waits until a pod is no ready endpoint any more. One that nobody has used is not even listed then.
pub(crate) fn wait_left(observer: &Observer, name: &str, pod: &Pod) -> Result<Value> {
    let is_there = |snapshot: &Value| {
        let mut endpoints = service(snapshot, name).ok()?["endpoints"].as_array()?.iter();
        Some(endpoints.any(|endpoint| endpoint["pod"] == pod.name() && endpoint["state"] == "ready"))
    };
    observer.snapshot_when(PATIENCE, |snapshot| is_there(snapshot) == Some(false))
}

/// Waits until so many endpoints of a Service count in the spread.
pub(crate) fn wait_mature(observer: &Observer, name: &str, count: usize) -> Result<Value> {
    let mature = |snapshot: &Value| {
        let endpoints = service(snapshot, name).ok()?["endpoints"].as_array()?;
        Some(endpoints.iter().filter(|endpoint| endpoint["mature"] == true).count())
    };
    observer.snapshot_when(PATIENCE, |snapshot| mature(snapshot) == Some(count))
}

/// Waits until so many answers for a Service have come.
pub(crate) fn wait_answers(observer: &Observer, name: &str, count: u64) -> Result<Value> {
    let answers = |snapshot: &Value| service(snapshot, name).ok()?["dns"]["answers"].as_u64();
    observer.snapshot_when(PATIENCE, |snapshot| answers(snapshot) >= Some(count))
}

/// Lets time pass that is a part of the scene, such as that of a TTL.
pub(crate) fn pass(duration: Duration) {
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::sleep(left);
    }
}
