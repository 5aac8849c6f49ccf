//! Nodes, pods, addresses, cgroups and manifests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use lab::client::Receive;
use lab::*;

use crate::{ZONE, ip, pod, row};

#[test]
fn dual_stack_pods_of_any_prefix_reach_each_other_and_counts_agree() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let pods = [
        pod(&node, "a", &["10.244.1.5/32", "fd00:10:244:1::5/128"]),
        pod(&node, "b", &["10.244.1.6/24", "fd00:10:244:1::6/64"]),
        pod(&node, "c", &["10.244.7.7/16", "fd00:10:244:7::7/48"]),
    ];
    let servers: Vec<Server> = pods.iter().map(|pod| pod.serve_port(8080).unwrap()).collect();
    for client in &pods {
        let others: Vec<IpAddr> = pods.iter().flat_map(Pod::addresses).collect();
        let report = client.client(&ClientSpec::fixed(&others, 8080, 60)).unwrap().wait().unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
        for address in others {
            assert_eq!(report.connected(address), 10, "{} to {address}", client.name());
        }
    }
    for (server, pod) in servers.iter().zip(&pods) {
        let accepted = server.accepted().unwrap();
        let expected: BTreeMap<IpAddr, u64> =
            pods.iter().flat_map(Pod::addresses).map(|address| (address, 10)).collect();
        assert_eq!(accepted, expected, "accepted by {}", pod.name());
    }
    let truth = lab.truth().unwrap();
    assert_eq!(truth.len(), 9, "{truth:?}");
    assert!(truth.iter().all(|row| row.accepted == 20), "{truth:?}");
}

#[test]
fn a_removed_pod_is_unreachable_and_its_truth_stays() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let old = pod(&node, "old", &["10.244.1.10/24"]);
    let web = pod(&node, "web", &["10.244.1.20/24"]);
    let address = old.ip(true).unwrap();
    old.serve_port(80).unwrap();
    let connect = |count| {
        let report = web.client(&ClientSpec::fixed(&[address], 80, count)).unwrap().wait().unwrap();
        report.addresses[&address]
    };
    assert_eq!(connect(5).connected, 5);
    let cgroup = old.cgroup().to_owned();
    old.remove().unwrap();
    assert!(!cgroup.exists());
    assert_eq!(connect(1).unreachable, 1);

    // Its address moves to another pod at once.
    let new = pod(&node, "new", &["10.244.1.10/24"]);
    new.serve_port(80).unwrap();
    assert_eq!(connect(7).connected, 7);
    // The client's address moves as well: earlier connections stay the first client's.
    let batch = pod(&node, "batch", &[]);
    web.take(ip("10.244.1.20")).unwrap();
    batch.give("10.244.1.20/24").unwrap();
    let report = batch.client(&ClientSpec::fixed(&[address], 80, 2)).unwrap().wait().unwrap();
    assert_eq!(report.total().connected, 2);
    let expected = vec![row("batch", "new", 2), row("web", "new", 7), row("web", "old", 5)];
    assert_eq!(lab.truth().unwrap(), expected);
}

#[test]
fn host_network_workloads_and_cgroups() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let layout = CgroupLayout { driver: Driver::Systemd, runtime: Runtime::CriO, qos: Qos::Burstable };
    let agent =
        PodSpec::new("kube-system", "agent-x").host_network().layout(layout).workload("DaemonSet", "agent");
    let agent = node.pod(agent).unwrap();
    let server = pod(&node, "server", &["10.244.1.10/24"]);
    server.serve(&ServerSpec::new(server.sockets(80)).mode(ServerMode::Echo)).unwrap();
    let spec = ClientSpec::fixed(&server.addresses(), 80, 4).dial(|dial| {
        (dial.send, dial.receive, dial.mapped) = (1000, Receive::Bytes(1000), true);
    });
    let client = agent.client(&spec.keep()).unwrap();
    assert_eq!(client.wait().unwrap().open, 4);
    let path = std::fs::read_to_string(format!("/proc/{}/cgroup", client.pid())).unwrap();
    let path = path.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let uid = agent.uid().replace('-', "_");
    let end = format!("kubepods-burstable-pod{uid}.slice/crio-{}.scope", agent.container());
    assert!(path.ends_with(&end), "{path}");
    assert_eq!(lab.truth().unwrap(), [row("agent", "server", 4)]);
    let output = agent.exec(&["cat", "/proc/self/cgroup"]).unwrap().output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(path));
}

#[test]
fn manifests_describe_the_lab() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let web =
        PodSpec::new("shop", "web-5d4f8c7b96-x").address("10.244.1.20/24").workload("Deployment", "web");
    node.pod(web).unwrap();
    let pods = [pod(&node, "orders-0", &["10.244.1.10/24", "fd00:10:244:1::10/64"])];
    let mut service = ServiceSpec::new("shop", "orders", 9042, &pods);
    service.endpoints[0].terminating = true;
    let path = lab.write_manifests("all.yaml", std::slice::from_ref(&service)).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let documents: Vec<serde_json::Value> =
        text.split("---\n").skip(1).map(|document| serde_json::from_str(document).unwrap()).collect();
    let kinds: Vec<&str> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Service", "EndpointSlice", "EndpointSlice", "Pod", "Pod"]);
    let slice = &documents[1];
    assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], "orders");
    assert_eq!(slice["endpoints"][0]["conditions"]["ready"], false);
    assert_eq!(slice["endpoints"][0]["targetRef"]["uid"], pods[0].uid());
    assert_eq!(documents[2]["addressType"], "IPv6");
    assert_eq!(documents[3]["metadata"]["ownerReferences"][0]["name"], "web-5d4f8c7b96");
    assert!(service.records(ZONE).is_empty(), "an endpoint that is terminating is not in DNS");
}

#[test]
fn ten_pods_are_there_quickly() {
    let started = Instant::now();
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    for n in 10..20 {
        pod(&node, &format!("p{n}"), &[&format!("10.244.1.{n}/24"), &format!("fd00:10:244:1::{n}/64")]);
    }
    let made = started.elapsed();
    drop(lab);
    println!("10 pods in {made:?}, gone after {:?}", started.elapsed() - made);
    assert!(node.pods().is_empty());
}
