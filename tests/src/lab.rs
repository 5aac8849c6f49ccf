//! The lab: the shared state of all nodes and pods of one run, and its clean-up.
//!
//! In: specs of nodes. Out: [`Node`]s, a folder for files, the servers' truth. Dropping it, also by a panic or a
//! signal, removes its processes, cgroups and folder; namespaces disappear with their last handle or with the process.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};

use crate::agent_process::{Place, Spawner, lock};
use crate::cgroup::{self, CgroupTree};
use crate::ground_truth::{Ledger, TruthRow};
use crate::machine_lock;
use crate::manifest::{self, ServiceSpec};
use crate::netlink::Netlink;
use crate::node::{Node, NodeSpec};
use crate::pod::Pod;
use crate::pod_exec::Program;
use crate::signals;

/// State shared by nodes and pods.
pub(crate) struct Inner {
    pub(crate) netlink: Arc<Netlink>,
    pub(crate) cgroups: CgroupTree,
    pub(crate) spawner: Spawner,
    pub(crate) truth: Mutex<Ledger>,
    pub(crate) nodes: Mutex<Vec<Node>>,
    /// Addresses that some pod has had: daemons may remember their former owners.
    pub(crate) used: Mutex<BTreeSet<IpAddr>>,
    folder: PathBuf,
    next_node: AtomicU8,
    next_pod: AtomicU32,
}

impl Inner {
    /// Ends all processes inside and removes cgroups and folder. It reports failures at the end.
    pub(crate) fn remove(&self) -> Result<()> {
        let cgroups = self.cgroups.remove_all();
        let folder = match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        cgroups.and(folder.with_context(|| format!("cannot remove {}", self.folder.display())))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A pod number that is unique in this lab.
    pub(crate) fn next_pod(&self) -> u32 {
        self.next_pod.fetch_add(1, Ordering::Relaxed)
    }
}

/// Nodes and pods on this machine; dropping it removes them.
pub struct Lab {
    pub(crate) inner: Arc<Inner>,
}

impl Lab {
    /// An empty lab. It removes the remains of dead runs, and is itself removed on SIGINT, SIGTERM and SIGHUP.
    pub fn new() -> Result<Self> {
        machine_lock::wait_until_alone()?;
        let name = cgroup::run_name()?;
        let netlink = Arc::new(Netlink::new()?);
        let spawner = Spawner::new()?;
        // Resources that could be left in the system are made last.
        let cgroups = CgroupTree::new(&name)?;
        let folder = make_folder(&name).inspect_err(|_| drop(cgroups.remove_all()))?;
        let inner = Arc::new(Inner {
            netlink,
            cgroups,
            spawner,
            truth: Mutex::default(),
            nodes: Mutex::default(),
            used: Mutex::default(),
            folder,
            next_node: AtomicU8::new(1),
            next_pod: AtomicU32::new(1),
        });
        signals::guard(Arc::downgrade(&inner))?;
        Ok(Self { inner })
    }

    /// Makes a node with the default ranges: `10.244.N.0/24` and `fd00:10:244:N::/64`, N counts from 1.
    pub fn node(&self, name: &str) -> Result<Node> {
        self.node_with(NodeSpec::usual(name, self.inner.next_node.fetch_add(1, Ordering::Relaxed)))
    }

    /// Makes a node.
    pub fn node_with(&self, spec: NodeSpec) -> Result<Node> {
        let node = Node::new(&self.inner, spec)?;
        lock(&self.inner.nodes).push(node.clone());
        Ok(node)
    }

    /// The folder of this run, for manifests and other files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// The number of connections of each client to each pod: all that servers accepted, by the pod that had the
    /// source address at that time. Servers of removed pods are included.
    pub fn truth(&self) -> Result<Vec<TruthRow>> {
        lock(&self.inner.truth).rows()
    }

    /// The present owner of an address: `namespace/name` of a pod or the name of a node.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<String> {
        lock(&self.inner.truth).owner(address)
    }

    /// Manifests of these Services and of all pods.
    #[must_use]
    pub fn manifests(&self, services: &[ServiceSpec]) -> String {
        let nodes = lock(&self.inner.nodes).clone();
        let pods: Vec<Pod> = nodes.iter().flat_map(Node::pods).collect();
        manifest::manifests(services, &pods)
    }

    /// Writes [`Lab::manifests`] to a file of the run's folder. The file changes atomically.
    pub fn write_manifests(&self, file: &str, services: &[ServiceSpec]) -> Result<PathBuf> {
        let path = self.folder().join(file);
        // The name begins with a dot: the daemon ignores such files.
        let draft = self.folder().join(format!(".{file}.draft"));
        fs::write(&draft, self.manifests(services))
            .with_context(|| format!("cannot write {}", draft.display()))?;
        fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Starts any program outside the pods, in a cgroup of this run; it ends with the lab.
    pub fn exec(&self, arguments: &[&str]) -> Result<Program> {
        let place = Place { cgroup: Some(self.inner.cgroups.make("outside")?), ..Place::default() };
        Program::new(&self.inner.spawner, &place, arguments)
    }

    /// The run's directory in the cgroup2 tree.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        self.inner.cgroups.path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        lock(&self.inner.truth).clear();
        for node in lock(&self.inner.nodes).drain(..) {
            // Pods hold their node and the node its pods, so without this neither would be dropped.
            lock(&node.inner.pods).clear();
        }
        if let Err(error) = self.inner.remove() {
            // A drop cannot return an error; the next lab removes the rest.
            #[expect(clippy::print_stderr, reason = "nobody else can be told")]
            {
                eprintln!("lab: {error:#}");
            }
        }
    }
}

/// Makes the run's folder, and removes those of dead runs.
fn make_folder(name: &str) -> Result<PathBuf> {
    let parent = std::env::temp_dir();
    for entry in fs::read_dir(&parent).with_context(|| format!("cannot read {}", parent.display()))?.flatten()
    {
        if cgroup::is_of_a_dead_run(&entry.file_name().to_string_lossy()) {
            // Another starting lab may remove the same folder.
            let _gone = fs::remove_dir_all(entry.path());
        }
    }
    let folder = parent.join(name);
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
