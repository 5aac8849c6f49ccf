//! Who a client is taken for.

use super::*;
use crate::topology::build::{ip, key, pod};
use crate::topology::object::{Change, Kind, Pod};

const UID: &str = "0a1b2c3d-aaaa-bbbb-cccc-0123456789ab";

struct Test {
    clients: Clients,
    topology: Topology,
}

impl Test {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self { clients: Clients::new(config), topology: Topology::new(Default::default()) }
    }

    fn pod(&mut self, pod: Pod) {
        let _ = self.topology.apply(Time(0), pod.into());
    }

    fn path(&mut self, id: u64, pod_uid: Option<&str>, container_id: Option<&str>, leaf: &str) {
        let path = CgroupPath {
            pod_uid: pod_uid.map(Arc::from),
            container_id: container_id.map(Arc::from),
            leaf: leaf.into(),
        };
        self.clients.cgroup(id, &path);
    }

    fn client(&mut self, cgroup: u64, local: &str) -> Client {
        self.clients.identify(&self.topology, cgroup, ip(local), b"curl\0")
    }

    /// `namespace/workload` of the client.
    fn name(&mut self, cgroup: u64, local: &str) -> String {
        let client = self.client(cgroup, local);
        let workload = self.clients.workload(client.workload).unwrap();
        format!("{}/{}", workload.namespace, workload.name)
    }
}

/// Pod `web-0` in `shop`, workload `web`.
fn web(addresses: &[&str]) -> Pod {
    Pod { uid: UID.into(), ..pod("shop", "web-0", addresses) }
}

#[test]
fn a_client_is_named_by_the_best_that_is_known() {
    let container = "0123456789abcdef0123456789abcdef";
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1", "fd00::1"]));
    test.path(1, None, None, "");
    test.path(2, None, None, "nginx.service");
    test.path(3, None, Some(container), "docker-0123.scope");
    test.path(4, Some("ffffffff-0000-1111-2222-333333333333"), Some(container), "cri-containerd-0123.scope");
    test.path(5, Some(UID), Some(container), "cri-containerd-0123.scope");
    test.path(6, None, None, "session-3.scope");
    let cases = [
        ("address", 0, "10.1.0.1", "shop/web"),
        ("second family", 0, "fd00::1", "shop/web"),
        ("mapped address", 0, "::ffff:10.1.0.1", "shop/web"),
        ("address, whatever the service", 2, "10.1.0.1", "shop/web"),
        ("UID in the path", 5, "192.168.0.1", "shop/web"),
        ("UID in the path, loopback", 5, "127.0.0.1", "shop/web"),
        ("unknown UID", 4, "10.1.0.9", "/pod-ffffffff"),
        ("unknown UID, but a pod's address", 4, "10.1.0.1", "shop/web"),
        ("container", 3, "172.17.0.2", "/container-0123456789ab"),
        ("service", 2, "192.168.0.1", "/nginx"),
        ("scope", 6, "192.168.0.1", "/curl"),
        ("root", 1, "192.168.0.1", "/curl"),
        ("path not known", 9, "192.168.0.1", "/curl"),
        ("cgroup not known", 0, "192.168.0.1", "/curl"),
    ];
    for (case, cgroup, local, expected) in cases {
        assert_eq!(test.name(cgroup, local), expected, "{case}");
    }
}

#[test]
fn an_address_that_is_not_a_pods_own_identifies_nobody() {
    let mut test = Test::new();
    test.pod(Pod { host_network: true, ..web(&["192.168.0.1"]) });
    test.pod(Pod { finished: true, ..pod("shop", "job", &["10.1.0.7"]) });
    for address in ["127.0.0.1", "::1", "169.254.20.10", "fe80::1", "0.0.0.0"] {
        test.pod(pod("shop", address, &[address]));
    }
    for local in ["192.168.0.1", "10.1.0.7", "127.0.0.1", "::1", "169.254.20.10", "fe80::1", "0.0.0.0"] {
        assert_eq!(test.name(0, local), "/curl", "{local}");
    }
    // The host-network pod is known by its cgroup.
    test.path(5, Some(UID), None, "x");
    assert_eq!(test.name(5, "192.168.0.1"), "shop/web");
}

#[test]
fn the_path_is_right_while_an_address_changes_hands() {
    let mut test = Test::new();
    test.pod(Pod { workload: "old".into(), ..pod("shop", "old", &["10.1.0.1"]) });
    test.pod(web(&[]));
    test.path(5, Some(UID), None, "x");
    assert_eq!(test.name(5, "10.1.0.1"), "shop/web");
}

#[test]
fn a_pod_that_becomes_known_later_has_its_name_from_then_on() {
    let mut test = Test::new();
    test.path(5, Some(UID), None, "x");
    let before = test.client(5, "10.1.0.1");
    assert_eq!(test.name(5, "10.1.0.1"), "/pod-0a1b2c3d");
    test.pod(web(&["10.1.0.1"]));
    assert_eq!(test.name(5, "10.1.0.1"), "shop/web");
    // Its evidence is where it was.
    assert_eq!(test.client(5, "10.1.0.1").scope, before.scope);
}

#[test]
fn a_pod_that_was_deleted_keeps_its_name_for_its_last_connections() {
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1"]));
    test.path(5, Some(UID), None, "x");
    let _ = test.topology.apply(Time(1), Change::Delete(Kind::Pod, key("shop", "web-0")));
    assert_eq!(test.name(5, "10.1.0.1"), "shop/web");
    assert_eq!(test.name(0, "10.1.0.1"), "/curl");
}

#[test]
fn evidence_is_shared_within_a_pod_a_cgroup_or_an_address() {
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1"]));
    test.path(5, Some(UID), Some("one"), "x");
    test.path(6, Some(UID), Some("two"), "y");
    let mut scope = |cgroup, local| test.client(cgroup, local).scope;
    // DNS over loopback, a sidecar, a connection by the pod's address: one pod.
    assert_eq!(scope(5, "127.0.0.1"), scope(6, "10.1.0.1"));
    assert_eq!(scope(0, "10.1.0.1"), scope(6, "::1"));
    // A service on the host that has several addresses.
    assert_eq!(scope(7, "127.0.0.1"), scope(7, "192.168.0.1"));
    assert_ne!(scope(7, "127.0.0.1"), scope(8, "127.0.0.1"));
    // No cgroup.
    assert_eq!(scope(0, "192.168.0.1"), scope(0, "192.168.0.1"));
    assert_ne!(scope(0, "192.168.0.1"), scope(0, "192.168.0.2"));
    assert_eq!(scope(0, "127.0.0.1"), scope(0, "127.0.0.2"));
    assert_ne!(scope(0, "127.0.0.1"), scope(0, "192.168.0.1"));
}

#[test]
fn a_path_is_asked_for_once_per_interval_until_it_is_known() {
    let mut test = Test::new();
    let s = |seconds: u64| Time(seconds * 1_000_000_000);
    assert!(!test.clients.wants(s(0), 0));
    assert!(test.clients.wants(s(0), 5));
    assert!(!test.clients.wants(s(9), 5));
    assert!(test.clients.wants(s(10), 5));
    test.path(5, None, None, "nginx.service");
    assert!(!test.clients.wants(s(1000), 5));
}

#[test]
fn everything_is_bounded_and_counted() {
    let mut test = Test::with(Config { scopes: 10, cgroups: 10, workloads: 3, ..Config::default() });
    for cgroup in 1..=100 {
        test.path(cgroup, None, None, &format!("unit-{cgroup}.service"));
        test.client(cgroup, "192.168.0.1");
    }
    let counters = test.clients.counters();
    assert_eq!(counters.workloads_full, 97);
    assert!(counters.scopes_evicted >= 90 && counters.cgroups_evicted >= 90, "{counters:?}");
    assert_eq!(test.name(100, "192.168.0.1"), "/other");
    assert!(test.clients.wants(Time(0), 1), "a path that was forgotten is wanted again");

    // What nobody has figures of makes room, and ids are not used again.
    let third = test.clients.identify(&test.topology, 0, ip("127.0.0.1"), b"unit-3").workload;
    test.clients.retain_workloads(|id| id == third);
    let new = test.client(0, "127.0.0.1").workload;
    assert_eq!(test.name(0, "127.0.0.1"), "/curl");
    assert!(new > third);
    assert_eq!(test.clients.workload(third).unwrap().name.as_ref(), "unit-3");
}

#[test]
fn hostile_names_are_made_harmless() {
    let mut test = Test::new();
    test.path(5, Some("\x1b[2Jééééééééé"), None, "");
    assert_eq!(test.name(5, "127.0.0.1"), "/pod-\u{fffd}[2Jéééé");
    let client = test.clients.identify(&test.topology, 0, ip("127.0.0.1"), b"\xff\x1b\n");
    let name = &test.clients.workload(client.workload).unwrap().name;
    assert_eq!(name.as_ref(), "\u{fffd}\u{fffd}\u{fffd}");
}
