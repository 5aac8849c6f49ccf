//! One Service for each habit, with the alerts that it must cause, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use lab::{Client, ClientSpec, Pod, ServerMode, ServerSpec, ServiceSpec, TruthRow};

use crate::two_nodes::{NAMESPACE, Scene, ZONE};

const PORT: u16 = 8080;
/// More connections than any client makes before `stop`.
const ENDLESS: u64 = 1_000_000;

/// Expected alerts, with their subjects: Service, then pod or client.
const EXPECTED: [(&str, &[&str]); 5] = [
    ("HeadlessServiceImbalanced", &["skewed"]),
    (
        "HeadlessEndpointIdle",
        &[
            "pinned pinned-1",
            "pinned pinned-2",
            "scaled scaled-3",
            "scaled scaled-4",
            "skewed skewed-1",
            "skewed skewed-2",
        ],
    ),
    ("HeadlessClientPinned", &["pinned pinned-client", "skewed skewed-client"]),
    ("HeadlessStaleConnections", &["stale stale-client"]),
    ("HeadlessConnectFailures", &["refused refused-2"]),
];

/// See [`EXPECTED`].
pub(crate) fn expected() -> BTreeSet<(String, String)> {
    let of = |(alert, names): (&str, &[&str])| -> Vec<_> {
        names.iter().map(|name| (alert.to_owned(), (*name).to_owned())).collect()
    };
    EXPECTED.into_iter().flat_map(of).collect()
}

/// Client and pod → connections.
pub(crate) type Matrix = BTreeMap<(String, String), u64>;

/// All Services and their clients.
pub(crate) struct Services<'a> {
    scene: &'a Scene<'a>,
    specs: BTreeMap<&'static str, ServiceSpec>,
    clients: BTreeMap<&'static str, Pod>,
    running: Vec<Client>,
    /// The part of addresses that differs between Services.
    next: u8,
}

impl<'a> Services<'a> {
    /// All pods, with servers that listen.
    pub(crate) fn new(scene: &'a Scene<'a>) -> Self {
        let mut services =
            Self { scene, specs: BTreeMap::new(), clients: BTreeMap::new(), running: Vec::new(), next: 1 };
        services.add("fair", 4, &["fair-one", "fair-two", "fair-pool"]);
        services.add("skewed", 3, &["skewed-client"]);
        services.add("pinned", 3, &["pinned-client"]);
        services.add("scaled", 5, &["scaled-client"]);
        services.add("stale", 3, &["stale-client"]);
        services.add("refused", 3, &["refused-client"]);
        services.add("storm", 2, &["storm-client"]);
        services.add("batch", 5, &["batch-one", "batch-two"]);
        services
    }

    /// Makes the pods of a Service on alternating nodes, and those of its clients.
    fn add(&mut self, name: &'static str, endpoints: u8, clients: &[&'static str]) {
        let pod = |at: u8, name: &str, last: u8| {
            self.scene.pod(usize::from(at % 2), name, Ipv4Addr::new(10, 244, self.next, last))
        };
        let pods: Vec<Pod> = (0..endpoints).map(|at| pod(at, &format!("{name}-{at}"), 10 + at)).collect();
        for pod in pods.iter().filter(|pod| pod.name() != "refused-2") {
            pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
        }
        let clients = clients.iter().zip(0..).map(|(client, at)| (*client, pod(at, client, 100 + at)));
        self.clients.extend(clients.collect::<Vec<_>>());
        self.specs.insert(name, ServiceSpec::new(NAMESPACE, name, PORT, &pods));
        self.next += 1;
    }

    /// Writes DNS records and manifests: at first, `scaled` has three endpoints.
    pub(crate) fn publish(&self) {
        let specs = self.specs.values().cloned().map(|mut spec| {
            spec.endpoints.truncate(if spec.name == "scaled" { 3 } else { usize::MAX });
            spec
        });
        self.scene.publish(&specs.collect::<Vec<_>>());
    }

    /// `scaled` gets two more endpoints, and `stale` loses its last.
    pub(crate) fn change(&mut self) {
        self.specs.get_mut("stale").unwrap().endpoints.pop();
        self.scene.publish(&self.specs.values().cloned().collect::<Vec<_>>());
    }

    /// A client's habit: it takes the first address of a look-up for each connection.
    fn habit(&self, service: &str, shuffles: bool, connections: u64) -> ClientSpec {
        ClientSpec::new(&self.specs[service].domain(ZONE), PORT, self.scene.resolver(shuffles), connections)
    }

    fn run(&mut self, client: &str, spec: &ClientSpec) {
        self.running.push(self.clients[client].client(spec).unwrap());
    }

    /// Starts them all.
    pub(crate) fn start(&mut self) {
        let endless = |of: &Self, service, shuffles, rate| of.habit(service, shuffles, ENDLESS).rate(rate);
        let fair = endless(self, "fair", true, 10.0);
        self.run("fair-one", &fair);
        self.run("fair-two", &fair.random());
        // Twenty connections that stay, five at each endpoint.
        self.run("fair-pool", &self.habit("fair", true, 20).round_robin(0).keep());
        // The first address of answers with a fixed order.
        self.run("skewed-client", &endless(self, "skewed", false, 10.0));
        // Thirty connections that stay, all at one endpoint.
        self.run("pinned-client", &self.habit("pinned", false, 30).never_again().keep());
        // Clients that look up once, and use these addresses evenly.
        self.run("scaled-client", &endless(self, "scaled", true, 20.0).round_robin(0));
        self.run("stale-client", &endless(self, "stale", true, 10.0).round_robin(0));
        self.run("refused-client", &endless(self, "refused", true, 10.0).random());
        self.run(
            "storm-client",
            &endless(self, "storm", true, 200.0).random().dial(|dial| dial.reset_on_close = true),
        );
        // Makes all their series exist before the batch.
        self.batch_of([1, 1]);
    }

    /// Makes the connections of the comparison.
    pub(crate) fn batch(&self) {
        self.batch_of([20, 100]);
    }

    fn batch_of(&self, [one, two]: [u64; 2]) {
        let clients = [
            self.clients["batch-one"].client(&self.habit("batch", false, one)).unwrap(),
            self.clients["batch-two"].client(&self.habit("batch", true, two).random()).unwrap(),
        ];
        for (client, connections) in clients.iter().zip([one, two]) {
            assert_eq!(client.wait().unwrap().total().connected, connections);
        }
    }

    /// Ends all clients' runs; kept connections stay open.
    pub(crate) fn stop(&self) {
        for client in &self.running {
            client.stop().unwrap();
        }
    }
}

/// The servers' counts, by client and pod.
pub(crate) fn matrix(rows: &[TruthRow]) -> Matrix {
    rows.iter().map(|row| ((row.client.clone(), row.pod.clone()), row.accepted)).collect()
}
