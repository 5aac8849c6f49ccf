//! `cargo xtask bench curves`: builds the daemon as it is shipped and the program that makes it work, runs that with root,
//! prints its tables and writes them into docs/benchmarks.md, each where it belongs, but for those of a part alone.

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

/// A line of what it says.
#[derive(Deserialize)]
struct Measured {
    curve: String,
    table: String,
    is_whole: bool,
}

/// The task.
pub(super) fn run(args: &[OsString]) -> Result<ExitCode> {
    process::lines(&mut Program::Curves.command(Daemon::Shipped, args, [])?, |line| {
        // What `--help` says is no JSON.
        let Ok(Measured { curve, table, is_whole }) = serde_json::from_str(line) else {
            result(line);
            return Ok(());
        };
        result(&table);
        if is_whole { write(&curve, &table) } else { Ok(()) }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Puts a table where it belongs. Each as soon as it is known: all of them take half an hour.
fn write(curve: &str, table: &str) -> Result<()> {
    let path = workspace::root().join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = benchmarks_document::replace(&text, &format!("cargo xtask bench curves {curve}"), table)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("the table is in {DOCUMENT}"));
    Ok(())
}
