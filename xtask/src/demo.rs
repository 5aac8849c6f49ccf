//! `cargo xtask demo`: builds everything, then becomes the demonstration, as root.
//!
//! All arguments are the demonstration's. xtask writes nothing to standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::{control_plane, sudo};

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(on_kubernetes: bool, args: &[OsString]) -> Result<ExitCode> {
    let parts = on_kubernetes.then(control_plane::variable).transpose()?;
    Err(sudo::exec(Program::Demo.command(Daemon::Development, args, parts)?))
}
