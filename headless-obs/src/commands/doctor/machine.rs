//! The checks of the machine apart from its kernel: limits, ports, files, pods.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::kernel::parse_version;
use crate::commands::fit_text::plural;
use crate::config::Topology;
use crate::expose::doctor_check::Check;
use crate::sources::files::{self, Reading};
use crate::time::Time;
use crate::topology;
use crate::topology::model::{Change, Kind, Object};

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

/// The longest time in which manifests are read.
const PATIENCE: Duration = Duration::from_secs(10);

/// The topology as `run` would read it.
pub(super) fn source(source: &Topology) -> Check {
    match source {
        Topology::Dns => Check::ok("topology", "from DNS answers; there is nothing to read"),
        Topology::Kubernetes(_) => Check::ok("topology", "from the Kubernetes API"),
        Topology::Files(path) => manifests(path, PATIENCE),
    }
}

/// The annotations in manifests that are not obeyed; nothing if there are none.
pub(super) fn annotations(source: &Topology) -> Option<Check> {
    let Topology::Files(path) = source else { return None };
    let topology = topology_of(&read(path, PATIENCE).ok()?);
    Check::annotations(topology.not_obeyed())
}

/// Reads manifests. A file system can block its reader, so another thread reads.
fn read(path: &Path, patience: Duration) -> Result<Reading, String> {
    let (sender, receiver) = mpsc::channel();
    let owned = path.to_owned();
    thread::spawn(move || drop(sender.send(files::load(&owned))));
    match receiver.recv_timeout(patience) {
        Ok(reading) => reading.map_err(|error| error.to_string()),
        Err(_timeout) => Err(format!("{}: not read within {} s", path.display(), patience.as_secs())),
    }
}

/// The content of manifests.
fn manifests(path: &Path, patience: Duration) -> Check {
    const REMEDY: &str = "check the path after files:, its permissions and its content";
    let name = "topology";
    let reading = match read(path, patience) {
        Ok(reading) => reading,
        Err(error) => return Check::fail(name, error, REMEDY),
    };
    let found = format!("{}: {}", path.display(), in_words(&reading));
    match reading.flaws.first() {
        Some(first) => Check::warn(
            name,
            format!("{found}; not read: {first}"),
            "correct it: what is not read is missing, or keeps its last readable state",
        ),
        None => Check::ok(name, found),
    }
}

fn topology_of(reading: &Reading) -> topology::Topology {
    let mut topology = topology::Topology::new(topology::Config::default());
    for change in &reading.changes {
        let _touched = topology.apply(Time(0), change.clone());
    }
    topology
}

/// `2 headless Services of 3, 7 endpoints, 4 pods; 5 passed over`
fn in_words(reading: &Reading) -> String {
    let (mut services, mut pods) = (0, 0);
    for change in &reading.changes {
        if let Change::Reset(kind, objects) = change {
            let count = objects.iter().filter(|object| !matches!(object, Object::Unreadable(_))).count();
            match kind {
                Kind::Service => services = count,
                Kind::Pod => pods = count,
                Kind::Slice => {}
            }
        }
    }
    let topology = topology_of(reading);
    let headless = topology.services().count() as u64;
    let endpoints = topology.services().map(|service| service.endpoints().count() as u64).sum();
    let count = |count, one| plural(count, one);
    let passed_over = match reading.passed_over {
        0 => String::new(),
        passed_over => format!("; {} passed over", plural(passed_over, "other object")),
    };
    format!(
        "{} (of {} listed), {}, {}{passed_over}",
        count(headless, "headless Service"),
        count(services as u64, "Service"),
        count(endpoints, "endpoint"),
        count(pods as u64, "pod")
    )
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
        assert_eq!(source(&Topology::Dns).status, Status::Ok);
        assert_eq!(given_cgroup(Path::new("/proc")).status, Status::Fail);
        assert_eq!(given_cgroup(Path::new("/none")).status, Status::Fail);
    }

    #[test]
    fn manifests_are_read_as_they_will_be() {
        let root = std::env::temp_dir().join(format!("headless-obs-doctor-{}", std::process::id()));
        fs::create_dir_all(root.join("empty")).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).unwrap();
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: None}\n";
        let slice = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, labels: \
                     {kubernetes.io/service-name: a}}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.1, 10.0.0.2]}]\n";
        write("good.yaml", format!("{service}{slice}---\nkind: Deployment\n").as_bytes());
        write("flawed.yaml", format!("{service}---\napiVersion: v1\nkind: Pod\n").as_bytes());
        write("binary.yaml", &[0xff, 0xd8, 0, 1, 2]);
        let pipe = root.join("pipe.yaml");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let check = |name: &str| {
            let check = manifests(&root.join(name), PATIENCE);
            (check.status, check.found)
        };
        let (status, found) = check("good.yaml");
        assert!(found.contains(
            "1 headless Service (of 1 Service listed), 2 endpoints, 0 pods; 1 other object passed"
        ));
        assert_eq!(status, Status::Ok);
        let (status, found) = check("flawed.yaml");
        assert!(status == Status::Warn && found.contains("metadata.name: is missing"), "{found}");
        for name in ["empty", "binary.yaml", "pipe.yaml", "absent.yaml"] {
            assert_eq!(check(name).0, Status::Fail, "{name}");
        }
        let late = manifests(&root.join("good.yaml"), Duration::ZERO);
        assert!(late.status == Status::Fail && late.found.contains("not read within"), "{late:?}");
        fs::remove_dir_all(&root).unwrap();
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
