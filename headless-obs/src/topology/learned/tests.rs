//! From answers to endpoints, through a topology. Times are whole seconds.

use super::*;
use crate::dns::{AddressRecord, SrvTarget};
use crate::topology::test_builders::ip;
use crate::topology::{Config, Topology};

fn s(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

/// `name` answers with `addresses`, TTL 5; the family is that of the first address.
fn answer(name: &str, addresses: &[&str]) -> Answer {
    let addresses: Vec<AddressRecord> =
        addresses.iter().map(|address| AddressRecord { address: ip(address), ttl: 5 }).collect();
    let v6 = addresses.first().is_some_and(|record| record.address.is_ipv6());
    Answer {
        question: name.into(),
        kind: if v6 { QueryType::Aaaa } else { QueryType::A },
        rcode: Rcode::NoError,
        truncated: false,
        chain: vec![name.into()],
        addresses,
        targets: vec![],
    }
}

fn srv(name: &str, targets: &[(&str, &[&str])]) -> Answer {
    let target = |(target, addresses): &(&str, &[&str])| SrvTarget {
        target: (*target).into(),
        port: 80,
        ttl: 5,
        addresses: answer(target, addresses).addresses,
    };
    Answer { kind: QueryType::Srv, targets: targets.iter().map(target).collect(), ..answer(name, &[]) }
}

fn nxdomain(name: &str) -> Answer {
    Answer { rcode: Rcode::NxDomain, ..answer(name, &[]) }
}

struct Test {
    learner: Learner,
    topology: Topology,
}

impl Test {
    fn new() -> Self {
        Self::with(LearnConfig::default())
    }

    fn with(config: LearnConfig) -> Self {
        Self { learner: Learner::new(config), topology: Topology::new(Config::default()) }
    }

    fn filter(patterns: &[&str]) -> Self {
        let filter = NameFilter::new(patterns, false).unwrap();
        Self::with(LearnConfig { filter, ..LearnConfig::default() })
    }

    /// The number of changes that the answer caused.
    fn observe(&mut self, at: u64, answer: Answer) -> usize {
        self.observe_of(1, at, answer)
    }

    fn observe_of(&mut self, client: u32, at: u64, answer: Answer) -> usize {
        let changes = self.learner.observe(s(at), client, &answer, &ClusterZone::default());
        let count = changes.len();
        for change in changes {
            let _ = self.topology.apply(s(at), change);
        }
        count
    }

    /// `label=state` of each endpoint, in order of appearance; empty where there is no such Service.
    fn states(&self, namespace: &str, name: &str) -> Vec<String> {
        let service = self.topology.find(namespace, name).and_then(|id| self.topology.service_by_id(id));
        let state = |e: &crate::topology::Endpoint| format!("{}={}", e.label(), e.state().name());
        service.into_iter().flat_map(|service| service.endpoints().map(state)).collect()
    }
}

const WEB: &str = "web.prod.svc.cluster.local";

#[test]
fn a_name_with_several_private_addresses_becomes_a_service() {
    let mut test = Test::new();
    test.observe(1, answer("db.corp", &["10.0.0.1", "10.0.0.2"]));
    assert_eq!(test.states("", "db.corp"), ["10.0.0.1=ready", "10.0.0.2=ready"]);
    test.observe(1, answer(WEB, &["10.1.0.1", "10.1.0.2"]));
    assert_eq!(test.states("prod", "web"), ["10.1.0.1=ready", "10.1.0.2=ready"]);
    assert!(test.topology.knows(ip("10.1.0.2")));
}

#[test]
fn what_does_not_become_a_service() {
    let cases = [
        ("a single address", answer("db.corp", &["10.0.0.1"])),
        ("the same address twice", answer("db.corp", &["10.0.0.1", "10.0.0.1"])),
        ("public addresses", answer("db.corp", &["192.0.2.1", "192.0.2.2"])),
        ("one private, one public address", answer("db.corp", &["10.0.0.1", "192.0.2.2"])),
        ("loopback", answer("db.corp", &["127.0.0.1", "127.0.0.2"])),
        ("no addresses", answer("db.corp", &[])),
        ("no such name", nxdomain("db.corp")),
    ];
    for (case, answer) in cases {
        let mut test = Test::new();
        assert_eq!(test.observe(1, answer), 0, "{case}");
        assert_eq!(test.topology.services().count(), 0, "{case}");
    }
    // A pod's own name with two addresses is not a Service with two endpoints.
    let mut test = Test::new();
    assert_eq!(test.observe(1, answer("web-0.web.prod.svc.cluster.local", &["10.0.0.1", "10.0.0.2"])), 0);
}

#[test]
fn a_service_grows_with_what_answers_list_and_repeating_it_changes_nothing() {
    let mut test = Test::new();
    assert_eq!(test.observe(1, answer(WEB, &["10.0.0.1", "10.0.0.2"])), 1);
    assert_eq!(test.observe(2, answer(WEB, &["10.0.0.2", "10.0.0.1"])), 0);
    assert_eq!(test.observe(3, answer(WEB, &["10.0.0.3"])), 1);
    assert_eq!(test.observe(3, answer(WEB, &["fd00::1"])), 1);
    let ready = test.topology.services().next().unwrap().endpoints().map(|e| e.ready_since().unwrap());
    assert_eq!(ready.collect::<Vec<_>>(), [s(1), s(1), s(3), s(3)]);
}

#[test]
fn an_endpoint_leaves_when_newer_answers_have_not_listed_it_for_long_enough() {
    // The TTL of 5 s gives at least 10 s of silence; the 30 s are longer.
    let mut test = Test::new();
    test.observe(0, answer(WEB, &["10.0.0.1", "10.0.0.2"]));
    test.observe(29, answer(WEB, &["10.0.0.1"]));
    assert_eq!(test.states("prod", "web"), ["10.0.0.1=ready", "10.0.0.2=ready"]);
    test.observe(30, answer(WEB, &["10.0.0.1"]));
    assert_eq!(test.states("prod", "web"), ["10.0.0.1=ready", "10.0.0.2=removed"]);
    // It comes back as the same endpoint.
    test.observe(40, answer(WEB, &["10.0.0.1", "10.0.0.2"]));
    assert_eq!(test.states("prod", "web"), ["10.0.0.1=ready", "10.0.0.2=ready"]);
}

#[test]
fn a_long_ttl_keeps_an_endpoint_for_twice_its_length() {
    let mut test = Test::new();
    let mut long = answer(WEB, &["10.0.0.1", "10.0.0.2"]);
    long.addresses[1].ttl = 60;
    test.observe(0, long);
    test.observe(119, answer(WEB, &["10.0.0.1"]));
    assert_eq!(test.states("prod", "web")[1], "10.0.0.2=ready");
    test.observe(120, answer(WEB, &["10.0.0.1"]));
    assert_eq!(test.states("prod", "web")[1], "10.0.0.2=removed");
}

#[test]
fn a_server_that_shows_another_part_each_time_loses_nobody() {
    let mut test = Test::new();
    for at in 0..200 {
        let first = at % 10;
        let part: Vec<String> = (first..first + 2).map(|index| format!("10.0.0.{}", index % 10)).collect();
        test.observe(at, answer(WEB, &part.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let states = test.states("prod", "web");
    assert_eq!(states.len(), 10);
    assert!(states.iter().all(|state| state.ends_with("=ready")), "{states:?}");
}

#[test]
fn what_proves_nothing_removes_nobody() {
    let truncated = || Answer { truncated: true, ..answer(WEB, &["10.0.0.1"]) };
    let failed = || Answer { rcode: Rcode::ServFail, ..answer(WEB, &[]) };
    let other_family = || Answer { kind: QueryType::Aaaa, ..answer(WEB, &[]) };
    let other_type = || Answer { kind: QueryType::Other(16), ..answer(WEB, &[]) };
    let cases = [
        ("truncated", truncated()),
        ("server failure", failed()),
        ("the other family", other_family()),
        ("another type", other_type()),
        ("SRV", srv(&format!("_http._tcp.{WEB}"), &[])),
        ("no such port", Answer { rcode: Rcode::NxDomain, ..srv(&format!("_http._tcp.{WEB}"), &[]) }),
        ("a name made up by a search list", nxdomain(&format!("{WEB}.test.svc.cluster.local"))),
        ("another zone", nxdomain("web.prod.svc.corp")),
        ("another pod's name", nxdomain(&format!("web-7.{WEB}"))),
    ];
    for (case, answer_) in cases {
        let mut test = Test::new();
        test.observe(0, answer(WEB, &["10.0.0.1", "10.0.0.2"]));
        assert_eq!(test.observe(1000, answer_), 0, "{case}");
    }
}

#[test]
fn a_name_that_no_longer_exists_loses_its_endpoints_after_the_same_time() {
    for gone in [nxdomain(WEB), Answer { kind: QueryType::A, ..answer(WEB, &[]) }] {
        let mut test = Test::new();
        test.observe(0, answer(WEB, &["10.0.0.1", "10.0.0.2"]));
        assert_eq!(test.observe(29, gone.clone()), 0);
        assert_eq!(test.observe(30, gone), 1);
        assert_eq!(test.states("prod", "web"), ["10.0.0.1=removed", "10.0.0.2=removed"]);
        // It is still observed: now a single address is enough.
        test.observe(31, answer(WEB, &["10.0.0.3"]));
        assert_eq!(test.states("prod", "web")[2], "10.0.0.3=ready");
    }
}

#[test]
fn an_alias_stands_for_the_last_name_of_its_chain() {
    let mut test = Test::new();
    let mut alias = answer("alias.a.svc.cluster.local", &["10.0.0.1", "10.0.0.2"]);
    alias.chain.push("db.b.svc.cluster.local".into());
    test.observe(0, alias);
    assert_eq!(test.states("b", "db").len(), 2);
    assert!(test.states("a", "alias").is_empty());
}

#[test]
fn a_pods_own_name_names_the_endpoint_and_joins_its_families() {
    let mut test = Test::new();
    test.observe(0, answer(WEB, &["10.0.0.1", "10.0.0.2"]));
    test.observe(1, answer(&format!("web-0.{WEB}"), &["10.0.0.1"]));
    test.observe(1, answer(&format!("web-0.{WEB}"), &["fd00::1"]));
    assert_eq!(test.states("prod", "web"), ["web-0=ready", "10.0.0.2=ready"]);
    let id = test.topology.find("prod", "web").unwrap();
    let found = test.topology.lookup(ip("fd00::1"), 80, id, s(1)).unwrap();
    assert_eq!(found.endpoint.label().as_ref(), "web-0");
    assert_eq!(found.endpoint.ready_since(), Some(s(0)));
    // It is removed by its own name.
    test.observe(60, nxdomain(&format!("web-0.{WEB}")));
    assert_eq!(test.states("prod", "web"), ["web-0=removed", "10.0.0.2=ready"]);
}

#[test]
fn srv_targets_are_endpoints_with_names() {
    let mut test = Test::new();
    let targets: [(&str, &[&str]); 3] = [
        ("web-0.web.prod.svc.cluster.local", &["10.0.0.1", "fd00::1"]),
        ("10-0-0-2.web.prod.svc.cluster.local", &["10.0.0.2"]),
        ("fd00--0.web.prod.svc.cluster.local", &["fd00::"]),
    ];
    test.observe(0, srv(&format!("_http._tcp.{WEB}"), &targets));
    assert_eq!(test.states("prod", "web"), ["web-0=ready", "10.0.0.2=ready", "fd00::=ready"]);

    let consul: [(&str, &[&str]); 2] = [("n1.node.consul", &["10.0.1.1"]), ("n2.node.consul", &["10.0.1.2"])];
    test.observe(0, srv("_web._tcp.service.consul", &consul));
    assert_eq!(test.states("", "_web._tcp.service.consul"), ["n1.node.consul=ready", "n2.node.consul=ready"]);
    // One address, two targets: the first name stays.
    assert_eq!(test.observe(1, srv("_web._tcp.service.consul", &[("other.node.consul", &["10.0.1.1"])])), 0);
}

#[test]
fn filters_decide_which_names_are_observed() {
    let mut test = Test::filter(&["*.svc.*", "single.corp", "!*.test.svc.*"]);
    test.observe(0, answer("db.corp", &["10.0.0.1", "10.0.0.2"]));
    test.observe(0, answer("web.test.svc.cluster.local", &["10.0.0.3", "10.0.0.4"]));
    assert_eq!(test.topology.services().count(), 0);
    test.observe(0, answer("single.corp", &["10.0.0.5"]));
    test.observe(0, answer(WEB, &["10.0.0.6"]));
    assert_eq!(test.topology.services().count(), 2);
    // The answer for a pod's own name counts for the Service.
    assert_eq!(test.observe(1, answer(&format!("web-0.{WEB}"), &["10.0.0.6"])), 1);
    assert_eq!(test.states("prod", "web"), ["web-0=ready"]);
}

#[test]
fn what_does_not_fit_is_counted_and_idle_services_make_room() {
    let config =
        LearnConfig { services: 2, endpoints_per_service: 3, endpoints: 5, ..LearnConfig::default() };
    let mut test = Test::with(config);
    test.observe(0, answer("a.corp", &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]));
    test.observe(9, answer("b.corp", &["10.0.1.1", "10.0.1.2", "10.0.1.3"]));
    assert_eq!(test.learner.counters().endpoints_full, 2);
    assert_eq!(test.observe(3599, answer("c.corp", &["10.0.2.1", "10.0.2.2"])), 0);
    assert_eq!(test.learner.counters().services_full, 1);
    assert_eq!(test.observe(3600, answer("c.corp", &["10.0.2.1", "10.0.2.2"])), 2);
    assert_eq!(test.learner.counters().services_evicted, 1);
    assert_eq!(test.states("", "a.corp"), ["10.0.0.1=removed", "10.0.0.2=removed", "10.0.0.3=removed"]);
    assert_eq!(test.states("", "c.corp"), ["10.0.2.1=ready", "10.0.2.2=ready"]);
}

#[test]
fn endpoints_that_left_make_room() {
    let mut test = Test::with(LearnConfig { endpoints: 2, ..LearnConfig::default() });
    test.observe(0, answer("a.corp", &["10.0.0.1", "10.0.0.2"]));
    test.observe(60, answer("a.corp", &["10.0.0.1"]));
    test.observe(60, answer("b.corp", &["10.0.1.1", "10.0.1.2"]));
    assert_eq!(test.states("", "b.corp"), ["10.0.1.1=ready"]);
    assert_eq!(test.learner.counters().endpoints_full, 1);
}

#[test]
fn hostile_ttls_and_mapped_addresses_do_no_harm() {
    let mut test = Test::new();
    let mut odd = answer(WEB, &["::ffff:10.0.0.1", "10.0.0.2"]);
    odd.kind = QueryType::A;
    odd.addresses[1].ttl = u32::MAX;
    test.observe(0, odd);
    assert_eq!(test.states("prod", "web"), ["10.0.0.1=ready", "10.0.0.2=ready"]);
    test.observe(3 * 86_400, answer(WEB, &["10.0.0.1"]));
    assert_eq!(test.states("prod", "web")[1], "10.0.0.2=removed");
}

#[test]
fn outside_kubernetes_an_instance_is_an_address_and_a_port() {
    let instances = |ports: &[u16]| {
        let mut answer = srv("_web._tcp.service.consul", &[]);
        let target = |port: &u16| SrvTarget {
            target: "n1.node.consul".into(),
            port: *port,
            ttl: 5,
            addresses: self::answer("n1.node.consul", &["10.0.1.1"]).addresses,
        };
        answer.targets = ports.iter().map(target).collect();
        answer
    };
    let mut test = Test::new();
    assert_eq!(test.observe(0, instances(&[20_001, 20_002])), 1);
    assert_eq!(test.observe(1, instances(&[20_002, 20_001])), 0);
    let service = test.topology.services().next().unwrap();
    let labels: Vec<_> = service.endpoints().map(|endpoint| endpoint.label().to_string()).collect();
    assert_eq!(labels, ["n1.node.consul:20001", "n1.node.consul:20002"]);
    let dial = |port| test.topology.lookup(ip("10.0.1.1"), port, service.id(), s(1)).unwrap();
    assert_eq!(dial(20_002).endpoint.ports(), [20_002]);
    assert!(!dial(20_003).serves_port);
    // In Kubernetes, ports of several names are of one pod.
    let mut test = Test::new();
    test.observe(
        0,
        srv(&format!("_http._tcp.{WEB}"), &[("a.web.prod.svc.cluster.local", &["10.0.0.1", "10.0.0.2"])]),
    );
    assert_eq!(test.states("prod", "web"), ["a=ready"]);
}

#[test]
fn outside_kubernetes_srv_answers_with_all_addresses_tell_what_left() {
    let all: [(&str, &[&str]); 2] = [("n1.consul", &["10.0.1.1"]), ("n2.consul", &["10.0.1.2"])];
    let without_address: [(&str, &[&str]); 2] = [("n1.consul", &["10.0.1.1"]), ("n3.consul", &[])];
    let name = "_web._tcp.service.consul";
    let labels = |test: &Test| test.states("", name);
    let mut test = Test::new();
    test.observe(0, srv(name, &all));
    test.observe(1, srv(name, &all[..1]));
    assert_eq!(labels(&test), ["n1.consul=ready", "n2.consul=ready"], "it may be listed again");
    test.observe(100, srv(name, &without_address));
    assert_eq!(labels(&test), ["n1.consul=ready", "n2.consul=ready"], "the other one may be n3");
    test.observe(101, srv(name, &all[..1]));
    assert_eq!(labels(&test), ["n1.consul=ready", "n2.consul=removed"]);
    // In Kubernetes, a port's name lists only the pods with that port.
    let mut test = Test::new();
    test.observe(0, answer(WEB, &["10.0.0.1", "10.0.0.2"]));
    test.observe(100, srv(&format!("_http._tcp.{WEB}"), &[("a.web.prod.svc.cluster.local", &["10.0.0.1"])]));
    assert_eq!(test.states("prod", "web").last().unwrap(), "10.0.0.2=ready");
}

#[test]
fn a_name_that_two_networks_have_is_two_services() {
    for name in ["web", "tasks.web", "web.dns.podman"] {
        let mut test = Test::new();
        test.observe_of(1, 0, answer(name, &["172.18.0.2", "172.18.0.3"]));
        test.observe_of(2, 0, answer(name, &["172.19.0.3", "172.19.0.2"]));
        let (one, other) =
            (["172.18.0.2=ready", "172.18.0.3=ready"], ["172.19.0.2=ready", "172.19.0.3=ready"]);
        assert_eq!(
            (test.states("", name), test.states("172.19.0.x", name)),
            (one.map(String::from).to_vec(), other.map(String::from).to_vec())
        );
        // Another client of the first network, and one that is in both.
        test.observe_of(3, 1, answer(name, &["172.18.0.3"]));
        test.observe_of(4, 1, answer(name, &["172.18.0.2", "172.19.0.2"]));
        assert_eq!((test.states("", name).len(), test.states("172.19.0.x", name).len()), (2, 2));
        // A name that a third network does not have says nothing about these.
        test.observe_of(5, 100, nxdomain(name));
        assert_eq!(test.states("172.19.0.x", name), other);
        // One network is made again elsewhere.
        test.observe_of(2, 200, answer(name, &["172.30.0.2", "172.30.0.3"]));
        assert_eq!(test.states("172.19.0.x", name).len(), 4);
        test.observe_of(1, 200, nxdomain(name));
        assert_eq!(test.states("", name), ["172.18.0.2=removed", "172.18.0.3=removed"]);
    }
    // A whole name means the same everywhere, whatever part of it a server lists.
    let mut test = Test::new();
    test.observe_of(1, 0, answer("web.corp.example", &["172.18.0.2", "172.18.0.3"]));
    test.observe_of(2, 0, answer("web.corp.example", &["172.19.0.2", "172.19.0.3"]));
    assert_eq!(test.states("", "web.corp.example").len(), 4);
}

#[test]
fn a_part_of_a_networks_service_makes_no_other_one() {
    let mut test = Test::new();
    test.observe_of(1, 0, answer("web", &["172.18.0.2", "172.18.0.3"]));
    test.observe_of(2, 0, answer("web", &["172.18.0.7", "172.18.0.9"]));
    assert_eq!(test.states("", "web").len(), 4);
    assert_eq!(test.states("172.18.0.x", "web"), [""; 0]);
}

#[test]
fn no_number_of_networks_fills_memory() {
    let mut test = Test::new();
    for number in 0..1000_u32 {
        let [.., a, b] = number.to_be_bytes();
        test.observe_of(number, 0, answer("web", &[&format!("10.{a}.{b}.2"), &format!("10.{a}.{b}.3")]));
        test.observe_of(number, 0, answer(&format!("single-{number}"), &["10.0.0.1"]));
    }
    assert_eq!(test.learner.services.len(), 64);
    assert_eq!(test.learner.networks.len(), 64);
}

#[test]
fn a_name_of_the_cluster_is_a_service_with_global_addresses_too() {
    let mut test = Test::new();
    test.observe(0, answer(WEB, &["2001:db8::1", "2001:db8::2"]));
    assert_eq!(test.states("prod", "web"), ["2001:db8::1=ready", "2001:db8::2=ready"]);
    assert_eq!(test.observe(0, answer("www.example.com", &["2001:db8::1", "2001:db8::2"])), 0);
}

#[test]
fn translated_addresses_join_and_leave_as_what_they_stand_for() {
    let translated = |addresses: &[&str]| Answer { kind: QueryType::Aaaa, ..answer(WEB, addresses) };
    let mut test = Test::new();
    test.observe(0, translated(&["10.0.0.1", "10.0.0.2"]));
    test.observe(100, translated(&["10.0.0.1"]));
    assert_eq!(test.states("prod", "web"), ["10.0.0.1=ready", "10.0.0.2=removed"]);
}
