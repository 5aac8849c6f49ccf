//! The identification of clients.

use super::*;
use crate::topology::model::{Change, Kind, Pod};
use crate::topology::test_builders::{ip, key, pod};

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
        Self {
            clients: Clients::new(config, ProxyNames::new(["my-*"]).unwrap()),
            topology: Topology::new(Default::default()),
        }
    }

    fn pod(&mut self, pod: Pod) {
        let _ = self.topology.apply(Time(0), pod.into());
    }

    fn path(&mut self, id: u64, path: &str) {
        self.clients.cgroup(id, path);
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
    let container = "0123456789abcdef".repeat(4);
    let other = "ffffffff-0000-1111-2222-333333333333";
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1", "fd00::1"]));
    test.pod(Pod { uid: "".into(), workload: "by-hand".into(), ..pod("shop", "by-hand", &["10.1.0.2"]) });
    test.path(1, "/");
    test.path(2, "/system.slice/nginx.service");
    test.path(3, &format!("/system.slice/docker-{container}.scope"));
    test.path(4, &format!("/kubepods/burstable/pod{other}/{container}"));
    test.path(5, &format!("/kubepods/burstable/pod{UID}/{container}"));
    test.path(6, "/user.slice/user-0.slice/session-3.scope");
    let cases = [
        ("address", 0, "10.1.0.1", "shop/web"),
        ("second family", 0, "fd00::1", "shop/web"),
        ("mapped address", 0, "::ffff:10.1.0.1", "shop/web"),
        ("address, whatever the service", 2, "10.1.0.1", "shop/web"),
        ("UID in the path", 5, "192.168.0.1", "shop/web"),
        ("UID in the path, loopback", 5, "127.0.0.1", "shop/web"),
        ("unknown UID", 4, "10.1.0.9", "/pod-ffffffff"),
        ("unknown UID, but the address of a pod with another one", 4, "10.1.0.1", "/pod-ffffffff"),
        ("unknown UID, and the address of a pod without one", 4, "10.1.0.2", "shop/by-hand"),
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
    // The cgroup identifies the host-network pod.
    test.path(5, &format!("/kubepods/pod{UID}"));
    assert_eq!(test.name(5, "192.168.0.1"), "shop/web");
}

#[test]
fn the_path_is_right_while_an_address_changes_hands() {
    let mut test = Test::new();
    test.pod(Pod { workload: "old".into(), ..pod("shop", "old", &["10.1.0.1"]) });
    test.pod(web(&[]));
    test.path(5, &format!("/kubepods/pod{UID}"));
    assert_eq!(test.name(5, "10.1.0.1"), "shop/web");
}

#[test]
fn a_pod_that_becomes_known_later_has_its_name_from_then_on() {
    let mut test = Test::new();
    test.path(5, &format!("/kubepods/pod{UID}"));
    let before = test.client(5, "10.1.0.1");
    assert_eq!(test.name(5, "10.1.0.1"), "/pod-0a1b2c3d");
    test.pod(web(&["10.1.0.1"]));
    assert_eq!(test.name(5, "10.1.0.1"), "shop/web");
    // Its DNS answers are still found.
    assert_eq!(test.client(5, "10.1.0.1").scope, before.scope);
}

#[test]
fn a_pod_that_was_deleted_keeps_its_name_for_its_last_connections() {
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1"]));
    test.path(5, &format!("/kubepods/pod{UID}"));
    let _ = test.topology.apply(Time(1), Change::Delete(Kind::Pod, key("shop", "web-0")));
    assert_eq!(test.name(5, "10.1.0.1"), "shop/web");
    assert_eq!(test.name(0, "10.1.0.1"), "/curl");
}

#[test]
fn evidence_is_shared_within_a_pod_a_cgroup_or_an_address() {
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1"]));
    test.path(5, &format!("/kubepods/pod{UID}/{}", "1".repeat(64)));
    test.path(6, &format!("/kubepods/pod{UID}/{}", "2".repeat(64)));
    let mut scope = |cgroup, local| test.client(cgroup, local).scope;
    // DNS over loopback, a sidecar, a connection by the pod's address: one pod.
    assert_eq!(scope(5, "127.0.0.1"), scope(6, "10.1.0.1"));
    assert_eq!(scope(0, "10.1.0.1"), scope(6, "::1"));
    // A service on the host with several addresses.
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
    assert!(!test.clients.needs_path(s(0), 0));
    assert!(test.clients.needs_path(s(0), 5));
    assert!(!test.clients.needs_path(s(9), 5));
    assert!(test.clients.needs_path(s(10), 5));
    test.path(5, "/system.slice/nginx.service");
    assert!(!test.clients.needs_path(s(1000), 5));
}

#[test]
fn everything_is_bounded_and_counted() {
    let mut test = Test::with(Config { scopes: 10, cgroups: 10, workloads: 3, ..Config::default() });
    for cgroup in 1..=100 {
        test.path(cgroup, &format!("/system.slice/unit-{cgroup}.service"));
        test.client(cgroup, "192.168.0.1");
    }
    let counters = test.clients.counters();
    assert_eq!(counters.workloads_full, 97);
    assert!(counters.scopes_evicted >= 90 && counters.cgroups_evicted >= 90, "{counters:?}");
    assert_eq!(test.name(100, "192.168.0.1"), "/other");
    assert!(test.clients.needs_path(Time(0), 1), "a path that was forgotten is wanted again");

    // Workloads without figures make room, and ids are not reused.
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
    test.path(5, "/system.slice/\x1b[2Jé.service");
    assert_eq!(test.name(5, "127.0.0.1"), "/\u{fffd}[2Jé");
    let client = test.clients.identify(&test.topology, 0, ip("127.0.0.1"), b"\xff\x1b\n");
    let name = &test.clients.workload(client.workload).unwrap().name;
    assert_eq!(name.as_ref(), "\u{fffd}\u{fffd}\u{fffd}");
}

/// `role` of the client.
fn role(test: &mut Test, cgroup: u64, local: &str) -> Role {
    test.client(cgroup, local).role
}

#[test]
fn nodes_that_share_a_kernel_are_told_apart_by_their_part_of_the_cgroups() {
    let (own, other) =
        (format!("/node-1/kubepods/pod{UID}/{}", "1".repeat(64)), "ffffffff-0000-1111-2222-333333333333");
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1"]));
    for round in ["unknown", "known"] {
        test.path(1, &own);
        test.path(2, &format!("/node-2/kubepods/pod{other}/{}", "2".repeat(64)));
        test.path(3, &format!("/node-1/kubepods/pod{other}/{}", "3".repeat(64)));
        test.path(4, "/node-1/kubelet");
        test.path(5, "/node-11/kubelet");
        let roles: Vec<_> = (1..=5).map(|cgroup| role(&mut test, cgroup, "10.9.0.1")).collect();
        let expected = match round {
            "unknown" => [Role::Pod, Role::Pod, Role::Pod, Role::Host, Role::Host],
            _ => [Role::Pod, Role::OtherNode, Role::Pod, Role::Host, Role::OtherNode],
        };
        assert_eq!(roles, expected, "the part is {round}");
        test.clients.part(cgroup_path::part_of_node(&own).unwrap());
    }
    // A cgroup outside of the visible hierarchy, unless the address identifies its owner.
    test.clients.cgroup_elsewhere(6);
    assert_eq!(role(&mut test, 6, "10.9.0.1"), Role::OtherNode);
    assert_eq!(role(&mut test, 6, "10.1.0.1"), Role::Pod);
}

#[test]
fn a_node_with_a_kernel_of_its_own_has_all_cgroups() {
    let own = format!("/kubepods/burstable/pod{UID}/{}", "1".repeat(64));
    let mut test = Test::new();
    test.pod(web(&["10.1.0.1"]));
    test.clients.part(cgroup_path::part_of_node(&own).unwrap());
    test.path(1, &own);
    test.path(2, "/system.slice/nginx.service");
    test.path(3, "/");
    assert_eq!(
        [1, 2, 3].map(|cgroup| role(&mut test, cgroup, "10.9.0.1")),
        [Role::Pod, Role::Host, Role::Host]
    );
}

#[test]
fn an_address_of_another_nodes_endpoint_is_elsewhere_until_the_cgroup_says_better() {
    use crate::topology::test_builders::{ready, slice};
    let mut test = Test::new();
    test.topology =
        Topology::new(crate::topology::Config { node: Some("node-1".into()), ..Default::default() });
    let on =
        |node: &str, endpoint| crate::topology::model::SliceEndpoint { node: Some(node.into()), ..endpoint };
    let slice = slice("shop", "orders", "a")
        .with(on("node-1", ready("orders-0", "10.1.0.8")))
        .with(on("node-2", ready("orders-1", "10.2.0.8")));
    let _ = test.topology.apply(Time(0), slice.into());
    assert_eq!(
        [role(&mut test, 7, "10.1.0.8"), role(&mut test, 7, "10.2.0.8")],
        [Role::Host, Role::OtherNode]
    );
    test.clients.part(String::new());
    test.path(7, &format!("/kubepods/pod{UID}"));
    assert_eq!(role(&mut test, 7, "10.2.0.8"), Role::Pod, "a pod of this node that got the address just now");
}

#[test]
fn proxies_are_containers_of_pods() {
    use crate::topology::model::{Container, Proxies};
    let (web_container, proxy) = ("a".repeat(64), "b".repeat(64));
    let mut test = Test::new();
    test.pod(Pod { proxies: Proxies::Sidecars([proxy.as_str().into()].into()), ..web(&["10.1.0.1"]) });
    test.path(1, &format!("/kubepods/pod{UID}/{web_container}"));
    test.path(2, &format!("/kubepods/pod{UID}/{proxy}"));
    let (application, sidecar) = (test.client(1, "10.1.0.1"), test.client(2, "127.0.0.6"));
    assert_eq!([application.role, sidecar.role], [Role::Pod, Role::Proxy]);
    assert_eq!(application.scope, sidecar.scope, "they share their DNS answers");
    assert_eq!(role(&mut test, 0, "10.1.0.1"), Role::Pod, "no cgroup, no container");

    let container = |name: &str, id: &str| Container { name: name.into(), id: id.into() };
    let containers = [container("web", &web_container), container("my-proxy", &proxy)];
    test.pod(Pod { containers: containers.into(), ..web(&["10.1.0.1"]) });
    assert_eq!(
        [test.client(1, "10.1.0.1"), test.client(2, "10.1.0.1")].map(|client| client.role),
        [Role::Pod, Role::Proxy],
        "by option"
    );

    let ztunnel = "ffffffff-0000-1111-2222-333333333333";
    test.pod(Pod {
        uid: ztunnel.into(),
        proxies: Proxies::All,
        ..pod("istio-system", "ztunnel-x", &["10.1.0.2"])
    });
    test.path(3, &format!("/kubepods/pod{ztunnel}/{}", "c".repeat(64)));
    assert_eq!(role(&mut test, 3, "10.1.0.1"), Role::Proxy, "a socket within the pod that it serves");
}
