//! `cargo xtask deny`: checks the dependencies' licences, sources and duplicates, with the rules in `deny.toml`.
//!
//! In: Cargo.toml and Cargo.lock of both workspaces. Out: an error after printing the problems.
//!
//! Known vulnerabilities are a separate check: it needs a database from the network, and its result changes from day to
//! day, so not every change can be required to pass it.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::console::say;
use crate::setup::Installed;
use crate::{process, workspace};

const CARGO_DENY: Installed =
    Installed { package: "cargo-deny", version: "0.20.2", time: "some five minutes" };

/// Options of the task.
#[derive(Args)]
pub(crate) struct Options {
    /// Instead, check for known vulnerabilities in the RustSec database, which is downloaded from github.com
    #[arg(long)]
    advisories: bool,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.advisories {
        deny(&["advisories"]).context(
            "cargo-deny found vulnerabilities, or could not download the database from github.com. In that case, which the \
             lines above show, nothing was checked: run this where github.com is reachable",
        )?;
        say("no known vulnerabilities");
    } else {
        check()?;
        say("licences, sources and duplicates comply with deny.toml");
        say("known vulnerabilities were not checked: run `cargo xtask deny --advisories`");
    }
    Ok(ExitCode::SUCCESS)
}

/// The check that needs no network.
pub(crate) fn check() -> Result<()> {
    deny(&["licenses", "bans", "sources"])
}

/// The path of cargo-deny. Builds it if necessary.
pub(crate) fn ensure() -> Result<PathBuf> {
    CARGO_DENY.ensure()
}

fn deny(checks: &[&str]) -> Result<()> {
    let program = ensure()?;
    let root = workspace::root();
    for folder in [root.clone(), root.join("fuzz")] {
        let mut command = Command::new(&program);
        command.current_dir(&folder).args(["--locked", "--config"]).arg(root.join("deny.toml"));
        process::run(command.args(["check", "--hide-inclusion-graph"]).args(checks))?;
    }
    Ok(())
}
