//! `cargo xtask e2e scenarios`: builds daemon, runner and real clients, then becomes the runner, with root.
//!
//! All arguments are the runner's own. xtask writes nothing to the standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{artifacts, build_ebpf, clients, privilege};

/// The runner's binary, of the package of the lab.
const RUNNER: &str = "headless-obs-scenarios";

/// The test program that runs the quick ones.
const TESTS: &str = "scenarios";

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    build_ebpf::build()?;
    let daemon = artifacts::DAEMON;
    let packages = ["--package", "headless-obs", "--package", "headless-obs-tests"];
    let built = artifacts::build(
        &[&packages[..], &["--bin", daemon, "--bin", RUNNER, "--bin", "lab-agent"]].concat(),
    )?;
    let daemon = artifacts::binary(&built, daemon)?.into_os_string();
    let runner = artifacts::binary(&built, RUNNER)?;
    let mut env = vec![("HEADLESS_OBS_BIN", daemon)];
    env.extend(clients::variables());
    Err(privilege::exec(privilege::as_root(&runner, args, &env)?))
}

/// Makes what a test program needs of real clients; gives the variables that tell it where. Nothing for those that run no
/// scenarios.
pub(crate) fn prepare(program: &str) -> Vec<(&'static str, OsString)> {
    if program == TESTS { clients::variables() } else { Vec::new() }
}
