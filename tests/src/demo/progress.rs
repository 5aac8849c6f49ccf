//! Progress on standard error: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);

/// Writes a line to standard error.
pub(crate) fn note(text: &str) {
    // If this fails, nobody reads standard error.
    let _unread = writeln!(stderr(), "{text}");
}

/// A bar that is shown until it is dropped.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(stderr().is_terminal().then(ProgressBar::new_spinner))
    }

    /// Sets the present step.
    pub(crate) fn say(&self, what: &str) {
        match &self.0 {
            Some(bar) => bar.println(what),
            None => note(what),
        }
    }

    /// Waits, with a moving bar.
    pub(crate) fn pass(&self, duration: Duration) {
        let end = Instant::now() + duration;
        if let Some(bar) = &self.0 {
            bar.set_length(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
            if let Ok(style) = ProgressStyle::with_template("{bar:40.green} {elapsed}") {
                bar.set_style(style);
            }
        }
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            sleep(left.min(TICK));
            if let Some(bar) = &self.0 {
                let passed = duration.saturating_sub(left);
                bar.set_position(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
            }
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
