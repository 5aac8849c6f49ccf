//! DNS servers follow their options, seen by a client with its own decoder.

use std::net::{IpAddr, SocketAddr};

use lab::client::{Families, Lookup, SrvHabit};
use lab::dns::{Data, Order};
use lab::*;

use crate::{NAME, ZONE, dns_server, ip, pod};

#[test]
fn dns_answers_as_told() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns_server(&node);
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

    // 40 records exceed 512 bytes: the response is truncated, and the client queries again over TCP.
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
    // TCP only, in pieces of 100 bytes; the client reads each alone.
    let pieces = DnsOptions { tcp_only: true, tcp_piece: Some(100), ..usual.clone() };
    let lookup = resolve(&spec, pieces);
    assert_eq!((lookup.truncated, lookup.over_tcp), (1, 1));
    // Pieces that arrive together may be read together.
    let pieces = (lookup.bytes as u64 + 2).div_ceil(100);
    assert!((2..=pieces).contains(&lookup.tcp_reads), "{} bytes, {} reads", lookup.bytes, lookup.tcp_reads);
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
    // A truncated response keeps the records that fit, or none: header and question, then 16 bytes for each record.
    let lookup = resolve(&spec, DnsOptions { udp_limit: Some(300), ..usual.clone() });
    assert_eq!(lookup.cut_records, (300 - 12 - (NAME.len() + 2 + 4)) / 16);
    let nothing = DnsOptions { udp_limit: Some(300), truncate_to_nothing: true, ..usual.clone() };
    assert_eq!(resolve(&spec, nothing).cut_records, 0);
    let counts = dns.counts().unwrap();
    assert!(counts.truncated > 0 && counts.tcp > 0 && counts.udp > 0, "{counts:?}");
}

#[test]
fn dns_follows_aliases_services_and_search_domains() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns_server(&node);
    let web = pod(&node, "web", &["10.244.1.20/24"]);
    let pods = [pod(&node, "orders-0", &["10.244.1.10/24", "fd00:10:244:1::10/64"])];
    for (name, data) in ServiceSpec::new("shop", "orders", 9042, &pods).records(ZONE) {
        dns.set(&name, 30, data).unwrap();
    }
    dns.set("alias.other.svc.cluster.local", 5, vec![Data::Cname(NAME.to_owned())]).unwrap();
    let both: Vec<SocketAddr> = pods[0].sockets(9042);
    let resolve = |spec: &ClientSpec| web.client(spec).unwrap().resolve().unwrap();
    let spec =
        |name: &str| ClientSpec::new(name, 9042, resolver, 0).stub(|stub| stub.families = Families::Both);

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
fn dns_fails_as_told_and_serves_any_address_and_port() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let home = pod(&node, "dns", &["10.244.1.2/24", "fd00:10:244:1::2/64"]);
    let listen = [home.sockets(53), home.sockets(5353)].concat();
    let dns = home.dns(&DnsSpec::new(listen.clone())).unwrap();
    dns.set_addresses(NAME, &[ip("10.244.2.1")]).unwrap();
    let web = pod(&node, "web", &["10.244.1.20/24", "fd00:10:244:1::20/64"]);
    let quick = |server| ClientSpec::new(NAME, 80, server, 0).stub(|stub| stub.timeout_ms = 50);
    assert_eq!(dns.addresses(), listen);
    for &server in &listen {
        let lookup = web.client(&ClientSpec::new(NAME, 80, server, 0)).unwrap().resolve().unwrap();
        assert_eq!(lookup.targets, [SocketAddr::new(ip("10.244.2.1"), 80)], "{server}");
    }
    let error = |options: &DnsOptions| {
        dns.set_options(options).unwrap();
        web.client(&quick(listen[0])).unwrap().resolve().unwrap_err().to_string()
    };
    let servfail = error(&DnsOptions { rcode: Some(2), ..DnsOptions::default() });
    assert!(servfail.contains("Server Failure"), "{servfail}");
    let silent = error(&DnsOptions { silent: true, ..DnsOptions::default() });
    assert!(silent.contains("no answer"), "{silent}");
    dns.set_options(&DnsOptions::default()).unwrap();
    dns.kill();
    let gone = web.client(&quick(listen[0])).unwrap().resolve().unwrap_err().to_string();
    assert!(gone.contains("no answer"), "{gone}");
}

#[test]
fn getaddrinfo_gets_forty_addresses_and_connects_to_none() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (dns, resolver) = dns_server(&node);
    let addresses: Vec<IpAddr> = (1..=40).map(|n| ip(&format!("10.244.2.{n}"))).collect();
    dns.set_addresses(NAME, &addresses).unwrap();
    let settings = ResolvConf::kubelet(resolver.ip(), "shop", ZONE);
    let web = node.pod(PodSpec::new("shop", "web").address("10.244.1.20/24").resolv_conf(settings)).unwrap();
    let client = web.client(&ClientSpec::libc("orders.shop", 80, 0)).unwrap();
    assert_eq!(client.resolve().unwrap().targets.len(), 40);
    assert_eq!(client.report().unwrap().addresses.len(), 0);
    let counts = dns.counts().unwrap();
    assert!(counts.truncated > 0 && counts.tcp > 0, "cut over UDP, then asked over TCP: {counts:?}");
    assert!(counts.nxdomain > 0, "the search domains were tried: {counts:?}");
    assert_eq!(counts.names.keys().next().unwrap(), "orders.shop.shop.svc.cluster.local");
}
