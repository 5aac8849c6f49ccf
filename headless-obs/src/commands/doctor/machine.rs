//! The checks of the machine apart from its kernel: limits, ports, files, pods.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::kernel::parse_version;
use crate::config::Topology;
use crate::expose::doctor_check::Check;

/// The type number of a cgroup2 file system (`CGROUP2_SUPER_MAGIC`).
const CGROUP2: u64 = 0x6367_7270;

/// Whether `run` could listen at this address.
pub(super) fn port(address: SocketAddr) -> Check {
    let name = "port";
    match TcpListener::bind(address) {
        Ok(_free) => Check::ok(name, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Check::warn(
            name,
            format!("{address} is in use, possibly by a daemon that already runs"),
            format!(
                "read from that daemon with `headless-obs report --from {address}`, or give `run` another --listen"
            ),
        ),
        Err(error) => Check::fail(name, format!("{address}: {error}"), "give another address with --listen"),
    }
}

/// Whether the path for the cgroup root is a cgroup2 directory.
pub(super) fn given_cgroup(path: &Path) -> Check {
    let remedy = "remove --cgroup: headless-obs then finds the root in the mount table";
    match rustix::fs::statfs(path) {
        Ok(found) if u64::try_from(found.f_type).is_ok_and(|kind| kind == CGROUP2) => {
            Check::ok("cgroup2", path.display().to_string())
        }
        Ok(_other) => Check::fail("cgroup2", format!("{} is not in a cgroup2 mount", path.display()), remedy),
        Err(error) => Check::fail("cgroup2", format!("{}: {error}", path.display()), remedy),
    }
}

/// Kernels before 5.11 charge the memory of maps to this limit.
pub(super) fn memlock(release: &str) -> Check {
    let name = "memory lock";
    if parse_version(release).is_some_and(|version| version >= (5, 11)) {
        return Check::ok(name, "not limited by this kernel");
    }
    match getrlimit(Resource::Memlock).current {
        None => Check::ok(name, "unlimited"),
        Some(bytes) => Check::warn(
            name,
            format!("{bytes} bytes; headless-obs raises the limit at start if it may"),
            "if that fails, use `ulimit -l unlimited`, or LimitMEMLOCK=infinity in the unit",
        ),
    }
}

/// Whether the files for the topology are readable on this machine.
pub(super) fn topology(topology: &Topology) -> Check {
    let name = "topology";
    let path = match topology {
        Topology::Dns => return Check::ok(name, "from DNS answers; there is nothing to read"),
        Topology::Kubernetes(_) => return Check::ok(name, "from the Kubernetes API"),
        Topology::Files(path) => path,
    };
    let readable = fs::metadata(path).and_then(|found| match found.is_dir() {
        true => Ok(format!("{} with {} entries", path.display(), fs::read_dir(path)?.count())),
        false => fs::File::open(path).map(|_opened| path.display().to_string()),
    });
    match readable {
        Ok(found) => Check::ok(name, found),
        Err(error) => Check::fail(
            name,
            format!("{}: {error}", path.display()),
            "check the path after files:, and its permissions",
        ),
    }
}

/// Whether pods run here, as their cgroups show. Without any, clients have names of cgroups or processes.
pub(super) fn pods(root: &Path) -> Check {
    match count_pods(root, 4) {
        0 => Check::ok("pods", "none run here, so cgroup or process name the clients"),
        pods => Check::ok("pods", format!("{pods} run here")),
    }
}

/// The cgroups of pods as the kubelet creates them, with either cgroup driver.
fn count_pods(folder: &Path, depth: u32) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let counts = entries.map(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_pod(&name) {
            1
        } else if depth > 0 && leads_to_pods(&name) {
            count_pods(&entry.path(), depth - 1)
        } else {
            0
        }
    });
    counts.sum()
}

/// `pod<uid>`, `kubepods-burstable-pod<uid>.slice`
fn is_pod(name: &str) -> bool {
    name.rsplit_once("pod").is_some_and(|(before, uid)| {
        (before.is_empty() || before.ends_with('-')) && uid.trim_end_matches(".slice").len() >= 32
    })
}

fn leads_to_pods(name: &str) -> bool {
    name.contains("kubepods") || name.contains("kubelet") || matches!(name, "besteffort" | "burstable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::doctor_check::Status;

    #[test]
    fn ports() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let check = port(address);
        assert!(check.status == Status::Warn && check.remedy.unwrap().contains("--from"));
        drop(taken);
        assert_eq!(port(address).status, Status::Ok);
        assert_eq!(port("203.0.113.1:1".parse().unwrap()).status, Status::Fail);
    }

    #[test]
    fn files() {
        assert_eq!(topology(&Topology::Dns).status, Status::Ok);
        assert_eq!(topology(&Topology::Files("/proc/self/status".into())).status, Status::Ok);
        assert_eq!(topology(&Topology::Files("/proc/self".into())).status, Status::Ok);
        assert_eq!(topology(&Topology::Files("/proc/none".into())).status, Status::Fail);
        assert_eq!(given_cgroup(Path::new("/proc")).status, Status::Fail);
        assert_eq!(given_cgroup(Path::new("/none")).status, Status::Fail);
    }

    #[test]
    fn pods_of_either_driver() {
        let root = std::env::temp_dir().join(format!("headless-obs-pods-{}", std::process::id()));
        let uid = "0f5b2d3e-1111-2222-3333-444455556666";
        let slice = uid.replace('-', "_");
        for folder in [
            format!("kubepods/burstable/pod{uid}/container"),
            format!("kubepods/pod{uid}"),
            format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/x.scope"),
            format!("kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{slice}.slice"),
            "system.slice/podman.service".to_owned(),
        ] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let found = pods(&root).found;
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, "4 run here");
        assert!(pods(Path::new("/none")).found.contains("none run here"));
    }
}
