//! The lab's cgroups: one directory per run, with pods below it in a kubelet's layout.
//!
//! In: pod uid, container id, layout. Out: directories into which agents write their pid. The name of the run's
//! directory has process id and start time, so that another run can see whether this one still lives.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use rustix::process::{Pid, Signal, kill_process};

mod version1;

/// Prefix of the directories and folders of all runs.
pub(crate) const PREFIX: &str = "headless-lab.";

/// The kubelet's cgroup driver, which decides the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// `kubepods/besteffort/pod<uid>/<container>`
    #[default]
    Cgroupfs,
    /// `kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<uid>.slice/…-<container>.scope`
    Systemd,
}

/// The container runtime, which decides the last part of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtime {
    /// containerd
    #[default]
    Containerd,
    /// CRI-O
    CriO,
    /// Docker
    Docker,
}

/// Class of service of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qos {
    /// No requests.
    #[default]
    BestEffort,
    /// Requests below the limits.
    Burstable,
    /// Requests equal to the limits: the kubelet adds no directory level for these.
    Guaranteed,
}

/// The position of a pod's container in the tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupLayout {
    /// The kubelet's driver.
    pub driver: Driver,
    /// The container runtime.
    pub runtime: Runtime,
    /// The pod's class.
    pub qos: Qos,
}

impl CgroupLayout {
    /// The container's path below the root of the kubelet's tree.
    #[must_use]
    pub fn path(&self, uid: &str, container: &str) -> String {
        let class = match self.qos {
            Qos::BestEffort => Some("besteffort"),
            Qos::Burstable => Some("burstable"),
            Qos::Guaranteed => None,
        };
        match self.driver {
            Driver::Cgroupfs => {
                let level = class.map(|class| format!("{class}/")).unwrap_or_default();
                let prefix = if self.runtime == Runtime::CriO { "crio-" } else { "" };
                format!("kubepods/{level}pod{uid}/{prefix}{container}")
            }
            Driver::Systemd => {
                let uid = uid.replace('-', "_");
                let level = class.map(|class| format!("kubepods-{class}.slice/")).unwrap_or_default();
                let stem = class.map_or_else(|| "kubepods".to_owned(), |class| format!("kubepods-{class}"));
                let prefix = match self.runtime {
                    Runtime::Containerd => "cri-containerd",
                    Runtime::CriO => "crio",
                    Runtime::Docker => "docker",
                };
                format!("kubepods.slice/{level}{stem}-pod{uid}.slice/{prefix}-{container}.scope")
            }
        }
    }
}

/// The run's directory in the cgroup2 tree.
pub(crate) struct CgroupTree {
    path: PathBuf,
    /// A private mount, if the machine has none.
    _mount: Option<OwnedFd>,
}

impl CgroupTree {
    /// Makes the run's directory, and removes those of dead runs.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mount = if let Some(path) = mounted()? { (path, None) } else { private_mount()? };
        remove_where(&mount.0, is_of_a_dead_run)?;
        version1::remove_dead()?;
        let path = mount.0.join(name);
        fs::create_dir(&path)
            .with_context(|| format!("cannot make cgroup {}: run as root", path.display()))?;
        Ok(Self { path, _mount: mount.1 })
    }

    /// Makes a directory below the run's and returns its path.
    pub(crate) fn make(&self, below: &str) -> Result<PathBuf> {
        let path = self.path.join(below.trim_start_matches('/'));
        fs::create_dir_all(&path).with_context(|| format!("cannot make cgroup {}", path.display()))?;
        Ok(path)
    }

    /// Makes a directory below the run's in every hierarchy, version 1 included, for a kubelet; returns its path from
    /// their roots, and each of the directories.
    pub(crate) fn make_everywhere(&self, below: &str) -> Result<(PathBuf, Vec<PathBuf>)> {
        let path = Path::new(self.name()?).join(below);
        let mut made = version1::make(&path)?;
        made.push(self.make(below)?);
        Ok((Path::new("/").join(path), made))
    }

    fn name(&self) -> Result<&str> {
        self.path.file_name().and_then(|name| name.to_str()).context("the run has no name")
    }

    /// The run's directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Kills the processes in one directory and removes it.
    pub(crate) fn remove(path: &Path) -> Result<()> {
        remove_tree(path)
    }

    /// Kills the processes in the run's directories and removes them all.
    pub(crate) fn remove_all(&self) -> Result<()> {
        let version2 = remove_tree(&self.path);
        version2.and(version1::remove(Path::new(self.name()?)))
    }
}

/// The name of this run: process id, its start time, and a number that is unique in this process.
pub(crate) fn run_name() -> Result<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let pid = std::process::id();
    let start = start_time(pid).context("cannot read /proc/self/stat")?;
    Ok(format!("{PREFIX}{pid}.{start}.{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Whether this name belongs to a run whose process has ended.
pub(crate) fn is_of_a_dead_run(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let mut parts = rest.split('.');
    let pid = parts.next().and_then(|pid| pid.parse().ok());
    let start = parts.next().and_then(|start| start.parse::<u64>().ok());
    match (pid, start) {
        (Some(pid), Some(start)) => start_time(pid) != Some(start),
        _ => false,
    }
}

/// Start time of a process, in clock ticks since boot. With the id it identifies the process.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name, may contain any character, so the fields are counted from its last parenthesis.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The mount point of cgroup2.
fn mounted() -> Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    Ok(mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        file_system.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4).map(PathBuf::from))?
    }))
}

/// A cgroup2 mount that is in no mount table; it ends with its descriptor.
fn private_mount() -> Result<(PathBuf, Option<OwnedFd>)> {
    let make = || {
        let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
    };
    let mount = make().context("cannot mount cgroup2: the kernel lacks it, or this is not root")?;
    Ok((PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), mount.as_raw_fd())), Some(mount)))
}

/// Removes the directories of a hierarchy whose names match.
fn remove_where(hierarchy: &Path, is_meant: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(hierarchy).with_context(|| format!("cannot read {}", hierarchy.display()))? {
        let entry = entry?;
        if is_meant(&entry.file_name().to_string_lossy()) {
            remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

/// Kills all processes in a tree of cgroups, then removes it, deepest directories first.
fn remove_tree(path: &Path) -> Result<()> {
    const ATTEMPTS: u32 = 500;
    for _ in 0..ATTEMPTS {
        kill_all(path);
        match remove_directories(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // Killed processes need a moment to leave.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => thread::sleep(Duration::from_millis(4)),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot remove cgroup {}", path.display()));
            }
        }
    }
    bail!("cgroup {} stays busy: see its cgroup.procs for what is still inside", path.display())
}

fn kill_all(path: &Path) {
    let processes = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
        // The process may have ended by itself.
        let _gone = kill_process(pid, Signal::KILL);
    }
    for child in children(path).unwrap_or_default() {
        kill_all(&child);
    }
}

fn remove_directories(path: &Path) -> std::io::Result<()> {
    for child in children(path)? {
        remove_directories(&child)?;
    }
    fs::remove_dir(path)
}

fn children(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_those_of_the_kubelet() {
        let check = |driver, runtime, qos, expected: &str| {
            assert_eq!(CgroupLayout { driver, runtime, qos }.path("a-b", "c0"), expected);
        };
        check(Driver::Cgroupfs, Runtime::Containerd, Qos::BestEffort, "kubepods/besteffort/poda-b/c0");
        check(Driver::Cgroupfs, Runtime::CriO, Qos::Burstable, "kubepods/burstable/poda-b/crio-c0");
        check(Driver::Cgroupfs, Runtime::Docker, Qos::Guaranteed, "kubepods/poda-b/c0");
        check(
            Driver::Systemd,
            Runtime::Containerd,
            Qos::BestEffort,
            "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-poda_b.slice/cri-containerd-c0.scope",
        );
        check(
            Driver::Systemd,
            Runtime::CriO,
            Qos::Guaranteed,
            "kubepods.slice/kubepods-poda_b.slice/crio-c0.scope",
        );
    }

    #[test]
    fn only_dead_runs_are_remains() {
        let alive = run_name().unwrap();
        assert!(!is_of_a_dead_run(&alive));
        let (start, _) = alive.strip_prefix(PREFIX).unwrap().split_once('.').unwrap();
        assert!(is_of_a_dead_run(&format!("{PREFIX}{start}.1.0")), "same process id, other start time");
        assert!(!is_of_a_dead_run("kubepods"));
        assert!(!is_of_a_dead_run(&format!("{PREFIX}x")));
    }
}
