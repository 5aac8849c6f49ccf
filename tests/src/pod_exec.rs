//! Programs other than agents: real clients, real servers, the daemon under test.
//!
//! In: a place, a command line. Out: a [`Program`] with its output. The agent enters the place and then becomes the
//! program, so the program ends with this process as an agent does.

use std::ffi::OsString;
use std::io::Read;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use crate::agent_process::{Place, Spawner, lock};

/// A program of any kind inside a pod, with its output.
pub struct Program {
    child: Child,
}

impl Program {
    pub(crate) fn new(spawner: &Spawner, place: &Place, arguments: &[&str]) -> Result<Self> {
        let mut role = vec![OsString::from("exec")];
        role.extend(arguments.iter().map(OsString::from));
        Ok(Self { child: spawner.start(place, &role, Stdio::piped())? })
    }

    /// Starts a role of the agent that takes no commands.
    pub(crate) fn of_role(
        spawner: &Spawner,
        place: &Place,
        role: &str,
        spec: &impl Serialize,
    ) -> Result<Self> {
        let role = [OsString::from(role), OsString::from(serde_json::to_string(spec)?)];
        Ok(Self { child: spawner.start(place, &role, Stdio::piped())? })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes its stdin.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Takes its stdout and stderr.
    pub fn streams(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot wait for a program")
    }

    /// Kills it.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }

    /// Waits for its end; returns its status, stdout and stderr.
    pub fn output(mut self) -> Result<Output> {
        drop(self.child.stdin.take());
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let errors = thread::spawn(move || read_all(stderr));
        let stdout = read_all(stdout);
        let status = self.child.wait().context("cannot wait for a program")?;
        let stderr = errors.join().map_err(|_| anyhow!("the reader of stderr died"))?;
        Ok(Output { status, stdout, stderr })
    }
}

/// The time that the rest of a log may take to arrive after the program's end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A program's output to stdout and stderr, collected as it arrives.
#[derive(Clone, Default)]
pub(crate) struct Log {
    text: Arc<Mutex<String>>,
    readers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Log {
    /// Reads both streams until they end.
    pub(crate) fn of(program: &mut Program) -> Self {
        let log = Self::default();
        let (stdout, stderr) = program.streams();
        if let Some(stream) = stdout {
            log.collect(stream);
        }
        if let Some(stream) = stderr {
            log.collect(stream);
        }
        log
    }

    fn collect(&self, mut stream: impl Read + Send + 'static) {
        let log = Arc::clone(&self.text);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                lock(&log).push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        lock(&self.readers).push(reader);
    }

    /// The output so far.
    pub(crate) fn text(&self) -> String {
        lock(&self.text).clone()
    }

    /// The whole output of an ended program. Waits a moment for the rest, but not for ever: a child of the program may
    /// hold the streams open.
    pub(crate) fn whole(&self) -> String {
        let end = Instant::now() + LAST_WORDS;
        while lock(&self.readers).iter().any(|reader| !reader.is_finished()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        self.text()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_all(stream: Option<impl Read>) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(mut stream) = stream {
        // Output before an error is still worth showing.
        let _partial = stream.read_to_end(&mut all);
    }
    all
}
