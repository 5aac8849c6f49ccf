//! `cargo xtask e2e scenarios`: builds daemon, runner and real clients, then becomes the runner, with root.
//!
//! All arguments are the runner's own. xtask writes nothing to the standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::{scenario_clients, sudo};

/// The test program that runs the quick ones.
const TESTS: &str = "scenarios";

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let clients = scenario_clients::variables();
    Err(sudo::exec(Program::Scenarios.command(Daemon::Development, args, clients)?))
}

/// Makes what a test program needs of real clients; gives the variables that tell it where. Nothing for those that run no
/// scenarios.
pub(crate) fn prepare(program: &str) -> Vec<(&'static str, OsString)> {
    if program == TESTS { scenario_clients::variables() } else { Vec::new() }
}
