//! State that all tests share: a cluster with two nodes and the shipped DaemonSet.

use std::time::Duration;

use lab::Lab;
use lab::cluster::nodes::{RealNode, Surroundings};
use lab::cluster::{Cluster, ClusterSpec};

use crate::daemon::Daemon;

/// The shipped manifests, in the order in which kubectl reads a folder.
pub(crate) const SHIPPED: [&str; 3] = [
    include_str!("../../../deploy/manifests/1-namespace.yaml"),
    include_str!("../../../deploy/manifests/2-rbac.yaml"),
    include_str!("../../../deploy/manifests/3-daemonset.yaml"),
];

/// The time that a pod may take to be made, started and ready on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The parts, in the order in which they end.
pub(crate) struct Shared {
    pub(crate) nodes: [RealNode; 2],
    pub(crate) cluster: Cluster,
    pub(crate) lab: Lab,
}

impl Shared {
    pub(crate) fn start() -> Self {
        let lab = Lab::new().unwrap();
        let spec = ClusterSpec { real_nodes: true, ..ClusterSpec::default() };
        let cluster = Cluster::start(&lab, &spec).unwrap();
        let node = |number, surroundings| RealNode::start(&lab, &cluster, number, surroundings).unwrap();
        let nodes = [node(1, Surroundings::Machine), node(2, Surroundings::Container)];
        for manifest in SHIPPED {
            cluster.api().apply(manifest).unwrap();
        }
        Self { nodes, cluster, lab }
    }

    /// The daemon of each node, after both are ready.
    pub(crate) fn daemons(&self) -> [Daemon<'_>; 2] {
        let path = "/apis/apps/v1/namespaces/headless-obs/daemonsets/headless-obs";
        let is_ready = |set: &serde_json::Value| set["status"]["numberReady"] == 2;
        self.cluster.api().when(path, PATIENCE, is_ready).unwrap_or_else(|error| self.give_up(&error));
        self.nodes.each_ref().map(|node| Daemon::of_node(self, node.name()))
    }

    /// Fails with all available logs.
    pub(crate) fn give_up(&self, error: &anyhow::Error) -> ! {
        for node in &self.nodes {
            let log = node.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("{}:\n{}", node.name(), lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        panic!("{error:#}");
    }
}
