//! Lets one process at a time have labs on a machine: all labs use the same addresses, and a daemon sees the traffic of
//! every lab on its kernel.

use std::env;
use std::fs::File;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Set for a process whose parent holds the lock and shares it.
pub const SHARED: &str = "HEADLESS_OBS_LAB_SHARED";

/// The lock, held until the process ends in any way.
static LOCK: Mutex<Option<File>> = Mutex::new(None);

/// Waits until no other process has a lab.
pub(crate) fn wait_until_alone() -> Result<()> {
    let mut lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    if lock.is_some() || env::var_os(SHARED).is_some() {
        return Ok(());
    }
    let path = env::temp_dir().join("headless-obs-lab.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    *lock = Some(file);
    Ok(())
}
