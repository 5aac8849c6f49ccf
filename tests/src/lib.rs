//! The lab: nodes and pods on one machine, with real kernel sockets between them.
//!
//! A node is a network namespace with a bridge. A pod is a network namespace with a veth pair to that bridge, and a
//! cgroup in a kubelet's layout. Programs inside pods are `lab-agent` processes: servers that count accepted
//! connections, DNS servers whose behaviour tests set, and clients with many habits.
//!
//! In: specs ([`NodeSpec`], [`PodSpec`], [`ServerSpec`], [`DnsSpec`], [`ClientSpec`]). Out: handles, the servers'
//! counts ([`Lab::truth`]), manifests of nodes, pods and Services ([`manifest`]), and the daemon under test
//! ([`Observer`]).
//!
//! Invariants: only file descriptors of this process hold the namespaces, and agents die with the process. So even
//! SIGKILL leaves only cgroup directories and one folder, which the next [`Lab::new`] removes. The lab changes nothing
//! in the network namespace in which its process was started.

#![deny(unsafe_code)]

pub mod alone;
pub mod browser;
mod cgroup;
pub mod client;
pub mod cluster;
pub mod dns;
mod lab;
pub mod libtest;
mod link;
pub mod manifest;
pub mod matrix;
pub mod mesh;
mod netns;
mod node;
pub mod objects;
mod observer;
mod pod;
mod process;
mod program;
pub mod prometheus;
pub mod server;
mod signals;
mod truth;
pub mod usage;

pub use cgroup::{CgroupLayout, Driver, Qos, Runtime};
pub use client::{Client, ClientReport, ClientSpec};
pub use dns::{DnsOptions, DnsServer, DnsSpec};
pub use lab::Lab;
pub use manifest::{EndpointSpec, ServiceSpec};
pub use node::{Node, NodeSpec};
pub use observer::{Observer, ObserverSpec, get, program, stretched};
pub use pod::{Pod, PodSpec, ResolvConf, Workload};
pub use process::{Agent, agent_path};
pub use program::Program;
pub use server::{Server, ServerMode, ServerSpec};
pub use truth::TruthRow;
