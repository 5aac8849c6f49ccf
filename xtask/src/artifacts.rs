//! Builds for this machine, and reads the programs' paths from cargo's output.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{process, workspace};

/// A program that cargo built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The target's name: that of the binary or the test file.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// The folder of the package's Cargo.toml, in which cargo would run its tests.
    pub(crate) package: PathBuf,
    /// Whether it is a test harness.
    pub(crate) is_test: bool,
}

/// The daemon's binary.
pub(crate) const DAEMON: &str = "headless-obs";

/// Builds binaries with these names.
///
/// Cargo chooses the features of dependencies by the packages on the command line. So this names all members each time,
/// and each dependency is compiled once. The kernel programs are left out, because one of them has the daemon's name.
pub(crate) fn build(names: &[&str]) -> Result<Vec<Program>> {
    run(process::cargo()
        .args(["build", "--locked", "--workspace", "--exclude", "headless-obs-ebpf"])
        .args(names.iter().flat_map(|name| ["--bin", name])))
}

/// Builds only the daemon, in a profile. Then its dependencies have only the features that it asks for.
pub(crate) fn build_daemon(profile: &str) -> Result<Vec<Program>> {
    run(process::cargo().args(["build", "--locked", "--profile", profile]).args([
        "--package",
        "headless-obs",
        "--bin",
        DAEMON,
    ]))
}

/// Builds all test programs without running them; returns those of the package in this folder of the workspace.
pub(crate) fn build_tests(folder: &str) -> Result<Vec<Program>> {
    let mut built = run(process::cargo().args(["test", "--locked", "--no-run", "--workspace"]))?;
    built.retain(|program| program.is_test && program.package == workspace::root().join(folder));
    // Cargo reports them as they become ready, in an order that changes from run to run.
    built.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(built)
}

/// The path of the binary with this name.
pub(crate) fn binary(programs: &[Program], name: &str) -> Result<PathBuf> {
    programs
        .iter()
        .find(|program| !program.is_test && program.name == name)
        .map(|program| program.path.clone())
        .with_context(|| format!("cargo built no program `{name}`"))
}

/// Runs cargo; returns the programs that it built.
pub(crate) fn run(command: &mut Command) -> Result<Vec<Program>> {
    let messages = process::output(command.arg("--message-format=json-render-diagnostics"))?;
    Ok(messages.lines().filter_map(program).collect())
}

/// The program in a message of cargo.
fn program(message: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(message).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    Some(Program {
        name: text(&message["target"]["name"])?,
        path: text(&message["executable"])?.into(),
        package: Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf(),
        is_test: message["profile"]["test"] == true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_are_taken_from_cargos_messages() {
        let bin = r#"{"reason":"compiler-artifact","manifest_path":"/w/a/Cargo.toml",
            "target":{"name":"a","kind":["bin"]},"profile":{"test":false},"executable":"/w/target/debug/a"}"#;
        let expected = Program {
            name: "a".into(),
            path: "/w/target/debug/a".into(),
            package: "/w/a".into(),
            is_test: false,
        };
        assert_eq!(program(bin), Some(expected));
        let test = bin.replace("\"test\":false", "\"test\":true");
        assert!(program(&test).unwrap().is_test);
        let library = bin.replace("\"/w/target/debug/a\"", "null");
        assert_eq!(program(&library), None);
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(program("running 3 tests"), None);
    }

    #[test]
    fn a_test_harness_is_not_the_binary_of_its_name() {
        let program = |path: &str, is_test| Program {
            name: "headless-obs".into(),
            path: path.into(),
            package: "/w".into(),
            is_test,
        };
        let built = [program("/w/harness", true), program("/w/daemon", false)];
        assert_eq!(binary(&built, "headless-obs").unwrap(), Path::new("/w/daemon"));
        assert!(binary(&built, "other").is_err());
    }
}
