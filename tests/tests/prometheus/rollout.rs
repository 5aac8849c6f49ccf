//! One daemon follows another on the same node while Prometheus scrapes both: no connection is counted twice, by
//! counters or by the rules, and those that are open stay open.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use lab::prometheus::{Prometheus, Sample};
use lab::{ClientSpec, Lab, Observer, ServerMode, ServerSpec, ServiceSpec};

use crate::scene::{NAMESPACE, Scene, ZONE};
use crate::{rules, target};

const PATIENCE: Duration = Duration::from_secs(60);
const PORT: u16 = 8080;
/// Two scrapes: what came before them is known.
const SCRAPED: Duration = Duration::from_secs(3);
const EACH: u64 = 30;
const OPEN: u64 = 6;

/// The one value of a query.
fn value(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.value).sum()
}

#[test]
fn one_daemon_follows_another_and_nothing_is_counted_twice() {
    let lab = Lab::new().unwrap();
    let scene = Scene::new(&lab);
    let server = scene.pod(0, "orders-0", Ipv4Addr::new(10, 244, 1, 1));
    server.serve(&ServerSpec::new(server.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
    let web = scene.pod(0, "web", Ipv4Addr::new(10, 244, 1, 2));
    let service = ServiceSpec::new(NAMESPACE, "orders", PORT, &[server]);
    let name = service.domain(ZONE);
    scene.publish(&[service]);
    let begin = || scene.observe("n1", &["--stand-by"]);
    let spec = ClientSpec::new(&name, PORT, scene.resolver(true), EACH);
    let connect = || assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, EACH);
    let holds = web.client(&ClientSpec { connections: 0, ..spec.clone() }.keep()).unwrap();

    let old = begin();
    assert_eq!(holds.open(OPEN).unwrap().open, OPEN);
    // It stands by from here on.
    let new: Observer = begin();
    let targets = [&old, &new].map(|observer| target(observer, "lab", "n1"));
    let prometheus = Prometheus::start(&lab, &targets, &rules()).unwrap();
    let opened = r#"sum(last_over_time(headless_connections_opened_total{service="orders"}[5m]))"#;
    let is = |count: u64| move |samples: &[Sample]| (value(samples) - count as f64).abs() < 0.5;
    prometheus.query_when(PATIENCE, opened, is(OPEN)).unwrap();
    connect();
    prometheus.query_when(PATIENCE, opened, is(OPEN + EACH)).unwrap();
    thread::sleep(SCRAPED);

    old.stop().unwrap();
    let active = r#"sum(headless_connections_active{service="orders"})"#;
    let by_new = format!(r#"headless_connections_active{{service="orders", instance="{}"}}"#, new.address());
    prometheus.query_when(PATIENCE, &by_new, is(OPEN)).unwrap();
    connect();
    prometheus.query_when(PATIENCE, opened, is(OPEN + 2 * EACH)).unwrap();
    prometheus.query_when(PATIENCE, active, is(OPEN)).unwrap();
    thread::sleep(SCRAPED);
    // Of both, in a window that both are in: a rule adds them up, and extrapolates by a few percent.
    let rule =
        r#"sum(namespace_service_pod_client:headless_connections_opened:increase10m{service="orders"})"#;
    let of_rule = value(&prometheus.query(rule).unwrap());
    let most = (OPEN + 2 * EACH) as f64;
    assert!((EACH as f64..=most * 1.1).contains(&of_rule), "{of_rule} of {most}");
    assert_eq!(value(&prometheus.query(opened).unwrap()), most, "and stays so");
    assert_eq!(prometheus.log(), "", "Prometheus has nothing to complain about");
}
