//! The hierarchies of cgroup version 1. On a machine that has them, a kubelet makes a pod's directory in each.
//!
//! In: the run's name, a path below it. Out: directories of the same path in every hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{is_of_a_dead_run, remove_tree};

/// The mount point of each whole hierarchy; none if the machine has cgroup2 only.
pub(super) fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    let whole = mounts.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (file_system.starts_with("cgroup ") && root == "/").then(|| PathBuf::from(point))
    });
    Ok(whole.collect())
}

/// Makes a path of directories in every hierarchy; returns the deepest ones.
pub(super) fn make(path: &Path) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for hierarchy in hierarchies()? {
        let mut folder = hierarchy;
        for step in path.iter() {
            let parent = folder.clone();
            folder.push(step);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make cgroup {}", folder.display()))?;
            inherit_cpus(&parent, &folder)?;
        }
        made.push(folder);
    }
    Ok(made)
}

/// A new cpuset has no processors; it accepts no process until it has some.
fn inherit_cpus(parent: &Path, child: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(value) = fs::read(parent.join(file)) {
            fs::write(child.join(file), value)
                .with_context(|| format!("cannot set {} of {}", file, child.display()))?;
        }
    }
    Ok(())
}

/// Kills the processes in a run's directories and removes these.
pub(super) fn remove(run: &Path) -> Result<()> {
    hierarchies()?.iter().try_for_each(|hierarchy| remove_tree(&hierarchy.join(run)))
}

/// Removes the directories of dead runs.
pub(super) fn remove_dead() -> Result<()> {
    for hierarchy in hierarchies()? {
        super::remove_where(&hierarchy, is_of_a_dead_run)?;
    }
    Ok(())
}
