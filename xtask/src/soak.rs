//! `cargo xtask e2e soak`: builds the shipped daemon and the soak test, then becomes the soak test, as root.
//!
//! All arguments are the soak test's. xtask writes nothing to standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::sudo;

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    Err(sudo::exec(Program::Soak.command(Daemon::Shipped, args, [])?))
}
