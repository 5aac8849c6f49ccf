//! `cargo xtask run`: builds the daemon's program and runs it as root.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{artifacts, build_ebpf, sudo};

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    build_ebpf::build()?;
    let built = artifacts::build(&[artifacts::DAEMON])?;
    let program = artifacts::binary(&built, artifacts::DAEMON)?;
    Err(sudo::exec(sudo::as_root(&program, args, &[])?))
}
