//! The common start of most tests: a namespace with servers, clients that use the C library, and a daemon with the
//! shipped rights and its own fault proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lab::cluster::*;
use lab::*;
use serde_json::Value;

use crate::harness::Shared;
use crate::observed_daemon::Observed;
use crate::{ORDERS, PATIENCE, PORT};

/// The cluster's DNS.
pub(crate) const RESOLVER: SocketAddr = SocketAddr::new(DNS, 53);

/// (client, pod) → connections.
pub(crate) type Matrix = BTreeMap<(String, String), u64>;

/// A namespace of the shared cluster.
pub(crate) struct Scene<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) namespace: Namespace<'a>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(shared: &'a Shared, name: &str) -> Self {
        Self { shared, namespace: shared.cluster.namespace(name).unwrap() }
    }

    /// Makes the Service `orders` and `count` pods with servers, and waits until DNS lists them all.
    pub(crate) fn orders(&mut self, count: usize) -> Vec<FakePod> {
        self.namespace.apply(ORDERS).unwrap();
        let pods: Vec<FakePod> =
            (0..count).map(|n| self.server(&Draft::new(&format!("orders-{n}")).app("orders"))).collect();
        self.namespace.resolves("orders", &addresses(&pods)).unwrap();
        pods
    }

    /// A pod with a server on the usual port that holds its connections.
    pub(crate) fn server(&mut self, draft: &Draft) -> FakePod {
        let pod = self.namespace.pod(draft).unwrap();
        serve(&pod);
        pod
    }

    /// A pod without a Service.
    pub(crate) fn client(&mut self, name: &str) -> FakePod {
        self.namespace.pod(&Draft::new(name)).unwrap()
    }

    /// The daemon of node `n1`.
    pub(crate) fn observe(&self) -> Observed {
        observe(self.shared, self.namespace.name(), "n1")
    }

    /// Makes connections to a Service's name, which the C library resolves, and closes them.
    pub(crate) fn connect(&self, from: &Pod, service: &str, connections: u64) {
        let report = from.client(&ClientSpec::libc(service, PORT, connections)).unwrap().wait().unwrap();
        assert_eq!(report.total().connected, connections, "{report:?}");
    }

    /// Connections accepted by the servers of this namespace.
    pub(crate) fn accepted(&self) -> Matrix {
        let rows = self.shared.lab.truth().unwrap().into_iter();
        let own = rows.filter(|row| row.namespace == self.namespace.name() && row.accepted > 0);
        own.map(|row| ((row.client, row.pod), row.accepted)).collect()
    }

    /// A Service of this namespace.
    pub(crate) fn service<'s>(&self, snapshot: &'s Value, name: &str) -> &'s Value {
        let found = self.find(snapshot, name);
        found.unwrap_or_else(|| panic!("no Service {}/{name} in {snapshot:#}", self.namespace.name()))
    }

    /// The same; `None` if the daemon does not know it.
    pub(crate) fn find<'s>(&self, snapshot: &'s Value, name: &str) -> Option<&'s Value> {
        let mut services = snapshot["services"].as_array().unwrap().iter();
        services.find(|service| service["namespace"] == self.namespace.name() && service["name"] == name)
    }

    /// Waits for a snapshot whose Service satisfies `wanted`.
    pub(crate) fn when(&self, observed: &Observed, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let fits = |snapshot: &Value| self.find(snapshot, name).is_some_and(&wanted);
        let snapshot = observed.snapshot_when(PATIENCE, fits).unwrap();
        self.service(&snapshot, name).clone()
    }

    /// Waits until a Service has as many connections as its servers accepted and all have ended; then checks each
    /// client and pod.
    pub(crate) fn settled(&self, observed: &Observed, name: &str) -> Value {
        let accepted = self.accepted();
        let all: u64 = accepted.values().sum();
        let service = self.when(observed, name, |service| sum(service, "closed") >= all);
        assert_eq!(opened(&service), accepted, "{service:#}");
        service
    }

    /// The same, but `others` of the accepted connections do not count for the Service.
    pub(crate) fn settled_without(&self, observed: &Observed, name: &str, others: u64) -> Value {
        let all: u64 = self.accepted().values().sum();
        self.when(observed, name, |service| sum(service, "closed") == all - others)
    }
}

/// Starts a daemon of this node with the shipped rights, and waits until it is ready. `name` is that of its files.
pub(crate) fn observe(shared: &Shared, name: &str, node: &str) -> Observed {
    let token = shared.cluster.daemon_token().unwrap();
    let name = format!("{name}-{node}");
    Observed::ready(shared, &name, &Identity::Token(token), &[&format!("--node={node}")])
}

/// Starts a server on the usual port of all addresses that holds its connections.
pub(crate) fn serve(pod: &Pod) -> Server {
    pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap()
}

/// The addresses of all these pods.
pub(crate) fn addresses(pods: &[FakePod]) -> Vec<std::net::IpAddr> {
    pods.iter().flat_map(|pod| pod.addresses()).collect()
}

/// (client, pod) → opened connections, without zeros.
pub(crate) fn opened(service: &Value) -> Matrix {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut cells = Matrix::new();
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

/// Connections of each client, over all pods.
pub(crate) fn by_client(matrix: &Matrix) -> BTreeMap<&str, u64> {
    let mut sums = BTreeMap::new();
    for ((client, _), count) in matrix {
        *sums.entry(client.as_str()).or_default() += count;
    }
    sums
}

/// Sum of a field over a Service's endpoints.
pub(crate) fn sum(service: &Value, figure: &str) -> u64 {
    service["endpoints"].as_array().unwrap().iter().map(|endpoint| endpoint[figure].as_u64().unwrap()).sum()
}

/// Expected counts of stale connections, including the kinds with zero.
pub(crate) fn stale(counts: &[(&str, u64)]) -> Value {
    let mut all =
        serde_json::json!({"removed": 0, "terminating": 0, "not_ready": 0, "ip_reused": 0, "grace": 0});
    counts.iter().for_each(|(kind, count)| all[kind] = (*count).into());
    all
}
