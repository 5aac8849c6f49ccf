//! `cargo xtask e2e scenarios` and `cargo xtask e2e cases`: builds daemon, runner and the real clients that it needs, then
//! becomes the runner, as root.
//!
//! All arguments are the runner's. xtask writes nothing to standard output.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::{scenario_clients, sudo, workspace};

/// The test program of the quick scenarios.
const SCENARIOS: &str = "scenarios";
/// The test program of the cases.
const CASES: &str = "cases";

/// The task of the scenarios. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    Err(sudo::exec(Program::Scenarios.command(Daemon::Development, args, prepare(SCENARIOS))?))
}

/// The task of the cases; the same.
pub(crate) fn run_cases(args: &[OsString]) -> Result<ExitCode> {
    let clients = scenario_clients::named_in(&cases(args.iter().map(PathBuf::from)));
    Err(sudo::exec(Program::Cases.command(Daemon::Development, args, clients)?))
}

/// Builds the real clients that a test program needs; returns the variables with their paths. Most need nothing.
pub(crate) fn prepare(program: &str) -> Vec<(&'static str, OsString)> {
    match program {
        SCENARIOS => scenario_clients::variables(),
        CASES => scenario_clients::named_in(&cases([])),
        _ => Vec::new(),
    }
}

/// The texts of all cases, and of those in these folders.
fn cases(folders: impl IntoIterator<Item = PathBuf>) -> String {
    let all = fs::read_dir(workspace::root().join("tests/cases")).into_iter().flatten().flatten();
    let files = all.map(|entry| entry.path()).chain(folders).map(|folder| folder.join("case.yaml"));
    // The player reports a case that cannot be read.
    files.filter_map(|file| fs::read_to_string(file).ok()).collect()
}
