//! Role `client`: makes connections by a habit and reports their results.
//!
//! In: a [`ClientSpec`], commands. Out: [`ClientReport`]s and [`lab::client::Lookup`]s.

mod dial;
mod resolve;

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use lab::client::{Choice, ClientCommand, ClientReport, ClientSpec, Dial, Targets};
use serde_json::Value;

use self::dial::{Dialled, close, dial, race};
use crate::control;

/// Maximum number of unusual errors in the report.
const ERRORS_KEPT: usize = 5;

/// State that the threads share.
struct Shared {
    spec: ClientSpec,
    started: Instant,
    /// Connections that the run has begun.
    begun: AtomicU64,
    stopped: AtomicBool,
    report: Mutex<ClientReport>,
    kept: Mutex<VecDeque<TcpStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs and obeys commands until stdin ends; its connections close with the process.
pub(crate) fn run(spec: ClientSpec) -> Result<()> {
    let shared = Arc::new(Shared {
        spec,
        started: Instant::now(),
        begun: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        report: Mutex::default(),
        kept: Mutex::default(),
    });
    control::reply(Ok(()))?;
    let mut threads = Vec::new();
    if shared.spec.connections > 0 {
        for _ in 0..shared.spec.threads.max(1) {
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn(move || shared.work()));
        }
    }
    let mut targets = Targets::new(rand::random());
    for command in control::commands() {
        control::reply(command.and_then(|command| shared.obey(&command, &mut targets, &mut threads)))?;
    }
    Ok(())
}

impl Shared {
    fn obey(
        &self,
        command: &ClientCommand,
        targets: &mut Targets,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> Result<Value> {
        match *command {
            ClientCommand::Resolve => {
                return Ok(serde_json::to_value(resolve::look_up(&self.spec, &self.spec.name)?)?);
            }
            ClientCommand::Report => {}
            ClientCommand::Stop | ClientCommand::Wait => {
                if matches!(command, ClientCommand::Stop) {
                    self.stopped.store(true, Ordering::Relaxed);
                }
                for thread in threads.drain(..) {
                    thread.join().map_err(|_| anyhow!("a thread of the client died"))?;
                }
            }
            ClientCommand::Open(count) => {
                for _ in 0..count {
                    self.connect(targets, true);
                }
            }
            ClientCommand::Close(count) => {
                for _ in 0..count {
                    let Some(stream) = lock(&self.kept).pop_front() else { break };
                    close(stream, &self.spec.dial)?;
                }
            }
        }
        let mut report = lock(&self.report).clone();
        report.open = u64::try_from(lock(&self.kept).len())?;
        Ok(serde_json::to_value(report)?)
    }

    /// One thread of the run.
    fn work(&self) {
        let mut targets = Targets::new(rand::random());
        while !self.stopped.load(Ordering::Relaxed) {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= self.spec.connections {
                return;
            }
            if let Some(rate) = self.spec.rate.filter(|rate| *rate > 0.0) {
                #[expect(clippy::cast_precision_loss, reason = "a count of connections is far below 2^52")]
                let due = self.started + Duration::from_secs_f64(number as f64 / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            self.connect(&mut targets, self.spec.dial.keep);
        }
    }

    /// Makes one connection by the habit.
    fn connect(&self, targets: &mut Targets, keep: bool) {
        let choice = match targets.next(&self.spec, |name| resolve::look_up(&self.spec, name)) {
            Ok(choice) => choice,
            Err(error) => {
                let mut report = lock(&self.report);
                report.failed_lookups += 1;
                note_error(&mut report, format!("{error:#}"));
                return;
            }
        };
        if let Some(questions) = choice.questions {
            let mut report = lock(&self.report);
            report.lookups += 1;
            report.questions += questions;
        }
        let how = Dial { keep, ..self.spec.dial.clone() };
        let Choice { targets, race: pair, .. } = choice;
        if let (Some((first, second)), Some(head_start)) = (pair, how.happy_eyeballs_ms) {
            self.note(race(first, second, Duration::from_millis(head_start), &how));
            return;
        }
        let last = targets.len().saturating_sub(1);
        for (place, target) in targets.into_iter().enumerate() {
            let is_sought = self.spec.seeks.is_none_or(|sought| sought == target.ip());
            let mut how = Dial { keep: keep && is_sought, ..how.clone() };
            how.give_up_ms = how.give_up_ms.filter(|_| !(how.patient_at_last && place == last));
            if self.note(dial(target, &how)) && is_sought {
                return;
            }
        }
    }

    /// Adds the results of a connection's attempts to the report; returns whether it connected.
    fn note(&self, dialled: Dialled) -> bool {
        let connected = dialled.connected();
        let mut report = lock(&self.report);
        for attempt in dialled.attempts {
            report.addresses.entry(attempt.address).or_default().add(&attempt.outcomes);
            if let Some(error) = attempt.error {
                note_error(&mut report, format!("{}: {error}", attempt.address));
            }
        }
        drop(report);
        lock(&self.kept).extend(dialled.kept);
        connected
    }
}

fn note_error(report: &mut ClientReport, error: String) {
    if report.errors.len() < ERRORS_KEPT {
        report.errors.push(error);
    }
}
