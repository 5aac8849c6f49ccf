//! Programs that no lab has made: clients and servers of other languages, in pods.
//!
//! In: a pod, the words of the command line. Out: a [`Real`], which makes as many connections as it is told to and says
//! how it went. `cargo xtask` builds them and tells by variables where they are.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::ChildStdin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Pod, Program};

use crate::note;

/// The longest an answer may take: the JVM starts in a second, a call that nobody answers takes ten.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a program is, by the end of its variable's name; why it is not there, else.
pub(crate) fn path(client: &str) -> Result<String> {
    let variable = format!("HEADLESS_OBS_CLIENT_{client}");
    let value = env::var(&variable).with_context(|| format!("{variable} is not set: use `cargo xtask`"))?;
    match value.strip_prefix('!') {
        Some(why) => bail!("{why}"),
        None => Ok(value),
    }
}

/// A running program that is told numbers, a line each, and answers each with a line. It ends with its pod, or when this
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

    /// Starts one that is ready when it says so.
    pub(crate) fn server(pod: &Pod, words: &[&str]) -> Result<Self> {
        let server = Self::start(pod, words)?;
        let line = server.answer()?;
        ensure!(line == "ready", "{}: {line}", pod.name());
        Ok(server)
    }

    /// Lets it make so many connections or calls; the numbers that it answers: made, failed, and more.
    pub(crate) fn make(&mut self, count: u64) -> Result<Vec<u64>> {
        writeln!(self.input, "{count}").and_then(|()| self.input.flush()).context("the program has ended")?;
        let line = self.answer()?;
        let numbers = line.split(' ').map(|word| word.parse().ok()).collect::<Option<Vec<u64>>>();
        numbers.with_context(|| format!("the program answers {line}"))
    }

    /// The same where none may fail.
    pub(crate) fn make_all(&mut self, count: u64) -> Result<()> {
        let numbers = self.make(count)?;
        ensure!(numbers.first() == Some(&count), "of {count} the program made {numbers:?}");
        Ok(())
    }

    /// Lets it make so many, each told for itself: each by a lookup of its own, where the program looks up when it is told.
    pub(crate) fn one_by_one(&mut self, count: u64) -> Result<()> {
        (0..count).try_for_each(|_| self.make_all(1))
    }

    fn answer(&self) -> Result<String> {
        self.answers.recv_timeout(PATIENCE).context("the program gives no answer")
    }
}
