//! `cargo xtask e2e`: the tests on a cluster alone, the scenarios, the soak, and the tests on other kernels. `cargo
//! xtask test` runs the first, the quick scenarios and a minute of the soak as part of everything.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::{scenarios, soak, test, vm};

/// Which ones.
#[derive(Debug, Subcommand)]
pub(crate) enum Kind {
    /// A real control plane: with pods made by hand, then with two real nodes
    Cluster {
        /// Run only tests whose name contains one of these
        filter: Vec<String>,
        /// The API server is away for five minutes, not half a minute
        #[arg(long)]
        five_minutes: bool,
        /// The daemon's image is built as it is shipped, which takes minutes more
        #[arg(long)]
        shipped: bool,
    },
    /// Ways in which real clients spread their connections, each with the verdict it must get
    #[command(disable_help_flag = true)]
    Scenarios {
        /// Names of scenarios, and options; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Mixed traffic for half an hour while everything is restarted in turn; no part of `cargo xtask test`, but for a
    /// minute of it
    #[command(disable_help_flag = true)]
    Soak {
        /// Options of the soak; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Other kernels in emulated machines; takes long, and is no part of `cargo xtask test`
    Vm(vm::Options),
}

/// The task.
pub(crate) fn run(kind: &Kind) -> Result<ExitCode> {
    match kind {
        Kind::Cluster { filter, five_minutes, shipped } => {
            let options: &[&str] = if *five_minutes { &["--five-minutes"] } else { &[] };
            test::cluster(filter, options, *shipped)
        }
        Kind::Scenarios { args } => scenarios::run(args),
        Kind::Soak { args } => soak::run(args),
        Kind::Vm(options) => vm::run(options),
    }
}
