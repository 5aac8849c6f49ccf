//! Ctrl-C and its like: labs are removed before the process ends as the signal would have ended it.
//!
//! In: labs that live. Out: on SIGINT, SIGTERM or SIGHUP all of them are removed.

use std::sync::{Mutex, OnceLock, Weak};
use std::thread;

use anyhow::{Context, Result, anyhow};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::lab::Inner;
use crate::process::lock;

static LIVING: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Has a lab removed when the process is told to end.
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
                // The process ends now whether or not this works; the next lab removes what remains.
                let _rest = lab.remove();
            }
            let _ended = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("lab-signals".to_owned()).spawn(serve).context("cannot start a thread")?;
    Ok(())
}
