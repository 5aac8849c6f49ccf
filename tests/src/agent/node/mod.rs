//! Roles `node` and `node-init`: a simulated machine on which a kubelet runs pods.
//!
//! In: an [`InitSpec`]. Out: containerd and a kubelet, until one of them ends.
//!
//! Everything lives in one PID namespace and one mount namespace. Their first process ends with the lab at the latest.
//! Then the kernel ends all other processes, and the mounts disappear with the last of them. So no shim, container or
//! overlay is left, however the lab ends.

mod init;
mod mounts;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};
use lab::cluster::nodes::{InitSpec, Surroundings};

pub(crate) use init::run as run_init;

/// Becomes the node's outermost process, whose end ends the node.
pub(crate) fn run(spec: &InitSpec, text: OsString) -> Result<()> {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--propagation", "private"]);
    if spec.surroundings == Surroundings::Container {
        // The new cgroup namespace has its root at this process's cgroup.
        for cgroup in &spec.cgroups {
            let procs = cgroup.join("cgroup.procs");
            fs::write(&procs, "0")
                .with_context(|| format!("cannot enter the cgroup by {}", procs.display()))?;
        }
        command.arg("--cgroup");
    }
    let agent = env::current_exe().context("cannot find this program's own path")?;
    let error = command.arg(agent).arg("node-init").arg(text).exec();
    Err(error).context("cannot start unshare, of util-linux")
}
