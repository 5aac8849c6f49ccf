//! `cargo xtask bench curves`: how the daemon's use of resources grows with the cluster.
//!
//! Each curve doubles one quantity three times: endpoints, Services, open connections, client cgroups. Each step is
//! measured with its own daemon. The growth is the exponent of the best fit, after the daemon's use at zero is
//! subtracted: 1 is linear, 0 is constant. One more table has the cost of a connection with few and with many Services.
//!
//! Out: on stdout one line of JSON for each curve as soon as it is measured: its name, its table, and whether it has
//! the full size; progress on stderr. The program leaves nothing in the system.

#![deny(unsafe_code)]

mod connection_cost;
mod fit;
mod manifests;
mod sample;
mod steps;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser as _, ValueEnum as _};
use lab::Lab;
use lab_options::{Curve, Curves};
use serde_json::json;

/// Divisors of the full size, one for each step.
const STEPS: [u32; 4] = [8, 4, 2, 1];

fn main() -> ExitCode {
    let options = Curves::parse();
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Curves) -> Result<()> {
    note("waiting until no other lab runs on this machine");
    let lab = Lab::new()?;
    let curves = if options.curves.is_empty() { Curve::value_variants() } else { &options.curves };
    for &curve in curves {
        let (name, table) = match curve {
            Curve::Endpoints => ("endpoints", steps::endpoints(&lab, 100_000 / options.part)?),
            Curve::Services => ("services", steps::services(&lab, 30_000 / options.part)?),
            Curve::Connections => ("connections", steps::connections(&lab, 64_000 / options.part)?),
            Curve::Cgroups => ("cgroups", steps::cgroups(&lab, 10_000 / options.part)?),
            Curve::Events => ("events", connection_cost::table(&lab, options.part)?),
        };
        writeln!(stdout(), "{}", json!({"curve": name, "table": table, "is_whole": options.part == 1}))?;
    }
    Ok(())
}

fn note(text: &str) {
    // If this fails, nobody reads standard error.
    let _gone = writeln!(stderr(), "curves: {text}");
}
