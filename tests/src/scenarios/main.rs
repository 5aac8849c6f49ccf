//! The scenarios: ways in which real clients spread their connections, or fail to, each with the verdict that the
//! daemon must reach.
//!
//! In: names of scenarios, and the number of runs. Out: the expected and the actual verdicts. Every run has its own
//! lab, which leaves nothing in the system. Standard output has the result only; for a wrong verdict, the data behind
//! it go to standard error.

#![deny(unsafe_code)]

mod catalogue_coverage;
mod endpoints;
mod grpc;
mod languages;
mod many_pods;
mod real_programs;
mod registry;
mod resolver;
mod result;
mod scenario;
mod service_names;
mod spread;
mod stage;
mod systems;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser as _;
use lab_options::{Scenarios, ScenariosOutput};

use crate::result::Outcome;
use crate::scenario::Scenario;

fn main() -> ExitCode {
    match run(&Scenarios::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all of them were right in all runs.
fn run(options: &Scenarios) -> Result<bool> {
    let chosen = chosen(options)?;
    let json = options.output == ScenariosOutput::Json;
    if options.list {
        let all = options.names.is_empty() && !options.quick;
        print(&if json { result::list_json(&chosen, all)? } else { result::list(&chosen, all) })?;
        return Ok(true);
    }
    let mut outcomes = Vec::new();
    for scenario in &chosen {
        note(&format!("{}: {}", scenario.name, scenario.title));
        let mut outcome = Outcome::new(scenario);
        for _ in 0..options.runs {
            outcome.add(stage::run(scenario));
        }
        outcomes.push(outcome);
    }
    print(&if json { result::json(&outcomes)? } else { result::table(&outcomes) })?;
    Ok(outcomes.iter().all(Outcome::is_right))
}

/// The requested scenarios, in the order of the table.
fn chosen(options: &Scenarios) -> Result<Vec<Scenario>> {
    let mut all = registry::scenarios();
    all.retain(|scenario| scenario.quick || !options.quick);
    let is_called =
        |one: &Scenario, name: &String| if options.exact { one.name == *name } else { one.is_called(name) };
    if let Some(unknown) = options.names.iter().find(|name| !all.iter().any(|one| is_called(one, name))) {
        bail!("there is no scenario {unknown}: see --list");
    }
    all.retain(|one| options.names.is_empty() || options.names.iter().any(|name| is_called(one, name)));
    Ok(all)
}

fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}

/// Writes a line to standard error.
fn note(text: &str) {
    // If this fails, nobody reads standard error.
    let _unread = writeln!(stderr(), "{text}");
}
