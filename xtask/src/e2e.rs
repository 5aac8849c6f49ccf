//! `cargo xtask e2e`: runs the tests on a cluster, the scenarios, the soak test, or the tests on other kernels. `cargo
//! xtask test` includes the first, the quick scenarios and a minute of the soak test.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::{scenarios, soak, test, vm};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// Tests on a real control plane: first with simulated pods, then with two real nodes
    Cluster {
        /// Run only tests whose name contains one of these
        filter: Vec<String>,
        /// Keep the API server down for five minutes instead of half a minute
        #[arg(long)]
        five_minutes: bool,
        /// Build the daemon's image with the release profile, which takes minutes longer
        #[arg(long)]
        shipped: bool,
    },
    Scenarios(lab_options::Scenarios),
    Cases(lab_options::Cases),
    Soak(lab_options::Soak),
    /// Kernel tests on other kernels in emulated machines; they take long, and `cargo xtask test` does not include them
    Vm(vm::Options),
}

/// The task; `args` are the subcommand's arguments.
pub(crate) fn run(kind: &Kind, args: &[OsString]) -> Result<ExitCode> {
    match kind {
        Kind::Cluster { filter, five_minutes, shipped } => {
            let options: &[&str] = if *five_minutes { &["--five-minutes"] } else { &[] };
            test::cluster(filter, options, *shipped)
        }
        Kind::Scenarios(_) => scenarios::run(args),
        Kind::Cases(_) => scenarios::run_cases(args),
        Kind::Soak(_) => soak::run(args),
        Kind::Vm(options) => vm::run(options),
    }
}
