//! The program `headless-obs` with a snapshot in a file: the texts and exit codes that a user would get.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Files of one process have different numbers.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A snapshot in a file; dropping it removes the file.
pub(crate) struct Program {
    path: PathBuf,
}

impl Program {
    pub(crate) fn new(snapshot: &Value) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("headless-case-{}-{number}.json", std::process::id()));
        fs::write(&path, snapshot.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }

    /// The output of `report`.
    pub(crate) fn report(&self) -> Result<String> {
        self.text(&["report"])
    }

    /// The output of `explain` for a Service.
    pub(crate) fn explain(&self, service: &str) -> Result<String> {
        self.text(&["explain", service])
    }

    /// The exit code of `report --fail-on`, and what it prints to standard error.
    pub(crate) fn fail_on(&self, findings: &str) -> Result<(i32, String)> {
        let output = self.output(&["report", "--fail-on", findings])?;
        let code = output.status.code().context("the program ended by a signal")?;
        Ok((code, String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    fn text(&self, words: &[&str]) -> Result<String> {
        let output = self.output(words)?;
        ensure!(
            output.status.success(),
            "`headless-obs {}` ended with {}: {}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new(lab::program()?);
        command.args(words).arg("--from").arg(&self.path).env("NO_COLOR", "1").env("COLUMNS", "160");
        command.output().context("cannot start headless-obs")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Another process may have emptied the folder.
        let _gone = fs::remove_file(&self.path);
    }
}
