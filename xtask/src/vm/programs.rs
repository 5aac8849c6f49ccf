//! The programs of a guest. For this machine's architecture they are those of `cargo xtask test`; for another one they
//! are static and cross-compiled from the same sources.
//!
//! In: a processor. Out: name → path, after cargo built them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::cases::PROGRAMS;
use crate::lab::AGENT;
use crate::target_arch::TargetArch;
use crate::{artifacts, build_ebpf, process};

/// The package of the tests.
const TESTS: &str = "headless-obs-tests";

/// Name → program: the daemon, the lab's agent, the tests.
pub(super) fn build(processor: TargetArch) -> Result<BTreeMap<String, PathBuf>> {
    build_ebpf::build()?;
    let cargo = |subcommand| {
        if !processor.is_own() {
            return processor.cargo(subcommand);
        }
        let mut cargo = process::cargo();
        cargo.args([subcommand, "--locked"]);
        Ok(cargo)
    };
    let mut daemon = cargo("build")?;
    daemon.args(["--package", "headless-obs", "--bin", artifacts::DAEMON]);
    // Cargo builds the agent together with the tests of its package.
    let mut tests = cargo("test")?;
    tests.args(["--no-run", "--package", TESTS]);
    tests.args(PROGRAMS.iter().flat_map(|name| ["--test", name]));
    let mut built = artifacts::run(&mut daemon)?;
    built.extend(artifacts::run(&mut tests)?);
    let mut programs = BTreeMap::new();
    for name in [artifacts::DAEMON, AGENT] {
        programs.insert(name.to_owned(), artifacts::binary(&built, name)?);
    }
    for name in PROGRAMS {
        let test = built.iter().find(|built| built.is_test && built.name == name);
        let test = test.with_context(|| format!("cargo built no tests `{name}`"))?;
        programs.insert(name.to_owned(), test.path.clone());
    }
    Ok(programs)
}
