//! `cargo xtask e2e soak`: mixed traffic for a long time, while everything is restarted in turn.
//!
//! Time is divided into turns. In a turn every client makes its connections by its habit, and in the middle of that
//! something is disturbed. When the clients are done, all is compared: one daemon lives through everything, and must have
//! what the servers accepted since the start; another is ended again and again, and each of its lives must have what they
//! accepted in it. Both must have the connections that are open, also those that are older than they are.
//!
//! Standard output has the result, and nothing else; the exit code says whether it is as it must be. Leaves nothing
//! behind.

#![deny(unsafe_code)]

mod compare;
mod disturb;
mod lives;
mod scraper;
mod stage;
mod traffic;
mod vitals;

use std::collections::BTreeMap;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use lab::{Lab, Observer};

use crate::disturb::Disturbance;
use crate::lives::{Life, end};
use crate::scraper::Scraper;
use crate::stage::Stage;
use crate::traffic::Traffic;
use crate::vitals::Vitals;

/// Runs mixed traffic for a long time, while all parts are restarted in turn.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask e2e soak")]
struct Options {
    /// Duration in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0)]
    minutes: f64,
    /// Traffic between two comparisons, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    turn: f64,
}

/// Minutes from which on it can be told whether anything grows: before, all that is ever used is used for the first time.
const STEADY: f64 = 10.0;

fn main() -> ExitCode {
    match soak(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether everything is as it must be. A difference between truth and report ends it at once.
fn soak(options: &Options) -> Result<bool> {
    note("waiting until no other lab is on this machine");
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
    // Each at least once, however short it is.
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
        note(&format!("{seconds:>5.0} s: {disturbance}; as the servers have it; {}", vitals.last()));
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
    // Nobody to tell if standard error has gone.
    let _gone = writeln!(stderr(), "soak: {text}");
}

/// How long anything may take to become as it must be.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes snapshots until one is as wanted.
fn when(
    observer: &Observer,
    what: &str,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> Result<serde_json::Value> {
    observer.snapshot_when(PATIENCE, wanted).with_context(|| format!("{what}\n{}", observer.log()))
}
