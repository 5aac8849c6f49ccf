//! What is on the stage whoever sets it: the Service `shop/orders`, pods with a /24 as bridge networks have it, and
//! clients, each with a habit that real ones have.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use lab::{Client, ClientSpec, Observer, Pod, ServerMode, ServerSpec, TruthRow};

const NAME: &str = "orders.shop.svc.cluster.local";
/// The port of the Service and its pods.
pub(crate) const PORT: u16 = 8080;
/// Pods at the beginning.
pub(crate) const PODS: usize = 6;
/// Connections a second of each client that makes new ones.
const RATE: u16 = 40;
/// Seconds that answers may be kept.
pub(crate) const TTL: u32 = 5;

/// Options of the daemon that make sense in twenty seconds: each ready endpoint counts, and no stale connection is
/// forgiven, at once.
pub(crate) const TIMES: [&str; 4] = ["--mature-after", "0s", "--stale-grace", "0s"];

/// A client's name and what it does.
type Habit = (&'static str, fn(ClientSpec) -> ClientSpec);

/// Clients that make new connections all the time.
const HABITS: [Habit; 4] = [
    ("first-address", |spec| spec),
    ("round-robin", |spec| spec.round_robin(u64::from(RATE))),
    ("random", ClientSpec::random),
    ("never-resolves-again", |spec| spec.round_robin(1).never_again()),
];

/// A stage that is set.
pub(crate) trait Scene {
    /// Starts the daemon on what the stage shows.
    fn observe(&self) -> Result<Observer>;
    /// The pods of the clients, in the order of [`callers`].
    fn callers(&self) -> Vec<Pod>;
    /// The DNS server.
    fn resolver(&self) -> SocketAddr;
    /// One more pod becomes ready.
    fn add_pod(&mut self) -> Result<()>;
    /// What the servers accepted.
    fn truth(&self) -> Result<Vec<TruthRow>>;
}

/// Names and addresses of the clients. getaddrinfo sorts by common prefix within its own subnet: .51 is next to
/// orders-4 at .50.
pub(crate) fn callers() -> impl Iterator<Item = (&'static str, String)> {
    let names = HABITS.map(|(name, _)| name).into_iter().chain(["getaddrinfo", "pinned"]);
    names.zip([110, 111, 112, 113, 51, 114].map(|last| format!("10.244.1.{last}/24")))
}

/// The address of pod `orders-N`.
pub(crate) fn address(n: usize) -> String {
    format!("10.244.1.{}/24", 10 * (n + 1))
}

/// A pod of the Service begins to serve.
pub(crate) fn serve(pod: &Pod) -> Result<()> {
    pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Echo)).map(drop)
}

/// All clients begin, and go on for so long.
pub(crate) fn start_clients(scene: &dyn Scene, duration: Duration) -> Result<Vec<Client>> {
    let connections = u64::from(RATE) * duration.as_secs();
    let plain = ClientSpec::new(NAME, PORT, scene.resolver(), connections).rate(f64::from(RATE));
    let habits = HABITS.iter().map(|(_, habit)| habit(plain.clone()));
    let libc = ClientSpec::libc("orders", PORT, connections).rate(f64::from(RATE));
    let pinned = ClientSpec::new(NAME, PORT, scene.resolver(), 1).keep();
    let specs = habits.chain([libc, pinned]);
    scene.callers().iter().zip(specs).map(|(pod, spec)| pod.client(&spec)).collect()
}
