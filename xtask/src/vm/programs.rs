//! The programs of a guest: those that `cargo xtask test` runs on this machine.
//!
//! In: nothing. Out: name → path, after cargo built them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::cases::PROGRAMS;
use crate::{artifacts, build_ebpf, process};

/// What the lab starts in its pods.
const AGENT: &str = "lab-agent";
/// The package of the tests.
const TESTS: &str = "headless-obs-tests";

/// Name → program: the daemon, the lab's agent, the tests.
pub(super) fn build() -> Result<BTreeMap<String, PathBuf>> {
    build_ebpf::build()?;
    let mut built = artifacts::build(&["--package", "headless-obs", "--bin", artifacts::DAEMON])?;
    // The agent comes with the tests: cargo builds a package's programs for them.
    let mut tests = process::cargo();
    tests.args(["test", "--no-run", "--package", TESTS]);
    tests.args(PROGRAMS.iter().flat_map(|program| ["--test", program.name]));
    built.extend(artifacts::run(&mut tests)?);
    let mut programs = BTreeMap::new();
    for name in [artifacts::DAEMON, AGENT] {
        programs.insert(name.to_owned(), artifacts::binary(&built, name)?);
    }
    for program in &PROGRAMS {
        let test = built.iter().find(|built| built.is_test && built.name == program.name);
        let test = test.with_context(|| format!("cargo built no tests `{}`", program.name))?;
        programs.insert(program.name.to_owned(), test.path.clone());
    }
    Ok(programs)
}
