//! `cargo xtask bench curves`: builds the shipped daemon and the measuring program, runs that as root, prints its
//! tables, and writes each into docs/benchmarks.md unless it was measured at a reduced size.

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::benchmarks_document;
use super::overhead::DOCUMENT;
use crate::console::{result, say};
use crate::lab::{Daemon, Program};
use crate::{process, workspace};

/// A line of its output.
#[derive(Deserialize)]
struct Measured {
    curve: String,
    table: String,
    is_whole: bool,
}

/// The task.
pub(super) fn run(args: &[OsString]) -> Result<ExitCode> {
    process::lines(&mut Program::Curves.command(Daemon::Shipped, args, [])?, |line| {
        let Measured { curve, table, is_whole } =
            serde_json::from_str(line).with_context(|| format!("unreadable result: {line}"))?;
        result(&table);
        if is_whole { write(&curve, &table) } else { Ok(()) }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a table into the document, as soon as it is known: all tables take half an hour.
fn write(curve: &str, table: &str) -> Result<()> {
    let path = workspace::root().join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = benchmarks_document::replace(&text, &format!("cargo xtask bench curves {curve}"), table)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("the table is in {DOCUMENT}"));
    Ok(())
}
