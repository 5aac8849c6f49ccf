//! The commands. Each takes its arguments, gets a snapshot from the engine or a daemon, and writes to standard output.
//!
//! They do not know how to start the daemon; the caller of [`execute`] passes that in.

use std::process::ExitCode;

use crate::cli::{Cli, Command, Output};
use crate::config::Observe;
use crate::expose::doctor_check::Check;
use crate::messages::findings;
use crate::running_daemon::RunningDaemon;

mod bars;
mod column_layout;
mod diff;
mod doctor;
mod explain;
mod fail_on;
mod fit_text;
mod generate;
mod http_client;
mod one_shot;
pub mod output;
mod progress;
mod prometheus;
mod report;
mod run;
mod signal;
mod snapshot_file;
mod snapshot_source;
pub mod table;
#[cfg(test)]
mod test_hostile_peer;
#[cfg(test)]
mod test_names;
mod token_file;
mod top;
mod trace;

/// Starts the daemon; returns when its probes are attached.
pub trait Start: AsyncFnOnce(Observe) -> anyhow::Result<RunningDaemon> {}

impl<F: AsyncFnOnce(Observe) -> anyhow::Result<RunningDaemon>> Start for F {}

/// Runs the command. `probe_checks` are the findings of `doctor` that need the probes.
pub async fn execute(
    cli: Cli,
    start: impl Start,
    probe_checks: impl FnOnce(&Observe) -> Vec<Check>,
) -> anyhow::Result<ExitCode> {
    let format = cli.common.output;
    let plain = || Output::try_from(format);
    match cli.command {
        Command::Run(args) => run::run(args, plain()?, start).await?,
        Command::Report(args) => return report::run(args, format, start).await,
        Command::Explain(args) => explain::run(args, plain()?, start).await?,
        Command::Diff(args) => diff::run(args, plain()?).await?,
        Command::Top(args) => top::run(args, plain()?, start).await?,
        Command::Trace(args) => trace::run(args, plain()?, start).await?,
        Command::Doctor(args) => return doctor::run(args, plain()?, probe_checks).await,
        Command::Completions { shell } => generated(generate::completions(shell)).await?,
        Command::Man => generated(generate::man()?).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn generated(text: Vec<u8>) -> std::io::Result<()> {
    output::write(String::from_utf8_lossy(&text).into_owned()).await
}
