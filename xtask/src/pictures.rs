//! `cargo xtask pictures`: the demonstration runs, and a browser takes pictures of the page that its daemon serves.
//!
//! Out: `docs/pictures/*.png`, which README shows.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{demo, setup, workspace};

/// The browser, and the package that has it.
pub(crate) const BROWSER: [(&str, &str); 1] = [("chromium", "chromium")];

/// How long the demonstration runs, in seconds.
const SECONDS: &str = "60";

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure_programs(&BROWSER)?;
    let folder = workspace::root().join("docs/pictures");
    let args = ["--for".into(), SECONDS.into(), "--pictures".into(), folder.into_os_string()];
    demo::run(&args.map(OsString::from))
}
