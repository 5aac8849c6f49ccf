//! Identities of clients: the workload of the pod, on the right node; and sources that are no clients, such as a
//! kubelet.

use std::collections::BTreeMap;

use lab::cluster::*;
use lab::*;
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::harness::Shared;
use crate::observed_daemon::Observed;
use crate::snapshot_figures::client;
use crate::test_namespace::{Scene, addresses, by_client, observe, opened, sum};

const WORKLOADS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: none}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: none}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {nodeSelector: {kubernetes.io/hostname: n1}, containers: [{name: main, image: none}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: '* * * * *'
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        metadata: {labels: {app: nightly}}
        spec: {restartPolicy: Never, containers: [{name: main, image: none}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: import}
spec:
  template:
    metadata: {labels: {app: import}}
    spec: {restartPolicy: Never, containers: [{name: main, image: none}]}
";

pub(crate) fn clients_have_the_names_of_their_workloads(shared: &Shared) {
    let mut scene = Scene::new(shared, "workloads");
    scene.orders(2);
    scene.namespace.apply(WORKLOADS).unwrap();
    // A CronJob that has missed its last run starts it at once.
    let past = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(5);
    let status = json!({"status": {"lastScheduleTime": past.strftime("%FT%TZ").to_string()}});
    let nightly = format!("{}/nightly/status", scene.namespace.path("batch/v1/cronjobs"));
    shared.cluster.api().patch(&nightly, &status).unwrap();

    let mut expected = BTreeMap::new();
    let mut pods = Vec::new();
    for (app, connections) in [("web", 1), ("db", 2), ("agent", 3), ("nightly", 4), ("import", 5)] {
        pods.extend(scene.namespace.adopt(&format!("app={app}"), 1, &Draft::new("")).unwrap());
        expected.insert(app, connections);
    }
    let owner = json!({
        "apiVersion": "example.com/v1", "kind": "Rollout", "name": "canary", "controller": true,
        "uid": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    });
    let custom = Draft::new("canary-7").with(json!({"metadata": {"ownerReferences": [owner]}}));
    pods.push(scene.namespace.pod(&custom).unwrap());
    pods.push(scene.client("alone"));
    expected.extend([("canary", 6), ("alone", 7)]);

    let observed = scene.observe();
    for (pod, connections) in pods.iter().zip(1..) {
        scene.connect(pod, "orders", connections);
    }
    let orders = scene.settled(&observed, "orders");
    assert_eq!(by_client(&opened(&orders)), expected);
    for row in orders["clients"].as_array().unwrap() {
        assert_eq!(row["namespace"], scene.namespace.name());
    }
}

pub(crate) fn each_node_counts_its_own_pods(shared: &Shared) {
    let mut scene = Scene::new(shared, "two-nodes");
    shared.cluster.add_node("n2").unwrap();
    scene.orders(3);
    let here = scene.client("here");
    let there = scene.namespace.pod(&Draft::new("there").node("n2")).unwrap();
    let [first, second] = ["n1", "n2"].map(|node| observe(shared, "two-nodes", node));
    scene.connect(&here, "orders", 20);
    scene.connect(&there, "orders", 30);
    // The nodes share a kernel, so both daemons see all connections.
    let one = scene.when(&first, "orders", |service| sum(service, "closed") >= 20);
    let other = scene.when(&second, "orders", |service| sum(service, "closed") >= 30);
    let mut together = opened(&one);
    assert_eq!(by_client(&together), BTreeMap::from([("here", 20)]));
    assert_eq!(by_client(&opened(&other)), BTreeMap::from([("there", 30)]));
    together.extend(opened(&other));
    assert_eq!(together, scene.accepted());
    let left_out = |of: &Observed, count: u64| {
        let told = |snapshot: &Value| snapshot["quality"]["excluded"]["other_node"] == count;
        of.snapshot_when(PATIENCE, told).unwrap();
    };
    left_out(&first, 30);
    left_out(&second, 20);
}

pub(crate) fn probes_and_scrapes_change_no_headline(shared: &Shared) {
    let mut scene = Scene::new(shared, "probes");
    let pods = scene.orders(3);
    let [web, prometheus] = ["web", "prometheus"].map(|name| scene.client(name));
    let observed = scene.observe();
    scene.connect(&web, "orders", 9);
    // A kubelet connects from the node itself, by address.
    for address in addresses(&pods) {
        let probe = format!("for i in 1 2 3 4; do exec 3<>/dev/tcp/{address}/8080; exec 3>&-; done");
        let output = shared.cluster.node().exec(&["bash", "-c", &probe]).unwrap().output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    // Prometheus has the addresses from the API server.
    let scrapes = ClientSpec::fixed(&addresses(&pods), crate::PORT, 30);
    assert_eq!(prometheus.client(&scrapes).unwrap().wait().unwrap().total().connected, 30);

    let told = |snapshot: &Value| {
        snapshot["quality"]["excluded"]["probe"] == 12
            && scene.find(snapshot, "orders").is_some_and(|orders| sum(orders, "closed") == 39)
    };
    let snapshot = observed.snapshot_when(PATIENCE, told).unwrap();
    let orders = scene.service(&snapshot, "orders");
    assert_eq!((&orders["spread"]["connections"], sum(orders, "counted")), (&json!(9), 9));
    assert_eq!(client(orders, "prometheus")["resolution"], json!({"none": 30}));
    assert_eq!(by_client(&opened(orders)), BTreeMap::from([("prometheus", 30), ("web", 9)]));
}
