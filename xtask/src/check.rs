//! `cargo xtask check`: all checks of the sources that do not run the tests.
//!
//! After a failure the other checks still run, so that one call shows everything to repair.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::console::{result, say};
use crate::{
    arch_lint, build_ebpf, chart, dashboards, deny, documents, features, process, promtool, release, setup,
    stack_depth, workflows, workspace,
};

/// The checks to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Run only checks whose name contains one of these
    names: Vec<String>,
}

/// The task. The last line is `N passed, N failed`.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let mut checks = Checks { only: options.names, ..Checks::default() };
    of_code(&mut checks);
    of_what_is_deployed(&mut checks);
    if checks.passed + checks.failed.len() == 0 {
        bail!("no check has such a name: {}", checks.only.join(", "));
    }
    for name in &checks.failed {
        say(&format!("failed: {name}"));
    }
    result(&format!("{} passed, {} failed", checks.passed, checks.failed.len()));
    Ok(if checks.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Results of the checks.
#[derive(Default)]
struct Checks {
    /// Parts of the names of the checks to run; empty: all.
    only: Vec<String>,
    passed: usize,
    /// Names of the failed checks, whose errors were printed.
    failed: Vec<&'static str>,
}

impl Checks {
    /// Runs a check unless it is not selected; returns whether it passed.
    fn run(&mut self, name: &'static str, check: &dyn Fn() -> Result<()>) -> bool {
        if !self.only.is_empty() && !self.only.iter().any(|part| name.contains(part.as_str())) {
            return false;
        }
        say(&format!("check: {name}"));
        let done = check();
        match &done {
            Ok(()) => self.passed += 1,
            Err(error) => {
                say(&format!("{error:#}"));
                self.failed.push(name);
            }
        }
        done.is_ok()
    }
}

/// The checks of the code.
fn of_code(checks: &mut Checks) {
    checks.run("format", &format);
    checks.run("layers", &arch_lint::check);
    checks.run("documents", &documents::check);
    checks.run("features", &features::check);
    checks.run("dashboards", &dashboards::check);
    // Checks the daemon with its object; if that cannot be built, without one.
    let object = checks.run("kernel programs", &build_ebpf::build);
    checks.run("stack of the kernel programs", &stack_depth::check);
    checks.run("clippy", &|| clippy(object));
    checks.run("clippy for BPF", &clippy_bpf);
    checks.run("documentation", &|| documentation(object));
}

/// The checks of deployed and shipped files. They need tools that take minutes to build.
fn of_what_is_deployed(checks: &mut Checks) {
    checks.run("rules", &promtool::check);
    checks.run("Prometheus in the text", &documents::prometheus::check);
    checks.run("chart", &chart::check);
    checks.run("workflows", &workflows::check);
    checks.run("dependencies", &deny::check);
    checks.run("release", &release::check);
    checks.run("kernel programs, built twice", &build_ebpf::reproduce);
}

fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(object: bool) -> Result<()> {
    let mut command = process::cargo();
    without_object(&mut command, object);
    process::run(
        command
            .args(["clippy", "--locked", "--workspace", "--all-targets", "--target-dir"])
            .arg(folder())
            .args(["--", "-D", "warnings"]),
    )
}

/// Cargo's folder of its own for the checks: they can compile while the tests run, and neither waits for the other.
fn folder() -> PathBuf {
    workspace::target().join("check")
}

fn clippy_bpf() -> Result<()> {
    let tools = setup::ensure()?;
    setup::ensure_clippy(&tools.toolchain)?;
    process::run(tools.toolchain.cargo("clippy", &tools.linker).args(["--", "-D", "warnings"]))
}

fn documentation(object: bool) -> Result<()> {
    let mut command = process::cargo();
    without_object(&mut command, object);
    process::run(
        command
            .args(["doc", "--locked", "--workspace", "--no-deps", "--target-dir"])
            .arg(folder())
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn without_object(command: &mut std::process::Command, object: bool) {
    if !object {
        command.env("HEADLESS_OBS_EBPF", "none");
    }
}
