//! `cargo xtask bench`: measurements, which give numbers and no verdict. Without a subcommand it measures the cost of
//! headless-obs and of other tools (`overhead`).

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::lab::{Daemon, Program};
use crate::{control_plane, process, sudo};

mod benchmarks_document;
mod curves;
mod input;
mod metric_labels;
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
    Attribution(CriterionArgs),
    /// Measure the parts of the engine: decoding, answer cache, attribution, ledger
    Stages(CriterionArgs),
    /// Measure a scrape of a Service with far too many series, without the kernel
    Metrics(CriterionArgs),
    Curves(lab_options::Curves),
    Scale(lab_options::Scale),
}

/// The arguments of a measurement that criterion runs.
#[derive(Debug, Args)]
struct CriterionArgs {
    /// Options of criterion, such as `--quick`, or a part of the names of its figures
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// The task; `args` are the subcommand's arguments. It does not return if it succeeds and needs root: xtask becomes
/// the program.
pub(crate) fn run(options: &Options, args: &[OsString]) -> Result<ExitCode> {
    match &options.kind {
        None => overhead::run(&options.overhead),
        Some(Kind::Attribution(own)) => criterion("attribution", &own.args),
        Some(Kind::Stages(own)) => criterion("stages", &own.args),
        Some(Kind::Metrics(own)) => criterion("metrics", &own.args),
        Some(Kind::Curves(_)) => curves::run(args),
        Some(Kind::Scale(_)) => scale(args),
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
