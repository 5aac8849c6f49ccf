//! `cargo xtask fuzz`: libFuzzer feeds hostile input to the decoders.
//!
//! In: the targets and corpora of `fuzz/`. Out: an error that shows how to reproduce each crash. New inputs are kept in
//! `target/fuzz/corpus`, so that the next run continues from there; `--keep` adds them to the repository.
//!
//! The stable compiler can instrument for coverage, because that is an ordinary pass of LLVM. So neither cargo-fuzz nor
//! a nightly compiler is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::console::say;
use crate::libtest::Counts;
use crate::{process, setup, target_arch, workspace};

/// Default run time of each target.
const SECONDS: u32 = 30;

/// The compiler of libFuzzer, and its package.
const COMPILER: [(&str, &str); 1] = [("c++", "g++")];

/// The targets, as in `fuzz/Cargo.toml`.
const TARGETS: [&str; 5] = ["dns_message", "tcp_reassembly", "ring_record", "manifest", "api_objects"];

/// Counters for each edge, and the operands of comparisons, in the form that libFuzzer reads.
const INSTRUMENTATION: &str = "--cfg=fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// Limits of an input. The timeout is for an input that hangs, on a busy machine.
const LIMITS: [&str; 4] = ["-timeout=60", "-rss_limit_mb=2048", "-malloc_limit_mb=1024", "-max_len=16384"];

/// Options of the task.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this target
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// Time that each target runs
    #[arg(long, default_value_t = SECONDS)]
    seconds: u32,
    /// Instead, run this input once, for example one that crashed
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
    /// Add the new inputs to the repository's corpora, reduced to the fewest that reach the same coverage
    #[arg(long, conflicts_with = "input")]
    keep: bool,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let built = build()?;
    let chosen =
        TARGETS.iter().filter(|name| options.target.as_deref().is_none_or(|chosen| chosen == **name));
    let mut failed = Vec::new();
    for name in chosen {
        let ran = match &options.input {
            Some(input) => process::run(Command::new(built.join(name)).args(LIMITS).arg(input)),
            None => fuzz(&built, name, options.seconds),
        };
        if let Err(error) = ran {
            say(&format!("{error:#}"));
            failed.push(*name);
        } else if options.keep {
            keep(&built, name)?;
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs all targets, each as a test.
pub(crate) fn test() -> Counts {
    let built = match build() {
        Ok(built) => built,
        Err(error) => return Counts::failure(format!("fuzz: {error:#}")),
    };
    let mut counts = Counts::default();
    for name in TARGETS {
        counts.add(match fuzz(&built, name, SECONDS) {
            Ok(()) => Counts { passed: 1, ..Counts::default() },
            Err(error) => Counts::failure(format!("fuzz: {error:#}")),
        });
    }
    counts
}

/// Builds all targets; returns their folder.
fn build() -> Result<PathBuf> {
    setup::ensure_programs(&COMPILER)?;
    let host = target_arch::host()?;
    let target = workspace::target().join("fuzz");
    // With an explicit target, build scripts and procedural macros are not instrumented.
    let flags = target_arch::variable(&host, "RUSTFLAGS");
    let mut cargo = process::politely(&process::cargo());
    cargo
        .current_dir(workspace::root().join("fuzz"))
        .env(flags, INSTRUMENTATION)
        // No target loads the kernel programs.
        .env("HEADLESS_OBS_EBPF", "none")
        .args(["build", "--quiet", "--locked", "--bins", "--target", &host, "--target-dir"])
        .arg(&target);
    process::run(&mut cargo).context("the fuzz targets were not built")?;
    Ok(target.join(host).join("debug"))
}

fn fuzz(built: &Path, name: &str, seconds: u32) -> Result<()> {
    let (seeds, found) = corpora(name);
    let crashes = workspace::root().join("fuzz/artifacts").join(name);
    for folder in [&found, &crashes] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = process::politely(&Command::new(built.join(name)));
    command.args(LIMITS).args([
        &format!("-max_total_time={seconds}"),
        "-print_final_stats=1",
        "-verbosity=0",
    ]);
    command.arg(format!("-artifact_prefix={}/", crashes.display())).args([&found, &seeds]);
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let Some(inputs) = executed(&told).filter(|_| output.status.success()) else {
        say(&told);
        bail!(
            "{name} did not finish ({}); if an input crashed it, the input is in {}, and \
             `cargo xtask fuzz {name} --input FILE` runs it again",
            output.status,
            crashes.display()
        );
    };
    say(&format!("fuzz: {name} read {inputs} inputs in {seconds} s"));
    Ok(())
}

/// The number of inputs in libFuzzer's output; `None` if it tried none.
fn executed(told: &str) -> Option<u64> {
    let number = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    number.trim().parse().ok().filter(|&inputs| inputs > 0)
}

/// Replaces the corpus of the repository by the fewest inputs with the same coverage.
fn keep(built: &Path, name: &str) -> Result<()> {
    let (seeds, found) = corpora(name);
    let merged = workspace::target().join("fuzz/merged").join(name);
    let _ = fs::remove_dir_all(&merged);
    fs::create_dir_all(&merged)?;
    let mut command = process::politely(&Command::new(built.join(name)));
    process::run(
        command.args(LIMITS).args(["-set_cover_merge=1", "-verbosity=0"]).args([&merged, &seeds, &found]),
    )?;
    fs::remove_dir_all(&seeds).with_context(|| format!("cannot empty {}", seeds.display()))?;
    workspace::copy_folder(&merged, &seeds)
}

/// Inputs of the repository, and those found by runs on this machine.
fn corpora(name: &str) -> (PathBuf, PathBuf) {
    (workspace::root().join("fuzz/corpus").join(name), workspace::target().join("fuzz/corpus").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_tried_nothing_has_not_passed() {
        let told =
            |inputs| format!("Done\nstat::number_of_executed_units: {inputs}\nstat::peak_rss_mb: 29\n");
        assert_eq!(
            (executed(&told(412)), executed(&told(0)), executed("ld: error")),
            (Some(412), None, None)
        );
    }

    #[test]
    fn every_target_is_built_and_has_a_corpus() {
        let manifest = fs::read_to_string(workspace::root().join("fuzz/Cargo.toml")).unwrap();
        let declared: Vec<_> =
            manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")).collect();
        let expected: Vec<_> = TARGETS.iter().map(|name| format!("{name}.rs\"")).collect();
        assert_eq!(declared, expected);
        for name in TARGETS {
            let seeds = fs::read_dir(corpora(name).0).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(seeds.count() > 0, "{name} begins with nothing");
        }
    }
}
