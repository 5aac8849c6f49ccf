//! `cargo xtask dashboards`: builds and runs the program that writes Grafana's dashboards.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::console::say;
use crate::{artifacts, process, workspace};

/// The program, of the package in `xtask/dashboards`.
const DASHBOARDS: &str = "headless-obs-dashboards";

/// Options of the task.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Write nothing; fail if a file is out of date
    #[arg(long)]
    check: bool,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.check {
        check()?;
        say("the dashboards are up to date");
    } else {
        process::run(&mut program()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails if a dashboard differs from its page or has a mistake.
pub(crate) fn check() -> Result<()> {
    process::run(program()?.arg("--check"))
}

fn program() -> Result<Command> {
    let built = artifacts::build(&[DASHBOARDS])?;
    let mut command = Command::new(artifacts::binary(&built, DASHBOARDS)?);
    command.arg(workspace::root());
    Ok(command)
}
