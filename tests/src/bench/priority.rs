//! Everything that is measured, and what measures it, goes before what else runs on the machine: all tools alike.
//!
//! Where the kernel shares out time by session first, this process begins one, which its children belong to and which
//! vanishes with them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{Signal, set_parent_process_death_signal, setpriority_process, setsid};

const PRIORITY: i32 = -15;

/// The priority of the process's session, where sessions have one.
const SESSION: &str = "/proc/self/autogroup";

/// Raises the priority of this process and of those that it starts from now on.
pub(crate) fn raise() -> Result<()> {
    setpriority_process(None, PRIORITY).context("the kernel refuses")?;
    if Path::new(SESSION).exists() {
        setsid().context("this process leads a group of its own")?;
        // The terminal's Ctrl-C reaches xtask alone from now on.
        set_parent_process_death_signal(Some(Signal::TERM))?;
        fs::write(SESSION, PRIORITY.to_string()).context("the session's priority stays")?;
    }
    Ok(())
}
