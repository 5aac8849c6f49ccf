//! The benchmark's handle of a client or server inside a pod: sends commands, receives replies.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use anyhow::{Context, Result, anyhow, bail};
use lab::{Pod, Program};
use serde::de::DeserializeOwned;

use crate::workload::{Command, Role};

/// The process ends when this is dropped.
pub(crate) struct Worker {
    _program: Program,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: Option<ChildStderr>,
}

impl Worker {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(pod: &Pod, role: &Role) -> Result<Self> {
        let this = std::env::current_exe().context("cannot find this program's own path")?;
        let this = this.to_str().context("this program's path is not text")?;
        let mut program = pod.exec(&[this, "inside", &serde_json::to_string(role)?])?;
        let input = program.input().context("no stdin")?;
        let (output, errors) = program.streams();
        let output = BufReader::new(output.context("no stdout")?);
        let mut worker = Self { _program: program, input, output, errors };
        worker.receive::<()>().with_context(|| format!("{} did not start", pod.name()))?;
        Ok(worker)
    }

    /// Sends a command and waits for the reply.
    pub(crate) fn tell<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T> {
        writeln!(self.input, "{}", serde_json::to_string(command)?).context("a worker has ended")?;
        self.receive()
    }

    fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.output.read_line(&mut line).context("cannot read a worker's reply")? == 0 {
            let mut words = String::new();
            if let Some(mut errors) = self.errors.take() {
                // Partial output still helps.
                let _partial = errors.read_to_string(&mut words);
            }
            bail!("a worker ended: {}", words.trim());
        }
        let reply: Result<T, String> = serde_json::from_str(&line).context("unreadable reply")?;
        reply.map_err(|error| anyhow!(error))
    }
}
