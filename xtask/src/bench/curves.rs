//! `cargo xtask bench curves`: builds the daemon as it is shipped and the program that makes it work, runs that with root,
//! prints its tables and writes them into docs/benchmarks.md, each where it belongs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::harness::DOCUMENT;
use super::{daemon, document};
use crate::console::{result, say};
use crate::{artifacts, build_ebpf, privilege, process, workspace};

/// The measuring program, of the package of the lab.
const PROGRAM: &str = "headless-obs-curves";

/// The task.
pub(super) fn run(args: &[OsString]) -> Result<ExitCode> {
    build_ebpf::build()?;
    let daemon = daemon()?;
    let built =
        artifacts::build(&["--package", "headless-obs-tests", "--bin", PROGRAM, "--bin", "lab-agent"])?;
    let program = artifacts::binary(&built, PROGRAM)?;
    let env = [("HEADLESS_OBS_BIN", daemon)];
    let tables = process::output(&mut privilege::as_root(&program, args, &env)?)?;
    // What `--help` says is no JSON.
    let Ok(tables) = serde_json::from_str::<BTreeMap<String, String>>(&tables) else {
        result(tables.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    let path = workspace::root().join(DOCUMENT);
    let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for (curve, table) in &tables {
        text = document::replace(&text, &format!("cargo xtask bench curves {curve}"), table)?;
        result(table);
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("the tables are in {DOCUMENT}"));
    Ok(ExitCode::SUCCESS)
}
