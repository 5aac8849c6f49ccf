//! Kinds of Services: several over the same pods, with any ports or none, with or without a selector, large, with two
//! address families, on the host's network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use lab::cluster::*;
use lab::*;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::snapshot_figures::{client, endpoint};
use crate::test_namespace::{RESOLVER, Scene, addresses, by_client, opened, serve, sum};
use crate::{ORDERS, PATIENCE, PORT};

/// The headless Service `audit` with the pods of `orders`.
fn audit() -> String {
    ORDERS.replace("name: orders", "name: audit")
}

pub(crate) fn two_headless_services_are_told_apart_by_the_name_asked(shared: &Shared) {
    let mut scene = Scene::new(shared, "two-names");
    let pods = scene.orders(2);
    scene.namespace.apply(&audit()).unwrap();
    scene.namespace.resolves("audit", &addresses(&pods)).unwrap();
    let [web, auditor, both] = ["web", "auditor", "both"].map(|name| scene.client(name));
    let observed = scene.observe();
    scene.connect(&web, "orders", 30);
    scene.connect(&auditor, "audit", 20);
    let alternating = ClientSpec::libc("orders", PORT, 40).also("audit");
    assert_eq!(both.client(&alternating).unwrap().wait().unwrap().total().connected, 40);

    let closed =
        |snapshot: &Value, name| scene.find(snapshot, name).map_or(0, |service| sum(service, "closed"));
    let all = |snapshot: &Value| closed(snapshot, "orders") + closed(snapshot, "audit") == 90;
    let snapshot = observed.snapshot_when(PATIENCE, all).unwrap();
    let [orders, audit] = ["orders", "audit"].map(|name| opened(scene.service(&snapshot, name)));
    assert_eq!(by_client(&orders), BTreeMap::from([("both", 20), ("web", 30)]));
    assert_eq!(by_client(&audit), BTreeMap::from([("auditor", 20), ("both", 20)]));
    let mut together = orders.clone();
    audit.into_iter().for_each(|(cell, count)| *together.entry(cell).or_default() += count);
    assert_eq!(together, scene.accepted());
}

pub(crate) fn the_cluster_ip_of_the_same_pods_is_not_headless(shared: &Shared) {
    let mut scene = Scene::new(shared, "cluster-ip");
    let pods = scene.orders(2);
    let usual =
        ORDERS.replace("name: orders", "name: usual").replace("clusterIP: None", "clusterIP: 10.96.77.7");
    scene.namespace.apply(&usual).unwrap();
    let vip: IpAddr = "10.96.77.7".parse().unwrap();
    scene.namespace.resolves("usual", &[vip]).unwrap();
    // The node sends connections to the ClusterIP to a pod, as kube-proxy does.
    let proxy = format!(
        "table ip usual {{ chain to {{ type nat hook prerouting priority dstnat; \
         ip daddr {vip} tcp dport {PORT} dnat to {}:{PORT}; }}; }}",
        pods[0].ip(true).unwrap()
    );
    let node = shared.cluster.node();
    let output = node.exec(&["nft", &proxy]).unwrap().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let web = scene.client("web");
    let observed = scene.observe();
    scene.connect(&web, "usual", 20);
    let through_it = scene.accepted();
    assert_eq!(through_it, BTreeMap::from([(("web".to_owned(), pods[0].name().to_owned()), 20)]));
    scene.connect(&web, "orders", 30);
    let orders = scene.when(&observed, "orders", |orders| sum(orders, "closed") >= 30);
    assert_eq!(by_client(&opened(&orders)), BTreeMap::from([("web", 30)]));
    assert_eq!(client(&orders, "web")["resolution"], json!({"service": 30}));
    assert_eq!(orders["spread"]["endpoints"], pods.len());
    let snapshot = observed.snapshot().unwrap();
    assert!(scene.find(&snapshot, "usual").is_none(), "{snapshot:#}");
    assert_eq!(snapshot["quality"]["unattributed"]["no_dns"], 0);
    let output = node.exec(&["nft", "delete", "table", "ip", "usual"]).unwrap().output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

pub(crate) fn connections_without_dns_are_shown_beside_the_others(shared: &Shared) {
    let mut scene = Scene::new(shared, "no-dns");
    let pods = scene.orders(2);
    let [web, gossip] = ["web", "gossip"].map(|name| scene.client(name));
    let observed = scene.observe();
    scene.connect(&web, "orders", 10);
    let dial = |connections| {
        let spec = ClientSpec::fixed(&addresses(&pods), PORT, connections);
        assert_eq!(gossip.client(&spec).unwrap().wait().unwrap().total().connected, connections);
    };
    dial(12);
    let orders = scene.settled(&observed, "orders");
    assert_eq!(client(&orders, "gossip")["resolution"], json!({"none": 12}));
    assert_eq!((sum(&orders, "opened"), sum(&orders, "counted")), (22, 10));
    assert_eq!(orders["spread"]["connections"], 10);

    // If two Services share pods, an address does not show which is meant.
    scene.namespace.apply(&audit()).unwrap();
    scene.when(&observed, "audit", |audit| audit["spread"]["endpoints"] == 2);
    dial(8);
    let ambiguous = |snapshot: &Value| snapshot["quality"]["unattributed"]["ambiguous"] == 8;
    let snapshot = observed.snapshot_when(PATIENCE, ambiguous).unwrap();
    assert_eq!(sum(scene.service(&snapshot, "orders"), "opened"), 22);
    assert_eq!(sum(scene.service(&snapshot, "audit"), "opened"), 0);
}

pub(crate) fn the_services_port_is_not_its_targets(shared: &Shared) {
    let mut scene = Scene::new(shared, "target-port");
    scene.namespace.apply(&ORDERS.replace("port: 8080", "port: 80, targetPort: 8080")).unwrap();
    let pod = scene.server(&Draft::new("orders-0").app("orders"));
    scene.namespace.resolves("orders", &pod.addresses()).unwrap();
    let web = scene.client("web");
    let observed = scene.observe();
    let report = web.client(&ClientSpec::libc("orders", 80, 5)).unwrap().wait().unwrap();
    assert_eq!((report.total().connected, report.total().refused), (0, 5), "{report:?}");
    scene.connect(&web, "orders", 7);
    let orders = scene.settled(&observed, "orders");
    // Attempts at another port do not affect this Service's spread.
    assert_eq!(crate::snapshot_figures::failures(&orders), 0, "{orders:#}");
    let told = |snapshot: &Value| snapshot["quality"]["unattributed"]["other_port"] == 5;
    observed.snapshot_when(PATIENCE, told).unwrap();
}

pub(crate) fn named_target_ports_may_differ_from_pod_to_pod(shared: &Shared) {
    let mut scene = Scene::new(shared, "named-ports");
    scene.namespace.apply(&ORDERS.replace("port: 8080", "port: 80, targetPort: main")).unwrap();
    let mut pods = Vec::new();
    for (name, port) in [("old", 8080), ("new", 9090)] {
        let container =
            json!({"name": "main", "image": "none", "ports": [{"name": "main", "containerPort": port}]});
        let draft = Draft::new(name).app("orders").with(json!({"spec": {"containers": [container]}}));
        let pod = scene.namespace.pod(&draft).unwrap();
        pod.serve(&ServerSpec::new(pod.sockets(port)).mode(ServerMode::Hold)).unwrap();
        pods.push(pod);
    }
    scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
    let web = scene.client("web");
    let observed = scene.observe();
    // Only SRV records contain the ports.
    let name = format!("_http._tcp.{}", scene.namespace.domain("orders"));
    let spec = ClientSpec::new(&name, 0, RESOLVER, 20).round_robin(20);
    let spec = spec.stub(|stub| stub.srv = Some(client::SrvHabit::LookUpTargets));
    assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, 20);
    let orders = scene.settled(&observed, "orders");
    assert_eq!(client(&orders, "web")["resolution"], json!({"srv": 20}));
    assert_eq!(orders["spread"]["endpoints"], 2);
    for pod in ["old", "new"] {
        assert_eq!(endpoint(&orders, pod)["counted"], 10, "{orders:#}");
    }
}

pub(crate) fn without_ports_any_port_is_the_services(shared: &Shared) {
    let mut scene = Scene::new(shared, "no-ports");
    let pod = scene.server(&Draft::new("orders-0").app("orders"));
    pod.serve(&ServerSpec::new(pod.sockets(9090)).mode(ServerMode::Hold)).unwrap();
    scene.namespace.apply(&ORDERS.replace(", ports: [{name: http, port: 8080}]", "")).unwrap();
    scene.namespace.resolves("orders", &pod.addresses()).unwrap();
    let web = scene.client("web");
    let observed = scene.observe();
    scene.connect(&web, "orders", 3);
    let other = ClientSpec::libc("orders", 9090, 4);
    assert_eq!(web.client(&other).unwrap().wait().unwrap().total().connected, 4);
    let told = ClientSpec::fixed(&pod.addresses(), 9090, 2);
    assert_eq!(web.client(&told).unwrap().wait().unwrap().total().connected, 2);
    let orders = scene.settled(&observed, "orders");
    // The client has looked the name up before and need not do so again.
    assert_eq!(client(&orders, "web")["resolution"], json!({"service": 9}));
}

pub(crate) fn endpoints_without_pods_are_known_by_their_addresses(shared: &Shared) {
    let mut scene = Scene::new(shared, "outside");
    // One slice without the label of headless Services, and one that was mirrored from an Endpoints object.
    scene
        .namespace
        .apply(
            "
apiVersion: v1
kind: Service
metadata: {name: slice}
spec: {clusterIP: None, ports: [{name: http, port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: slice-by-hand, labels: {kubernetes.io/service-name: slice}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
- {addresses: [192.0.2.10]}
- {addresses: [192.0.2.11], conditions: {ready: false}}
---
apiVersion: v1
kind: Service
metadata: {name: legacy}
spec: {clusterIP: None, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: legacy}
subsets: [{addresses: [{ip: 192.0.2.20}, {ip: 192.0.2.21}], ports: [{name: http, port: 8080}]}]
",
        )
        .unwrap();
    let of = |all: &[u8]| all.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect::<Vec<_>>();
    for address in of(&[10, 20, 21]) {
        serve(&scene.namespace.outsider(&address.to_string(), &[address]).unwrap());
    }
    scene.namespace.resolves("slice", &of(&[10])).unwrap();
    scene.namespace.resolves("legacy", &of(&[20, 21])).unwrap();
    let web = scene.client("web");
    let observed = scene.observe();
    scene.connect(&web, "slice", 5);
    scene.connect(&web, "legacy", 12);
    let slice = scene.when(&observed, "slice", |service| sum(service, "closed") == 5);
    let legacy = scene.when(&observed, "legacy", |service| sum(service, "closed") == 12);
    let mut together = opened(&slice);
    together.extend(opened(&legacy));
    assert_eq!(together, scene.accepted());
    assert_eq!(endpoint(&slice, "192.0.2.11")["state"], "not_ready");
    assert_eq!((&slice["spread"]["endpoints"], &legacy["spread"]["endpoints"]), (&json!(1), &json!(2)));
}

pub(crate) fn pods_on_one_host_address_are_told_apart_by_port(shared: &Shared) {
    let mut scene = Scene::new(shared, "host-network");
    let host = shared.cluster.node().addresses()[0];
    for (name, port) in [("alpha", 9001), ("beta", 9002)] {
        let service = ORDERS.replace("orders", name).replace("8080", &port.to_string());
        scene.namespace.apply(&service).unwrap();
        let pod = scene.namespace.pod(&Draft::new(&format!("{name}-0")).app(name).host_network()).unwrap();
        pod.serve(&ServerSpec::new(vec![SocketAddr::new(host, port)]).mode(ServerMode::Hold)).unwrap();
        scene.namespace.resolves(name, &[host]).unwrap();
    }
    let [web, gossip] = ["web", "gossip"].map(|name| scene.client(name));
    let observed = scene.observe();
    for (name, port, connections) in [("alpha", 9001, 5), ("beta", 9002, 7)] {
        let spec = ClientSpec::libc(name, port, connections);
        assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, connections);
        // Without DNS only the port identifies the Service.
        let spec = ClientSpec::fixed(&[host], port, 2);
        assert_eq!(gossip.client(&spec).unwrap().wait().unwrap().total().connected, 2);
    }
    let alpha = scene.when(&observed, "alpha", |service| sum(service, "closed") == 7);
    let beta = scene.when(&observed, "beta", |service| sum(service, "closed") == 9);
    let mut together = opened(&alpha);
    together.extend(opened(&beta));
    assert_eq!(together, scene.accepted());
    for service in [&alpha, &beta] {
        assert_eq!(client(service, "gossip")["resolution"], json!({"none": 2}));
    }
}

pub(crate) fn two_hundred_and_fifty_endpoints_in_several_slices(shared: &Shared) {
    const COUNT: u64 = 250;
    let mut scene = Scene::new(shared, "large");
    scene.namespace.apply(ORDERS).unwrap();
    // One pod of the lab has all the addresses: the test needs a large Service, not many pods.
    let addresses: Vec<IpAddr> =
        (0..COUNT).map(|n| IpAddr::from([10, 244, 200, 1 + u8::try_from(n).unwrap()])).collect();
    let farm = scene.namespace.outsider("farm", &addresses).unwrap();
    let api = shared.cluster.api();
    shared.cluster.add_node("n2").unwrap();
    for (n, address) in addresses.iter().enumerate() {
        let name = format!("orders-{n}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "orders"}},
            "spec": {"nodeName": "n2", "containers": [{"name": "main", "image": "none"}]},
        });
        api.create(&scene.namespace.path("pods"), &pod).unwrap();
        let ready = json!({"type": "Ready", "status": "True"});
        let status =
            json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]});
        let path = format!("{}/{name}/status", scene.namespace.path("pods"));
        api.patch(&path, &json!({"status": status})).unwrap();
    }
    let server =
        farm.serve(&ServerSpec::new(vec!["0.0.0.0:8080".parse().unwrap()]).mode(ServerMode::Hold)).unwrap();
    let path = format!(
        "{}?labelSelector=kubernetes.io/service-name%3Dorders",
        scene.namespace.path("discovery.k8s.io/v1/endpointslices")
    );
    let count = |list: &Value| -> usize {
        let slices = list["items"].as_array().unwrap().iter();
        slices.map(|slice| slice["endpoints"].as_array().map_or(0, Vec::len)).sum()
    };
    let slices = api.when(&path, PATIENCE, |list| count(list) == addresses.len()).unwrap();
    assert!(slices["items"].as_array().unwrap().len() >= 3);

    let web = scene.client("web");
    let observed = scene.observe();
    scene.when(&observed, "orders", |service| service["spread"]["endpoints"] == COUNT);
    // An answer of this size needs TCP.
    let spec = ClientSpec::new(&scene.namespace.domain("orders"), PORT, RESOLVER, 2 * COUNT);
    let report = web.client(&spec.round_robin(2 * COUNT)).unwrap().wait().unwrap();
    assert_eq!(report.total().connected, 2 * COUNT, "{report:?}");
    assert_eq!(server.total().unwrap(), 2 * COUNT);
    let orders = scene.when(&observed, "orders", |service| sum(service, "closed") == 2 * COUNT);
    let each: BTreeSet<u64> =
        orders["endpoints"].as_array().unwrap().iter().map(|row| row["counted"].as_u64().unwrap()).collect();
    assert_eq!(each, BTreeSet::from([2]));
    assert_eq!((&orders["spread"]["coverage"], &orders["spread"]["jain"]), (&json!(1.0), &json!(1.0)));
}

pub(crate) fn a_pod_with_two_addresses_is_one_endpoint(shared: &Shared) {
    let mut scene = Scene::new(shared, "dual-stack");
    scene
        .namespace
        .apply(&ORDERS.replace("clusterIP: None", "clusterIP: None, ipFamilyPolicy: RequireDualStack"))
        .unwrap();
    let pods =
        ["orders-0", "orders-1"].map(|name| scene.server(&Draft::new(name).app("orders").dual_stack()));
    scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
    let web = scene.namespace.pod(&Draft::new("web").dual_stack()).unwrap();
    let observed = scene.observe();
    let name = scene.namespace.domain("orders");
    for families in [client::Families::V4, client::Families::V6] {
        let spec =
            ClientSpec::new(&name, PORT, RESOLVER, 10).round_robin(10).stub(|stub| stub.families = families);
        assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, 10);
    }
    // The two families race: the slower attempt is no failure.
    let race = ClientSpec::new(&name, PORT, RESOLVER, 10)
        .stub(|stub| stub.families = client::Families::Both)
        .dial(|dial| dial.happy_eyeballs_ms = Some(0));
    let report = web.client(&race).unwrap().wait().unwrap();
    assert_eq!(report.total().other + report.total().refused, 0, "{report:?}");
    let orders = scene.settled(&observed, "orders");
    assert_eq!(orders["spread"]["endpoints"], 2);
    assert_eq!(endpoint(&orders, "orders-0")["addresses"].as_array().unwrap().len(), 2);
    assert_eq!(crate::snapshot_figures::failures(&orders), 0, "{orders:#}");
}
