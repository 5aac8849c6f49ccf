//! One component of a control plane: a process in the node's network that tests can stop and start again.
//!
//! In: its flags. Out: whether it runs, its log. `cargo xtask` builds one program for all parts.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::node::Node;
use crate::pod_exec::{Log, Program};

/// The program with all parts: `HEADLESS_OBS_CLUSTER_PARTS`, else the newest in this program's build directory.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("HEADLESS_OBS_CLUSTER_PARTS") {
        return Ok(path.into());
    }
    let this = env::current_exe().context("cannot find this program's own path")?;
    let folders = this.ancestors().map(|folder| folder.join("cluster")).find(|folder| folder.is_dir());
    let built = folders.into_iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    let built = built.filter(|entry| entry.file_name().to_string_lossy().starts_with("parts-"));
    let newest = built.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok());
    Ok(newest.context("the components of a cluster are not built; run `cargo xtask e2e cluster`")?.path())
}

/// A component.
pub(crate) struct Part {
    node: Node,
    command: Vec<String>,
    running: Option<(Program, Log)>,
}

impl Part {
    /// A part with its flags, not started yet.
    pub(crate) fn new(node: &Node, name: &str, flags: &[String]) -> Result<Self> {
        let program = program()?;
        let program =
            program.to_str().context("the path of the cluster's components is not UTF-8")?.to_owned();
        let command = [program, name.to_owned()].into_iter().chain(flags.iter().cloned()).collect();
        Ok(Self { node: node.clone(), command, running: None })
    }

    /// Starts it if it does not run.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.running.is_none() {
            let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
            let mut program = self.node.exec(&command)?;
            let log = Log::of(&mut program);
            self.running = Some((program, log));
        }
        Ok(())
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    /// Fails with the end of its log if it should run and does not.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some((program, log)) = &mut self.running else { return Ok(()) };
        if let Some(status) = program.try_wait()? {
            bail!("{} has ended ({status}):\n{}", self.command[1], tail(&log.whole()));
        }
        Ok(())
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        self.running.as_ref().map(|(_, log)| log.text()).unwrap_or_default()
    }

    /// Its process id, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|(program, _)| program.pid())
    }
}

/// The end of a log.
fn tail(log: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
