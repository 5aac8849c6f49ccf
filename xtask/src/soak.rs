//! `cargo xtask e2e soak`: builds the daemon as it is shipped and the program that keeps it busy, then becomes that, with
//! root.
//!
//! All arguments are the program's own. xtask writes nothing to the standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{artifacts, bench, build_ebpf, privilege};

/// The program, of the package of the lab.
const SOAK: &str = "headless-obs-soak";

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    build_ebpf::build()?;
    let daemon = bench::daemon()?;
    let built = artifacts::build(&["--package", "headless-obs-tests", "--bin", SOAK, "--bin", "lab-agent"])?;
    let soak = artifacts::binary(&built, SOAK)?;
    Err(privilege::exec(privilege::as_root(&soak, args, &[("HEADLESS_OBS_BIN", daemon)])?))
}
