//! The rules with live data: a real Prometheus scrapes the daemons of two nodes while clients with all habits run. And
//! the dashboards ([`dashboards`]), on one node that produces everything that they can show.
//!
//! All habits run at the same time, each with its own Service, and windows have a twentieth of their length, so that
//! all take three minutes together. The expected alerts are in [`services`]'s table; the servers' counts give the
//! expected values.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]

mod dashboards;
mod figures;
mod fleet;
mod market;
mod otlp;
mod rollout;
mod services;
mod two_nodes;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab::prometheus::{Prometheus, Target, tool, with_short_windows};
use lab::{Lab, Observer};

use crate::services::Services;
use crate::two_nodes::Scene;

/// The time that Prometheus scrapes while clients run.
const WHILE: Duration = Duration::from_secs(180);
/// The time at which the endpoints of some Services change: after the initial ones are mature, which takes a window.
const CHANGE: Duration = Duration::from_secs(35);
/// The time at which clients make the connections of the comparison.
const BATCH: Duration = Duration::from_secs(130);
/// Long enough for two scrapes and two evaluations; together with the batch it is shorter than a window.
const SETTLE: Duration = Duration::from_secs(8);

fn rules() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/rules/headless-obs.yaml");
    with_short_windows(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn target(observer: &Observer, cluster: &str, node: &str) -> Target {
    let labels = [("cluster", cluster.to_owned()), ("node", node.to_owned())].into();
    Target { address: observer.address(), labels }
}

/// All alerts that have fired, each with its subject.
fn fired(prometheus: &Prometheus) -> BTreeSet<(String, String)> {
    let alerts =
        prometheus.query(r#"max_over_time(ALERTS{alertstate="firing", cluster!="lost"}[10m])"#).unwrap();
    let named = |label: &&str| !label.is_empty();
    let names = alerts.iter().map(|alert| {
        let parts = ["service", "pod", "client_workload", "node"].map(|name| alert.label(name));
        let parts: Vec<&str> = parts.into_iter().filter(|part| named(part)).collect();
        (alert.label("alertname").to_owned(), parts.join(" "))
    });
    names.collect()
}

/// Promtool's complaints about a page of metrics.
fn linted(metrics: &str) -> String {
    let mut promtool = Command::new(tool("HEADLESS_OBS_PROMTOOL").unwrap());
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!("{}{}", String::from_utf8_lossy(&said), if output.status.success() { "" } else { "failed" })
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

#[test]
fn fleet_figures_are_the_servers_and_alerts_fire_on_real_trouble_alone() {
    let lab = Lab::new().unwrap();
    let scene = Scene::new(&lab);
    let mut services = Services::new(&scene);
    services.publish();
    let [first, second] = ["n1", "n2"].map(|node| scene.observe(node, &[]));
    let small = scene.observe("n1", &["--ring-size", "64KiB"]);
    let targets = [target(&first, "lab", "n1"), target(&second, "lab", "n2"), target(&small, "lost", "n1")];
    let prometheus = Prometheus::start(&lab, &targets, &rules()).unwrap();
    let start = Instant::now();
    // If the daemon does not read for seconds, its ring overflows.
    let stalls = two_nodes::Stalls::of(&small);
    services.start();

    sleep_until(start + CHANGE);
    services.change();
    sleep_until(start + BATCH);
    let before = lab.truth().unwrap();
    services.batch();
    let after = lab.truth().unwrap();
    thread::sleep(SETTLE);
    figures::agree(&prometheus, "batch", &before, &after);

    sleep_until(start + WHILE);
    services.stop();
    let truth = services::matrix(&lab.truth().unwrap());
    figures::totals_agree(&prometheus, &truth);
    assert_eq!(fired(&prometheus), services::expected());
    let lost =
        prometheus.query(r#"ALERTS{alertname="HeadlessObserverEventsLost", alertstate="firing"}"#).unwrap();
    let lost: Vec<&str> = lost.iter().map(|alert| alert.label("cluster")).collect();
    assert_eq!(lost, ["lost"], "only the observer with a small ring loses events");
    drop(stalls);
    assert_eq!(linted(&first.metrics().unwrap()), "");
    assert_eq!(prometheus.log(), "", "Prometheus has nothing to complain about");
}
