//! `cargo xtask check`: everything that can be said about the sources without running them.
//!
//! All checks run, also after one failed, so that one call shows all there is to repair.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::console::say;
use crate::{build_ebpf, dashboards, layers, process, rules, setup};

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
pub(crate) fn failures() -> Vec<&'static str> {
    let mut failed = Vec::new();
    let mut check = |name, run: &dyn Fn() -> Result<()>| {
        say(&format!("check: {name}"));
        let passed = run();
        if let Err(error) = &passed {
            say(&format!("{error:#}"));
            failed.push(name);
        }
        passed.is_ok()
    };
    check("format", &format);
    check("layers", &layers::check);
    check("dashboards", &dashboards::check);
    // The daemon is checked as it is built, with its object; without one, at least its own code is.
    let object = check("kernel programs", &build_ebpf::build);
    check("clippy", &|| clippy(object));
    check("clippy for BPF", &clippy_bpf);
    check("documentation", &|| documentation(object));
    check("rules", &rules::check);
    failed
}

fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy(object: bool) -> Result<()> {
    let mut command = process::cargo();
    without_object(&mut command, object);
    process::run(command.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn clippy_bpf() -> Result<()> {
    let tools = setup::ensure()?;
    setup::ensure_clippy(&tools.toolchain)?;
    process::run(tools.toolchain.cargo("clippy", &tools.linker).args(["--", "-D", "warnings"]))
}

fn documentation(object: bool) -> Result<()> {
    let mut command = process::cargo();
    without_object(&mut command, object);
    process::run(command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn without_object(command: &mut std::process::Command, object: bool) {
    if !object {
        command.env("HEADLESS_OBS_EBPF", "none");
    }
}
