//! Three daemons observe the same traffic: with the API server, with files of the API server's objects, and with DNS
//! answers only.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;

use lab::*;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::test_namespace::{Scene, opened, sum};
use crate::{ORDERS, PATIENCE, PORT};

/// The objects of some lists in the API server, as one file.
fn read_back(scene: &Scene, lists: &[&str]) -> String {
    let api = scene.shared.cluster.api();
    let documents = lists.iter().flat_map(|path| {
        let list = api.get(&scene.namespace.path(path)).unwrap();
        let kind = list["kind"].as_str().unwrap().trim_end_matches("List").to_owned();
        let items = list["items"].as_array().unwrap().clone();
        // The items of a list lack kind and version.
        items.into_iter().map(move |mut item| {
            item["apiVersion"] = list["apiVersion"].clone();
            item["kind"] = json!(kind);
            format!("---\n{item:#}\n")
        })
    });
    documents.collect()
}

/// A Service without times, and without values that depend on the daemon's start.
fn timeless(service: &Value) -> Value {
    const BY_TIME: [&str; 10] = [
        "waste",
        "buckets",
        "evidence",
        "histogram",
        "convergence",
        "history",
        "latency",
        "readings",
        "round_trips",
        "lifetimes",
    ];
    let is_moment =
        |value: &Value| value.as_str().is_some_and(|text| text.ends_with('Z') && text.contains('T'));
    match service {
        Value::Array(rows) => rows.iter().map(timeless).collect(),
        Value::Object(fields) => {
            let is_timeless = |(name, value): &(&String, &Value)| {
                !is_moment(value) && !name.ends_with("seconds") && !BY_TIME.contains(&name.as_str())
            };
            let kept = fields.iter().filter(is_timeless);
            Value::Object(kept.map(|(name, value)| (name.clone(), timeless(value))).collect())
        }
        other => other.clone(),
    }
}

/// Address → connections.
fn by_address(service: &Value) -> BTreeMap<IpAddr, u64> {
    let rows = service["endpoints"].as_array().unwrap().iter();
    rows.map(|row| (row["addresses"][0].as_str().unwrap().parse().unwrap(), row["opened"].as_u64().unwrap()))
        .collect()
}

pub(crate) fn all_sources_give_the_same_report(shared: &Shared) {
    let mut scene = Scene::new(shared, "sources");
    scene.orders(3);
    scene.namespace.apply(&ORDERS.replace("name: orders", "name: audit")).unwrap();
    let [web, auditor, gossip] = ["web", "auditor", "gossip"].map(|name| scene.client(name));
    let file = shared.lab.folder().join("read-back.yaml");
    fs::write(&file, read_back(&scene, &["services", "discovery.k8s.io/v1/endpointslices", "pods"])).unwrap();
    let files = format!("files:{}", file.display());
    let by_api = scene.observe();
    let start = |options: &[&str]| Observer::start(&shared.lab, &ObserverSpec::new(options)).unwrap();
    let by_files = start(&["--topology", &files, "--node", "n1"]);
    let by_dns = start(&["--topology", "dns", "--node", "n1"]);

    scene.connect(&web, "orders", 30);
    scene.connect(&auditor, "audit", 20);
    let named = ClientSpec::libc("orders", PORT, 0);
    let held = gossip.client(&named).unwrap();
    assert_eq!(held.open(5).unwrap().open, 5);

    let done = |snapshot: &Value, namespace: &str, names: [&str; 2]| {
        let find = |name: &str| {
            let mut services = snapshot["services"].as_array().unwrap().iter();
            services.find(|service| service["namespace"] == namespace && service["name"] == name).cloned()
        };
        let [orders, audit] = names.map(|name| find(name).unwrap_or(json!({"endpoints": []})));
        (sum(&orders, "opened") == 35 && sum(&audit, "closed") == 20).then_some([orders, audit])
    };
    let report = |observer: &Observer, namespace: &str, names: [&str; 2]| {
        let snapshot =
            observer.snapshot_when(PATIENCE, |snapshot| done(snapshot, namespace, names).is_some());
        done(&snapshot.unwrap(), namespace, names).unwrap()
    };
    let name = scene.namespace.name();
    let api = report(&by_api, name, ["orders", "audit"]);
    let files = report(&by_files, name, ["orders", "audit"]);
    assert_eq!(api.each_ref().map(timeless), files.each_ref().map(timeless));
    let dns = report(&by_dns, name, ["orders", "audit"]);
    assert_eq!(api.each_ref().map(by_address), dns.each_ref().map(by_address));
    let mut together = opened(&api[0]);
    opened(&api[1]).into_iter().for_each(|(cell, count)| *together.entry(cell).or_default() += count);
    assert_eq!(together, scene.accepted());
}
