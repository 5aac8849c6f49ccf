//! `cargo xtask pictures`: runs the demonstration, and takes pictures of the daemon's page with a browser.
//!
//! Out: `docs/pictures/*.png`, which README shows.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::{demo, setup, workspace};

/// The browser and its package.
pub(crate) const BROWSER: [(&str, &str); 1] = [("chromium", "chromium")];

/// Run time of the demonstration, in seconds.
const SECONDS: &str = "60";

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure_programs(&BROWSER)?;
    let folder = workspace::root().join("docs/pictures");
    let args = ["--for".into(), SECONDS.into(), "--pictures".into(), folder.into_os_string()];
    demo::run(false, &args.map(OsString::from))
}
