//! Gives the benchmark and all measured tools the same raised priority over other processes of the machine.
//!
//! Some kernels share processor time by session first. There this process starts a session; its children belong to it,
//! and it ends with them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::{Signal, set_parent_process_death_signal, setpriority_process, setsid};

const PRIORITY: i32 = -15;

/// The priority of the process's session; it exists only on kernels with autogroups.
const SESSION: &str = "/proc/self/autogroup";

/// Raises the priority of this process and of its future children.
pub(crate) fn raise() -> Result<()> {
    setpriority_process(None, PRIORITY).context("the kernel refuses to raise the priority")?;
    if Path::new(SESSION).exists() {
        setsid().context("cannot start a session, because this process leads a process group")?;
        // From now on the terminal's Ctrl-C reaches xtask only.
        set_parent_process_death_signal(Some(Signal::TERM))?;
        fs::write(SESSION, PRIORITY.to_string()).context("cannot raise the session's priority")?;
    }
    Ok(())
}
