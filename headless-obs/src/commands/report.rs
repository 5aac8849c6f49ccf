//! `report`: prints the report, and tells a pipeline whether there are findings.

use std::process::ExitCode;

use anyhow::bail;

use super::{Start, fail_on, one_shot, output, table};
use crate::cli::{Format, ReportArgs};
use crate::expose::zones;
use crate::html::{self, Place};

pub(super) async fn run(args: ReportArgs, format: Format, start: impl Start) -> anyhow::Result<ExitCode> {
    let Some(mut snapshot) = one_shot::snapshot(args.remote, args.duration, args.observe, start).await?
    else {
        if !args.fail_on.is_empty() {
            bail!("the observation ended before it saw anything, so --fail-on has nothing to judge");
        }
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(price) = args.zone_price {
        zones::charge(&mut snapshot, price);
    }
    if let Some(filter) = &args.service {
        one_shot::only(&mut snapshot, filter)?;
    }
    let text = match format {
        Format::Table => table::render(&snapshot, output::look()),
        Format::Json => output::json(&snapshot)? + "\n",
        Format::Html => html::render(&snapshot, Place::File),
    };
    output::write(text).await?;
    let outcome = fail_on::judge(&snapshot, &args.fail_on);
    for line in outcome.doubts.iter().chain(&outcome.findings) {
        output::note(line);
    }
    Ok(if outcome.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(fail_on::FOUND) })
}
