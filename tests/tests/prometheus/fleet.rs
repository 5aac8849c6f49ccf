//! The fleet by Prometheus: two daemons of two nodes are scraped, and what `--prometheus` shows of them is what the
//! servers accepted.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use lab::dns::Order;
use lab::prometheus::{Prometheus, Sample, Target};
use lab::*;
use serde_json::{Value, json};

use crate::{rules, target};

const PORT: u16 = 8080;
const ORDERS: &str = "orders.shop.svc.cluster.local";
const PATIENCE: Duration = Duration::from_secs(20);
/// `increase` goes on where the last sample was; over so long a time that is nothing.
const SCRAPED: Duration = Duration::from_secs(45);

/// (client, pod) → connections.
type Matrix = BTreeMap<(String, String), u64>;

/// A Service of three pods, a client on each of two nodes and one that stays with one pod, and a daemon for each node.
struct Fleet {
    lab: Lab,
    dns: DnsServer,
    clients: BTreeMap<&'static str, Pod>,
    daemons: Vec<Observer>,
}

impl Fleet {
    fn open() -> Self {
        let lab = Lab::new().unwrap();
        let node = lab.node("n1").unwrap();
        let pod = |namespace: &str, name: &str, address: &str| {
            node.pod(PodSpec::new(namespace, name).address(address)).unwrap()
        };
        let server = pod("kube-system", "dns", "10.244.1.53/24");
        let options = DnsOptions { order: Order::Shuffle, ..DnsOptions::default() };
        let dns = server.dns(&DnsSpec { options, ..DnsSpec::new(server.sockets(53)) }).unwrap();
        let pods: Vec<Pod> = (0..3)
            .map(|n| pod("shop", &format!("orders-{n}"), &format!("10.244.1.{}/24", 100 + n)))
            .collect();
        for pod in &pods {
            pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
        }
        let addresses: Vec<_> = pods.iter().map(|pod| pod.ip(true).unwrap()).collect();
        dns.set_addresses(ORDERS, &addresses).unwrap();
        let clients = [("here", "10.244.1.21/24"), ("there", "10.244.1.22/24"), ("holder", "10.244.1.23/24")];
        let clients: BTreeMap<_, _> =
            clients.into_iter().map(|(name, address)| (name, pod("shop", name, address))).collect();

        // In the lab all is on one node; to the daemons, two of the clients are on another.
        let manifests = lab.manifests(&[ServiceSpec::new("shop", "orders", PORT, &pods)]);
        let moved: Vec<String> = manifests
            .split("---\n")
            .filter(|document| !document.trim().is_empty())
            .map(|document| {
                let mut object: Value = serde_json::from_str(document).unwrap();
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                if object["kind"] == "Pod" && (name == "there" || name == "holder") {
                    object["spec"]["nodeName"] = json!("n2");
                }
                object.to_string()
            })
            .collect();
        let file = lab.folder().join("fleet.yaml");
        fs::write(&file, moved.join("\n---\n")).unwrap();
        let topology = format!("files:{}", file.display());
        let daemons = ["n1", "n2"].map(|node| {
            let options = ["--topology", &topology, "--node", node];
            Observer::start(&lab, &ObserverSpec::new(&options)).unwrap()
        });
        Self { lab, dns, clients, daemons: daemons.into() }
    }

    fn client(&self, connections: u64) -> ClientSpec {
        ClientSpec::new(ORDERS, PORT, self.dns.addresses()[0], connections).random()
    }

    /// A command's exit code and output.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let path = program().unwrap();
        let words = [&[path.to_str().unwrap()], words].concat();
        let output = self.lab.exec(&words).unwrap().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn report(&self, words: &[&str]) -> Value {
        let (code, out, err) = self.run(&[&["report", "-o", "json"], words].concat());
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str(&out).unwrap()
    }

    fn accepted(&self) -> Matrix {
        let rows = self.lab.truth().unwrap().into_iter().filter(|row| row.accepted > 0);
        rows.map(|row| ((row.client, row.pod), row.accepted)).collect()
    }
}

fn opened(snapshot: &Value) -> Matrix {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let [orders] = &snapshot["services"].as_array().unwrap()[..] else { panic!("{snapshot:#}") };
    let mut cells = Matrix::new();
    for client in orders["clients"].as_array().unwrap() {
        for row in client["endpoints"].as_array().unwrap() {
            let count = row["opened"].as_u64().unwrap();
            if count > 0 {
                cells.insert((text(&client["workload"]), text(&row["pod"])), count);
            }
        }
    }
    cells
}

#[test]
fn what_prometheus_knows_of_a_fleet_is_what_its_servers_accepted() {
    let fleet = Fleet::open();
    let targets: Vec<Target> =
        (["n1", "n2"].iter().zip(&fleet.daemons)).map(|(node, daemon)| target(daemon, "lab", node)).collect();
    let prometheus = Prometheus::start(&fleet.lab, &targets, &rules()).unwrap();
    let url = format!("http://{}", prometheus.address());
    let count = |wanted: usize| move |rows: &[Sample]| rows.len() == wanted;
    prometheus.query_when(PATIENCE, "headless_observer_build_info", count(2)).unwrap();

    for (name, connections) in [("here", 20), ("there", 30)] {
        let spec = fleet.client(connections).rate(20.0);
        let done = fleet.clients[name].client(&spec).unwrap().wait().unwrap();
        assert_eq!(done.total().connected, connections);
    }
    let held = fleet.clients["holder"].client(&fleet.client(0).keep()).unwrap();
    assert_eq!(held.open(4).unwrap().open, 4);
    thread::sleep(SCRAPED);

    let words = ["--prometheus", &url, "--for", "5m", "--mature-after", "0s"];
    let by_prometheus = fleet.report(&words);
    let truth = fleet.accepted();
    assert_eq!(truth.values().sum::<u64>(), 54);
    assert_eq!(opened(&by_prometheus), truth);
    let addresses: Vec<String> = fleet.daemons.iter().map(|daemon| daemon.address().to_string()).collect();
    let by_daemons = fleet.report(&["--from", &addresses[0], "--from", &addresses[1]]);
    assert_eq!(opened(&by_daemons), truth);

    // The same figures by both ways: what is made of the sums, and what needs every node's facts.
    let [one, other] = [&by_prometheus, &by_daemons].map(|snapshot| &snapshot["services"][0]);
    for figure in ["connections", "endpoints", "coverage", "peak_to_mean", "cv", "jain", "gini"] {
        assert_eq!(one["spread"][figure], other["spread"][figure], "{figure}");
        assert_eq!(one["open"][figure], other["open"][figure], "open: {figure}");
    }
    assert_eq!(one["selections"]["connections"], other["selections"]["connections"]);
    assert_eq!(one["dns"]["truncated"], other["dns"]["truncated"]);
    assert_eq!(one["dns"]["completeness"], 1.0);
    let verdicts = |service: &Value| -> BTreeMap<String, Value> {
        let clients = service["clients"].as_array().unwrap().iter();
        clients.map(|c| (c["workload"].to_string(), c["verdict"]["cause"].clone())).collect()
    };
    assert_eq!(verdicts(one), verdicts(other));
    let nodes: Vec<_> = by_prometheus["nodes"].as_array().unwrap().iter().map(|node| &node["node"]).collect();
    assert_eq!(nodes, ["n1", "n2"]);

    let (code, out, err) = fleet.run(&[&["report"], &words[..]].concat());
    assert!(code == Some(0) && out.starts_with("Nodes n1, n2, "), "{out}{err}");
    let (code, out, err) = fleet.run(&[&["explain", "shop/orders"], &words[..]].concat());
    assert!(code == Some(0) && out.contains("shop/there"), "{out}{err}");

    // Labels of another cluster: there is nothing.
    let (code, _, err) =
        fleet.run(&["report", "--prometheus", &url, "--prometheus-selector", "cluster=\"other\""]);
    assert!(
        code == Some(1) && err.contains("has no metrics of headless-obs with cluster=\"other\""),
        "{err}"
    );
    let (code, _, err) = fleet.run(&["report", "--prometheus", &addresses[0]]);
    assert!(code == Some(1) && err.contains("does not answer as Prometheus does"), "{err}");
}
