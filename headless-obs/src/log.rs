//! The log, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{Cli, Command, LogFormat};

/// Starts logging as the command line says. A daemon says what it does; other commands only what is wrong, and
/// the live view nothing where it would be written into the picture.
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
    // kube logs every failure of every try; what is worth saying is said once, and better, by the source.
    if !wanted.is_some_and(|wanted| wanted.contains("kube")) {
        for quiet in ["kube_client=off", "kube_runtime=off"] {
            filter = filter.add_directive(quiet.parse()?);
        }
    }
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where standard error cannot be written to, as on a full disk, complaining about it there is a panic.
        .log_internal_errors(false);
    match cli.common.log_format {
        LogFormat::Text => {
            log.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())).init()
        }
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
