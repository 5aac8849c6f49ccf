//! The daemon that is restarted again and again: each life has its own expected counts.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::Observer;
use lab::bpf_objects::{held_by, loaded};
use lab::connection_matrix::{Matrix, accepted};

use crate::PATIENCE;
use crate::stage::Stage;

/// One life.
pub(crate) struct Life {
    observer: Observer,
    /// Accepted connections before the start, and when the daemon was ready. The daemon saw every connection after the
    /// second, and none before the first.
    pub(crate) launched: Matrix,
    pub(crate) ready: Matrix,
    /// Accepted and reported connections at the first comparison. From then on both must grow by the same amounts.
    pub(crate) base: Option<(Matrix, Matrix)>,
}

impl Life {
    /// Starts a daemon.
    pub(crate) fn begin(stage: &Stage<'_>) -> Result<Self> {
        let launched = accepted(&stage.lab.truth()?);
        let observer = stage.observe()?;
        Ok(Self { observer, launched, ready: accepted(&stage.lab.truth()?), base: None })
    }

    pub(crate) fn observer(&self) -> &Observer {
        &self.observer
    }

    pub(crate) fn into_observer(self) -> Observer {
        self.observer
    }
}

/// Ends a daemon by a signal to stop or to kill. It must leave nothing in the kernel.
pub(crate) fn end(observer: Observer, in_peace: bool) -> Result<()> {
    let held = held_by(observer.pid())?;
    let programs = held.iter().filter(|object| object.starts_with("prog ")).count();
    ensure!(programs >= 2, "the daemon holds {programs} BPF programs, expected at least 2: {held:?}");
    if in_peace {
        let (status, log) = observer.stop()?;
        ensure!(
            status.code() == Some(0),
            "the daemon ended with {status}, signal {:?}:\n{log}",
            status.signal()
        );
    } else {
        observer.kill();
    }
    // The kernel frees some objects a moment later.
    let until = Instant::now() + PATIENCE;
    loop {
        let there: BTreeSet<String> = loaded().into_keys().collect();
        let left: Vec<&String> = held.intersection(&there).collect();
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < until, "an ended daemon has left BPF objects: {left:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
