//! Tests of the lab itself, as root: what other tests take for the truth must be true.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::client::{Families, Lookup, Pick, Receive, SrvHabit};
use lab::dns::{Data, Order};
use lab::*;

const ZONE: &str = "cluster.local";
const NAME: &str = "orders.shop.svc.cluster.local";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pod(node: &Node, name: &str, addresses: &[&str]) -> Pod {
    let spec = addresses.iter().fold(PodSpec::new("shop", name), |spec, address| spec.address(address));
    node.pod(spec).unwrap()
}

/// A pod with a DNS server on the usual port.
fn dns(node: &Node) -> (DnsServer, SocketAddr) {
    let pod = pod(node, "dns", &["10.244.1.2/24", "fd00:10:244:1::2/64"]);
    let server = pod.dns(&DnsSpec::new(pod.sockets(53))).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

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
fn a_thousand_connections_are_a_thousand_accepted() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns(&node);
    dns.set_options(&DnsOptions { order: Order::Shuffle, ..DnsOptions::default() }).unwrap();
    let servers: Vec<Pod> =
        (0..3).map(|n| pod(&node, &format!("orders-{n}"), &[&format!("10.244.1.1{n}/24")])).collect();
    servers.iter().for_each(|pod| drop(pod.serve_port(80).unwrap()));
    let addresses: Vec<IpAddr> = servers.iter().flat_map(Pod::addresses).collect();
    dns.set_addresses(NAME, &addresses).unwrap();
    let web = pod(&node, "web", &["10.244.1.20/32"]);
    let report = web.client(&ClientSpec::new(NAME, 80, resolver, 1000).threads(2)).unwrap().wait().unwrap();
    assert_eq!((report.total().connected, report.lookups), (1000, 1000), "{report:?}");
    let truth = lab.truth().unwrap();
    for (pod, address) in servers.iter().zip(addresses) {
        let row = truth.iter().find(|row| row.pod == pod.name()).unwrap();
        assert_eq!(row, &TruthRow {
            client: "web".to_owned(),
            pod: pod.name().to_owned(),
            accepted: report.connected(address)
        });
        assert!(row.accepted > 200, "a shuffled order spreads the first address: {truth:?}");
    }
}

#[test]
fn habits_differ() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns(&node);
    let servers: Vec<Pod> =
        (0..3).map(|n| pod(&node, &format!("orders-{n}"), &[&format!("10.244.1.1{n}/24")])).collect();
    servers.iter().for_each(|pod| drop(pod.serve_port(80).unwrap()));
    let addresses: Vec<IpAddr> = servers.iter().flat_map(Pod::addresses).collect();
    dns.set_addresses(NAME, &addresses).unwrap();
    let settings = ResolvConf::kubelet(resolver.ip(), "shop", ZONE);
    let web = node.pod(PodSpec::new("shop", "web").address("10.244.1.20/24").resolv_conf(settings)).unwrap();
    let run = |spec: &ClientSpec| {
        let report = web.client(spec).unwrap().wait().unwrap();
        assert_eq!(report.errors, Vec::<String>::new());
        let each: Vec<u64> = addresses.iter().map(|&address| report.connected(address)).collect();
        (each, report.lookups)
    };
    let plain = ClientSpec::new(NAME, 80, resolver, 30);
    assert_eq!(run(&plain), (vec![30, 0, 0], 30), "first of a fixed order");
    assert_eq!(run(&plain.clone().round_robin(10)), (vec![10, 10, 10], 3), "round robin");
    assert_eq!(run(&plain.clone().round_robin(1).never_again()), (vec![10, 10, 10], 1), "never again");
    let (each, _) = run(&plain.clone().random());
    assert!(each.iter().all(|count| *count > 0) && each.iter().sum::<u64>() == 30, "random: {each:?}");
    let (each, lookups) = run(&ClientSpec::libc("orders", 80, 10));
    assert_eq!((each.iter().sum::<u64>(), lookups), (10, 10), "getaddrinfo by the pod's own resolv.conf");
    dns.set_options(&DnsOptions { order: Order::Rotate, ..DnsOptions::default() }).unwrap();
    assert_eq!(run(&plain), (vec![10, 10, 10], 30), "first of a rotating order");

    let keeping = web.client(&plain.clone().keep()).unwrap();
    assert_eq!(keeping.wait().unwrap().open, 30);
    assert_eq!(keeping.close(10).unwrap().open, 20);
    assert_eq!(keeping.open(5).unwrap().open, 25);
}

#[test]
fn dns_answers_as_told() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns(&node);
    let web = pod(&node, "web", &["10.244.1.20/24"]);
    let addresses: Vec<IpAddr> = (1..=40).map(|n| ip(&format!("10.244.2.{n}"))).collect();
    dns.set_addresses(NAME, &addresses).unwrap();
    let spec = ClientSpec::new(NAME, 80, resolver, 0);
    let resolve = |spec: &ClientSpec, options: DnsOptions| -> Lookup {
        dns.set_options(&options).unwrap();
        let client = web.client(spec).unwrap();
        let lookup = client.resolve().unwrap();
        assert_eq!(lookup.targets.len(), 40);
        lookup
    };
    let in_order: Vec<SocketAddr> = addresses.iter().map(|&address| SocketAddr::new(address, 80)).collect();
    let usual = DnsOptions::default();

    // 40 records do not fit 512 bytes: cut, then asked again over TCP.
    let lookup = resolve(&spec, usual.clone());
    assert_eq!((lookup.truncated, lookup.over_tcp, lookup.questions), (1, 1, 2));
    assert_eq!(lookup.targets, in_order);
    let compressed = lookup.bytes;
    let lookup = resolve(&spec, DnsOptions { compress: false, ..usual.clone() });
    assert_eq!(lookup.bytes - compressed, 40 * (NAME.len() + 2 - 2), "a pointer is two bytes");
    // With EDNS they fit one packet.
    let lookup = resolve(&spec.clone().stub(|stub| stub.edns = Some(4096)), usual.clone());
    assert_eq!((lookup.truncated, lookup.over_tcp, lookup.edns), (0, 0, true));
    let mute = DnsOptions { edns: false, ..usual.clone() };
    assert!(!resolve(&spec.clone().stub(|stub| stub.edns = Some(4096)), mute).edns);
    let lookup = resolve(&spec, DnsOptions { udp_limit: Some(4096), ..usual.clone() });
    assert_eq!(lookup.truncated, 0);
    // Over TCP only, in pieces of 100 bytes, each read by itself.
    let pieces = DnsOptions { tcp_only: true, tcp_piece: Some(100), ..usual.clone() };
    let lookup = resolve(&spec, pieces);
    assert_eq!((lookup.truncated, lookup.over_tcp), (1, 1));
    assert_eq!(lookup.tcp_reads, (lookup.bytes as u64 + 2).div_ceil(100), "{} bytes", lookup.bytes);
    let lookup = resolve(&spec.clone().stub(|stub| stub.tcp = true), usual.clone());
    assert_eq!((lookup.truncated, lookup.over_tcp, lookup.questions), (0, 1, 1));
    // Order.
    let shuffled = resolve(&spec, DnsOptions { order: Order::Shuffle, ..usual.clone() });
    assert_ne!(shuffled.targets, in_order);
    // Letter case.
    let mixed = spec.clone().stub(|stub| stub.random_case = true);
    let lookup = resolve(&mixed, usual.clone());
    assert!(lookup.owner.bytes().any(|byte| byte.is_ascii_uppercase()), "{}", lookup.owner);
    let lookup = resolve(&mixed, DnsOptions { echo_case: false, ..usual.clone() });
    assert_eq!(lookup.owner.trim_end_matches('.'), NAME);
    // An answer that is cut keeps what fits, or nothing.
    let counts = dns.counts().unwrap();
    assert!(counts.truncated > 0 && counts.tcp > 0 && counts.udp > 0, "{counts:?}");
}

#[test]
fn dns_follows_aliases_services_and_search_domains() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns(&node);
    let web = pod(&node, "web", &["10.244.1.20/24"]);
    let pods = [pod(&node, "orders-0", &["10.244.1.10/24", "fd00:10:244:1::10/64"])];
    for (name, data) in ServiceSpec::new("shop", "orders", 9042, &pods).records(ZONE) {
        dns.set(&name, 30, data).unwrap();
    }
    dns.set("alias.other.svc.cluster.local", 5, vec![Data::Cname(NAME.to_owned())]).unwrap();
    let both: Vec<SocketAddr> = pods[0].sockets(9042);
    let resolve = |spec: &ClientSpec| web.client(spec).unwrap().resolve().unwrap();
    let spec = |name: &str| ClientSpec::new(name, 9042, resolver, 0).stub(|stub| stub.families = Families::Both);

    assert_eq!(resolve(&spec(NAME)).targets, both);
    assert_eq!(resolve(&spec(NAME)).ttl, 30);
    assert_eq!(resolve(&spec("orders-0.orders.shop.svc.cluster.local")).targets, both);
    let alias = resolve(&spec("alias.other.svc.cluster.local"));
    assert_eq!((alias.targets, alias.owner.trim_end_matches('.')), (both.clone(), NAME));
    let searching = spec("orders").stub(|stub| {
        stub.search = vec!["other.svc.cluster.local".to_owned(), "shop.svc.cluster.local".to_owned()];
    });
    let found = resolve(&searching);
    assert_eq!((found.targets, found.questions), (both.clone(), 4), "two questions for each of two names");
    for (habit, questions) in [(SrvHabit::Additional, 1), (SrvHabit::LookUpTargets, 3)] {
        let srv = spec("_main._tcp.orders.shop.svc.cluster.local").stub(|stub| stub.srv = Some(habit));
        let found = resolve(&srv);
        assert_eq!((found.targets, found.questions), (both.clone(), questions), "{habit:?}");
    }
    dns.set_options(&DnsOptions { srv_additional: false, ..DnsOptions::default() }).unwrap();
    let srv = spec("_main._tcp.orders.shop.svc.cluster.local").stub(|s| s.srv = Some(SrvHabit::Additional));
    web.client(&srv).unwrap().resolve().expect_err("nothing rides along");
    dns.remove(NAME).unwrap();
    web.client(&spec(NAME)).unwrap().resolve().expect_err("the name does not exist any more");
}

#[test]
fn each_way_to_fail_is_produced() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let server = pod(&node, "server", &["10.244.1.10/24", "fd00:10:244:1::10/64"]);
    let web = pod(&node, "web", &["10.244.1.20/24", "fd00:10:244:1::20/64"]);
    let silent = pod(&node, "silent", &["10.244.1.11/24", "fd00:10:244:1::11/64"]);
    silent.serve_port(80).unwrap();
    silent.silence().unwrap();
    let (dark, denied) = (ip("10.250.0.1"), ip("10.250.0.2"));
    let (dark6, denied6) = (ip("fd00:250::1"), ip("fd00:250::2"));
    node.blackhole(dark).unwrap();
    node.blackhole(dark6).unwrap();
    node.unreachable(denied).unwrap();
    node.unreachable(denied6).unwrap();
    let try_one = |address: IpAddr, port: u16, change: &dyn Fn(&mut lab::client::Dial)| {
        let spec = ClientSpec::fixed(&[address], port, 3).dial(change);
        let report = web.client(&spec).unwrap().wait().unwrap();
        assert_eq!(report.errors, Vec::<String>::new(), "{address}");
        report.addresses[&address]
    };
    let three = |set: fn(&mut lab::client::Outcomes, u64)| {
        let mut outcomes = lab::client::Outcomes::default();
        set(&mut outcomes, 3);
        outcomes
    };
    let reset_server = server.serve(&ServerSpec::new(server.sockets(81)).mode(ServerMode::Reset)).unwrap();
    for nonblocking in [false, true] {
        for address in server.addresses() {
            let refused = try_one(address, 80, &|dial| dial.nonblocking = nonblocking);
            assert_eq!(refused, three(|outcomes, n| outcomes.refused = n));
            let reset = try_one(address, 81, &|dial| {
                (dial.nonblocking, dial.receive) = (nonblocking, Receive::Close);
            });
            assert_eq!(reset, three(|outcomes, n| (outcomes.connected, outcomes.reset) = (n, n)));
        }
        for address in [denied, denied6] {
            let unreachable = try_one(address, 80, &|dial| dial.nonblocking = nonblocking);
            assert_eq!(unreachable, three(|outcomes, n| outcomes.unreachable = n));
        }
        let silent = silent.addresses();
        for address in [dark, dark6].into_iter().chain(silent) {
            let timeout = try_one(address, 80, &|dial| {
                (dial.nonblocking, dial.user_timeout_ms) = (nonblocking, Some(200));
            });
            assert_eq!(timeout, three(|outcomes, n| outcomes.timeout = n), "{address}");
        }
    }
    for address in [dark, dark6] {
        let aborted = try_one(address, 80, &|dial| dial.give_up_ms = Some(30));
        assert_eq!(aborted, three(|outcomes, n| outcomes.aborted = n));
    }
    node.reachable_again(dark).unwrap();
    assert_eq!(reset_server.total().unwrap(), 12);
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

    // Its address goes to another pod, and at once.
    let new = pod(&node, "new", &["10.244.1.10/24"]);
    new.serve_port(80).unwrap();
    assert_eq!(connect(7).connected, 7);
    // The client's address moves as well: what came before stays the first client's.
    let batch = pod(&node, "batch", &[]);
    web.take(ip("10.244.1.20")).unwrap();
    batch.give("10.244.1.20/24").unwrap();
    let report = batch.client(&ClientSpec::fixed(&[address], 80, 2)).unwrap().wait().unwrap();
    assert_eq!(report.total().connected, 2);
    let row = |client: &str, pod: &str, accepted| TruthRow {
        client: client.to_owned(),
        pod: pod.to_owned(),
        accepted,
    };
    let expected = vec![row("batch", "new", 2), row("web", "new", 7), row("web", "old", 5)];
    assert_eq!(lab.truth().unwrap(), expected);
}

#[test]
fn host_network_workloads_and_cgroups() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let layout = CgroupLayout { driver: Driver::Systemd, runtime: Runtime::CriO, qos: Qos::Burstable };
    let agent = PodSpec::new("kube-system", "agent-x").host_network().layout(layout).workload("DaemonSet", "agent");
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
    assert_eq!(lab.truth().unwrap(), [TruthRow {
        client: "agent".to_owned(),
        pod: "server".to_owned(),
        accepted: 4
    }]);
    let output = agent.exec(&["cat", "/proc/self/cgroup"]).unwrap().output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(path));
}

#[test]
fn servers_keep_echo_reset_and_stop() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let pods = pod(&node, "server", &["10.244.1.10/24"]);
    let web = pod(&node, "web", &["10.244.1.20/24"]);
    let server = pods.serve(&ServerSpec::new(pods.sockets(80)).mode(ServerMode::Hold)).unwrap();
    let client = web.client(&ClientSpec::fixed(&pods.addresses(), 80, 0).dial(|dial| dial.send = 10)).unwrap();
    assert_eq!(client.open(20).unwrap().open, 20);
    assert_eq!(server.total().unwrap(), 20);
    assert_eq!(server.open().unwrap(), 20);
    client.close(5).unwrap();
    let source = web.ip(true).unwrap();
    while server.open().unwrap() > 15 {}
    assert_eq!(server.counts().unwrap()[&source].bytes, 50, "bytes are counted when a connection ends");
    assert_eq!(server.reset_all().unwrap(), 15);
    server.stop_listening().unwrap();
    assert_eq!(client.open(1).unwrap().total().refused, 1);
    let sender = pods.serve(&ServerSpec::new(pods.sockets(81)).mode(ServerMode::Send(5000))).unwrap();
    let spec = ClientSpec::fixed(&pods.addresses(), 81, 3).dial(|dial| dial.receive = Receive::Close);
    assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, 3);
    assert_eq!(sender.total().unwrap(), 3);
}

#[test]
fn happy_eyeballs_closes_the_loser() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let pods = pod(&node, "server", &["10.244.1.10/24", "fd00:10:244:1::10/64"]);
    let web = pod(&node, "web", &["10.244.1.20/24", "fd00:10:244:1::20/64"]);
    pods.serve_port(80).unwrap();
    let dark = ip("fd00:250::1");
    node.blackhole(dark).unwrap();
    let run = |addresses: &[IpAddr]| {
        let spec = ClientSpec::fixed(addresses, 80, 3).dial(|dial| dial.happy_eyeballs_ms = Some(20));
        web.client(&spec).unwrap().wait().unwrap()
    };
    let (v4, v6) = (pods.ip(true).unwrap(), pods.ip(false).unwrap());
    let report = run(&[v4, dark]);
    assert_eq!((report.addresses[&v4].connected, report.addresses[&dark].superseded), (3, 3), "{report:?}");
    let report = run(&[v4, v6]);
    assert_eq!((report.connected(v6), report.connected(v4)), (3, 0), "{report:?}");
}

#[test]
fn a_client_tries_addresses_in_turn() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let pods = [pod(&node, "closed", &["10.244.1.10/24"]), pod(&node, "open", &["10.244.1.11/24"])];
    let web = pod(&node, "web", &["10.244.1.20/24"]);
    pods[1].serve_port(80).unwrap();
    let addresses: Vec<IpAddr> = pods.iter().flat_map(Pod::addresses).collect();
    let mut spec = ClientSpec::fixed(&addresses, 80, 4);
    spec.pick = Pick::InTurn;
    let report = web.client(&spec).unwrap().wait().unwrap();
    assert_eq!((report.addresses[&addresses[0]].refused, report.connected(addresses[1])), (4, 4));
}

#[test]
fn manifests_describe_the_lab() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let web = PodSpec::new("shop", "web-5d4f8c7b96-x").address("10.244.1.20/24").workload("Deployment", "web");
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
fn a_hundred_thousand_connections_as_fast_as_they_go() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let servers: Vec<Pod> =
        (0..3).map(|n| pod(&node, &format!("orders-{n}"), &[&format!("10.244.1.1{n}/24")])).collect();
    servers.iter().for_each(|pod| drop(pod.serve_port(80).unwrap()));
    let addresses: Vec<IpAddr> = servers.iter().flat_map(Pod::addresses).collect();
    let started = std::time::Instant::now();
    let clients: Vec<(Pod, Client)> = (0..2)
        .map(|n| {
            let pod = pod(&node, &format!("web-{n}"), &[&format!("10.244.1.2{n}/24")]);
            let client = pod.client(&ClientSpec::fixed(&addresses, 80, 50_000).threads(2)).unwrap();
            (pod, client)
        })
        .collect();
    let mut expected = Vec::new();
    for (pod, client) in &clients {
        let report = client.wait().unwrap();
        assert_eq!(report.total().connected, 50_000, "{report:?}");
        for (server, &address) in servers.iter().zip(&addresses) {
            let accepted = report.connected(address);
            expected.push(TruthRow { client: pod.name().to_owned(), pod: server.name().to_owned(), accepted });
        }
    }
    let took = started.elapsed();
    assert_eq!(lab.truth().unwrap(), expected);
    println!("100,000 connections in {took:?}");
}

#[test]
fn ten_pods_are_there_quickly() {
    let started = std::time::Instant::now();
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    for n in 10..20 {
        pod(&node, &format!("p{n}"), &[&format!("10.244.1.{n}/24"), &format!("fd00:10:244:1::{n}/64")]);
    }
    let made = started.elapsed();
    drop(lab);
    println!("10 pods in {made:?}, gone after {:?}", started.elapsed() - made);
    assert!(node.pods().is_empty());
    std::hint::black_box(Duration::ZERO);
}
