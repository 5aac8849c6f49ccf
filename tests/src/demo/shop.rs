//! The common part of both environments: the Service `shop/orders`, pods with a /24 as in bridge networks, and clients
//! with habits of real clients.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use lab::{Client, ClientSpec, Observer, Pod, ServerMode, ServerSpec, TruthRow};

const NAME: &str = "orders.shop.svc.cluster.local";
/// The port of the Service and its pods.
pub(crate) const PORT: u16 = 8080;
/// Number of pods at the beginning.
pub(crate) const PODS: usize = 6;
/// Connections a second of each client that makes new ones.
const RATE: u16 = 40;
/// Time to live of answers, in seconds.
pub(crate) const TTL: u32 = 5;

/// Options of the daemon for a run of twenty seconds: each ready endpoint is mature at once, and stale connections have
/// no grace period.
pub(crate) const TIMES: [&str; 4] = ["--mature-after", "0s", "--stale-grace", "0s"];

/// A client's name and its habit.
type Habit = (&'static str, fn(ClientSpec) -> ClientSpec);

/// Clients that make new connections all the time.
const HABITS: [Habit; 4] = [
    ("first-address", |spec| spec),
    ("round-robin", |spec| spec.round_robin(u64::from(RATE))),
    ("random", ClientSpec::random),
    ("never-resolves-again", |spec| spec.round_robin(1).never_again()),
];

/// An environment that is ready.
pub(crate) trait Scene {
    /// Starts the daemon.
    fn observe(&self) -> Result<Observer>;
    /// The pods of the clients, in the order of [`callers`].
    fn callers(&self) -> Vec<Pod>;
    /// The DNS server.
    fn resolver(&self) -> SocketAddr;
    /// Adds a pod and waits until it is ready.
    fn add_pod(&mut self) -> Result<()>;
    /// The servers' counts.
    fn truth(&self) -> Result<Vec<TruthRow>>;
}

/// Names and addresses of the clients. getaddrinfo sorts by common prefix within its own subnet: .51 is closest to
/// orders-4 at .50.
pub(crate) fn callers() -> impl Iterator<Item = (&'static str, String)> {
    let names = HABITS.map(|(name, _)| name).into_iter().chain(["getaddrinfo", "pinned"]);
    names.zip([110, 111, 112, 113, 51, 114].map(|last| format!("10.244.1.{last}/24")))
}

/// The address of pod `orders-N`.
pub(crate) fn address(n: usize) -> String {
    format!("10.244.1.{}/24", 10 * (n + 1))
}

/// Starts the server of a pod of the Service.
pub(crate) fn serve(pod: &Pod) -> Result<()> {
    pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Echo)).map(drop)
}

/// Starts all clients for this duration.
pub(crate) fn start_clients(scene: &dyn Scene, duration: Duration) -> Result<Vec<Client>> {
    let connections = u64::from(RATE) * duration.as_secs();
    let plain = ClientSpec::new(NAME, PORT, scene.resolver(), connections).rate(f64::from(RATE));
    let habits = HABITS.iter().map(|(_, habit)| habit(plain.clone()));
    let libc = ClientSpec::libc("orders", PORT, connections).rate(f64::from(RATE));
    let pinned = ClientSpec::new(NAME, PORT, scene.resolver(), 1).keep();
    let specs = habits.chain([libc, pinned]);
    scene.callers().iter().zip(specs).map(|(pod, spec)| pod.client(&spec)).collect()
}
