//! `report`: prints the report, and tells a pipeline whether there are findings.

use std::process::ExitCode;

use anyhow::bail;

use super::{Start, gate, output, table, take};
use crate::cli::{Format, ReportArgs};
use crate::page::{self, Place};

pub(super) async fn run(args: ReportArgs, format: Format, start: impl Start) -> anyhow::Result<ExitCode> {
    let Some(mut snapshot) = take::snapshot(args.asked, args.duration, args.observe, start).await? else {
        if !args.fail_on.is_empty() {
            bail!("the observation ended before it saw anything, so --fail-on has nothing to judge");
        }
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(filter) = &args.service {
        take::only(&mut snapshot, filter)?;
    }
    let text = match format {
        Format::Table => table::render(&snapshot, output::look()),
        Format::Json => output::json(&snapshot)? + "\n",
        Format::Html => page::render(&snapshot, Place::File),
    };
    output::write(text).await?;
    let outcome = gate::judge(&snapshot, &args.fail_on);
    for line in outcome.doubts.iter().chain(&outcome.findings) {
        output::note(line);
    }
    Ok(if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(gate::FOUND) })
}
