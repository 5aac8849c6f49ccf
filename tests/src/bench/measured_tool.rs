//! The measured tools, how they are started, and when they are ready.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{Observer, ObserverSpec, Program};

use crate::bpf::{Held, Hook, are_gone};
use crate::child_output::ChildOutput;
use crate::noop_baseline::NoopBaseline;
use crate::process_tree_usage::tree;
use crate::stage::Stage;

/// Interval of polls.
const POLL: Duration = Duration::from_millis(50);
/// A third-party tool is ready when it has run for this long and has loaded nothing new for this long.
const SETTLED: Duration = Duration::from_millis(1_000);
/// The measurement begins after this time in any case.
const LONGEST: Duration = Duration::from_secs(15);

/// bpftrace 0.17 looks for tracepoints in its own tracefs path: both file systems are mounted for it alone.
const BPFTRACE: &str = "mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; \
    mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; \
    exec bpftrace -e 'tracepoint:sock:inet_sock_set_state { @ = count(); }'";

/// Captures SYNs and DNS on every link of the node.
const TCPDUMP: &[&str] =
    &["tcpdump", "-i", "any", "-n", "-w", "/dev/null", "tcp[tcpflags] & tcp-syn != 0 or port 53"];

/// A tool that the user names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    name: String,
    command: String,
}

impl FromStr for Peer {
    type Err = Infallible;

    /// xtask has checked it; a command without a name is its own name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (name, command) = text.split_once('=').unwrap_or((text, text));
        Ok(Self { name: name.to_owned(), command: command.to_owned() })
    }
}

/// A measured tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// No observer.
    Nothing,
    /// Empty programs on the daemon's hooks.
    Empty,
    /// headless-obs.
    Observer,
    /// Counts TCP state changes.
    Bpftrace,
    /// Writes SYNs and DNS to a file.
    Tcpdump,
    /// A tool of the user.
    Peer(Peer),
}

/// A running tool; it ends when this is dropped.
pub(crate) enum Running {
    Nothing,
    Empty { _baseline: NoopBaseline },
    Observer(Observer),
    Program(Program),
}

impl Tool {
    /// All tools, in the order of the first round.
    pub(crate) fn all(peers: &[Peer]) -> Vec<Self> {
        let own = [Self::Nothing, Self::Empty, Self::Observer, Self::Bpftrace, Self::Tcpdump];
        own.into_iter().chain(peers.iter().cloned().map(Self::Peer)).collect()
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "empty",
            Self::Observer => "headless-obs",
            Self::Bpftrace => "bpftrace",
            Self::Tcpdump => "tcpdump",
            Self::Peer(peer) => &peer.name,
        }
    }

    /// Starts it and waits until it is ready. `hooks` are those of the baseline.
    pub(crate) fn start(&self, stage: &Stage, hooks: &BTreeSet<Hook>) -> Result<Running> {
        Ok(match self {
            Self::Nothing => Running::Nothing,
            Self::Empty => Running::Empty { _baseline: NoopBaseline::attach(hooks, stage.cgroup_root()?)? },
            Self::Observer => Running::Observer(observer(stage, &stage.topology)?),
            Self::Bpftrace => settled(stage.lab.exec(&["unshare", "--mount", "sh", "-c", BPFTRACE])?)?,
            Self::Tcpdump => settled(stage.node.exec(TCPDUMP)?)?,
            Self::Peer(peer) => settled(stage.lab.exec(&["sh", "-c", &peer.command])?)?,
        })
    }
}

/// The daemon with its default options, apart from those that the harness sets.
pub(crate) fn observer(stage: &Stage, topology: &std::path::Path) -> Result<Observer> {
    let topology = format!("files:{}", topology.display());
    Observer::start(stage.lab, &ObserverSpec::new(&["--topology", &topology]))
}

/// Waits until a third-party tool is ready.
fn settled(mut program: Program) -> Result<Running> {
    let words = ChildOutput::of(&mut program);
    let begin = Instant::now();
    let mut held = Held::default();
    let mut since = begin;
    while since.elapsed() < SETTLED && begin.elapsed() < LONGEST {
        if let Some(status) = program.try_wait()? {
            bail!("the tool ended before the measurement ({status}): {}", words.last());
        }
        let now = Held::by(&tree(&[program.pid()]));
        if now != held {
            (held, since) = (now, Instant::now());
        }
        thread::sleep(POLL);
    }
    Ok(Running::Program(program))
}

impl Running {
    /// The processes that the benchmark started.
    pub(crate) fn roots(&self) -> Vec<u32> {
        match self {
            Self::Nothing | Self::Empty { .. } => Vec::new(),
            Self::Observer(observer) => vec![observer.pid()],
            Self::Program(program) => vec![program.pid()],
        }
    }

    /// Its kernel programs and hooks.
    pub(crate) fn held(&self) -> Held {
        match self {
            // The benchmark's process holds no other programs.
            Self::Empty { .. } => Held::by(&[std::process::id()]),
            _ => Held::by(&tree(&self.roots())),
        }
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Self::Program(program) = self
            && let Some(status) = program.try_wait().context("cannot read the status of the tool")?
        {
            bail!("the tool ended during the measurement ({status})");
        }
        Ok(())
    }

    /// Ends it, and waits until the kernel has freed its programs, so that the next tool is alone.
    pub(crate) fn stop(self) {
        let programs = self.held().programs;
        drop(self);
        let begin = Instant::now();
        while !are_gone(&programs) && begin.elapsed() < LONGEST {
            thread::sleep(POLL);
        }
    }
}
