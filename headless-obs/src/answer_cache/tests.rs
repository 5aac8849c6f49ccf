//! The answers that explain an address, and the answers that go when there is no room.

use super::*;
use crate::dns::{QueryType, Rcode, SrvTarget};

fn records(last: &[u8]) -> Vec<AddressRecord> {
    last.iter().map(|last| AddressRecord { address: IpAddr::from([10, 0, 0, *last]), ttl: 30 }).collect()
}

fn answer(chain: &[&str], last: &[u8]) -> Answer {
    Answer {
        question: chain[0].into(),
        kind: QueryType::A,
        rcode: Rcode::NoError,
        truncated: false,
        chain: chain.iter().map(|name| Name::from(*name)).collect(),
        addresses: records(last),
        targets: Vec::new(),
    }
}

/// The last name that belongs to a Service.
fn observe(evidence: &mut AnswerCache, at: u64, scope: u32, answer: &Answer) {
    let name = answer.chain.iter().rev().find(|name| name.contains(".svc."));
    evidence.observe(
        Time(at),
        ClientId(scope),
        answer,
        AnswerContext { name, meaning: Meaning::Nobody, renamed: 0, local: None, offer: &Arc::default() },
    );
}

fn seen(evidence: &AnswerCache, scope: u32, last: u8, at: u64) -> Vec<(String, u16)> {
    evidence
        .cached(ClientId(scope), IpAddr::from([10, 0, 0, last]), Time(at))
        .map(|entry| (entry.answer.name.to_string(), entry.position))
        .collect()
}

fn name(name: &str, position: u16) -> (String, u16) {
    (name.to_owned(), position)
}

#[test]
fn the_last_name_asked_for_goes_first_and_clients_do_not_share() {
    let mut evidence = AnswerCache::default();
    observe(&mut evidence, 1, 1, &answer(&["a.x.svc.z"], &[1, 2]));
    observe(&mut evidence, 2, 1, &answer(&["b.x.svc.z"], &[2]));
    assert_eq!(seen(&evidence, 1, 2, 9), [name("b.x.svc.z", 0), name("a.x.svc.z", 1)]);
    assert_eq!(seen(&evidence, 1, 2, 1), [name("a.x.svc.z", 1), name("b.x.svc.z", 0)], "as it was at 1");
    assert_eq!(seen(&evidence, 2, 2, 9), []);
}

#[test]
fn an_alias_counts_for_what_it_leads_to_and_other_names_are_not_kept() {
    let mut evidence = AnswerCache::default();
    observe(&mut evidence, 1, 1, &answer(&["alias.a.svc.z", "db.b.svc.z"], &[1]));
    observe(&mut evidence, 1, 1, &answer(&["alias.a.svc.z", "db.example.org"], &[2]));
    observe(&mut evidence, 1, 1, &answer(&["www.example.org"], &[3]));
    assert_eq!(seen(&evidence, 1, 1, 1), [name("db.b.svc.z", 0)]);
    assert_eq!(seen(&evidence, 1, 2, 1), [name("alias.a.svc.z", 0)]);
    assert_eq!(seen(&evidence, 1, 3, 1), []);
}

#[test]
fn srv_counts_through_the_additional_section_and_through_the_host() {
    let mut evidence = AnswerCache::default();
    let mut srv = answer(&["_http._tcp.web.x.svc.z"], &[]);
    srv.targets = ["w0.web.x.svc.z", "w1.web.x.svc.z"]
        .iter()
        .zip([records(&[1]), Vec::new()])
        .map(|(target, addresses)| SrvTarget { target: (*target).into(), port: 80, ttl: 5, addresses })
        .collect();
    observe(&mut evidence, 1, 1, &srv);
    observe(&mut evidence, 2, 1, &answer(&["w1.web.x.svc.z"], &[2]));
    assert_eq!(seen(&evidence, 1, 1, 9), [name("_http._tcp.web.x.svc.z", 0)]);
    assert_eq!(seen(&evidence, 1, 2, 9), [name("_http._tcp.web.x.svc.z", 0)]);
}

#[test]
fn host_that_is_looked_up_long_after_the_srv_answer_is_meant_itself() {
    let s = |seconds: u64| seconds * 1_000_000_000;
    let mut srv = answer(&["_http._tcp.web.x.svc.z"], &[]);
    let target =
        |target: &str, ttl| SrvTarget { target: target.into(), port: 80, ttl, addresses: Vec::new() };
    srv.targets = vec![target("w0.web.x.svc.z", 5), target("w1.web.x.svc.z", 300)];
    let mut evidence = AnswerCache::default();
    observe(&mut evidence, 0, 1, &srv);
    for (at, last, name_then) in [
        (60, 1, "_http._tcp.web.x.svc.z"),
        (61, 2, "w0.web.x.svc.z"),
        (300, 3, "_http._tcp.web.x.svc.z"),
        (301, 4, "w1.web.x.svc.z"),
    ] {
        let host = if last < 3 { "w0.web.x.svc.z" } else { "w1.web.x.svc.z" };
        observe(&mut evidence, s(at), 1, &answer(&[host], &[last]));
        assert_eq!(seen(&evidence, 1, last, s(at)), [name(name_then, 0)], "{at} s");
    }
    assert_eq!(evidence.held, 6);
    evidence.expire(Time(s(200)));
    assert_eq!(evidence.held, 5);
    evidence.expire(Time(s(301)));
    assert_eq!(evidence.held, 4);
}

#[test]
fn without_room_who_has_most_loses_its_oldest_and_that_is_counted() {
    let mut evidence = AnswerCache::new(Config { addresses: 8, ..Config::default() });
    observe(&mut evidence, 1, 1, &answer(&["a.x.svc.z"], &[1, 2]));
    for at in 2..=7 {
        observe(&mut evidence, at, 2, &answer(&["a.x.svc.z"], &[10 + u8::try_from(at).unwrap()]));
    }
    assert_eq!((evidence.evicted(), evidence.held), (0, 8), "there is room");
    observe(&mut evidence, 8, 2, &answer(&["a.x.svc.z"], &[20, 21]));
    assert_eq!((seen(&evidence, 1, 1, 9).len(), seen(&evidence, 1, 2, 9).len()), (1, 1), "it was silent");
    assert_eq!((seen(&evidence, 2, 16, 9).len(), seen(&evidence, 2, 17, 9).len()), (0, 1));
    assert_eq!((seen(&evidence, 2, 20, 9).len(), evidence.evicted(), evidence.held), (1, 5, 5));
    evidence.expire(Time(0).plus(Duration::from_secs(48 * 3600)));
    assert_eq!((seen(&evidence, 1, 1, 9).len(), evidence.held), (0, 0));
}

#[test]
fn one_answer_that_is_too_much_is_not_kept_and_harms_nobody() {
    let mut evidence = AnswerCache::new(Config { addresses: 8, ..Config::default() });
    observe(&mut evidence, 1, 1, &answer(&["a.x.svc.z"], &[1, 2]));
    let all: Vec<u8> = (1..=200).collect();
    for at in 2..100 {
        observe(&mut evidence, at, 2, &answer(&["b.x.svc.z"], &all));
    }
    assert_eq!((seen(&evidence, 1, 1, 200).len(), seen(&evidence, 2, 1, 200).len()), (1, 0));
    assert_eq!((evidence.held, evidence.evicted()), (2, 98 * 200));
}
