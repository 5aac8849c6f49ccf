//! `cargo xtask check`: everything that can be said about the sources without running them.
//!
//! All checks run, also after one failed, so that one call shows all there is to repair.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::console::say;
use crate::{build_ebpf, chart, dashboards, deny, layers, process, rules, setup};

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    let failed = failures();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    say("all checks passed");
    Ok(ExitCode::SUCCESS)
}

/// Runs all checks and returns the names of the failed ones; what is wrong was printed.
fn failures() -> Vec<&'static str> {
    let mut failed = of_code();
    failed.extend(of_what_is_deployed());
    failed
}

/// The checks of the code, as [`failures`].
pub(crate) fn of_code() -> Vec<&'static str> {
    let mut failed = Vec::new();
    let mut check = |name, run: &dyn Fn() -> Result<()>| note(&mut failed, name, run);
    check("format", &format);
    check("layers", &layers::check);
    check("dashboards", &dashboards::check);
    // The daemon is checked as it is built, with its object; without one, at least its own code is.
    let object = check("kernel programs", &build_ebpf::build);
    check("clippy", &|| clippy(object));
    check("clippy for BPF", &clippy_bpf);
    check("documentation", &|| documentation(object));
    failed
}

/// The checks of what is deployed and shipped. They need tools that take minutes to build.
pub(crate) fn of_what_is_deployed() -> Vec<&'static str> {
    let mut failed = Vec::new();
    note(&mut failed, "rules", &rules::check);
    note(&mut failed, "chart", &chart::check);
    note(&mut failed, "what is taken from others", &deny::check);
    note(&mut failed, "kernel programs, built twice", &build_ebpf::reproduce);
    failed
}

/// Runs one check; whether it passed.
fn note(failed: &mut Vec<&'static str>, name: &'static str, run: &dyn Fn() -> Result<()>) -> bool {
    say(&format!("check: {name}"));
    let passed = run();
    if let Err(error) = &passed {
        say(&format!("{error:#}"));
        failed.push(name);
    }
    passed.is_ok()
}

fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(object: bool) -> Result<()> {
    let mut command = process::cargo();
    without_object(&mut command, object);
    process::run(command.args(["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
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
        command.args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn without_object(command: &mut std::process::Command, object: bool) {
    if !object {
        command.env("HEADLESS_OBS_EBPF", "none");
    }
}
