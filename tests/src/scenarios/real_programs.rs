//! Clients and servers in other languages, as programs in pods.
//!
//! In: a pod, a command line. Out: a [`Real`], which makes connections on request and reports the results. `cargo
//! xtask` builds the programs and passes their paths in environment variables.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::ChildStdin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Pod, Program};

use crate::note;

/// Maximum time for an answer: the JVM starts in a second, a call without an answer takes ten.
const PATIENCE: Duration = Duration::from_secs(60);

/// The path of a program, from the variable that ends in `client`; an error if the program is not there.
pub(crate) fn path(client: &str) -> Result<String> {
    let variable = format!("HEADLESS_OBS_CLIENT_{client}");
    let value = env::var(&variable)
        .with_context(|| format!("{variable} is not set: run `cargo xtask e2e scenarios`"))?;
    match value.strip_prefix('!') {
        Some(why) => bail!("{why}"),
        None => Ok(value),
    }
}

/// A running program that reads numbers, one a line, and answers each with a line. It ends with its pod, or when this
/// is dropped.
pub(crate) struct Real {
    answers: mpsc::Receiver<String>,
    input: ChildStdin,
    _program: Program,
}

impl Real {
    /// Starts it.
    pub(crate) fn start(pod: &Pod, words: &[&str]) -> Result<Self> {
        let mut program = pod.exec(words)?;
        let input = program.input().context("the program has no input")?;
        let (out, err) = program.streams();
        let (sender, answers) = mpsc::channel();
        let out = BufReader::new(out.context("the program has no output")?);
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let name = pod.name().to_owned();
        let err = BufReader::new(err.context("the program has no output of errors")?);
        thread::spawn(move || {
            err.lines().map_while(Result::ok).for_each(|line| note(&format!("{name}: {line}")));
        });
        Ok(Self { answers, input, _program: program })
    }

    /// Starts a server, and waits until it reports that it is ready.
    pub(crate) fn server(pod: &Pod, words: &[&str]) -> Result<Self> {
        let server = Self::start(pod, words)?;
        let line = server.answer()?;
        ensure!(line == "ready", "{}: {line}", pod.name());
        Ok(server)
    }

    /// Makes it open `count` connections or calls; returns the numbers of its answer: made, failed, and others.
    pub(crate) fn make(&mut self, count: u64) -> Result<Vec<u64>> {
        writeln!(self.input, "{count}").and_then(|()| self.input.flush()).context("the program has ended")?;
        let line = self.answer()?;
        let numbers = line.split(' ').map(|word| word.parse().ok()).collect::<Option<Vec<u64>>>();
        numbers.with_context(|| format!("the program printed {line:?} instead of numbers"))
    }

    /// The same, but each must succeed.
    pub(crate) fn make_all(&mut self, count: u64) -> Result<()> {
        let numbers = self.make(count)?;
        ensure!(
            numbers.first() == Some(&count),
            "not all of {count} connections succeeded; made, failed …: {numbers:?}"
        );
        Ok(())
    }

    /// Makes it open `count` connections, each by its own request: programs that look up on each request make as many
    /// lookups.
    pub(crate) fn one_by_one(&mut self, count: u64) -> Result<()> {
        (0..count).try_for_each(|_| self.make_all(1))
    }

    fn answer(&self) -> Result<String> {
        self.answers.recv_timeout(PATIENCE).context("the program printed no answer in time")
    }
}
