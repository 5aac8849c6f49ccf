//! The file systems of a node: its files disappear with it, and a node that is a container sees its own cgroups only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lab::cluster::nodes::Surroundings;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

/// Folders that kubelet, containerd and CNI write to, whatever their configuration is.
const OWN: [&str; 3] = ["/run", "/var/lib", "/var/log"];
/// Folders that programs expect in them.
const EXPECTED: [&str; 3] = ["/run/lock", "/run/netns", "/var/lib/cni"];
const CGROUPS: &str = "/sys/fs/cgroup";
const TRACEFS: &str = "/sys/kernel/tracing";

/// Turns the calling process's mount namespace into a node's.
pub(super) fn prepare(surroundings: Surroundings) -> Result<()> {
    // Mounts do not propagate to the machine; below the node they are shared, as the kubelet requires.
    for kind in [MountPropagationFlags::PRIVATE, MountPropagationFlags::SHARED] {
        mount_change("/", kind | MountPropagationFlags::REC).context("cannot change how mounts propagate")?;
    }
    OWN.iter().try_for_each(|path| attach("tmpfs", path, "mode=755"))?;
    for path in EXPECTED {
        fs::create_dir_all(path).with_context(|| format!("cannot make {path}"))?;
    }
    if surroundings == Surroundings::Container {
        own_cgroups()?;
    }
    // systemd mounts it in the same way.
    if !Path::new(TRACEFS).join("events").exists() {
        attach("tracefs", TRACEFS, "")?;
    }
    Ok(())
}

fn attach(kind: &str, path: impl AsRef<Path>, options: &str) -> Result<()> {
    let path = path.as_ref();
    let options = std::ffi::CString::new(options)?;
    mount(kind, path, kind, MountFlags::empty(), Some(options.as_c_str()))
        .with_context(|| format!("cannot mount {kind} at {}", path.display()))
}

/// A mounted hierarchy of cgroups.
struct Hierarchy {
    point: PathBuf,
    kind: String,
    options: String,
}

/// Mounts every hierarchy again: a mount made in a cgroup namespace begins at the namespace's root.
fn own_cgroups() -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    let hierarchies: Vec<Hierarchy> = table.lines().filter_map(hierarchy).collect();
    unmount(CGROUPS, UnmountFlags::DETACH).context("cannot unmount the machine's cgroups")?;
    let is_one = hierarchies.iter().any(|hierarchy| hierarchy.point == Path::new(CGROUPS));
    if !is_one {
        attach("tmpfs", CGROUPS, "mode=755")?;
    }
    for Hierarchy { point, kind, options } in hierarchies {
        fs::create_dir_all(&point).with_context(|| format!("cannot make {}", point.display()))?;
        attach(&kind, &point, &options)?;
        if kind == "cgroup2" {
            // A cgroup that has processes cannot enable controllers for its children.
            let own = point.join("init");
            fs::create_dir_all(&own)
                .and_then(|()| fs::write(own.join("cgroup.procs"), "0"))
                .with_context(|| format!("cannot enter {}", own.display()))?;
        }
    }
    Ok(())
}

/// Reads a line of the mount table.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, source) = line.split_once(" - ")?;
    let point = PathBuf::from(mount.split(' ').nth(4)?);
    let mut source = source.split(' ');
    let kind = source.next().filter(|kind| kind.starts_with("cgroup"))?.to_owned();
    let options: Vec<&str> = source.nth(1)?.split(',').filter(|option| *option != "rw").collect();
    // The mount options of a version 1 hierarchy are its controllers, or its name if it has none.
    let options = match kind.as_str() {
        "cgroup" if options.iter().all(|option| option.contains('=')) => {
            format!("none,{}", options.join(","))
        }
        "cgroup" => options.join(","),
        _ => String::new(),
    };
    point.starts_with(CGROUPS).then_some(Hierarchy { point, kind, options })
}
