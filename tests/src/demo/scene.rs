//! The stage: one node with a /24 for its pods, as bridge networks have it; a DNS server that shuffles its answers; the
//! Service `shop/orders`; and clients, each with a habit that real ones have.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::dns::Order;
use lab::{
    Client, ClientSpec, DnsOptions, DnsServer, DnsSpec, Lab, Node, Observer, ObserverSpec, Pod, PodSpec,
    ResolvConf, ServerMode, ServerSpec, ServiceSpec, TruthRow,
};

const ZONE: &str = "cluster.local";
const NAME: &str = "orders.shop.svc.cluster.local";
const PORT: u16 = 8080;
/// Pods at the beginning.
const PODS: u8 = 6;
/// Connections a second of each client that makes new ones.
const RATE: u16 = 40;
/// Seconds that answers may be kept.
const TTL: u32 = 5;

/// A client's name and what it does.
type Habit = (&'static str, fn(ClientSpec) -> ClientSpec);

/// Clients that make new connections all the time.
const HABITS: [Habit; 4] = [
    ("first-address", |spec| spec),
    ("round-robin", |spec| spec.round_robin(u64::from(RATE))),
    ("random", ClientSpec::random),
    ("never-resolves-again", |spec| spec.round_robin(1).never_again()),
];

/// Everything on the stage.
pub(crate) struct Scene {
    lab: Lab,
    node: Node,
    dns: DnsServer,
    resolver: SocketAddr,
    orders: Vec<Pod>,
    callers: Vec<Pod>,
    clients: Vec<Client>,
}

impl Scene {
    pub(crate) fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let node = lab.node("demo-node")?;
        let server = node.pod(PodSpec::new("kube-system", "dns").address("10.244.1.53/24"))?;
        let dns = server.dns(&DnsSpec::new(server.sockets(53)))?;
        dns.set_options(&DnsOptions { order: Order::Shuffle, ..DnsOptions::default() })?;
        let resolver = *dns.addresses().first().context("the DNS server listens nowhere")?;
        let mut scene =
            Self { lab, node, dns, resolver, orders: Vec::new(), callers: Vec::new(), clients: Vec::new() };
        for _ in 0..PODS {
            scene.add_order_pod()?;
        }
        let settings = ResolvConf::kubelet(resolver.ip(), "shop", ZONE);
        let names = HABITS.map(|(name, _)| name).into_iter().chain(["getaddrinfo", "pinned"]);
        // getaddrinfo sorts by common prefix within its own subnet: .51 is next to orders-4 at .50.
        for (name, last) in names.zip([110, 111, 112, 113, 51, 114]) {
            let spec = PodSpec::new("shop", name).address(&format!("10.244.1.{last}/24"));
            scene.callers.push(scene.node.pod(spec.resolv_conf(settings.clone()))?);
        }
        scene.publish()?;
        Ok(scene)
    }

    /// Starts the daemon on the manifests of the stage.
    pub(crate) fn observe(&self) -> Result<Observer> {
        let manifests = self.lab.folder().join("services.yaml");
        let topology = format!("files:{}", manifests.display());
        Observer::start(&self.lab, &ObserverSpec::new(&["--topology", &topology, "--node", self.node.name()]))
    }

    /// All clients begin, and go on for so long.
    pub(crate) fn start_clients(&mut self, duration: Duration) -> Result<()> {
        let connections = u64::from(RATE) * duration.as_secs();
        let plain = ClientSpec::new(NAME, PORT, self.resolver, connections).rate(f64::from(RATE));
        let habits = HABITS.iter().map(|(_, habit)| habit(plain.clone()));
        let libc = ClientSpec::libc("orders", PORT, connections).rate(f64::from(RATE));
        let pinned = ClientSpec::new(NAME, PORT, self.resolver, 1).keep();
        for (pod, spec) in self.callers.iter().zip(habits.chain([libc, pinned])) {
            self.clients.push(pod.client(&spec)?);
        }
        Ok(())
    }

    /// One more pod becomes ready.
    pub(crate) fn add_pod(&mut self) -> Result<()> {
        self.add_order_pod()?;
        self.publish()
    }

    /// Until every client has made its connections. They keep what they hold open.
    pub(crate) fn wait_for_clients(&self) -> Result<()> {
        self.clients.iter().try_for_each(|client| client.wait().map(drop))
    }

    /// What the servers accepted.
    pub(crate) fn truth(&self) -> Result<Vec<TruthRow>> {
        self.lab.truth()
    }

    fn add_order_pod(&mut self) -> Result<()> {
        let n = self.orders.len();
        let pod = self.node.pod(
            PodSpec::new("shop", &format!("orders-{n}")).address(&format!("10.244.1.{}/24", 10 * (n + 1))),
        )?;
        pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Echo))?;
        self.orders.push(pod);
        Ok(())
    }

    /// Puts the Service as it is now into DNS and into the manifests.
    fn publish(&self) -> Result<()> {
        let service = ServiceSpec::new("shop", "orders", PORT, &self.orders);
        for (name, data) in service.records(ZONE) {
            self.dns.set(&name, TTL, data)?;
        }
        self.lab.write_manifests("services.yaml", &[service]).map(drop)
    }
}
