//! Servers count the connections of clients with every habit.

use std::net::IpAddr;
use std::time::Instant;

use lab::client::{Pick, Receive};
use lab::dns::Order;
use lab::*;

use crate::{NAME, ZONE, dns_server, orders, pod, row};

#[test]
fn a_thousand_connections_are_a_thousand_accepted() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns_server(&node);
    dns.set_options(&DnsOptions { order: Order::Shuffle, ..DnsOptions::default() }).unwrap();
    let (servers, addresses) = orders(&node);
    dns.set_addresses(NAME, &addresses).unwrap();
    let web = pod(&node, "web", &["10.244.1.20/32"]);
    let report = web.client(&ClientSpec::new(NAME, 80, resolver, 1000).threads(2)).unwrap().wait().unwrap();
    assert_eq!((report.total().connected, report.lookups), (1000, 1000), "{report:?}");
    let truth = lab.truth().unwrap();
    for (pod, address) in servers.iter().zip(addresses) {
        let found = truth.iter().find(|row| row.pod == pod.name()).unwrap();
        assert_eq!(found, &row("web", pod.name(), report.connected(address)));
        assert!(found.accepted > 200, "a shuffled order spreads the first address: {truth:?}");
    }
}

#[test]
fn habits_differ() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns_server(&node);
    let (_servers, addresses) = orders(&node);
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
fn servers_keep_echo_reset_and_stop() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let pods = pod(&node, "server", &["10.244.1.10/24"]);
    let web = pod(&node, "web", &["10.244.1.20/24"]);
    let server = pods.serve(&ServerSpec::new(pods.sockets(80)).mode(ServerMode::Hold)).unwrap();
    let client =
        web.client(&ClientSpec::fixed(&pods.addresses(), 80, 0).dial(|dial| dial.send = 10)).unwrap();
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
fn a_hundred_thousand_connections_as_fast_as_they_go() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (servers, addresses) = orders(&node);
    let started = Instant::now();
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
            expected.push(row(pod.name(), server.name(), report.connected(address)));
        }
    }
    let took = started.elapsed();
    assert_eq!(lab.truth().unwrap(), expected);
    println!("100,000 connections in {took:?}");
}
