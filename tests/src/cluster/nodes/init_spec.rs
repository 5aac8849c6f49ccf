//! The spec of a real node's first process: plain data, written by the lab and read by the agent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The part of the machine's cgroups that a node sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surroundings {
    /// The node is the machine: it sees the whole cgroup hierarchies.
    #[default]
    Machine,
    /// The node is a container, as in kind: its own cgroup is the root of all cgroups that it sees.
    Container,
}

/// The spec.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InitSpec {
    /// The part of the machine's cgroups that it sees.
    pub surroundings: Surroundings,
    /// Its directory in each hierarchy of cgroups.
    pub cgroups: Vec<PathBuf>,
    /// The container runtime's command line.
    pub runtime: Vec<String>,
    /// The runtime's socket.
    pub socket: PathBuf,
    /// Archives of the images to load.
    pub images: Vec<PathBuf>,
    /// The kubelet's command line.
    pub kubelet: Vec<String>,
}
