//! The demonstration: six pods behind a headless Service, a seventh later, clients with different habits. It shows the
//! daemon's report and compares it with the servers' counts.
//!
//! Standard output has the report only; progress goes to standard error. The program leaves nothing in the system.

#![deny(unsafe_code)]

mod compare;
mod kubernetes;
mod pictures;
mod progress;
mod sample;
mod shop;
mod without_cluster;

use std::io::{Write as _, stdout};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use lab::cluster::Cluster;
use lab::{Lab, Observer, TruthRow, program};
use lab_options::{Demo, DemoOutput};
use serde_json::{Value, json};

use compare::{is_equal, table};
use kubernetes::Kubernetes;
use progress::Progress;
use shop::{Scene, TIMES, start_clients};
use without_cluster::Plain;

fn main() -> ExitCode {
    match run(&Demo::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            progress::note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether report and truth agree.
fn run(options: &Demo) -> Result<bool> {
    let progress = Progress::new();
    if !options.kubernetes {
        progress.say("starting a node, its pods and its DNS server");
        return show(options, progress, &mut Plain::new()?);
    }
    progress.say("starting etcd, a Kubernetes API server, its controllers and CoreDNS");
    let lab = Lab::new()?;
    let cluster = Cluster::new(&lab)?;
    progress.say("creating a StatefulSet, a headless Service, and a Deployment for each client");
    show(options, progress, &mut Kubernetes::new(&lab, &cluster)?)
}

/// The same, with an environment that is ready.
fn show(options: &Demo, progress: Progress, scene: &mut dyn Scene) -> Result<bool> {
    let duration = Duration::from_secs(options.seconds);
    progress.say("starting the daemon");
    let observer = scene.observe()?;
    let url = format!("http://{}", observer.address());
    let clients = start_clients(scene, duration)?;
    progress.say(&format!(
        "six clients with different habits connect to six pods for {} s; {url}",
        options.seconds
    ));
    progress.pass(duration / 2);
    scene.add_pod()?;
    progress.say("a seventh pod is ready; which clients will use it?");
    progress.pass(duration - duration / 2);
    // The clients keep their open connections.
    clients.iter().try_for_each(|client| client.wait().map(drop))?;

    let truth = scene.truth()?;
    let expected: u64 = truth.iter().map(|row| row.accepted).sum();
    let snapshot =
        observer.snapshot_when(Duration::from_secs(10), |snapshot| compare::opened(snapshot) == expected);
    // A difference is printed, not hidden behind an error.
    let snapshot = snapshot.or_else(|_differs| observer.snapshot())?;
    drop(progress);
    print(options.output, &observer, &snapshot, &truth)?;
    if let Some(folder) = &options.pictures {
        pictures::take(&observer, folder)?;
    }
    if options.keep {
        progress::note(&format!(
            "\nthe demo keeps running; try\n  {} top --from {url}\n  curl {url}/metrics\nCtrl-C ends it",
            program()?.display()
        ));
        loop {
            std::thread::park();
        }
    }
    let mut agrees = is_equal(&snapshot, &truth);
    // With other options the output differs from the sample.
    if !options.kubernetes && options.seconds == Demo::SECONDS {
        let report = Command::new(program()?).args(["report", "--from", &url]).output();
        let report = report.context("cannot run `headless-obs report`")?.stdout;
        let printed = format!("{}{}{}", intro(), String::from_utf8_lossy(&report), table(&snapshot, &truth));
        if let Some(difference) = sample::difference(&printed) {
            progress::note(&format!("error: {difference}"));
            agrees = false;
        }
    }
    observer.stop()?;
    Ok(agrees)
}

/// The way in which the daemon is started: with its defaults, nothing would count within the demonstration.
fn intro() -> String {
    format!("The daemon runs with {}: each ready endpoint counts at once.\n\n", TIMES.join(" "))
}

fn print(output: DemoOutput, observer: &Observer, snapshot: &Value, truth: &[TruthRow]) -> Result<()> {
    let mut out = stdout().lock();
    match output {
        DemoOutput::Json => writeln!(out, "{:#}", json!({"snapshot": snapshot, "truth": truth}))?,
        DemoOutput::Table => {
            write!(out, "{}", intro())?;
            out.flush()?;
            let url = format!("http://{}", observer.address());
            let status = Command::new(program()?).args(["report", "--from", &url]).status();
            status.context("cannot run `headless-obs report`")?;
            write!(out, "\n{}", table(snapshot, truth))?;
        }
    }
    out.flush().context("cannot write to standard output")
}
