//! `cargo xtask bench`: the cost that observers add to connections, DNS exchanges and packets, side by side.
//!
//! In: `--quick`, `--peer NAME=COMMAND`; `HEADLESS_OBS_BIN`, `HEADLESS_OBS_NOOP`. Out: on stdout one JSON object with
//! every sample of every round; progress on stderr. xtask computes the tables. The same program is client, server and
//! DNS server inside the pods (`inside ROLE`).
//!
//! If a tool cannot run, the output names it and the reason, and the benchmark goes on.

#![deny(unsafe_code)]

mod bpf;
mod child_output;
mod durations;
mod kernel_cost;
mod large_manifests;
mod machine;
mod measured_tool;
mod noop_baseline;
mod output;
mod priority;
mod process_tree_usage;
mod rate_ladder;
mod round;
mod stage;
mod truth;
mod worker;
mod workload;

use std::collections::BTreeSet;
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lab::Lab;

use crate::bpf::{Held, Hook};
use crate::durations::Plan;
use crate::measured_tool::{Peer, Tool};
use crate::output::Record;
use crate::stage::Stage;

/// Measures the cost of headless-obs and of other tools.
#[derive(Debug, Parser)]
#[command(name = "headless-obs-bench")]
struct Options {
    #[command(subcommand)]
    inside: Option<Mode>,
    /// Take only a few minutes
    #[arg(long)]
    quick: bool,
    /// Another tool to measure, and the command that starts it
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    peers: Vec<Peer>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// The workload in the pods
    #[command(hide = true)]
    Inside {
        /// The role, as JSON
        role: String,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.inside {
        Some(Mode::Inside { role }) => workload::run(role),
        None => measure(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let plan = if options.quick { Plan::quick() } else { Plan::full() };
    if let Err(error) = priority::raise() {
        note(&format!(
            "other load on this machine will disturb the measurement, because its priority cannot be raised: {error:#}"
        ));
    }
    note("waiting until no other lab runs on this machine");
    let lab = Lab::new()?;
    let mut stage = Stage::new(&lab)?;
    let mut tools = Tool::all(&options.peers);
    let mut record = Record::default();

    let hooks = match rehearse(&mut stage) {
        Ok(hooks) => hooks,
        Err(error) => {
            tools.retain(|tool| *tool != Tool::Observer);
            record.fail(Tool::Observer.name(), &error);
            Held::usual()
        }
    };
    for round in 0..plan.rounds {
        note(&format!("round {} of {}", round + 1, plan.rounds));
        // The first tool changes from round to round, so that no tool always runs after the same one.
        let first = usize::from(round > 0 && !tools.is_empty());
        tools.rotate_left(first);
        tools.retain(|tool| {
            note(&format!("  {}", tool.name()));
            let done = round::measure(&mut stage, tool, &hooks, &plan, &mut record.at(round));
            done.map_err(|error| record.fail(tool.name(), &error)).is_ok()
        });
    }
    if let Some(steps) = plan.ladder
        && tools.contains(&Tool::Observer)
        && let Err(error) = rate_ladder::climb(&mut stage, steps, &mut record)
    {
        record.fail(Tool::Observer.name(), &error.context("on the rate ladder"));
    }
    let report = record.report(machine::describe(), &plan);
    writeln!(stdout(), "{report}").context("cannot write the result to standard output")
}

/// Starts the daemon once, to learn the hooks of the baseline.
fn rehearse(stage: &mut Stage) -> Result<BTreeSet<Hook>> {
    let running = Tool::Observer.start(stage, &Held::usual())?;
    let hooks = running.held().hooks;
    running.stop();
    Ok(hooks)
}

fn note(text: &str) {
    // If this fails, nobody reads standard error.
    let _gone = writeln!(stderr(), "bench: {text}");
}
