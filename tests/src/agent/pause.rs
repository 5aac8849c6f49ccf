//! Role `pause`: waits for a signal. It is the first container of every pod and holds the pod's namespaces.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Waits for a signal.
pub(crate) fn run() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    signals.forever().next().map_or(Ok(()), |_signal| Ok(()))
}
