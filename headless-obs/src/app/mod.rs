//! Composition root: loads the probes, starts the topology's source, and runs the engine between them. The only place
//! that knows both the core and the shell.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

mod backlog;
mod cgroup_resolver;
mod clock;
mod event_loop;
mod instance_lock;
mod pauses;
mod probe_checks;
mod process_name;
mod startup;

use crate::cluster_zone::ClusterZone;
use crate::config::{self, Observe};
use crate::engine::{self, Engine};
use crate::engine_handle::EngineHandle;
use crate::readiness::Readiness;
use crate::running_daemon::RunningDaemon;
use crate::sources::kubernetes::{self, Kubernetes};
use crate::sources::{self, Update};
use crate::topology::learned::Learner;
use crate::topology::model::Change;
use crate::{client, probe, topology};

use clock::now;
use event_loop::EventLoop;
use instance_lock::InstanceLock;
pub use probe_checks::checks;
use startup::{NodeInfo, SourceStatus, apply_update};

/// Topology updates that may wait for the engine.
const UPDATES: usize = 64;

/// Starts to observe. If the whole topology is at hand, the probes are attached when this returns. Otherwise they are
/// attached when the topology is complete; until then the daemon responds to requests.
///
/// # Errors
/// The probes cannot be attached, or the topology cannot be read; the error says what to do.
pub async fn start(observe: Observe) -> anyhow::Result<RunningDaemon> {
    let readiness = Readiness::waiting_for([
        ("probes", "not attached yet; they wait for the topology"),
        ("topology", "not read completely yet"),
    ]);
    let source = Source::open(&observe).await?;
    let mut engine = Engine::new(engine::Config {
        topology: topology::Config {
            node: source.node(&observe),
            zone: observe.zone.as_deref().map(Arc::from),
            ..Default::default()
        },
        learner: source.learner(&observe),
        zone: observe.cluster_domain.as_deref().map_or_else(ClusterZone::learned, ClusterZone::said),
        clients: client::Config {
            scopes: usize::try_from(observe.max_clients)?,
            cgroups: usize::try_from(observe.max_clients)?,
            ..Default::default()
        },
        proxies: observe.proxies.clone(),
        client_stats: usize::try_from(observe.max_clients)?,
        window_memory: usize::try_from(observe.window_memory)?,
        ignored: usize::try_from(observe.max_ignored)?,
        mature_after: observe.mature_after,
        stale_grace: observe.stale_grace,
        count_host: observe.count_host,
        exclude: observe.exclude.clone(),
        series: observe.series,
        own_process: if probe::is_in_initial_pid_namespace() { std::process::id() } else { 0 },
        ..Default::default()
    });
    let node_info = NodeInfo {
        node: observe.node.clone(),
        source: source.name(),
        status: source.status(),
        from: Timestamp::now(),
        began: now(),
    };
    apply_update(&mut engine, &readiness, Update::Changes(source.first()));
    let (sender, mut updates) = mpsc::channel(UPDATES);
    let (handle, mut requests) = EngineHandle::new();
    let (stop, mut stopped) = oneshot::channel();
    let probes = probe_options(&observe);
    let readiness_of_task = readiness.clone();
    let reads_files = observe.reads_files || source.reads_files();
    let mut lock = InstanceLock::new(&observe)
        .context("cannot observe this machine; `headless-obs doctor` checks it")?;
    let task = if engine.synced() && lock.is_granted() {
        let event_loop = attach(node_info, engine, &probes, readiness_of_task, reads_files)?;
        let root_lock = lock.into_root_lock();
        source.follow(sender);
        tokio::spawn(async move {
            let _root_lock = root_lock;
            event_loop.run(updates, requests, &mut stopped).await
        })
    } else {
        source.follow(sender);
        tokio::spawn(async move {
            let channels = (&mut updates, &mut requests, &mut stopped);
            let waited =
                node_info.wait_until_synced(&mut engine, &readiness_of_task, &mut lock, channels).await;
            let Some(trace_subscribers) = waited else { return Ok(()) };
            let _root_lock = lock.into_root_lock();
            let mut event_loop = attach(node_info, engine, &probes, readiness_of_task, reads_files)?;
            event_loop.follow(trace_subscribers);
            event_loop.run(updates, requests, &mut stopped).await
        })
    };
    Ok(RunningDaemon::new(handle, readiness, stop, task))
}

/// Loads the probes. The topology comes first, because the attribution of open connections needs it.
fn attach(
    node_info: NodeInfo,
    engine: Engine,
    probes: &probe::Options,
    readiness: Readiness,
    reads_files: bool,
) -> anyhow::Result<EventLoop> {
    let mut loaded =
        probe::load(probes).context("cannot observe this machine; `headless-obs doctor` checks it")?;
    let existing = std::mem::take(&mut loaded.existing);
    readiness.clear("probes");
    let node_info = NodeInfo { from: Timestamp::now(), began: now(), ..node_info };
    let mut event_loop = EventLoop::new(node_info, engine, loaded, readiness);
    event_loop.adopt(&existing);
    // Nothing needs a capability from here on.
    match probe::drop_capabilities(event_loop.maps(), reads_files) {
        Ok(probe::DroppedCapabilities { dropped, kept }) => {
            info!(dropped, kept, "dropped the capabilities that are no longer needed")
        }
        Err(error) => warn!(%error, "cannot drop the capabilities that are no longer needed"),
    }
    Ok(event_loop)
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
        max_ignored: observe.max_ignored,
        cgroup: observe.cgroup.clone(),
        kernel_log: observe.kernel_log,
    }
}

/// The opened source of the topology. Another source is another variant: it has an initial state and sends updates from
/// then on.
enum Source {
    Files(PathBuf, Vec<Change>, sources::files::Status),
    Dns,
    Kubernetes(Kubernetes),
}

impl Source {
    async fn open(observe: &Observe) -> anyhow::Result<Self> {
        Ok(match &observe.topology {
            config::Topology::Files(path) => {
                // In another thread with its own arena, so that the copies lie close together, not between the remains
                // of reading.
                let file = path.clone();
                let reading = tokio::task::spawn_blocking(move || sources::files::load(&file)).await??;
                for flaw in &reading.flaws {
                    warn!("not read: {flaw}");
                }
                Self::Files(path.clone(), reading.changes, sources::files::Status::default())
            }
            config::Topology::Dns => Self::Dns,
            config::Topology::Kubernetes(options) => {
                Self::Kubernetes(Kubernetes::open(options, &observe.node).await?)
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Files(..) => "files",
            Self::Dns => "dns",
            Self::Kubernetes(_) => kubernetes::NAME,
        }
    }

    fn status(&self) -> SourceStatus {
        match self {
            Self::Kubernetes(source) => SourceStatus::Kubernetes(source.status()),
            Self::Files(_, _, status) => SourceStatus::Files(status.clone()),
            Self::Dns => SourceStatus::None,
        }
    }

    /// Whether it reads files again and again, which may belong to other users.
    fn reads_files(&self) -> bool {
        match self {
            // For the API server: credentials.
            Self::Files(..) | Self::Kubernetes(_) => true,
            Self::Dns => false,
        }
    }

    /// The daemon's node, if endpoints have nodes.
    fn node(&self, observe: &Observe) -> Option<Arc<str>> {
        match self {
            Self::Files(..) | Self::Kubernetes(_) => Some(observe.node.as_str().into()),
            Self::Dns => None,
        }
    }

    fn learner(&self, observe: &Observe) -> Option<Learner> {
        match self {
            Self::Files(..) | Self::Kubernetes(_) => None,
            Self::Dns => Some(Learner::new(topology::learned::LearnConfig {
                filter: observe.dns_names.clone(),
                ..Default::default()
            })),
        }
    }

    /// The initial state.
    fn first(&self) -> Vec<Change> {
        match self {
            Self::Files(_, changes, _) => changes.clone(),
            Self::Dns => vec![Change::Synced(true)],
            Self::Kubernetes(_) => Vec::new(),
        }
    }

    /// Sends changes from now on.
    fn follow(self, sender: mpsc::Sender<Update>) {
        match self {
            Self::Files(path, _, status) => drop(tokio::spawn(async move {
                if let Err(error) = sources::files::watch(path, status, sender).await {
                    tracing::error!(%error, "headless-obs no longer sees changes of the manifests");
                }
            })),
            Self::Kubernetes(source) => drop(tokio::spawn(source.watch(sender))),
            Self::Dns => {}
        }
    }
}
