//! The daemon's memory with many endpoints.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use lab::*;
use serde_json::{Value, json};

use crate::PATIENCE;

const SERVICES: u32 = 500;
const ENDPOINTS: u32 = 20;
/// The data take about 12 MiB; the rest is memory that the allocator keeps after temporary use, which differs from
/// machine to machine.
const MOST_KIB: u64 = 22 << 10;

/// A Service with its endpoints, as two documents.
fn manifest(number: u32) -> [Value; 2] {
    let (namespace, name) = (format!("team-{}", number % 25), format!("service-{number}"));
    let endpoint = |place: u32| {
        let pod = format!("{name}-{place}");
        let [_, a, b, c] = (number * ENDPOINTS + place).to_be_bytes();
        json!({
            "addresses": [format!("10.{}.{b}.{c}", 100 + a)],
            "conditions": {"ready": true},
            "hostname": pod,
            "nodeName": format!("node-{}", place % 100),
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod, "uid": format!("{number:08}-0000-4000-8000-{place:012}")},
        })
    };
    let endpoints: Vec<Value> = (0..ENDPOINTS).map(endpoint).collect();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": "None", "ports": [{"name": "main", "port": 8080}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": namespace, "name": format!("{name}-a"), "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "main", "port": 8080}], "endpoints": endpoints,
    });
    [service, slice]
}

/// All Services.
pub(crate) fn manifests() -> String {
    (0..SERVICES).flat_map(manifest).map(|document| format!("---\n{document}\n")).collect()
}

/// Private resident memory of a process, in KiB.
pub(crate) fn own_memory(pid: u32) -> u64 {
    lab::process_usage::status(pid, "RssAnon").unwrap()
}

/// Waits until a daemon has returned its temporary memory.
fn becomes_small(observer: &Observer) {
    let until = Instant::now() + PATIENCE;
    while own_memory(observer.pid()) > MOST_KIB {
        assert!(
            Instant::now() < until,
            "{} KiB, at most {MOST_KIB} are expected",
            own_memory(observer.pid())
        );
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn ten_thousand_endpoints_take_little_memory() {
    let lab = Lab::new().unwrap();
    let path = lab.folder().join("services.yaml");
    fs::write(&path, manifests()).unwrap();
    let topology = format!("files:{}", path.display());
    let observer = Observer::start(&lab, &ObserverSpec::new(&["--topology", &topology])).unwrap();
    becomes_small(&observer);
    let snapshot = observer.snapshot().unwrap();
    let services = snapshot["services"].as_array().unwrap();
    let endpoints: usize =
        services.iter().map(|service| service["endpoints"].as_array().unwrap().len()).sum();
    assert_eq!((services.len(), endpoints), (500, 10_000));
    // The limit also holds after all pages were read.
    let metrics = observer.metrics().unwrap();
    assert!(
        metrics.contains("headless_observer_series") && !metrics.contains("service-499"),
        "nobody here uses it"
    );
    becomes_small(&observer);
}
