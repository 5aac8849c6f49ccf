//! `cargo xtask bench`: measurements, which give numbers and no verdict. Without a subcommand it measures the cost of
//! headless-obs and of other tools (`overhead`).

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::lab::{Daemon, Program};
use crate::{control_plane, process, sudo};

mod benchmarks_document;
mod columns;
mod curves;
mod input;
mod overhead;
mod statistics;
mod table;

/// The measurement: one part, or the comparison with other tools.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    kind: Option<Kind>,
    #[command(flatten)]
    overhead: overhead::Overhead,
}

/// A part.
#[derive(Debug, Subcommand)]
enum Kind {
    /// Measure the engine per connection and per DNS answer, without the kernel
    #[command(disable_help_flag = true)]
    Attribution {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Measure the parts of the engine: decoding, answer cache, attribution, ledger
    #[command(disable_help_flag = true)]
    Stages {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Measure a scrape of a Service with far too many series, without the kernel
    #[command(disable_help_flag = true)]
    Metrics {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Measure how the daemon's memory and processor time grow with endpoints, Services, open connections and cgroups
    #[command(disable_help_flag = true)]
    Curves {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Measure the daemon against the API server of a large cluster that changes all the time
    #[command(disable_help_flag = true)]
    Scale {
        /// Options of the measurement; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// The task. It does not return if it succeeds and needs root: xtask becomes the program.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.kind {
        None => overhead::run(&options.overhead),
        Some(Kind::Attribution { args }) => criterion("attribution", args),
        Some(Kind::Stages { args }) => criterion("stages", args),
        Some(Kind::Metrics { args }) => criterion("metrics", args),
        Some(Kind::Curves { args }) => curves::run(args),
        Some(Kind::Scale { args }) => scale(args),
    }
}

fn criterion(name: &str, args: &[OsString]) -> Result<ExitCode> {
    let mut command = process::cargo();
    command.args(["bench", "--package", "headless-obs", "--bench", name, "--"]).args(args);
    // The engine benchmark needs no kernel programs.
    process::run(command.env("HEADLESS_OBS_EBPF", "none"))?;
    Ok(ExitCode::SUCCESS)
}

fn scale(args: &[OsString]) -> Result<ExitCode> {
    Err(sudo::exec(Program::Scale.command(Daemon::Shipped, args, [control_plane::variable()?])?))
}
