//! `cargo xtask e2e scenarios` and `cargo xtask e2e cases`: builds daemon, runner and real clients, then becomes the
//! runner, as root.
//!
//! All arguments are the runner's. xtask writes nothing to standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::{scenario_clients, sudo};

/// The test programs of the quick scenarios and cases.
const TESTS: [&str; 2] = ["scenarios", "cases"];

/// The task of the scenarios. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    become_program(Program::Scenarios, args)
}

/// The task of the cases; the same.
pub(crate) fn run_cases(args: &[OsString]) -> Result<ExitCode> {
    become_program(Program::Cases, args)
}

fn become_program(program: Program, args: &[OsString]) -> Result<ExitCode> {
    let clients = scenario_clients::variables();
    Err(sudo::exec(program.command(Daemon::Development, args, clients)?))
}

/// Builds the real clients that a test program needs; returns the variables with their paths. Test programs without
/// scenarios need nothing.
pub(crate) fn prepare(program: &str) -> Vec<(&'static str, OsString)> {
    if TESTS.contains(&program) { scenario_clients::variables() } else { Vec::new() }
}
