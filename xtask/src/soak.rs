//! `cargo xtask e2e soak`: builds the daemon as it is shipped and the program that keeps it busy, then becomes that, with
//! root.
//!
//! All arguments are the program's own. xtask writes nothing to the standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::sudo;

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    Err(sudo::exec(Program::Soak.command(Daemon::Shipped, args, [])?))
}
