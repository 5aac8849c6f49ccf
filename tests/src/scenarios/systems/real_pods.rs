//! Real servers and clients in pods.
//!
//! In: a pod, a command line. Out: a [`Running`] server that listens, or a client's output. The kernel's socket table
//! shows whether a server listens; a test connection would count as a client's. All waits have a limit, and a server
//! ends with its handle.

use std::fs;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Pod, Program};

const POLL: Duration = Duration::from_millis(50);
/// Maximum time for a server to start; a ring of JVMs on a busy machine takes most of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Maximum time for a client, in seconds.
const LONGEST_CLIENT: &str = "180";
/// Maximum length of a log in an error.
const SHOWN: usize = 4000;
/// The state of a listening socket in the kernel's table.
const LISTEN: &str = "0A";

/// A server.
pub(crate) struct Running {
    name: String,
    program: Program,
    log: Arc<Mutex<String>>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(pod: &Pod, words: &[&str]) -> Result<Self> {
        let mut program = pod.exec(words)?;
        let log = Arc::default();
        let (out, err) = program.streams();
        if let Some(out) = out {
            collect(out, &log);
        }
        if let Some(err) = err {
            collect(err, &log);
        }
        Ok(Self { name: pod.name().to_owned(), program, log })
    }

    /// Waits until it listens on a port.
    pub(crate) fn listens(&mut self, port: u16) -> Result<()> {
        let pid = self.program.pid();
        self.wait(&format!("does not listen on port {port}"), |_| is_listening(pid, port))
    }

    /// Waits until it has written this.
    pub(crate) fn says(&mut self, text: &str) -> Result<()> {
        self.wait(&format!("does not say {text:?}"), |log| log.contains(text))
    }

    fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait(&mut self, failure: &str, is_done: impl Fn(&str) -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if is_done(&log) {
                return Ok(());
            }
            if let Some(status) = self.program.try_wait()? {
                // The end of its log may not have arrived yet.
                thread::sleep(POLL);
                bail!("{} has ended, {status}:\n{}", self.name, last(&self.log()));
            }
            ensure!(Instant::now() < end, "{} {failure}:\n{}", self.name, last(&log));
            thread::sleep(POLL);
        }
    }
}

/// Runs a client in a pod to its end; returns its output. A failure is an error.
pub(crate) fn client(pod: &Pod, words: &[&str]) -> Result<String> {
    let output = pod.exec(&[&["timeout", LONGEST_CLIENT], words].concat())?.output()?;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}: {}{}", pod.name(), output.status, last(&out), last(&err));
    Ok(out)
}

/// Runs `command` in a pod's shell `times` times, one after the other, and ignores failures.
pub(crate) fn repeat(pod: &Pod, times: u32, command: &str) -> Result<String> {
    client(pod, &["sh", "-c", &format!("for i in $(seq {times}); do {command}; done; true")])
}

/// The same, but each run must succeed.
pub(crate) fn repeat_well(pod: &Pod, times: u32, command: &str) -> Result<String> {
    client(pod, &["sh", "-c", &format!("for i in $(seq {times}); do {command} || exit 1; done")])
}

fn collect(mut stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]);
            log.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    });
}

/// The end of a log.
fn last(log: &str) -> &str {
    let start = (log.len().saturating_sub(SHOWN)..=log.len()).find(|&at| log.is_char_boundary(at));
    start.map_or("", |start| &log[start..])
}

/// Whether a socket listens on this port in the process's network, once that is a pod's.
fn is_listening(pid: u32, port: u16) -> bool {
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let there = network(&pid.to_string());
    if there.is_none() || there == network("self") {
        return false;
    }
    let wanted = format!(":{port:04X}");
    ["tcp", "tcp6"].iter().any(|table| {
        let sockets = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        sockets.lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next().unwrap_or_default();
            local.ends_with(&wanted) && fields.nth(1) == Some(LISTEN)
        })
    })
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut std::process::Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {}: {}{}", output.status, last(&out), last(&err));
    Ok(())
}
