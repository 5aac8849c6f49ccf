//! Pods come and go: by scaling and rollouts, unready, terminating, with another pod's name or address.

use std::collections::BTreeSet;

use lab::cluster::*;
use lab::*;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::observed_daemon::Observed;
use crate::snapshot_figures::{cell, client, endpoint, failed};
use crate::test_namespace::{RESOLVER, Scene, addresses, serve, stale, sum};
use crate::{ORDERS, PATIENCE, PORT};

const STATEFUL_SET: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: orders}
spec:
  serviceName: orders
  replicas: 2
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec: {containers: [{name: main, image: none}]}
";

/// A client that looked `orders` up once, and keeps using the first address of the answer.
fn loyal(scene: &Scene, pod: &Pod) -> Client {
    let spec = ClientSpec::new(&scene.namespace.domain("orders"), PORT, RESOLVER, 0).never_again();
    let client = pod.client(&spec).unwrap();
    assert_eq!(client.open(1).unwrap().open, 1);
    client
}

/// The pod that it keeps using.
fn chosen<'p>(client: &Client, pods: &'p [FakePod]) -> &'p FakePod {
    let report = client.report().unwrap();
    let address = report.addresses.keys().next().unwrap();
    pods.iter().find(|pod| pod.addresses().contains(address)).unwrap()
}

/// Waits until the daemon reports this state for a pod of `orders`.
fn becomes(scene: &Scene, observed: &Observed, pod: &str, state: &str) -> Value {
    scene.when(observed, "orders", |service| {
        let mut rows = service["endpoints"].as_array().unwrap().iter();
        rows.any(|row| row["pod"] == pod && row["state"] == state)
    })
}

/// Waits until this many connections of `orders` have been opened.
fn after(scene: &Scene, observed: &Observed, opened: u64) -> Value {
    scene.when(observed, "orders", |service| sum(service, "opened") >= opened)
}

pub(crate) fn a_stateful_set_grows_and_shrinks(shared: &Shared) {
    let mut scene = Scene::new(shared, "stateful-set");
    scene.namespace.apply(&format!("{ORDERS}---{STATEFUL_SET}")).unwrap();
    let mut pods = scene.namespace.adopt("app=orders", 2, &Draft::new("")).unwrap();
    pods.iter().for_each(|pod| drop(serve(pod)));
    scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
    let web = scene.client("web");
    let observed = scene.observe();
    scene.connect(&web, "orders", 20);
    let orders = scene.settled(&observed, "orders");
    assert_eq!(orders["spread"]["endpoints"], 2);

    let set = format!("{}/orders", scene.namespace.path("apps/v1/statefulsets"));
    let scale =
        |replicas: u8| shared.cluster.api().patch(&set, &json!({"spec": {"replicas": replicas}})).unwrap();
    scale(3);
    pods.extend(scene.namespace.adopt("app=orders", 1, &Draft::new("")).unwrap());
    assert_eq!(pods[2].name(), "orders-2");
    serve(&pods[2]);
    scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
    scene.connect(&web, "orders", 30);
    let orders = scene.settled(&observed, "orders");
    assert_eq!(orders["spread"]["endpoints"], 3);

    scale(1);
    // The last pod goes first, and the next one when it has gone.
    for pod in pods.drain(1..).rev() {
        scene.namespace.terminating(&pod).unwrap();
        becomes(&scene, &observed, pod.name(), "terminating");
        pod.remove().unwrap();
        becomes(&scene, &observed, pod.name(), "removed");
    }
    scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
    scene.connect(&web, "orders", 10);
    let orders = scene.settled(&observed, "orders");
    assert_eq!((&orders["spread"]["endpoints"], &orders["stale"]), (&json!(1), &stale(&[])));
}

pub(crate) fn a_deployment_rolls(shared: &Shared) {
    let mut scene = Scene::new(shared, "deployment");
    let deployment = |version: u8| {
        let rolling = "strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n  ";
        let labels = format!("labels: {{app: orders, version: v{version}}}");
        STATEFUL_SET
            .replace("StatefulSet", "Deployment")
            .replace("serviceName: orders\n  ", rolling)
            .replace("metadata: {labels: {app: orders}}", &format!("metadata: {{{labels}}}"))
    };
    scene.namespace.apply(&format!("{ORDERS}---{}", deployment(1))).unwrap();
    let old = scene.namespace.adopt("app=orders", 2, &Draft::new("")).unwrap();
    old.iter().for_each(|pod| drop(serve(pod)));
    scene.namespace.resolves("orders", &addresses(&old)).unwrap();
    let [web, caller] = ["web", "caller"].map(|name| scene.client(name));
    let observed = scene.observe();
    scene.connect(&web, "orders", 10);
    let faithful = loyal(&scene, &caller);
    let left = chosen(&faithful, &old);

    scene.namespace.apply(&deployment(2)).unwrap();
    let mut new = Vec::new();
    for _ in &old {
        let next = scene.namespace.adopt("version=v2", 1, &Draft::new("")).unwrap();
        next.iter().for_each(|pod| drop(serve(pod)));
        new.extend(next);
        // A new pod that is ready replaces an old one.
        let gone = until(PATIENCE, "pod that is replaced", || {
            let terminating = |pod: &&FakePod| {
                pod.object().is_ok_and(|object| !object["metadata"]["deletionTimestamp"].is_null())
            };
            Ok(old.iter().find(terminating).cloned())
        });
        gone.unwrap().remove().unwrap();
    }
    scene.namespace.resolves("orders", &addresses(&new)).unwrap();
    scene.connect(&web, "orders", 16);
    let orders = becomes(&scene, &observed, left.name(), "removed");
    assert_eq!(orders["stale"], stale(&[]));
    // The client still uses the old address, and nobody is there.
    let report = faithful.open(3).unwrap();
    assert_eq!(report.total().connected, 1, "{report:?}");
    let orders = scene.when(&observed, "orders", |service| {
        service["stale"]["removed"] == 3 && sum(service, "opened") == 27
    });
    assert_eq!(crate::test_namespace::opened(&orders), scene.accepted());
    assert_eq!(endpoint(&orders, left.name())["failed"], failed(&[("unreachable", 3)]));
    assert_eq!(orders["spread"]["endpoints"], 2);
    let used: BTreeSet<&str> = new.iter().map(|pod| pod.name()).collect();
    let ready = orders["endpoints"].as_array().unwrap().iter().filter(|row| row["state"] == "ready");
    assert_eq!(ready.map(|row| row["pod"].as_str().unwrap()).collect::<BTreeSet<_>>(), used);
    assert_eq!(client(&orders, "web")["coverage"], 1.0);
}

pub(crate) fn states_of_a_pod_are_told_apart(shared: &Shared) {
    let mut scene = Scene::new(shared, "states");
    let pods = scene.orders(2);
    let web = scene.client("web");
    let observed = scene.observe();
    let faithful = loyal(&scene, &web);
    let pod = chosen(&faithful, &pods);
    let path = format!("{}/orders", scene.namespace.path("services"));
    let publish = |publish: bool| {
        shared.cluster.api().patch(&path, &json!({"spec": {"publishNotReadyAddresses": publish}})).unwrap();
    };

    pod.set_ready(false).unwrap();
    becomes(&scene, &observed, pod.name(), "not_ready");
    faithful.open(2).unwrap();
    assert_eq!(after(&scene, &observed, 3)["stale"], stale(&[("not_ready", 2)]));
    // DNS still lists it: it is an endpoint like others, whose pod is not ready.
    publish(true);
    becomes(&scene, &observed, pod.name(), "ready");
    scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
    faithful.open(1).unwrap();
    assert_eq!(after(&scene, &observed, 4)["stale"], stale(&[("not_ready", 3)]));
    publish(false);
    becomes(&scene, &observed, pod.name(), "not_ready");
    pod.set_ready(true).unwrap();
    becomes(&scene, &observed, pod.name(), "ready");
    // A terminating pod still serves; connections to it are counted as another kind of stale than those to a removed
    // one.
    pod.terminate().unwrap();
    becomes(&scene, &observed, pod.name(), "terminating");
    faithful.open(4).unwrap();
    assert_eq!(after(&scene, &observed, 8)["stale"], stale(&[("not_ready", 3), ("terminating", 4)]));
    pod.remove().unwrap();
    let orders = becomes(&scene, &observed, pod.name(), "removed");
    assert_eq!(cell(&orders, "web", pod.name())["opened"], 8);
    assert_eq!(crate::test_namespace::opened(&orders), scene.accepted());
    assert_eq!(orders["spread"]["endpoints"], 1);
}

pub(crate) fn a_pod_comes_back_under_its_name(shared: &Shared) {
    let mut scene = Scene::new(shared, "same-name");
    scene
        .namespace
        .apply(&format!("{ORDERS}---{}", STATEFUL_SET.replace("replicas: 2", "replicas: 1")))
        .unwrap();
    let before = scene.namespace.adopt("app=orders", 1, &Draft::new("")).unwrap();
    serve(&before[0]);
    scene.namespace.resolves("orders", &addresses(&before)).unwrap();
    let web = scene.client("web");
    let observed = scene.observe();
    scene.connect(&web, "orders", 5);
    scene.settled(&observed, "orders");
    before[0].remove().unwrap();
    let now = scene.namespace.adopt("app=orders", 1, &Draft::new("")).unwrap();
    serve(&now[0]);
    assert_eq!((before[0].name(), before[0].uid() == now[0].uid()), (now[0].name(), false));
    scene.namespace.resolves("orders", &addresses(&now)).unwrap();
    scene.connect(&web, "orders", 7);
    let orders = scene.settled(&observed, "orders");
    let states = |state: &str| {
        orders["endpoints"].as_array().unwrap().iter().filter(|row| row["state"] == state).count()
    };
    assert_eq!((states("ready"), states("removed")), (1, 1), "{orders:#}");
    assert_eq!((&orders["spread"]["connections"], &orders["stale"]), (&json!(7), &stale(&[])), "{orders:#}");
}

pub(crate) fn an_address_goes_to_a_pod_of_another_service(shared: &Shared) {
    let mut scene = Scene::new(shared, "ip-reused");
    let pods = scene.orders(2);
    scene.namespace.apply(&ORDERS.replace("orders", "audit")).unwrap();
    let [web, auditor] = ["web", "auditor"].map(|name| scene.client(name));
    let observed = scene.observe();
    let faithful = loyal(&scene, &web);
    let old = chosen(&faithful, &pods).clone();
    let address = old.ip(true).unwrap();
    after(&scene, &observed, 1);
    old.remove().unwrap();
    let new = scene.server(&Draft::new("audit-0").app("audit").address(&format!("{address}/32")));
    scene.namespace.resolves("audit", &[address]).unwrap();
    becomes(&scene, &observed, old.name(), "removed");
    scene.when(&observed, "audit", |audit| audit["spread"]["endpoints"] == 1);
    assert_eq!(faithful.open(4).unwrap().total().connected, 5);
    scene.connect(&auditor, "audit", 6);

    let audit = scene.when(&observed, "audit", |audit| sum(audit, "closed") == 6);
    let orders = after(&scene, &observed, 5);
    assert_eq!(orders["stale"], stale(&[("ip_reused", 4)]), "{orders:#}");
    assert_eq!((&audit["stale"], &endpoint(&audit, new.name())["opened"]), (&stale(&[]), &json!(6)));
    assert_eq!(
        audit["clients"].as_array().unwrap().len(),
        1,
        "the client of orders is none of audit: {audit:#}"
    );
}
