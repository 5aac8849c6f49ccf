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

mod agent_process;
pub mod bpf_objects;
pub mod browser;
mod cgroup;
pub mod client;
pub mod cluster;
pub mod collector;
pub mod connection_matrix;
pub mod delay;
pub mod dns;
mod ground_truth;
mod lab;
pub mod libtest;
pub mod machine_lock;
pub mod manifest;
pub mod mesh;
mod netlink;
mod netns;
mod node;
mod observer;
mod pod;
mod pod_exec;
pub mod process_usage;
pub mod prometheus;
pub mod server;
mod signals;
pub mod socket_balancer;
pub mod tcp_info;

pub use agent_process::{Agent, agent_path};
pub use cgroup::{CgroupLayout, Driver, Qos, Runtime};
pub use client::{Client, ClientReport, ClientSpec};
pub use dns::{DnsOptions, DnsServer, DnsSpec};
pub use ground_truth::TruthRow;
pub use lab::Lab;
pub use manifest::{EndpointSpec, ServiceSpec};
pub use node::{Node, NodeSpec};
pub use observer::{Observer, ObserverSpec, get, program, stretched};
pub use pod::{Pod, PodSpec, ResolvConf, Workload};
pub use pod_exec::Program;
pub use server::{Server, ServerMode, ServerSpec};
