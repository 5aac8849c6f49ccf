//! Progress on standard error: a bar on a terminal, a plain line elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::fit_text::{clean, length};
use super::output::note;
use super::signal::Stop;
use crate::running_daemon::RunningDaemon;

/// The interval at which a bar is redrawn.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Visible until dropped.
#[derive(Debug)]
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Progress of unknown length; silent if standard error is not a terminal.
    pub(super) fn waiting(what: impl Into<String>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner().with_message(what.into());
        bar.enable_steady_tick(TICK);
        Self(Some(bar))
    }

    /// Progress of an observation.
    pub(super) fn observing(duration: Duration) -> Self {
        let what =
            format!("observing for {}; Ctrl-C ends the observation and prints the result", length(duration));
        if !std::io::stderr().is_terminal() {
            note(&what);
            return Self(None);
        }
        let bar =
            ProgressBar::new(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{bar:30.green} {msg}") {
            bar.set_style(style.progress_chars("██░"));
        }
        Self(Some(bar))
    }

    /// Changes the text; silent if standard error is not a terminal.
    fn set(&self, what: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(what);
        }
    }

    /// Sets the elapsed time.
    pub(super) fn passed(&self, time: Duration) {
        if let Some(bar) = &self.0 {
            bar.set_position(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        }
    }
}

/// Waits until the probes are attached, and shows progress. False: the user cancelled.
pub(super) async fn begun(observer: &mut RunningDaemon, stop: &mut Stop) -> anyhow::Result<bool> {
    if observer.readiness.of("probes").is_none() {
        return Ok(true);
    }
    let progress = Progress::waiting("waiting for the topology");
    let mut ticks = tokio::time::interval(TICK);
    let mut told = String::new();
    loop {
        tokio::select! {
            _tick = ticks.tick() => {}
            () = stop.recv() => return Ok(false),
            error = observer.ended() => return Err(error),
        }
        if observer.readiness.of("probes").is_none() {
            return Ok(true);
        }
        let reason = observer.readiness.of("topology").unwrap_or_default();
        if reason != told {
            progress.set(clean(&reason));
            told = reason;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
