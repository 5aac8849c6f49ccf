//! `cargo xtask e2e scenarios`: builds daemon, runner and real clients, then becomes the runner, as root.
//!
//! All arguments are the runner's. xtask writes nothing to standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::{scenario_clients, sudo};

/// The test program of the quick scenarios.
const TESTS: &str = "scenarios";

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let clients = scenario_clients::variables();
    Err(sudo::exec(Program::Scenarios.command(Daemon::Development, args, clients)?))
}

/// Builds the real clients that a test program needs; returns the variables with their paths. Test programs without
/// scenarios need nothing.
pub(crate) fn prepare(program: &str) -> Vec<(&'static str, OsString)> {
    if program == TESTS { scenario_clients::variables() } else { Vec::new() }
}
