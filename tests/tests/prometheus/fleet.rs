//! The fleet by Prometheus: it scrapes two daemons of two nodes, a third is down. The output of `--prometheus` matches
//! the servers' counts and the recording rules.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use lab::prometheus::{Prometheus, Sample, Target};
use lab::*;
use serde_json::Value;

use crate::target;
use crate::two_nodes::{NAMESPACE, Scene};

const PORT: u16 = 8080;
const ORDERS: &str = "orders.shop.svc.cluster.local";
const PATIENCE: Duration = Duration::from_secs(60);
/// `increase` extrapolates beyond the last sample; over so long a time this is negligible.
const SCRAPED: Duration = Duration::from_secs(45);

/// An address without a listener.
const DOWN: &str = "127.0.0.1:1";

/// (client, pod) → connections.
type Matrix = BTreeMap<(String, String), u64>;

/// A Service of three pods, a client on each of two nodes and one that keeps its connections, and a daemon for each
/// node.
struct Fleet<'a> {
    scene: Scene<'a>,
    clients: BTreeMap<&'static str, Pod>,
    daemons: [Observer; 2],
}

impl<'a> Fleet<'a> {
    fn open(lab: &'a Lab) -> Self {
        let scene = Scene::new(lab);
        let pod = |node: usize, name: &str, last: u8| scene.pod(node, name, Ipv4Addr::new(10, 244, 1, last));
        let pods = [0, 1, 2].map(|n: u8| pod(usize::from(n % 2), &format!("orders-{n}"), 100 + n));
        for pod in &pods {
            pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
        }
        let clients = [(0, "here", 21), (1, "there", 22), (1, "holder", 23)];
        let clients = clients.map(|(node, name, last)| (name, pod(node, name, last))).into();
        scene.publish(&[ServiceSpec::new(NAMESPACE, "orders", PORT, &pods)]);
        let daemons = ["n1", "n2"].map(|node| scene.observe(node, &[]));
        Self { scene, clients, daemons }
    }

    fn client(&self, connections: u64) -> ClientSpec {
        ClientSpec::new(ORDERS, PORT, self.scene.resolver(true), connections).random()
    }

    /// A command's exit code and output.
    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let path = program().unwrap();
        let words = [&[path.to_str().unwrap()], words].concat();
        let output = self.scene.lab.exec(&words).unwrap().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn report(&self, words: &[&str]) -> Value {
        let (code, out, err) = self.run(&[&["report", "-o", "json"], words].concat());
        assert_eq!(code, Some(0), "{err}");
        serde_json::from_str(&out).unwrap()
    }

    fn accepted(&self) -> Matrix {
        let rows = self.scene.lab.truth().unwrap().into_iter().filter(|row| row.accepted > 0);
        rows.map(|row| ((row.client, row.pod), row.accepted)).collect()
    }
}

/// The rules with the window of the reports, and with endpoints that are mature at once.
fn rules() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rules/headless-obs.yaml");
    let rules = fs::read_to_string(path).unwrap();
    assert!(rules.contains("[10m]") && rules.contains("> bool 600\n"), "the rules have other windows");
    rules.replace("[10m]", "[5m]").replace("> bool 600\n", "> bool 0\n")
}

/// A rule's recorded value, and the value of a Service or client in a report.
fn both(prometheus: &Prometheus, of: &Value, rule: &str, figure: &str, selector: &str) -> (f64, f64) {
    let rows = prometheus.query(&format!("{rule}{selector}")).unwrap();
    let [recorded] = &rows[..] else { panic!("{rule}{selector}: {rows:#?}") };
    let ours = of.pointer(figure).and_then(Value::as_f64).unwrap_or_else(|| panic!("{figure}: {of:#}"));
    match rule.ends_with(":z") {
        true => (dispersion(recorded.value), dispersion(ours)),
        false => (recorded.value, ours),
    }
}

/// The dispersion over three pods with this z. Near zero z is sensitive to the small extrapolation of `increase`.
fn dispersion(z: f64) -> f64 {
    let variance = 2.0 / (9.0 * 2.0);
    (1.0 - variance + z * f64::sqrt(variance)).powi(3)
}

/// The factor by which `increase` exceeds the true counts; it grows with the delay of scrapes.
fn excess(prometheus: &Prometheus, of: &Value, level: &str, selector: &str) -> f64 {
    let rule = format!("{level}:headless_connections_opened:increase10m");
    let (recorded, ours) = both(prometheus, of, &rule, "/spread/connections", selector);
    let excess = recorded / ours;
    assert!((0.95..1.2).contains(&excess), "{rule} is {recorded} of {ours}");
    excess
}

/// Asserts that values of a Service or client equal the recorded ones, apart from the extrapolation of `increase`: no
/// value grows faster than the counts behind it.
fn agree(prometheus: &Prometheus, of: &Value, rule: &str, figure: &str, selector: &str, excess: f64) {
    let (recorded, ours) = both(prometheus, of, rule, figure, selector);
    let allowed = (0.03 + 1.5 * (excess - 1.0).abs()) * ours.abs().max(1.0);
    assert!(
        (recorded - ours).abs() <= allowed,
        "{rule} is {recorded}, {figure} {ours} with {excess} times the counts"
    );
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
    let lab = Lab::new().unwrap();
    let fleet = Fleet::open(&lab);
    let mut targets: Vec<Target> =
        (["n1", "n2"].iter().zip(&fleet.daemons)).map(|(node, daemon)| target(daemon, "lab", node)).collect();
    let labels = [("cluster", "lab".to_owned()), ("node", "n3".to_owned())].into();
    targets.push(Target { address: DOWN.parse().unwrap(), labels });
    let prometheus = Prometheus::start(&lab, &targets, &rules()).unwrap();
    let url = format!("http://{}", prometheus.address());
    let count = |wanted: usize| move |rows: &[Sample]| rows.len() == wanted;
    prometheus.query_when(PATIENCE, "headless_observer_build_info", count(2)).unwrap();

    // `increase` does not include connections before a series' first scrape.
    for client in fleet.clients.values() {
        assert_eq!(client.client(&fleet.client(1)).unwrap().wait().unwrap().total().connected, 1);
    }
    let edges = r#"headless_connections_opened_total{resolution="service"}"#;
    prometheus.query_when(PATIENCE, edges, count(9)).unwrap();
    let before = fleet.accepted();
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
    let mut since = truth.clone();
    since.iter_mut().for_each(|(edge, count)| *count -= before.get(edge).unwrap_or(&0));
    since.retain(|_, count| *count > 0);
    assert_eq!(since.values().sum::<u64>(), 54);
    assert_eq!(opened(&by_prometheus), since);
    let addresses = fleet.daemons.each_ref().map(|daemon| daemon.address().to_string());
    let by_daemons = fleet.report(&["--from", &addresses[0], "--from", &addresses[1]]);
    assert_eq!(opened(&by_daemons), truth);

    // Values that do not depend on the start of the observation are equal in both ways.
    let [one, other] = [&by_prometheus, &by_daemons].map(|snapshot| &snapshot["services"][0]);
    for figure in ["connections", "endpoints", "coverage", "peak_to_mean", "cv", "jain", "gini"] {
        assert_eq!(one["open"][figure], other["open"][figure], "{figure}");
    }
    assert_eq!(one["spread"]["connections"], 54);
    assert_eq!(one["dns"]["truncated"], other["dns"]["truncated"]);
    assert_eq!(one["dns"]["completeness"], 1.0);
    let verdicts = |service: &Value| -> BTreeMap<String, Value> {
        let clients = service["clients"].as_array().unwrap().iter();
        clients.map(|c| (c["workload"].to_string(), c["verdict"]["cause"].clone())).collect()
    };
    assert_eq!(verdicts(one), verdicts(other));
    let nodes: Vec<_> = by_prometheus["nodes"].as_array().unwrap().iter().map(|node| &node["node"]).collect();
    assert_eq!(nodes, ["n1", "n2", "n3"]);

    // The rules are the recorded ones.
    let more = excess(&prometheus, one, "namespace_service", "");
    for (rule, figure) in [
        ("connections:count_pods", "/spread/endpoints"),
        ("connections:coverage", "/spread/coverage"),
        ("connections:peak_to_mean", "/spread/peak_to_mean"),
        ("connections:cv", "/spread/cv"),
        ("connections:jain", "/spread/jain"),
        ("connections:dispersion", "/spread/dispersion"),
        ("selections:z", "/spread/z"),
        ("dns_answer_endpoints_ratio:mean10m", "/dns/completeness"),
    ] {
        agree(&prometheus, one, &format!("namespace_service:headless_{rule}"), figure, "", more);
    }
    let there = one["clients"].as_array().unwrap().iter().find(|row| row["workload"] == "there").unwrap();
    let selector = r#"{client_workload="there"}"#;
    let more = excess(&prometheus, there, "namespace_service_client", selector);
    for (rule, figure) in [
        ("connections:coverage", "/spread/coverage"),
        ("connections:peak_to_mean", "/spread/peak_to_mean"),
        ("selections:z", "/spread/z"),
    ] {
        let rule = format!("namespace_service_client:headless_{rule}");
        agree(&prometheus, there, &rule, figure, selector, more);
    }

    let (code, out, err) = fleet.run(&[&["report", "--fail-on", "idle"], &words[..]].concat());
    assert!(code == Some(0) && out.starts_with("Nodes n1, n2, "), "{out}{err}");
    assert!(out.contains("No data from 1 of 3 nodes (33%)"), "{out}");
    assert!(out.contains("n3: Prometheus cannot scrape it"), "{out}");
    assert!(err.contains("1 of 3 nodes are missing or not in sync (n3), so --fail-on idle"), "{err}");
    let (code, out, err) = fleet.run(&[&["explain", "shop/orders"], &words[..]].concat());
    assert!(code == Some(0) && out.contains("shop/there"), "{out}{err}");

    // Labels of another cluster match no series.
    let (code, _, err) =
        fleet.run(&["report", "--prometheus", &url, "--prometheus-selector", "cluster=\"other\""]);
    assert!(
        code == Some(1) && err.contains("has no metrics of headless-obs with cluster=\"other\""),
        "{err}"
    );
    let (code, _, err) = fleet.run(&["report", "--prometheus", &addresses[0]]);
    assert!(code == Some(1) && err.contains("does not answer like Prometheus"), "{err}");
}
