//! Network namespaces that a file descriptor holds: they have no name, and disappear with the process.
//!
//! In: kernel settings. Out: a [`Netns`], with a netlink connection inside it and a path by which agents enter it.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::{Links, Netlink};

/// Settings of every namespace of the lab: addresses are usable at once, ports do not run out, queues do not overflow,
/// and the kernel drops or delays no packet unless a test wants it.
const SETTINGS: &[(&str, &str)] = &[
    ("net/core/somaxconn", "65535"),
    ("net/ipv4/tcp_max_syn_backlog", "65535"),
    ("net/ipv4/tcp_syncookies", "0"),
    ("net/ipv4/ip_local_port_range", "1024 65535"),
    ("net/ipv4/tcp_tw_reuse", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/icmp_ratelimit", "0"),
];

/// Set only if the kernel has them: IPv6 can be missing, and some are newer than the oldest supported kernel.
const OPTIONAL: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
    ("net/ipv4/icmp_msgs_per_sec", "100000"),
    ("net/ipv4/tcp_max_tw_buckets", "262144"),
];

/// A node's namespace forwards packets.
const FORWARDING: &[(&str, &str)] = &[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")];

/// A network namespace.
pub(crate) struct Netns {
    file: File,
    /// Links, addresses and routes inside it.
    pub(crate) links: Links,
}

impl Netns {
    /// Makes a namespace with `lo` up; `forwards` makes it a router.
    pub(crate) fn new(netlink: &Arc<Netlink>, forwards: bool) -> Result<Self> {
        let (file, links) = thread::scope(|scope| {
            scope
                .spawn(|| Self::make(netlink, forwards))
                .join()
                .map_err(|_| anyhow!("the namespace's thread died"))
        })??;
        links.set_up("lo")?;
        Ok(Self { file, links })
    }

    /// Makes a namespace. It must run in its own short-lived thread, because the thread stays in the new namespace.
    fn make(netlink: &Arc<Netlink>, forwards: bool) -> Result<(File, Links)> {
        unshare(CloneFlags::CLONE_NEWNET)
            .context("cannot make a network namespace: run as root (CAP_SYS_ADMIN)")?;
        for (name, value) in SETTINGS {
            set(name, value)?;
        }
        for (name, value) in OPTIONAL.iter().chain(if forwards { FORWARDING } else { &[] }) {
            if exists(name) {
                set(name, value)?;
            }
        }
        let file = File::open("/proc/thread-self/ns/net").context("cannot open the new network namespace")?;
        Ok((file, netlink.connect()?))
    }

    /// The path by which other processes enter it, valid while it exists.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd()))
    }

    /// The descriptor's number, for netlink messages of this process.
    pub(crate) fn raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// Runs `f` inside the namespace, in its own thread.
    pub(crate) fn run<T: Send>(&self, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("cannot enter the network namespace")?;
                f()
            });
            inside.join().map_err(|_| anyhow!("the thread inside the namespace died"))?
        })
    }

    /// A neighbour that does not answer three requests is unreachable; this takes 0.3 s instead of 3 s.
    pub(crate) fn hasten_neighbours(&self, link: &str) -> Result<()> {
        self.run(|| {
            set(&format!("net/ipv4/neigh/{link}/retrans_time_ms"), "100")?;
            let v6 = format!("net/ipv6/neigh/{link}/retrans_time_ms");
            if exists(&v6) { set(&v6, "100") } else { Ok(()) }
        })
    }

    /// Writes a setting under /proc/sys of this namespace.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<()> {
        self.run(|| set(name, value))
    }
}

/// Writes a setting of the calling thread's namespace.
fn set(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/{name}"), value)
        .with_context(|| format!("cannot set /proc/sys/{name} to {value}"))
}

/// Whether the kernel has a setting.
fn exists(name: &str) -> bool {
    Path::new("/proc/sys").join(name).exists()
}
