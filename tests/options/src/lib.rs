//! The command lines of the lab's programs.
//!
//! The programs parse them, and so does xtask before it builds the programs. So xtask prints `--help` and refuses a
//! wrong option at once, and the tests of the documents parse the documents' commands. The crate needs only clap, so
//! that xtask stays quick to build.

#![deny(unsafe_code)]

use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};

/// Run the demo: the real daemon observes clients with different habits in a lab
#[derive(Debug, Parser)]
#[command(name = "cargo xtask demo")]
pub struct Demo {
    /// Run time of the clients, in seconds
    #[arg(long = "for", value_name = "SECONDS", default_value_t = Demo::SECONDS, value_parser = value_parser!(u64).range(2..=3600))]
    pub seconds: u64,
    /// Use a real Kubernetes control plane: the daemon reads Services and pods from its API server
    #[arg(long)]
    pub kubernetes: bool,
    /// Keep the lab and the daemon running until Ctrl-C, for `headless-obs top --from URL` and curl
    #[arg(long)]
    pub keep: bool,
    /// Take pictures of the daemon's page into this folder
    #[arg(long, value_name = "FOLDER")]
    pub pictures: Option<PathBuf>,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = DemoOutput::Table)]
    pub output: DemoOutput,
}

impl Demo {
    /// Default run time of the clients.
    pub const SECONDS: u64 = 20;
}

/// Formats of the demo's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoOutput {
    /// The daemon's report and the servers' counts
    Table,
    /// `{"snapshot": …, "truth": [{"client", "pod", "accepted"}]}`
    Json,
}

/// Scenarios of real clients, each with the verdict that it must get
#[derive(Debug, Parser)]
#[command(name = "cargo xtask e2e scenarios")]
pub struct Scenarios {
    /// Names or numbers of scenarios; `pinned` includes `pinned.fixed` [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Number of runs of each scenario
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// Run only scenarios whose whole name is given
    #[arg(long)]
    pub exact: bool,
    /// Run only scenarios that take a few seconds
    #[arg(long)]
    pub quick: bool,
    /// List the scenarios instead
    #[arg(long)]
    pub list: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = ScenariosOutput::Table)]
    pub output: ScenariosOutput,
}

/// Formats of the scenarios' output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScenariosOutput {
    /// A line for each scenario
    Table,
    /// `[{"scenario", "expected", "got", "runs", "right"}]`
    Json,
}

/// Cases of tests/cases: situations as data, each with what the report must say; played in the lab and simulated
#[derive(Debug, Parser)]
#[command(name = "cargo xtask e2e cases")]
pub struct Cases {
    /// Names of cases, or folders with a case.yaml [default: all of tests/cases]
    #[arg(value_name = "NAME|FOLDER")]
    pub cases: Vec<String>,
    /// Number of runs of each case
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// Play them only there [default: wherever each can be played]
    #[arg(long, value_enum, value_name = "PLACE")]
    pub only: Option<Place>,
    /// Leave out cases that take longer than a few seconds in the lab
    #[arg(long)]
    pub quick: bool,
    /// Write the snapshots that differ from what was expected into this folder
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    /// List the cases instead
    #[arg(long)]
    pub list: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = CasesOutput::Table)]
    pub output: CasesOutput,
}

/// The place where a case is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// The engine alone, in virtual time
    Simulation,
    /// Real sockets, programs and time
    Lab,
}

impl Place {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Simulation => "simulation",
            Self::Lab => "lab",
        }
    }
}

/// Formats of the cases' output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CasesOutput {
    /// A line for each case and place
    Table,
    /// `[{"case", "place", "result", "differences", "open", "held", "runs", "right", "seconds"}]`
    Json,
}

/// Mixed traffic for half an hour while all parts are restarted in turn; `cargo xtask test` runs one minute of it
#[derive(Debug, Parser)]
#[command(name = "cargo xtask e2e soak")]
pub struct Soak {
    /// Duration in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0)]
    pub minutes: f64,
    /// Traffic between two comparisons, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 8.0)]
    pub turn: f64,
}

/// Measure how the daemon's memory and processor time grow with endpoints, Services, open connections and cgroups
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench curves")]
pub struct Curves {
    /// The curves to measure [default: all, which takes half an hour]
    pub curves: Vec<Curve>,
    /// Measure at an Nth of the size, for a quick look
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=100))]
    pub part: u32,
}

/// The quantity that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Curve {
    /// 100,000 endpoints in 2,000 Services
    Endpoints,
    /// 30,000 Services
    Services,
    /// 64,000 open connections
    Connections,
    /// 10,000 cgroups of clients
    Cgroups,
    /// Processor time of a connection with 10, 1,000 and 30,000 Services
    Events,
}

/// Measure the daemon against the API server of a large cluster that changes all the time
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench scale")]
pub struct Scale {
    /// Number of headless Services, and of ordinary ones
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub services: usize,
    /// Number of endpoints of all Services of each kind
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub endpoints: usize,
    /// Number of pods, a twentieth of them on the observed node
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub pods: usize,
    /// Changes a second of slices of headless Services, and of other Services
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub rate: u32,
    /// Duration of the changes, in seconds
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(5..=3600))]
    pub seconds: u64,
}
