//! `cargo xtask e2e`: the tests on a cluster alone. `cargo xtask test` runs them too, as part of everything.

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::test;

/// Which cluster.
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
}

/// The task.
pub(crate) fn run(kind: &Kind) -> Result<ExitCode> {
    match kind {
        Kind::Cluster { filter, five_minutes, shipped } => {
            let options: &[&str] = if *five_minutes { &["--five-minutes"] } else { &[] };
            test::cluster(filter, options, *shipped)
        }
    }
}
