//! A new daemon next to the old one, both scraped by Prometheus: no connection is counted twice, and open connections
//! are shown throughout.

use std::net::Ipv4Addr;
use std::time::Duration;

use lab::prometheus::{Prometheus, Sample};
use lab::{ClientSpec, Lab, ServerMode, ServerSpec, ServiceSpec};

use crate::two_nodes::{NAMESPACE, Scene, ZONE};
use crate::{rules, target};

const PORT: u16 = 8080;
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that stay open.
const HELD: u64 = 6;
/// Connections that open and close under each daemon.
const PASSING: u64 = 20;

/// Sum over all daemons, including ended ones.
const OPENED: &str = r#"sum(max_over_time(headless_connections_opened_total{service="orders"}[10m]))"#;
const ACTIVE: &str = r#"sum(headless_connections_active{service="orders"})"#;
/// The lowest value at any second.
const LEAST_ACTIVE: &str = r#"min_over_time(sum(headless_connections_active{service="orders"})[20s:1s])"#;

fn is(wanted: u64) -> impl Fn(&[Sample]) -> bool {
    move |samples| matches!(samples, [one] if one.value.to_string() == wanted.to_string())
}

#[test]
fn daemons_that_take_turns_are_one_to_who_adds_them_up() {
    let lab = Lab::new().unwrap();
    let scene = Scene::new(&lab);
    let pods: Vec<_> = [10, 11]
        .map(|last| scene.pod(0, &format!("orders-{last}"), Ipv4Addr::new(10, 244, 1, last)))
        .into_iter()
        .collect();
    for pod in &pods {
        pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
    }
    let client = scene.pod(0, "client", Ipv4Addr::new(10, 244, 1, 100));
    let service = ServiceSpec::new(NAMESPACE, "orders", PORT, &pods);
    let spec = |count| ClientSpec::new(&service.domain(ZONE), PORT, scene.resolver(true), count).random();
    scene.publish(std::slice::from_ref(&service));

    let [old, next] = [(); 2].map(|()| scene.observe("n1", &["--stand-by"]));
    let targets = [&old, &next].map(|observer| target(observer, "lab", "n1"));
    let prometheus = Prometheus::start(&lab, &targets, &rules()).unwrap();
    let held = client.client(&spec(0).keep()).unwrap();
    held.open(HELD).unwrap();
    let pass = || {
        let passed = client.client(&spec(PASSING)).unwrap().wait().unwrap();
        assert_eq!(passed.total().connected, PASSING);
    };
    pass();
    prometheus.query_when(PATIENCE, OPENED, is(HELD + PASSING)).unwrap();
    prometheus.query_when(PATIENCE, ACTIVE, is(HELD)).unwrap();

    let (status, log) = old.stop().unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    next.snapshot_when(PATIENCE, |snapshot| snapshot["quality"]["probes"].get("tcp").is_some()).unwrap();
    pass();
    prometheus.query_when(PATIENCE, OPENED, is(HELD + 2 * PASSING)).unwrap();
    prometheus.query_when(PATIENCE, ACTIVE, is(HELD)).unwrap();
    // Prometheus may show both for one scrape interval, but never too few.
    prometheus.query_when(PATIENCE, LEAST_ACTIVE, is(HELD)).unwrap();
}
