//! The command line. Each value is checked here, combinations of values in [`observe`]; the result is a
//! [`crate::config`].

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::values::{duration, interval, listen_address, price};
use crate::expose::connection_list::{ConnectionOrder, LISTED, MOST};
use crate::expose::metrics::cardinality;
use crate::expose::object_filter::ObjectFilter;
use crate::expose::trace_filter::TraceKind;

pub mod access;
mod examples;
mod node_size;
pub mod observe;
pub mod otlp;
pub mod remote;

use access::AccessArgs;
use observe::ObserveArgs;
use otlp::OtlpArgs;
use remote::{DaemonArgs, RemoteArgs};

/// The file name that kubectl expects for its plugin `kubectl headless-obs`.
const PLUGIN: &str = "kubectl-headless_obs";

/// The daemon's default address: this machine only.
pub const LISTEN: &str = "127.0.0.1:9464";
/// The default period of queries to Prometheus, as in the rules.
pub const LOOK_BACK: Duration = Duration::from_secs(600);
/// The default duration of `report`.
pub const REPORT_FOR: Duration = Duration::from_secs(30);

/// Shows how clients spread their TCP connections over the pods behind headless Services.
#[derive(Debug, Parser)]
#[command(
    name = "headless-obs", version, max_term_width = 100, after_help = examples::MAIN, arg_required_else_help = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Reads the command line. After an error or a request for help it ends the process.
    #[must_use]
    pub fn read() -> Self {
        Self::of(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
    }

    /// Parses the command line, whose first argument is the program's name. As a kubectl plugin it uses the plugin's
    /// name in messages, and reads from the cluster's daemons unless another source is given.
    fn of(words: Vec<OsString>) -> Result<Self, clap::Error> {
        let name = words.first().and_then(|name| Path::new(name).file_stem());
        if name != Some(OsStr::new(PLUGIN)) {
            return Self::try_parse_from(words);
        }
        let command = Self::command().bin_name("kubectl headless-obs");
        let mut cli = Self::from_arg_matches(&command.try_get_matches_from(words)?)?;
        let daemons = match &mut cli.command {
            Command::Report(ReportArgs { remote, duration: None, observe, .. })
            | Command::Explain(ExplainArgs { remote, duration: None, observe, .. })
            | Command::Top(TopArgs { remote, observe, .. })
                if observe.has_no_topology() && remote.is_local() =>
            {
                Some(&mut remote.daemons)
            }
            Command::Trace(TraceArgs { daemons, observe, .. })
                if observe.has_no_topology() && daemons.are_none() =>
            {
                Some(daemons)
            }
            _ => None,
        };
        if let Some(daemons) = daemons {
            daemons.fleet = true;
        }
        Ok(cli)
    }
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Format of the result on standard output
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Log filter for standard error: error, warn, info, debug, trace, or a list such as
    /// warn,headless_obs::probe=debug
    #[arg(long, global = true, value_name = "FILTER", env = "RUST_LOG", help_heading = "Log")]
    pub log_level: Option<String>,
    /// Format of the log
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Log")]
    pub log_format: LogFormat,
}

/// Format of a result, as on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    #[default]
    Table,
    /// JSON for programs; standard output contains nothing else
    Json,
    /// Page for a browser, in one self-contained file; only for report
    Html,
}

/// Format of a result, for commands that write no page.
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

/// Format of the log.
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
    /// Run the daemon: observe until it is stopped, and serve metrics, readiness and the snapshot over HTTP
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
    /// Observe for a while, or read from running daemons, and print which clients connected to which pods
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Explain the spread of one Service's connections: the cause, the evidence, and what to change
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Compare two snapshots, to see whether a change helped
    #[command(after_help = examples::DIFF)]
    Diff(DiffArgs),
    /// Show live how clients spread their connections over the pods
    #[command(after_help = examples::TOP)]
    Top(TopArgs),
    /// Print each connection and each DNS answer as it happens
    #[command(after_help = examples::TRACE)]
    Trace(TraceArgs),
    /// Check whether this machine meets the requirements, and print a remedy for each failed check
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = examples::MAN)]
    Man,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Address and port to serve HTTP on. Without --authorize, everyone who reaches it can read: use another address than
    /// loopback only in a network that you trust
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address, default_value = LISTEN, env = "HEADLESS_OBS_LISTEN")]
    pub listen: SocketAddr,
    /// Address and port for /healthz and /readyz alone, without TLS and tokens: readers of everything else, and
    /// connections that only wait, do not keep probes out there
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub health_listen: Option<SocketAddr>,
    /// Access to what is served.
    #[command(flatten)]
    pub access: AccessArgs,
    /// While another daemon observes this machine, wait until it ends; then take over at once. A waiting daemon reports
    /// that it is ready, and exports no counts, so that nothing is counted twice
    #[arg(long)]
    pub stand_by: bool,
    /// Limits of the series of `/metrics`.
    #[command(flatten)]
    pub series: SeriesArgs,
    /// Pushes of the metrics.
    #[command(flatten)]
    pub otlp: OtlpArgs,
    /// Options of the observation.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Options of the series of `/metrics`.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Metrics")]
pub struct SeriesArgs {
    /// Maximum series of one Service; above it, the daemon aggregates the Service's clients first, then its endpoints.
    /// Sums stay exact
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_series_per_service: u64,
    /// Maximum series of all Services together; above it, the daemon aggregates the largest Services first
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_series: u64,
    /// Names of the client that become labels; the other labels are empty
    #[arg(long, value_enum, default_value_t, value_name = "NAMES")]
    pub client_labels: ClientLabels,
}

/// Names of a client that become labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClientLabels {
    /// Namespace and workload
    #[default]
    Workload,
    /// Namespace only
    Namespace,
    /// No name
    None,
}

impl From<SeriesArgs> for cardinality::Config {
    fn from(args: SeriesArgs) -> Self {
        Self {
            per_service: args.max_series_per_service,
            total: args.max_series,
            clients: match args.client_labels {
                ClientLabels::Workload => cardinality::ClientLabels::Workload,
                ClientLabels::Namespace => cardinality::ClientLabels::Namespace,
                ClientLabels::None => cardinality::ClientLabels::None,
            },
        }
    }
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Time to observe: 500ms, 30s, 5m; Ctrl-C ends the observation early and still prints [default: 30s]. With
    /// --prometheus: how far to look back [default: 10m]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with_all = ["from", "fleet"])]
    pub duration: Option<Duration>,
    /// Show only this Service
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub service: Option<ObjectFilter>,
    /// Exit with code 3 if there is such a finding, and print it on standard error: imbalance, stale, idle; can be given
    /// several times
    #[arg(long, value_name = "FINDING", value_enum, value_delimiter = ',', hide_possible_values = true)]
    pub fail_on: Vec<FailOn>,
    /// Price of a GiB that crosses zones, in any currency, both directions alike; the cost is that of TCP's payload
    #[arg(
        long, value_name = "PRICE", value_parser = price, allow_negative_numbers = true, conflicts_with = "prometheus"
    )]
    pub zone_price: Option<f64>,
    /// Other sources.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Options of the observation.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// A problem in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A client could spread its connections better
    Imbalance,
    /// A client connects to endpoints that have left or are not ready, or DNS still lists them
    Stale,
    /// An endpoint gets no connections while others do
    Idle,
}

impl FailOn {
    /// The name on the command line.
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
    /// The Service; with --topology dns, a domain name
    #[arg(value_name = "[NAMESPACE/]NAME")]
    pub service: ObjectFilter,
    /// List its open connections instead: client pod, program, endpoint, age, bytes, round-trip time, and the DNS answer
    /// that each came from
    #[arg(long, conflicts_with = "prometheus")]
    pub connections: bool,
    /// With --connections: only those of this client
    #[arg(long, value_name = "[NAMESPACE/]WORKLOAD", requires = "connections")]
    pub client: Option<ObjectFilter>,
    /// With --connections: which ones come first
    #[arg(long, value_name = "FIGURE", value_enum, default_value_t, requires = "connections")]
    pub sort: SortBy,
    /// With --connections: how many; the others are counted
    #[arg(
        long, value_name = "COUNT", default_value_t = LISTED, requires = "connections",
        value_parser = count
    )]
    pub limit: usize,
    /// Price of a GiB that crosses zones, in any currency, both directions alike; the cost is that of TCP's payload
    #[arg(
        long, value_name = "PRICE", value_parser = price, allow_negative_numbers = true,
        conflicts_with_all = ["connections", "prometheus"]
    )]
    pub zone_price: Option<f64>,
    /// Time to observe: 500ms, 30s, 5m; Ctrl-C ends the observation early and still prints [default: 30s]. With
    /// --prometheus: how far to look back [default: 10m]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with_all = ["from", "fleet"])]
    pub duration: Option<Duration>,
    /// Other sources.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Options of the observation.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// The order of open connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// Most bytes first
    #[default]
    Load,
    /// Oldest first
    Age,
    /// Longest round trips first
    Rtt,
    /// Most bytes that wait first: not sent yet, or not acknowledged
    Waiting,
}

impl From<SortBy> for ConnectionOrder {
    fn from(sort: SortBy) -> Self {
        match sort {
            SortBy::Load => Self::Load,
            SortBy::Age => Self::Age,
            SortBy::Rtt => Self::Rtt,
            SortBy::Waiting => Self::Waiting,
        }
    }
}

/// A number of open connections.
fn count(text: &str) -> Result<usize, String> {
    let wrong = || format!("write a number from 1 to {MOST}");
    text.parse().ok().filter(|count| (1..=MOST).contains(count)).ok_or_else(wrong)
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Earlier snapshot, as `report -o json` prints it; - is standard input
    #[arg(value_name = "BEFORE.json")]
    pub before: PathBuf,
    /// Later snapshot; - is standard input
    #[arg(value_name = "AFTER.json")]
    pub after: PathBuf,
}

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Time between two updates
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// With --prometheus: how far to look back [default: 10m]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, requires = "prometheus")]
    pub duration: Option<Duration>,
    /// Show only this Service
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub service: Option<ObjectFilter>,
    /// Other sources.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Options of the observation.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Arguments of `trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Print only events of this Service
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub service: Option<ObjectFilter>,
    /// Print only events of this client
    #[arg(long, value_name = "[NAMESPACE/]WORKLOAD")]
    pub client: Option<ObjectFilter>,
    /// Print only events of this kind: opened, failed, closed (connections), dns (responses), verdict (its changes); can
    /// be given several times
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    pub kinds: Vec<TraceKind>,
    /// Running daemons.
    #[command(flatten)]
    pub daemons: DaemonArgs,
    /// Options of the observation.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Address on which `run` would serve HTTP
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address, default_value = LISTEN, env = "HEADLESS_OBS_LISTEN")]
    pub listen: SocketAddr,
    /// Options of the observation to check.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

#[cfg(test)]
mod tests;
