//! Waiting for a state, with a limit.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const POLL: Duration = Duration::from_millis(20);

/// Polls until `poll` returns a value. After `patience` the error has `what`, and the last poll's error if there was
/// one.
pub fn until<T>(patience: Duration, what: &str, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + patience;
    loop {
        let polled = poll();
        if let Ok(Some(found)) = polled {
            return Ok(found);
        }
        if Instant::now() > end {
            polled.with_context(|| format!("no {what} within {patience:?}"))?;
            bail!("no {what} within {patience:?}");
        }
        thread::sleep(POLL);
    }
}
