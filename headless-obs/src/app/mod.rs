//! Composition root: loads the probes, starts the topology's source, and runs the engine between them. The only place
//! that knows both the core and the shell.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

mod checks;
mod clock;
mod paths;
mod work;

use crate::config::{self, Observe};
use crate::engine::{self, Engine};
use crate::handle::{EngineHandle, Observer, Readiness};
use crate::sources::{self, Update};
use crate::topology::learned::Learner;
use crate::topology::object::Change;
use crate::{client, dns, evidence, probe, topology};

pub use checks::checks;
use clock::now;
use work::Work;

/// Topology updates that may wait for the engine.
const UPDATES: usize = 64;
/// About how many (client, endpoint, port, resolution) the ledger tells apart.
const CELLS: usize = 100_000;
/// How long a flow's totals are kept in the kernel after they stopped changing.
const IDLE_FLOW: std::time::Duration = std::time::Duration::from_secs(600);

/// Starts to observe. Returns once the probes are attached and the topology's source is started.
///
/// # Errors
/// The probes cannot be attached, or the topology cannot be read; with what to do about it.
pub async fn start(observe: Observe) -> anyhow::Result<Observer> {
    let readiness = Readiness::waiting_for([
        ("probes", "being attached"),
        ("topology", "has not been read completely yet"),
    ]);
    let source = Source::open(&observe).await?;
    let mut engine = Engine::new(engine::Config {
        topology: topology::Config { node: source.node(&observe), ..Default::default() },
        learner: source.learner(&observe),
        clients: client::Config::default(),
        evidence: evidence::Config::default(),
        streams: dns::stream::Limits::default(),
        cells: CELLS,
        boring: usize::try_from(observe.max_boring)?,
        idle_flow: IDLE_FLOW,
    });
    // Before the probes: connections that are open already are attributed by the topology.
    for change in source.first() {
        engine.apply(now(), change);
    }
    let mut loaded = probe::load(&probe_options(&observe))
        .context("cannot observe this machine; `headless-obs doctor` checks it")?;
    let existing = std::mem::take(&mut loaded.existing);
    readiness.clear("probes");

    let (sender, updates) = mpsc::channel(UPDATES);
    let name = source.name();
    source.follow(sender);
    let (handle, requests) = EngineHandle::new();
    let (stop, stopped) = oneshot::channel();
    let mut work = Work::new(observe.node, name, engine, loaded, readiness.clone());
    work.adopt(&existing);
    let task = tokio::spawn(work.run(updates, requests, stopped));
    Ok(Observer::new(handle, readiness, stop, task))
}

fn probe_options(observe: &Observe) -> probe::Options {
    probe::Options {
        dns_ports: observe.dns_ports.into_iter().filter(|port| *port != 0).collect(),
        tcp_hook: match observe.tcp_hook {
            config::TcpHook::Auto => probe::TcpHook::Auto,
            config::TcpHook::TpBtf => probe::TcpHook::TpBtf,
            config::TcpHook::Tracepoint => probe::TcpHook::Tracepoint,
        },
        ring_bytes: observe.ring_bytes,
        max_flows: observe.max_flows,
        max_connections: observe.max_connections,
        max_boring: observe.max_boring,
        cgroup: observe.cgroup.clone(),
        kernel_log: observe.kernel_log,
    }
}

/// Where the topology comes from, opened. Another source is another variant: something to begin with, and something
/// that sends updates from then on.
enum Source {
    Files(PathBuf, Vec<Change>),
    Dns,
}

impl Source {
    async fn open(observe: &Observe) -> anyhow::Result<Self> {
        Ok(match &observe.topology {
            config::Topology::Files(path) => {
                // In another thread, which has an arena of its own: what is copied from there lies close together,
                // not between the remains of reading.
                let file = path.clone();
                let changes = tokio::task::spawn_blocking(move || sources::files::load(&file)).await??;
                Self::Files(path.clone(), changes)
            }
            config::Topology::Dns => Self::Dns,
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Files(..) => "files",
            Self::Dns => "dns",
        }
    }

    /// The node observed, if endpoints say where they are.
    fn node(&self, observe: &Observe) -> Option<Arc<str>> {
        match self {
            Self::Files(..) => Some(observe.node.as_str().into()),
            Self::Dns => None,
        }
    }

    fn learner(&self, observe: &Observe) -> Option<Learner> {
        match self {
            Self::Files(..) => None,
            Self::Dns => Some(Learner::new(topology::learned::LearnConfig {
                filter: observe.dns_names.clone(),
                ..Default::default()
            })),
        }
    }

    /// What is known at the start.
    fn first(&self) -> Vec<Change> {
        match self {
            Self::Files(_, changes) => changes.clone(),
            Self::Dns => vec![Change::Synced(true)],
        }
    }

    /// Sends what changes from now on.
    fn follow(self, sender: mpsc::Sender<Update>) {
        if let Self::Files(path, _) = self {
            tokio::spawn(async move {
                if let Err(error) = sources::files::watch(path, sender).await {
                    tracing::error!(%error, "changes of the manifests are no longer seen");
                }
            });
        }
    }
}
