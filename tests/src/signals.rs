//! Removes labs when a signal such as Ctrl-C ends the process.
//!
//! In: existing labs. Out: SIGINT, SIGTERM or SIGHUP removes them all, and then ends the process as usual.

use std::sync::{Mutex, OnceLock, Weak};
use std::thread;

use anyhow::{Context, Result, anyhow};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::agent_process::lock;
use crate::lab::Inner;

static LIVING: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Registers a lab for removal at such a signal.
pub(crate) fn guard(lab: Weak<Inner>) -> Result<()> {
    INSTALLED
        .get_or_init(|| install().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))?;
    let mut living = lock(&LIVING);
    living.retain(|lab| lab.strong_count() > 0);
    living.push(lab);
    Ok(())
}

fn install() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot handle signals")?;
    let serve = move || {
        for signal in &mut signals {
            for lab in lock(&LIVING).drain(..).filter_map(|lab| lab.upgrade()) {
                // The process ends in any case; the next lab removes the rest.
                let _rest = lab.remove();
            }
            let _ended = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("lab-signals".to_owned()).spawn(serve).context("cannot start a thread")?;
    Ok(())
}
