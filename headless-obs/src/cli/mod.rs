//! The command line as it is typed. Values are checked one by one here, together in [`observe`]; what comes
//! out is [`crate::config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::values::{DaemonUrl, ServiceFilter, duration, interval, listen_address};

mod help;
pub mod observe;

use observe::{OBSERVING, ObserveArgs};

/// Where the daemon listens unless told otherwise: this machine only.
pub const LISTEN: &str = "127.0.0.1:9464";
/// How long `report` observes unless told otherwise.
pub const REPORT_FOR: Duration = Duration::from_secs(30);

/// Shows how clients spread their TCP connections over the pods behind headless Services.
#[derive(Debug, Parser)]
#[command(
    name = "headless-obs", version, max_term_width = 100, after_help = help::MAIN, arg_required_else_help = true
)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// How the result is written to standard output
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// What is logged to standard error: error, warn, info, debug, trace, or a filter such as
    /// warn,headless_obs::probe=debug
    #[arg(long, global = true, value_name = "FILTER", env = "RUST_LOG", help_heading = "Log")]
    pub log_level: Option<String>,
    /// How it is logged
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Log")]
    pub log_format: LogFormat,
}

/// How a result is written, as it is typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs; nothing else is written to standard output
    Json,
    /// A page for a browser, one file that needs nothing beside itself; only of report
    Html,
}

/// How the result of a command is written that makes no pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl TryFrom<Format> for Output {
    type Error = observe::Misfit;

    fn try_from(format: Format) -> Result<Self, Self::Error> {
        match format {
            Format::Table => Ok(Self::Table),
            Format::Json => Ok(Self::Json),
            Format::Html => Err(observe::Misfit::Page),
        }
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text per event
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Observe until stopped and serve metrics, readiness and the snapshot over HTTP
    #[command(after_help = help::RUN)]
    Run(RunArgs),
    /// Observe for a while, or ask a running daemon, and print who connected to which pods
    #[command(after_help = help::REPORT)]
    Report(ReportArgs),
    /// Say why a Service's connections spread as they do, with evidence, and what to change
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Compare two snapshots: did a change help?
    #[command(after_help = help::DIFF)]
    Diff(DiffArgs),
    /// Show live how connections spread
    #[command(after_help = help::TOP)]
    Top(TopArgs),
    /// Print every connection and DNS answer as it happens
    #[command(after_help = help::TRACE)]
    Trace(TraceArgs),
    /// Check whether this machine allows what is needed, and say what to do where it does not
    #[command(after_help = help::DOCTOR)]
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = help::MAN)]
    Man,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Address and port to serve HTTP on; there is no password, so think before it is more than this machine
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address, default_value = LISTEN, env = "HEADLESS_OBS_LISTEN")]
    pub listen: SocketAddr,
    /// What to observe.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// How long to observe: 500ms, 30s, 5m; Ctrl-C ends it early and still prints [default: 30s]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "from")]
    pub duration: Option<Duration>,
    /// Ask the daemon there instead of observing
    #[arg(long, value_name = "URL", conflicts_with_all = OBSERVING)]
    pub from: Option<DaemonUrl>,
    /// Only this Service
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub service: Option<ServiceFilter>,
    /// Exit with 3 if this is found, and say on standard error what: imbalance, stale, idle; can be given several
    /// times
    #[arg(long, value_name = "FINDING", value_enum, value_delimiter = ',', hide_possible_values = true)]
    pub fail_on: Vec<FailOn>,
    /// What to observe.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Something that is found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A client spreads its connections worse than it could
    Imbalance,
    /// A client dials what it should not, or is told to
    Stale,
    /// An endpoint gets nothing while others do
    Idle,
}

impl FailOn {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imbalance => "imbalance",
            Self::Stale => "stale",
            Self::Idle => "idle",
        }
    }
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The Service; outside Kubernetes a domain name
    #[arg(value_name = "[NAMESPACE/]NAME")]
    pub service: ServiceFilter,
    /// How long to observe: 500ms, 30s, 5m; Ctrl-C ends it early and still prints [default: 30s]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with = "from")]
    pub duration: Option<Duration>,
    /// Ask the daemon there instead of observing
    #[arg(long, value_name = "URL", conflicts_with_all = OBSERVING)]
    pub from: Option<DaemonUrl>,
    /// What to observe.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Snapshot from before, as `report -o json` prints it; - is standard input
    #[arg(value_name = "BEFORE.json")]
    pub before: PathBuf,
    /// Snapshot from after; - is standard input
    #[arg(value_name = "AFTER.json")]
    pub after: PathBuf,
}

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Ask the daemon there instead of observing
    #[arg(long, value_name = "URL", conflicts_with_all = OBSERVING)]
    pub from: Option<DaemonUrl>,
    /// Time between two looks
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// Only this Service
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub service: Option<ServiceFilter>,
    /// What to observe.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Arguments of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Only what concerns this Service
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub service: Option<ServiceFilter>,
    /// What to observe.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Address that `run` would serve HTTP on
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address, default_value = LISTEN, env = "HEADLESS_OBS_LISTEN")]
    pub listen: SocketAddr,
    /// What would be observed.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

#[cfg(test)]
mod tests;
