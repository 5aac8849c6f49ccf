//! `cargo xtask ci`: what CI runs, here: the checks and then the tests, counted together.

use std::process::ExitCode;

use anyhow::Result;

use crate::test;

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    test::run(&test::Options::all())
}
