//! `cargo xtask e2e soak`: mixed traffic for a long time, while each component is restarted in turn.
//!
//! The run is a series of turns. In a turn every client makes its connections by its habit, and a disturbance happens
//! meanwhile. When the clients have finished, the test compares all counts. The first daemon runs all the time, and
//! must report the connections that the servers accepted since the start. The second is restarted again and again, and
//! each of its lives must report the connections accepted in it. Both must report the open connections, including those
//! that are older than the daemon.
//!
//! Standard output has the result only; the exit code is its verdict. The test leaves nothing in the system.

#![deny(unsafe_code)]

mod compare;
mod daemon_usage;
mod disturbances;
mod restarted_daemon;
mod scraper;
mod stage;
mod traffic;

use std::collections::BTreeMap;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use lab::{Lab, Observer};
use lab_options::Soak;

use crate::daemon_usage::Vitals;
use crate::disturbances::Disturbance;
use crate::restarted_daemon::{Life, end};
use crate::scraper::Scraper;
use crate::stage::Stage;
use crate::traffic::Traffic;

/// After this many minutes growth can be judged. Before, some memory is used for the first time.
const STEADY: f64 = 10.0;

fn main() -> ExitCode {
    match soak(&Soak::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all checks passed. A difference between truth and report ends the run at once.
fn soak(options: &Soak) -> Result<bool> {
    note("waiting until no other lab runs on this machine");
    let lab = Lab::new()?;
    let mut stage = Stage::new(&lab)?;
    let lasting = stage.observe()?;
    let mut life = Life::begin(&stage)?;
    let scraper = Scraper::start(&[&lasting, life.observer()]);
    let mut traffic = Traffic::new(&stage)?;
    let mut vitals = Vitals::default();
    let mut done: BTreeMap<Disturbance, u32> = BTreeMap::new();

    let begun = Instant::now();
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let each = Duration::from_secs_f64(options.turn);
    // Each disturbance happens at least once, however short the run is.
    for disturbance in Disturbance::ALL.into_iter().cycle() {
        if begun.elapsed() >= length && done.len() == Disturbance::ALL.len() {
            break;
        }
        disturbance.before(&mut stage)?;
        traffic.start(&stage, each)?;
        std::thread::sleep(each / 3);
        life = disturbance.during(&mut stage, &mut traffic, &lasting, life, &scraper)?;
        traffic.finish(&stage)?;
        compare::all(&stage, &traffic, &lasting, &mut life)?;
        vitals.sample(&lasting)?;
        *done.entry(disturbance).or_default() += 1;
        let seconds = begun.elapsed().as_secs_f64();
        note(&format!("{seconds:>5.0} s: {disturbance}; counts equal the servers'; {}", vitals.last()));
    }

    traffic.let_go()?;
    let connections = compare::all(&stage, &traffic, &lasting, &mut life)?;
    let snapshot = lasting.snapshot()?;
    let lost = snapshot["quality"]["events_lost"].as_object().into_iter().flatten();
    let lost: u64 = lost.filter_map(|(_, count)| count.as_u64()).sum();
    scraper.stop();
    end(life.into_observer(), true)?;
    end(lasting, true)?;
    drop(stage);

    let growth = vitals.growth();
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let mut out = stdout().lock();
    writeln!(
        out,
        "{connections} connections in {minutes:.1} minutes, each as the servers counted it, while:\n"
    )?;
    for (disturbance, times) in done {
        writeln!(out, "- {disturbance}: {times} times")?;
    }
    writeln!(out, "\nRecords lost: {lost}. The daemon that lived through it:\n\n{growth}")?;
    let is_judged = options.minutes >= STEADY;
    if !is_judged {
        writeln!(out, "Too short to judge growth: that takes {STEADY} minutes.")?;
    }
    Ok(!is_judged || growth.is_small())
}

fn note(text: &str) {
    // If this fails, nobody reads standard error.
    let _gone = writeln!(stderr(), "soak: {text}");
}

/// The time that a state may take to be reached.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes snapshots until one satisfies `wanted`.
fn when(
    observer: &Observer,
    what: &str,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> Result<serde_json::Value> {
    observer.snapshot_when(PATIENCE, wanted).with_context(|| format!("{what}\n{}", observer.log()))
}
