//! Real nodes: a kubelet with containerd and runc, on which the cluster runs pods as containers.
//!
//! In: a [`Cluster`] with a scheduler, a number. Out: a [`RealNode`], and agents in its pods.
//!
//! The first node shares the control plane's network. Each other node has its own network, and a link between the
//! bridges makes one flat network of pods. All nodes share this machine's kernel, as nodes of kind do, so a daemon on
//! one sees the sockets of all.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ipnet::{Ipv4Net, Ipv6Net};
use serde_json::Value;

use super::{Cluster, Identity, component_flags, program};
use crate::agent_process::{Place, lock};
use crate::lab::Lab;
use crate::node::{Node, NodeSpec};
use crate::pod_exec::{Log, Program};

mod agents;
mod config;
mod images;
mod init_spec;

pub use agents::Kubectl;
use config::Config;
pub use images::{AGENT, AGENT_PROGRAM};
pub use init_spec::{InitSpec, Surroundings};

/// Programs that a real node needs, and their Debian packages.
const NEEDED: [(&str, &str); 4] = [
    ("/usr/bin/containerd", "containerd"),
    ("/usr/bin/ctr", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
];

/// A node with a kubelet; dropping it ends the node and all its pods.
pub struct RealNode {
    name: String,
    node: Node,
    running: Mutex<Program>,
    log: Log,
}

impl RealNode {
    /// Starts node `number`, counted from 1, and waits until it is ready in the cluster.
    pub fn start(lab: &Lab, cluster: &Cluster, number: u8, surroundings: Surroundings) -> Result<Self> {
        for (path, package) in NEEDED {
            ensure!(Path::new(path).exists(), "there is no {path}; run `apt-get install {package}`");
        }
        let name = format!("node-{number}");
        let node = if number == 1 { cluster.node().clone() } else { wired(lab, cluster, number)? };
        let folder = lab.folder().join(&name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let archives = lab.folder().join("images");
        // Later nodes use the first node's images.
        let images = if archives.exists() { images::made(&archives)? } else { images::make(&archives)? };
        let (cgroup, cgroups) = lab.inner.cgroups.make_everywhere(&name)?;
        let server = format!("https://{}", component_flags::API_SOCKET);
        let identity = Identity::user(&format!("system:node:{name}"), "system:nodes");
        let config = Config {
            folder: &folder,
            name: &name,
            number,
            address: node.inner.spec.gateway_v4.addr(),
            gateway: cluster.node().inner.spec.gateway_v4.addr(),
            kubeconfig: &cluster.kubeconfig(&name, &server, &identity)?,
            cgroup: if surroundings == Surroundings::Container { Path::new("/") } else { &cgroup },
        };
        let spec = InitSpec {
            surroundings,
            cgroups,
            runtime: config.runtime()?,
            socket: config.socket(),
            images,
            kubelet: config.kubelet(&program()?)?,
        };
        let mut running = start(lab, &name, &node, &spec)?;
        let log = Log::of(&mut running);
        let node = Self { name, node, running: Mutex::new(running), log };
        node.when_ready(cluster)?;
        Ok(node)
    }

    fn when_ready(&self, cluster: &Cluster) -> Result<()> {
        let path = format!("/api/v1/nodes/{}", self.name);
        cluster.when(&format!("node {} that is ready", self.name), || {
            if let Some(status) = lock(&self.running).try_wait()? {
                bail!("node {} has ended ({status}):\n{}", self.name, self.log.whole());
            }
            Ok(cluster.api.find(&path)?.filter(is_ready).map(drop))
        })
    }

    /// Its name in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own address, the source of its kubelet's probes.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.node.inner.spec.gateway_v4.addr().into()
    }

    /// The logs of containerd and the kubelet.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }
}

/// Whether an object's condition `Ready` is true.
pub fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn start(lab: &Lab, name: &str, node: &Node, spec: &InitSpec) -> Result<Program> {
    let place = Place {
        netns: Some(node.netns_path()),
        // The kubelet shares the node with its pods, and a cgroup with children may have no processes of its own.
        cgroup: Some(lab.inner.cgroups.make(&format!("{name}/system"))?),
        ..Place::default()
    };
    Program::of_role(&lab.inner.spawner, &place, "node", spec)
}

/// Makes its own network, with a link from its bridge to the control plane's.
fn wired(lab: &Lab, cluster: &Cluster, number: u8) -> Result<Node> {
    let node = lab.node_with(NodeSpec {
        name: format!("node-{number}"),
        gateway_v4: Ipv4Net::new(Ipv4Addr::new(10, 244, 0, number), 16)?,
        gateway_v6: Ipv6Net::new([0xfd00, 0x10, 0x244, 0, 0, 0, 0, number.into()].into(), 64)?,
        addresses: Vec::new(),
    })?;
    node.wire(cluster.node())?;
    let (here, there) = (&node.inner, &cluster.node().inner);
    here.netns.links.add_default_route(here.bridge, there.spec.gateway_v4.addr().into())?;
    Ok(node)
}

/// The time that a pod may take to reach a state on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
