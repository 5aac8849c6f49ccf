//! User space's view of the kernel side: loads the programs, attaches them, reads their data.
//!
//! In: [`Options`]. Out: [`Record`]s from the ring, totals from FLOWS, counters, and the addresses that user space
//! asks the kernel to ignore. The only place outside the kernel programs with `unsafe` code.
//!
//! Invariants: file descriptors hold everything, so the kernel removes programs, maps and private mounts when the
//! process ends, for whatever reason. A probe that cannot be attached is reported with the reason, and the others
//! continue.

#![expect(
    unsafe_code,
    reason = "the boundary to the kernel: plain types from bytes, and raw system interfaces"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

mod aya_pod;
mod bpf_call;
mod btf;
mod cgroup;
mod cgroup_mount;
mod cgroup_programs;
mod dialled;
mod drop_capabilities;
mod heap;
mod iter_loads;
mod iter_sockets;
mod load;
mod map_batch;
mod maps;
mod privilege_check;
mod record;
mod recursion_misses;
mod ring;
mod tracefs;

pub use btf::VMLINUX;
pub use cgroup::{CgroupRoot, RootLock, is_own_container};
pub use cgroup_mount::{CgroupView, widest_cgroup2};
pub use dialled::Dialled;
pub use drop_capabilities::{DroppedCapabilities, drop_capabilities, drop_helper_capabilities};
pub use heap::{share_heap, trim_heap};
pub use iter_loads::{OpenLoads, Walk};
pub use load::{Loaded, load, object};
pub use maps::{Flow, Maps};
pub use privilege_check::{is_in_initial_pid_namespace, missing_capabilities, sees_only_own_processes};
pub use record::Record;
pub use ring::Ring;
pub use tracefs::is_mounted as tracefs_is_mounted;

/// The hook for connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcpHook {
    /// `tp_btf`, otherwise the classic tracepoint.
    #[default]
    Auto,
    /// Only `tp_btf`.
    TpBtf,
    /// Only the classic tracepoint: no failure reasons, no bytes.
    Tracepoint,
}

/// The features and sizes.
#[derive(Clone, Debug)]
pub struct Options {
    /// Source ports of DNS servers; at most [`headless_obs_ebpf::symbols::MAX_DNS_PORTS`].
    pub dns_ports: Vec<u16>,
    /// The hook for connections.
    pub tcp_hook: TcpHook,
    /// Bytes of the ring; rounded up to a power of two of pages.
    pub ring_bytes: u32,
    /// Entries of FLOWS.
    pub max_flows: u32,
    /// Entries of CONNECTIONS.
    pub max_connections: u32,
    /// Entries of IGNORED_DESTS.
    pub max_ignored: u32,
    /// Root of the cgroup2 hierarchy; found if it is not given.
    pub cgroup: Option<PathBuf>,
    /// Log the programs' diagnostics, through aya-log.
    pub kernel_log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dns_ports: vec![53, 5353, 15053],
            tcp_hook: TcpHook::Auto,
            ring_bytes: 1 << 20,
            max_flows: 1 << 15,
            max_connections: 1 << 15,
            max_ignored: 1 << 14,
            cgroup: None,
            kernel_log: false,
        }
    }
}

/// Probe (`dns`, `queries`, `tcp`, `existing`, `load`, `servers`, `connects`) → the hook it runs on, or `none`.
pub type Hooks = BTreeMap<String, String>;

/// The reason why the kernel side does not work, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Built without the kernel object.
    #[error(
        "this binary was built without the kernel programs: build it with `cargo xtask build-ebpf` first"
    )]
    NoObject,
    /// Missing privileges.
    #[error(
        "not allowed to use BPF ({why}){}: run as root, or with the capabilities BPF, PERFMON and NET_ADMIN \
         (and SYS_ADMIN before Linux 5.8)",
        lack(missing)
    )]
    NotPermitted {
        /// The refused operation.
        why: String,
        /// The missing capabilities, if any.
        missing: String,
    },
    /// In a container that sees only its own processes.
    #[error(
        "the kernel lists only the sockets of this container; let it see the node's processes (hostPID: true, or \
         docker's --pid=host)"
    )]
    OwnProcesses,
    /// No BTF in the kernel.
    #[error(
        "the kernel has no BTF (/sys/kernel/btf/vmlinux): use a kernel with CONFIG_DEBUG_INFO_BTF=y, or \
         --tcp-hook tracepoint, which needs no BTF but shows no failure reasons"
    )]
    NoBtf,
    /// Unusable BTF.
    #[error("the kernel's BTF cannot be used ({0}): try --tcp-hook tracepoint")]
    Btf(String),
    /// No tracefs.
    #[error(
        "tracefs is needed for the classic tracepoint: {0}; mount it with `mount -t tracefs tracefs /sys/kernel/tracing`"
    )]
    Tracefs(String),
    /// No cgroup2.
    #[error(
        "cgroup2 is needed to see DNS answers: {0}; mount it with `mount -t cgroup2 none DIR` and give --cgroup DIR"
    )]
    Cgroup(String),
    /// Only a container's own cgroup.
    #[error(
        "{} shows only this container, so the DNS answers of others stay invisible: mount the node's /sys/fs/cgroup \
         into this container, at any path (a hostPath volume, or docker's -v /sys/fs/cgroup:/host/sys/fs/cgroup:ro)", .0.display()
    )]
    OwnCgroup(PathBuf),
    /// A program or map was refused.
    #[error("{what}: {why}")]
    Refused {
        /// Program or map.
        what: &'static str,
        /// The kernel's reason.
        why: String,
    },
    /// The runtime cannot wait for the ring.
    #[error("cannot read the event ring: {0}")]
    Ring(std::io::Error),
}

fn lack(missing: &str) -> String {
    if missing.is_empty() { String::new() } else { format!(", {missing} missing") }
}
