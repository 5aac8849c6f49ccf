//! `cargo xtask bench`: measurements. They end with figures, not with a verdict.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::{artifacts, build_ebpf, parts, privilege};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// The daemon against the API server of a large cluster that changes all the time
    #[command(disable_help_flag = true)]
    Scale {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// The program, of the package of the lab.
const SCALE: &str = "headless-obs-scale";

/// The task. On success it does not return: xtask becomes the program.
pub(crate) fn run(kind: &Kind) -> Result<ExitCode> {
    let Kind::Scale { args } = kind;
    build_ebpf::build()?;
    let daemon = artifacts::DAEMON;
    let built = artifacts::build(&["--release", "--package", "headless-obs", "--bin", daemon])?;
    let daemon = artifacts::binary(&built, daemon)?.into_os_string();
    let built = artifacts::build(&["--package", "headless-obs-tests", "--bin", SCALE])?;
    let scale = artifacts::binary(&built, SCALE)?;
    let env = [("HEADLESS_OBS_BIN", daemon), parts::variable()?];
    Err(privilege::exec(privilege::as_root(&scale, args, &env)?))
}
