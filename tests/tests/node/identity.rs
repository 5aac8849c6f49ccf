//! Identities of clients: a pod by its address or by its cgroup, whatever made the cgroup; else the cgroup or the
//! process.

use std::fs;
use std::path::Path;

use lab::*;
use serde_json::{Value, json};

use crate::snapshot_figures::client;
use crate::{ORDERS, PATIENCE, PORT, Scene, orders, service, sum};

/// A client process of a pod, moved into another cgroup before it opens any socket.
fn client_in(pod: &Pod, cgroup: &Path, spec: &ClientSpec) -> Client {
    let client = pod.client(spec).unwrap();
    fs::create_dir_all(cgroup).unwrap();
    fs::write(cgroup.join("cgroup.procs"), client.pid().to_string()).unwrap();
    client
}

fn open(client: &Client, connections: u64) {
    let report = client.open(connections).unwrap();
    assert_eq!(report.open, connections, "{report:?}");
}

fn after(observer: &Observer, opened: u64) -> Value {
    let all = |snapshot: &Value| -> u64 {
        snapshot["services"].as_array().unwrap().iter().map(|service| sum(service, "opened")).sum()
    };
    observer.snapshot_when(PATIENCE, |snapshot| all(snapshot) >= opened).unwrap()
}

/// (namespace, workload, opened) of a Service's clients.
fn clients(service: &Value) -> Vec<(&str, &str, u64)> {
    let text = |value| Value::as_str(value).unwrap();
    let rows = service["clients"].as_array().unwrap().iter();
    rows.map(|row| (text(&row["namespace"]), text(&row["workload"]), row["opened"].as_u64().unwrap()))
        .collect()
}

#[test]
fn pods_on_the_hosts_network_are_told_apart_by_cgroup() {
    let scene = Scene::new();
    let mut pods = Vec::new();
    for driver in [Driver::Systemd, Driver::Cgroupfs] {
        for (runtime, qos) in [
            (Runtime::Containerd, Qos::BestEffort),
            (Runtime::CriO, Qos::Burstable),
            (Runtime::Docker, Qos::Guaranteed),
        ] {
            let name = format!("{driver:?}-{runtime:?}").to_lowercase();
            let spec = PodSpec::new("kube-system", &format!("{name}-x7k2p"))
                .host_network()
                .layout(CgroupLayout { driver, runtime, qos })
                .workload("DaemonSet", &name);
            pods.push((scene.node.pod(spec).unwrap(), name));
        }
    }
    let (orders_service, _servers) = scene.orders(2, &ServerMode::Hold);
    let audit = ServiceSpec { name: "audit".to_owned(), ..orders_service.clone() };
    let audit_name = audit.domain(crate::ZONE);
    let observer = scene.observe(&[orders_service, audit], &[]);
    // They share one address, and the pods belong to both Services: only each client's own answers identify the
    // Service.
    let mut expected = [Vec::new(), Vec::new()];
    let mut running = Vec::new();
    for ((pod, name), turn) in pods.iter().zip(0..) {
        let connections = u64::try_from(turn).unwrap() + 1;
        let asked = [ORDERS, &audit_name][turn % 2];
        let client = pod.client(&ClientSpec::new(asked, PORT, scene.resolver, 0)).unwrap();
        open(&client, connections);
        running.push(client);
        expected[turn % 2].push(("kube-system", name.as_str(), connections));
    }
    let snapshot = after(&observer, 21);
    expected.iter_mut().for_each(|rows| rows.sort_unstable());
    assert_eq!(clients(orders(&snapshot)), expected[0]);
    assert_eq!(clients(service(&snapshot, "audit")), expected[1]);
    assert_eq!(sum(orders(&snapshot), "counted") + sum(service(&snapshot, "audit"), "counted"), 21);
}

#[test]
fn the_containers_of_a_pod_are_one_client() {
    for driver in [Driver::Systemd, Driver::Cgroupfs] {
        let scene = Scene::new();
        let layout = CgroupLayout { driver, ..CgroupLayout::default() };
        let agent = PodSpec::new("shop", "agent").host_network().layout(layout);
        let agent = scene.node.pod(agent).unwrap();
        let (orders_service, _servers) = scene.orders(2, &ServerMode::Hold);
        let audit = ServiceSpec { name: "audit".to_owned(), ..orders_service.clone() };
        let addresses = orders_service.endpoints[0].pod.addresses();
        let observer = scene.observe(&[orders_service, audit], &[]);

        let main = agent.client(&ClientSpec::new(ORDERS, PORT, scene.resolver, 0)).unwrap();
        open(&main, 2);
        // A second container, and a cgroup below the first one, use the addresses from the first one's answer.
        let beside = sibling(agent.cgroup());
        let sidecar = client_in(&agent, &beside, &ClientSpec::fixed(&addresses, PORT, 0));
        let nested =
            client_in(&agent, &agent.cgroup().join("nested"), &ClientSpec::fixed(&addresses, PORT, 0));
        open(&sidecar, 3);
        open(&nested, 4);
        let snapshot = after(&observer, 9);
        assert_eq!(clients(orders(&snapshot)), [("shop", "agent", 9)], "{driver:?}");
        assert_eq!(client(orders(&snapshot), "agent")["resolution"], json!({"service": 9}), "{driver:?}");
    }
}

/// A cgroup of another container of the same pod.
fn sibling(cgroup: &Path) -> std::path::PathBuf {
    let name = cgroup.file_name().unwrap().to_str().unwrap();
    let id = name.trim_end_matches(".scope").rsplit('-').next().unwrap();
    cgroup.with_file_name(name.replace(id, &"5".repeat(64)))
}

#[test]
fn who_is_no_pod_has_the_name_of_its_cgroup_or_process() {
    let scene = Scene::new();
    // A host-network pod that is not in the manifests.
    let host = scene.node.pod(PodSpec::new("shop", "host").host_network()).unwrap();
    let (service, _servers) = scene.orders(2, &ServerMode::Hold);
    let observer = scene.observe(&[service], &[]);
    let places = [
        ("system.slice/billing.service", "billing", 1),
        ("system.slice/billing.service/worker", "billing", 2),
        ("batch/job-7", "job-7", 3),
        ("user.slice", "lab-agent", 4),
        // A pod that is in no manifest, and a container without a pod.
        ("kubepods/burstable/pod0f3a9c0d6b1e4c2f8a7d5e6b9c0d1e2f/main", "pod-0f3a9c0d", 5),
        (&format!("docker/{}", "4b".repeat(32)), "container-4b4b4b4b4b4b", 6),
    ];
    let mut running = Vec::new();
    for (cgroup, _, connections) in places {
        let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, 0);
        let client = client_in(&host, &scene.lab.cgroup().join(cgroup), &spec);
        open(&client, connections);
        running.push(client);
    }
    let snapshot = after(&observer, 21);
    let expected = [
        ("", "billing", 3),
        ("", "container-4b4b4b4b4b4b", 6),
        ("", "job-7", 3),
        ("", "lab-agent", 4),
        ("", "pod-0f3a9c0d", 5),
    ];
    assert_eq!(clients(orders(&snapshot)), expected);
    assert_eq!(sum(orders(&snapshot), "counted"), 21, "answers are told apart, too");
}

#[test]
fn the_nodes_own_health_checks_are_left_out() {
    let scene = Scene::new();
    let host = scene.node.pod(PodSpec::new("shop", "host").host_network()).unwrap();
    let (orders_service, _servers) = scene.orders(2, &ServerMode::Hold);
    let addresses = orders_service.endpoints[0].pod.addresses();
    let observer = scene.observe(&[orders_service], &["--node", "n1"]);
    let kubelet = scene.lab.cgroup().join("system.slice/kubelet.service");
    // Probes have the pod's address from the API server; a process that looks it up in DNS is a client.
    let prober = client_in(&host, &kubelet, &ClientSpec::fixed(&addresses, PORT, 0));
    open(&prober, 5);
    let backup = scene.lab.cgroup().join("system.slice/backup.service");
    let asker = client_in(&host, &backup, &ClientSpec::new(ORDERS, PORT, scene.resolver, 0));
    open(&asker, 2);
    let snapshot = after(&observer, 2);
    assert_eq!(clients(orders(&snapshot)), [("", "backup", 2)]);
    assert_eq!(snapshot["quality"]["excluded"]["probe"], 5);
    assert_eq!(snapshot["quality"]["unattributed"]["no_dns"], 0);
}
