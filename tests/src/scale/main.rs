//! `cargo xtask bench scale`: the daemon's cost in a large cluster that changes all the time, and its lag.
//!
//! A real API server holds thousands of headless Services, as many ordinary ones, and the Pods of other nodes. Slices
//! of both change all the time. Measured during the same minute: the daemon (memory, processor time, received bytes); a
//! client that watches the same kinds without selectors (bytes); and the daemon's lag between the write of an endpoint
//! and the first connection that it attributes to it.
//!
//! Standard output has the results only; progress goes to standard error. The program leaves nothing in the system.

#![deny(unsafe_code)]

mod churn;
mod lag;
mod population;
mod unfiltered_watcher;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use lab::cluster::{Cluster, FaultProxy, Identity};
use lab::process_usage::{cpu_seconds, resident_mib};
use lab::{Lab, Observer, ObserverSpec};
use lab_options::Scale;
use serde_json::{Value, json};

use churn::Churn;
use population::Population;
use unfiltered_watcher::Watcher;

/// Maximum time for the daemon to read everything.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let figures = run(&Scale::parse());
    let shown = figures.and_then(|figures| Ok(writeln!(stdout(), "{figures:#}")?));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Scale) -> Result<Value> {
    let lab = Lab::new()?;
    note("starting the control plane");
    let cluster = Cluster::new(&lab)?;
    note("filling it");
    let begun = Instant::now();
    let population = Population::make(&cluster, options.services, options.endpoints, options.pods)?;
    note(&format!("{population}, in {:.0} s", begun.elapsed().as_secs_f64()));

    let unfiltered_gate = cluster.gate()?;
    let unfiltered = Watcher::start(&kubeconfig(&cluster, "unfiltered", &unfiltered_gate)?)?;
    let gate = cluster.gate()?;
    let started = Instant::now();
    let spec = ObserverSpec {
        patience: Some(PATIENCE),
        ..ObserverSpec::new(
            &source(&kubeconfig(&cluster, "daemon", &gate)?, cluster.node().name())
                .each_ref()
                .map(String::as_str),
        )
    };
    let observer = Observer::start(&lab, &spec)?;
    let ready_after = started.elapsed();
    unfiltered.when_listed(PATIENCE)?;
    note(&format!("the daemon is ready after {:.1} s", ready_after.as_secs_f64()));
    let memory_at_rest = resident_mib(observer.pid())?;
    let cpu_at_rest = cpu_seconds(observer.pid())?;
    let listed = (gate.received(), unfiltered_gate.received());

    note(&format!("changing {} slices a second for {} s", 2 * options.rate, options.seconds));
    let churn = Churn::start(&cluster, &population, options.rate)?;
    let begun = Instant::now();
    let lags = lag::measure(&lab, &cluster, Duration::from_secs(options.seconds))?;
    let passed = begun.elapsed();
    let changes = churn.stop()?;
    let memory = resident_mib(observer.pid())?;
    let cpu = cpu_seconds(observer.pid())? - cpu_at_rest;
    let received = (gate.received() - listed.0, unfiltered_gate.received() - listed.1);
    let snapshot = observer.snapshot()?;

    let seconds = passed.as_secs_f64();
    let ratio = |daemon: u64, other: u64| f64_of(daemon) / f64_of(other.max(1));
    Ok(json!({
        "cluster": {
            "headless_services": options.services, "other_services": options.services,
            "headless_endpoints": options.endpoints, "other_endpoints": options.endpoints, "pods": options.pods,
        },
        "changes": { "headless": changes.headless, "other": changes.other, "seconds": seconds,
            "late": changes.late },
        "daemon": {
            "ready_after_seconds": ready_after.as_secs_f64(),
            "resident_mib_at_rest": memory_at_rest, "resident_mib": memory,
            "cpu_percent": cpu / seconds * 100.0,
            "topology": snapshot["quality"]["topology"],
            "topology_lost": snapshot["quality"]["events_lost"]["topology_full"],
        },
        "received_bytes": {
            "listed": { "daemon": listed.0, "unfiltered": listed.1, "ratio": ratio(listed.0, listed.1) },
            "changes": { "daemon": received.0, "unfiltered": received.1, "ratio": ratio(received.0, received.1) },
        },
        "lag_ms": lag::summary(lags),
    }))
}

/// The daemon's options for its source.
fn source(kubeconfig: &str, node: &str) -> [String; 6] {
    ["--topology", "kubernetes", "--kubeconfig", kubeconfig, "--node", node].map(str::to_owned)
}

fn kubeconfig(cluster: &Cluster, name: &str, gate: &FaultProxy) -> Result<String> {
    let path = cluster.kubeconfig(name, &gate.url(), &Identity::admin())?;
    Ok(path.to_str().context("the kubeconfig's path is not text")?.to_owned())
}

fn note(text: &str) {
    // If this fails, nobody reads standard error.
    let _gone = writeln!(stderr(), "scale: {text}");
}

#[expect(clippy::cast_precision_loss, reason = "figures to be read")]
fn f64_of(count: u64) -> f64 {
    count as f64
}
