//! The log, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{Cli, Command, LogFormat};

/// Starts the log as the command line says. A daemon logs what it does, and other commands only what is wrong. The live
/// view logs nothing if standard error is its terminal.
pub fn start(cli: &Cli) -> anyhow::Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let usual = match &cli.command {
        Command::Run(_) => LevelFilter::INFO,
        Command::Top(_) if terminal => LevelFilter::OFF,
        _ => LevelFilter::WARN,
    };
    let filter = EnvFilter::builder().with_default_directive(usual.into());
    let wanted = cli.common.log_level.as_deref();
    let mut filter = match wanted {
        Some(wanted) if usual != LevelFilter::OFF => filter.parse(wanted).map_err(|error| {
            anyhow::anyhow!(
                "--log-level {wanted}: {error}; write a level, or filters such as warn,headless_obs=debug"
            )
        })?,
        _ => filter.parse_lossy(""),
    };
    // kube logs every failed attempt. The source itself reports what matters, once.
    if !wanted.is_some_and(|wanted| wanted.contains("kube")) {
        for quiet in ["kube_client=off", "kube_runtime=off"] {
            filter = filter.add_directive(quiet.parse()?);
        }
    }
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // If standard error cannot be written to, as on a full disk, a complaint there would be a panic.
        .log_internal_errors(false);
    match cli.common.log_format {
        LogFormat::Text => {
            log.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())).init()
        }
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
