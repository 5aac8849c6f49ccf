//! A namespace with servers and clients: real pods of real controllers, placed by the scheduler, with readiness probes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use lab::cluster::nodes::{AGENT, Kubectl, is_ready};
use lab::cluster::{DNS, Namespace, until};
use lab::{Client, ClientSpec, Server, ServerMode, ServerSpec};
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::harness::Shared;
use crate::shared::PATIENCE;

/// The port of the servers.
const PORT: u16 = 8080;
/// The cluster's DNS.
pub(crate) const RESOLVER: SocketAddr = SocketAddr::new(DNS, 53);

/// A running pod.
#[derive(Clone, Debug)]
pub(crate) struct RealPod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) address: IpAddr,
}

impl RealPod {
    pub(crate) fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            name: text(&object["metadata"]["name"]),
            uid: text(&object["metadata"]["uid"]),
            node: text(&object["spec"]["nodeName"]),
            address: text(&object["status"]["podIP"]).parse().unwrap(),
        }
    }
}

/// The namespace.
pub(crate) struct Shop<'a> {
    shared: &'a Shared,
    pub(crate) namespace: Namespace<'a>,
}

/// A constraint that puts the same number of pods on each node.
fn spread(app: &str) -> Value {
    json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}},
    }])
}

impl<'a> Shop<'a> {
    pub(crate) fn open(shared: &'a Shared, name: &str) -> Self {
        Self { shared, namespace: shared.cluster.namespace(name).unwrap() }
    }

    fn create(&self, kind: &str, object: &Value) {
        let path = format!("{}?fieldValidation=Strict", self.namespace.path(kind));
        self.shared.cluster.api().create(&path, object).unwrap();
    }

    /// Makes a StatefulSet `orders` of servers with a headless Service of that name, and waits until they are ready and
    /// in DNS. They ignore SIGTERM, so they serve until their grace period ends.
    pub(crate) fn orders(&self, replicas: usize, grace: u32) -> Vec<RealPod> {
        let labels = json!({"app": "orders"});
        self.create(
            "services",
            &json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "orders"},
                "spec": {"clusterIP": "None", "selector": labels, "ports": [{"name": "http", "port": PORT}]},
            }),
        );
        let server = ServerSpec::new(vec![SocketAddr::from(([0, 0, 0, 0], PORT))]).mode(ServerMode::Hold);
        let container = json!({
            "name": "server",
            "image": AGENT,
            "imagePullPolicy": "Never",
            "args": ["server", serde_json::to_string(&server).unwrap()],
            "stdin": true,
            "ports": [{"name": "http", "containerPort": PORT}],
            "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1, "failureThreshold": 1},
        });
        self.create(
            "apps/v1/statefulsets",
            &json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "orders"},
                "spec": {
                    "serviceName": "orders",
                    "replicas": replicas,
                    "podManagementPolicy": "Parallel",
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "terminationGracePeriodSeconds": grace,
                            "topologySpreadConstraints": spread("orders"),
                            "containers": [container],
                        },
                    },
                },
            }),
        );
        let pods = self.pods("orders", replicas);
        self.namespace.resolves("orders", pods.iter().map(|pod| &pod.address)).unwrap();
        pods
    }

    /// A Deployment of idle pods.
    pub(crate) fn clients(&self, name: &str, replicas: usize) -> Vec<RealPod> {
        let labels = json!({"app": name});
        let container =
            json!({"name": "client", "image": AGENT, "imagePullPolicy": "Never", "args": ["pause"]});
        self.create(
            "apps/v1/deployments",
            &json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"topologySpreadConstraints": spread(name), "containers": [container]},
                    },
                },
            }),
        );
        self.pods(name, replicas)
    }

    /// Waits until an app has this many pods, all ready and none terminating.
    pub(crate) fn pods(&self, app: &str, count: usize) -> Vec<RealPod> {
        let path = format!("{}?labelSelector=app%3D{app}", self.namespace.path("pods"));
        let mut last = Vec::new();
        let found = until(PATIENCE, &format!("{count} pods of {app} that are ready"), || {
            last = self.shared.cluster.api().list(&path)?;
            let all_ready =
                last.iter().all(|pod| is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null());
            Ok((all_ready && last.len() == count).then(|| last.iter().map(RealPod::of).collect()))
        });
        found.unwrap_or_else(|error| {
            self.shared.give_up(&error.context(format!("the last were {last:#?}")));
        })
    }

    pub(crate) fn kubectl(&self) -> Kubectl<'_> {
        Kubectl::new(&self.shared.lab, &self.shared.cluster, self.namespace.name())
    }

    /// A client in a pod that looks `orders` up for each connection and uses a random address.
    pub(crate) fn client(&self, pod: &RealPod, connections: u64) -> Client {
        let spec = ClientSpec::new(&self.namespace.domain("orders"), PORT, RESOLVER, connections).random();
        self.run(pod, &spec)
    }

    /// A client in a pod.
    pub(crate) fn run(&self, pod: &RealPod, spec: &ClientSpec) -> Client {
        self.kubectl().client(&pod.name, spec).unwrap()
    }

    /// The server in a pod.
    pub(crate) fn server(&self, pod: &RealPod) -> Server {
        self.kubectl().server(&pod.name).unwrap()
    }

    /// This namespace's Service `orders` in a daemon's snapshot.
    pub(crate) fn orders_of<'s>(&self, snapshot: &'s Value) -> Option<&'s Value> {
        let mut services = snapshot["services"].as_array().unwrap().iter();
        services.find(|service| service["namespace"] == self.namespace.name() && service["name"] == "orders")
    }

    /// (client, pod) → opened connections in one daemon's report, once their sum is `expected`.
    pub(crate) fn reported(&self, daemon: &Daemon<'_>, expected: u64) -> (Matrix, Value) {
        let what = format!("{expected} connections in the report of {}", daemon.node);
        let snapshot = daemon.snapshot_when(&what, |snapshot| {
            self.orders_of(snapshot).is_some_and(|service| opened(service).values().sum::<u64>() >= expected)
        });
        let service = self.orders_of(&snapshot).unwrap().clone();
        (opened(&service), service)
    }
}

/// (client, pod) → connections.
pub(crate) type Matrix = BTreeMap<(String, String), u64>;

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

/// Sum of a field over a Service's endpoints.
pub(crate) fn sum(service: &Value, figure: &str) -> u64 {
    service["endpoints"].as_array().unwrap().iter().map(|endpoint| endpoint[figure].as_u64().unwrap()).sum()
}
