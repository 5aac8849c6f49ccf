//! `cargo xtask demo`: builds everything, then becomes the demonstration, with root.
//!
//! All arguments are the demonstration's own. xtask writes nothing to the standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::lab::{Daemon, Program};
use crate::{parts, privilege};

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    let on_kubernetes = args.iter().any(|argument| argument == "--kubernetes");
    let parts = on_kubernetes.then(parts::variable).transpose()?;
    Err(privilege::exec(Program::Demo.command(Daemon::Development, args, parts)?))
}
