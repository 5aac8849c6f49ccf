//! `cargo xtask bench`: measurements. They end with figures, not with a verdict.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::{artifacts, build_ebpf, parts, privilege, process};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// What the engine does per connection and per DNS answer, without the kernel
    #[command(disable_help_flag = true)]
    Attribution {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// What a scrape of a Service with far too many series costs, without the kernel
    #[command(disable_help_flag = true)]
    Metrics {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
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

/// The task. A measurement that needs root does not return on success: xtask becomes the program.
pub(crate) fn run(kind: &Kind) -> Result<ExitCode> {
    match kind {
        Kind::Attribution { args } => criterion("attribution", args),
        Kind::Metrics { args } => criterion("metrics", args),
        Kind::Scale { args } => scale(args),
    }
}

fn criterion(name: &str, args: &[OsString]) -> Result<ExitCode> {
    let mut command = process::cargo();
    command.args(["bench", "--package", "headless-obs", "--bench", name, "--"]).args(args);
    // The engine alone needs no kernel programs.
    process::run(command.env("HEADLESS_OBS_EBPF", "none"))?;
    Ok(ExitCode::SUCCESS)
}

fn scale(args: &[OsString]) -> Result<ExitCode> {
    build_ebpf::build()?;
    let daemon = artifacts::DAEMON;
    let built = artifacts::build(&["--release", "--package", "headless-obs", "--bin", daemon])?;
    let daemon = artifacts::binary(&built, daemon)?.into_os_string();
    let built = artifacts::build(&["--package", "headless-obs-tests", "--bin", SCALE])?;
    let scale = artifacts::binary(&built, SCALE)?;
    let env = [("HEADLESS_OBS_BIN", daemon), parts::variable()?];
    Err(privilege::exec(privilege::as_root(&scale, args, &env)?))
}
