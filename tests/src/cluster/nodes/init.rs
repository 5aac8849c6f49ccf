//! What the first process of a real node is told: plain data, put together by the lab and read by the agent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How much of the machine a node sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surroundings {
    /// It is the machine: it sees the whole hierarchies of cgroups.
    #[default]
    Machine,
    /// It is a container, as nodes of kind are: its own cgroup is the root of all that it sees.
    Container,
}

/// A node to be started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InitSpec {
    /// How much of the machine it sees.
    pub surroundings: Surroundings,
    /// Its directory in each hierarchy of cgroups.
    pub cgroups: Vec<PathBuf>,
    /// The container runtime's command line.
    pub runtime: Vec<String>,
    /// The runtime's socket.
    pub socket: PathBuf,
    /// Archives of the images that it has from the start.
    pub images: Vec<PathBuf>,
    /// The kubelet's command line.
    pub kubelet: Vec<String>,
}
