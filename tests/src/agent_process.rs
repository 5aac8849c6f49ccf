//! Agents: child processes inside a pod that die with this process.
//!
//! In: a place to enter, a role and its spec. Out: an [`Agent`], which gets commands and gives one reply to each; both
//! are lines of JSON.
//!
//! Agents are children of one thread that lives as long as the lab, because the kernel ends them when that *thread*
//! ends.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Maximum time of a reply. A run of a client may take long, but a hang must end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Locks a mutex, also after a panic elsewhere: all guarded state stays consistent between statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Job = (Command, mpsc::SyncSender<std::io::Result<Child>>);

/// The parent thread of agents.
pub(crate) struct Spawner {
    jobs: mpsc::Sender<Job>,
    agent: PathBuf,
}

/// The place in which an agent runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) netns: Option<PathBuf>,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) resolv_conf: Option<String>,
}

impl Spawner {
    pub(crate) fn new() -> Result<Self> {
        let (jobs, received) = mpsc::channel::<Job>();
        let serve = move || {
            for (mut command, answer) in received {
                // If the caller has gone, the child's stdin closes, which ends the child.
                let _asker = answer.send(command.spawn());
            }
        };
        thread::Builder::new()
            .name("lab-spawner".to_owned())
            .spawn(serve)
            .context("cannot start a thread")?;
        Ok(Self { jobs, agent: agent_path()? })
    }

    /// Starts the agent in a place. Its stdin and stdout are piped, its stderr goes to `stderr`.
    pub(crate) fn start(&self, place: &Place, role: &[OsString], stderr: Stdio) -> Result<Child> {
        let mut command = Command::new(&self.agent);
        command.arg("--parent").arg(std::process::id().to_string());
        let options = [("--netns", &place.netns), ("--cgroup", &place.cgroup)]
            .into_iter()
            .filter_map(|(o, p)| Some((o, p.as_ref()?)));
        for (option, path) in options {
            command.arg(option).arg(path);
        }
        if let Some(text) = &place.resolv_conf {
            command.arg("--resolv-conf").arg(text);
        }
        command.args(role).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        let (answer, answered) = mpsc::sync_channel(1);
        self.jobs.send((command, answer)).map_err(|_| anyhow!("the lab has ended"))?;
        let child = answered.recv().map_err(|_| anyhow!("the lab has ended"))?;
        child.with_context(|| format!("cannot start {}", self.agent.display()))
    }

    /// Starts a program that connects to an agent elsewhere.
    pub(crate) fn remote(&self, name: &str, place: &Place, command: &[&str]) -> Result<Agent> {
        let mut role = vec![OsString::from("exec")];
        role.extend(command.iter().map(OsString::from));
        Agent::new(name, self.start(place, &role, Stdio::inherit())?)
    }

    /// Starts an agent of a role and waits until it reports that it is ready.
    pub(crate) fn agent<T: DeserializeOwned>(
        &self,
        name: &str,
        place: &Place,
        role: &str,
        spec: &impl Serialize,
    ) -> Result<(Agent, T)> {
        let role = [OsString::from(role), OsString::from(serde_json::to_string(spec)?)];
        let agent = Agent::new(name, self.start(place, &role, Stdio::inherit())?)?;
        let ready = agent.receive().with_context(|| format!("{name} did not start"))?;
        Ok((agent, ready))
    }
}

/// The agent's program: `LAB_AGENT`, else in this program's folder, where cargo builds it.
pub fn agent_path() -> Result<PathBuf> {
    if let Some(path) = env::var_os("LAB_AGENT") {
        return Ok(path.into());
    }
    let this = env::current_exe().context("cannot find this program's own path")?;
    let mut candidates = this.ancestors().skip(1).take(2).map(|folder| folder.join("lab-agent"));
    candidates.find(|path| path.is_file()).with_context(|| {
        format!(
            "lab-agent is not beside {}: `cargo build -p headless-obs-tests --bin lab-agent`",
            this.display()
        )
    })
}

/// A process inside a pod.
pub struct Agent {
    name: String,
    child: Mutex<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    replies: Mutex<mpsc::Receiver<String>>,
}

impl Agent {
    fn new(name: &str, mut child: Child) -> Result<Self> {
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the agent has no stdout")?;
        let (sender, replies) = mpsc::channel();
        thread::spawn(move || read_lines(stdout, &sender));
        Ok(Self {
            name: name.to_owned(),
            child: Mutex::new(child),
            stdin: Mutex::new(stdin),
            replies: Mutex::new(replies),
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Sends a command without waiting for its reply.
    pub(crate) fn send(&self, command: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(command)?;
        line.push('\n');
        let mut stdin = lock(&self.stdin);
        let stdin = stdin.as_mut().with_context(|| format!("{} has ended", self.name))?;
        stdin.write_all(line.as_bytes()).with_context(|| format!("{} has ended", self.name))
    }

    /// Waits for the next reply.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<T> {
        self.next_reply(&lock(&self.replies))
    }

    /// Sends a command and waits for its reply. One thread at a time can do so.
    pub(crate) fn ask<T: DeserializeOwned>(&self, command: &impl Serialize) -> Result<T> {
        let replies = lock(&self.replies);
        self.send(command)?;
        self.next_reply(&replies)
    }

    fn next_reply<T: DeserializeOwned>(&self, replies: &mpsc::Receiver<String>) -> Result<T> {
        let name = &self.name;
        let line = replies.recv_timeout(PATIENCE);
        let line =
            line.with_context(|| format!("{name} sent no reply; see the end of its output on stderr"))?;
        let mut reply: Value =
            serde_json::from_str(&line).with_context(|| format!("{name}: unreadable reply {line}"))?;
        if let Some(error) = reply.get("error") {
            bail!("{name}: {}", error.as_str().unwrap_or("no reason given"));
        }
        serde_json::from_value(reply["ok"].take()).with_context(|| format!("{name}: unexpected reply {line}"))
    }

    /// Kills it.
    pub fn kill(&self) {
        let mut child = lock(&self.child);
        // It may have ended by itself.
        let _gone = child.kill();
        let _status = child.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_lines(stdout: ChildStdout, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            return;
        }
    }
}
