//! The cases of tests/cases: situations from the field as data, each with what the report must say about it.
//!
//! In: names or folders of cases, and where to play them. Out: a table or JSON with each case's result. A case is played
//! in the lab, with real sockets and programs, and in a simulation, with the engine alone. Standard output has the result
//! only; what differed goes to standard error, a line each.

#![deny(unsafe_code)]

mod case;
mod expect;
mod folder;
mod lab_stage;
mod metrics;
mod objects;
mod pattern;
mod play;
mod program;
mod result;
mod scene;
mod simulation;
mod stage;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser as _;
use lab_options::{Cases, CasesOutput, Place};

use crate::expect::Difference;
use crate::folder::Named;
use crate::lab_stage::LabStage;
use crate::result::Outcome;
use crate::simulation::Simulation;

fn main() -> ExitCode {
    match run(&Cases::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether no case failed.
fn run(options: &Cases) -> Result<bool> {
    let chosen = folder::chosen(&options.cases)?;
    let json = options.output == CasesOutput::Json;
    let mut outcomes = Vec::new();
    for place in [Place::Simulation, Place::Lab] {
        for case in chosen.iter().filter(|case| is_played(options, case, place)) {
            let mut outcome = Outcome::new(&case.name, place, &case.case);
            if !options.list {
                note(&format!("{} ({}): {}", case.name, place.word(), case.case.title));
                for run in 0..options.runs {
                    let (differences, took) = play(case, place, run);
                    if let (Some(folder), Ok(differences)) = (&options.keep, &differences) {
                        differences.iter().try_for_each(|one| one.keep(folder, &case.name, place, run))?;
                    }
                    outcome.add(differences, took);
                }
            }
            outcomes.push(outcome);
        }
    }
    let text = match (options.list, json) {
        (true, _) => result::list(&outcomes, json)?,
        (false, true) => result::json(&outcomes)?,
        (false, false) => result::table(&outcomes),
    };
    let mut out = stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    out.flush()?;
    Ok(!outcomes.iter().any(Outcome::has_failed))
}

fn is_played(options: &Cases, case: &Named, place: Place) -> bool {
    let elsewhere = match place {
        Place::Lab => &case.case.simulation_only,
        Place::Simulation => &case.case.lab_only,
    };
    elsewhere.is_none()
        && options.only.is_none_or(|only| only == place)
        && !(options.quick && place == Place::Lab && case.case.slow)
}

/// Plays a case once; returns what differed, and the time it took.
fn play(case: &Named, place: Place, run: u32) -> (Result<Vec<Difference>>, Duration) {
    let began = Instant::now();
    let seed = u64::from(run) + 1;
    let differences = match place {
        Place::Simulation => play::play(&case.case, &mut Simulation::new(seed), seed),
        Place::Lab => LabStage::new(&case.case.daemon.node)
            .and_then(|mut stage| play::play(&case.case, &mut stage, rand::random())),
    };
    (differences, began.elapsed())
}

/// Writes a line to standard error.
fn note(text: &str) {
    // If this fails, nobody reads standard error.
    let _unread = writeln!(stderr(), "{text}");
}
