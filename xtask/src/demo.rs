//! `cargo xtask demo`: builds everything, then becomes the demonstration, with root.
//!
//! All arguments are the demonstration's own. xtask writes nothing to the standard output.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{artifacts, build_ebpf, parts, privilege};

/// The demonstration's binary, of the package of the lab.
const DEMO: &str = "headless-obs-demo";

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(args: &[OsString]) -> Result<ExitCode> {
    build_ebpf::build()?;
    let built = artifacts::build(&[
        "--package",
        "headless-obs",
        "--bin",
        artifacts::DAEMON,
        "--package",
        "headless-obs-tests",
        "--bin",
        DEMO,
    ])?;
    let daemon = artifacts::binary(&built, artifacts::DAEMON)?.into_os_string();
    let demo = artifacts::binary(&built, DEMO)?;
    let mut env = vec![("HEADLESS_OBS_BIN", daemon)];
    if args.iter().any(|argument| argument == "--kubernetes") {
        env.push(parts::variable()?);
    }
    Err(privilege::exec(privilege::as_root(&demo, args, &env)?))
}
