//! Moves the agent into its pod before it opens any socket.
//!
//! In: paths of a cgroup and a network namespace, resolver settings. Out: the process is in the pod.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The namespaces and the cgroup that the agent enters.
#[derive(Default)]
pub(crate) struct Place {
    /// The process that started this one.
    pub(crate) parent: Option<i32>,
    pub(crate) netns: Option<PathBuf>,
    pub(crate) cgroup: Option<PathBuf>,
    /// Text that the C library reads as /etc/resolv.conf.
    pub(crate) resolv_conf: Option<String>,
}

impl Place {
    /// Moves the process. Call it once, while the process has one thread.
    pub(crate) fn enter(&self) -> Result<()> {
        // An agent in a container has no `parent` here: the container runtime ends it.
        if self.parent.is_some() {
            set_parent_process_death_signal(Some(Signal::KILL))
                .context("cannot request a signal at the parent's end")?;
            // If the parent died before the line above, the kernel never sends the signal.
            let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
            ensure!(parent == self.parent, "the parent has died");
        }
        if let Some(path) = &self.cgroup {
            let procs = path.join("cgroup.procs");
            fs::write(&procs, "0")
                .with_context(|| format!("cannot enter the cgroup by {}", procs.display()))?;
        }
        if let Some(path) = &self.netns {
            let netns = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network))
                .context("cannot enter the network namespace")?;
        }
        self.resolv_conf.as_deref().map_or(Ok(()), replace_resolv_conf)
    }
}

/// Mounts other settings over /etc/resolv.conf, in a mount namespace of this process. The file is in a tmpfs that is
/// unmounted at once, so no file is left.
fn replace_resolv_conf(text: &str) -> Result<()> {
    let target = Path::new("/etc/resolv.conf");
    let work = std::env::temp_dir();
    let file = work.join("resolv.conf");
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("cannot make mounts private")?;
    mount("lab", &work, "tmpfs", MountFlags::empty(), None).context("cannot mount a tmpfs")?;
    fs::write(&file, text).context("cannot write resolver settings")?;
    mount_bind(&file, target)
        .with_context(|| format!("cannot mount over {}: does it exist?", target.display()))?;
    unmount(&work, UnmountFlags::DETACH).context("cannot unmount the tmpfs")
}
