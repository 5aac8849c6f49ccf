//! Limits, ignored destinations, and figures about the daemon itself.

use super::*;
use crate::topology::test_builders::service as object;

const LONG: Duration = Duration::from_secs(600);

fn bored(world: &mut World) -> Vec<String> {
    world.engine.take_ignore_updates().add.iter().map(ToString::to_string).collect()
}

fn unbored(world: &mut World) -> Vec<String> {
    world.engine.take_ignore_updates().remove.iter().map(ToString::to_string).collect()
}

#[test]
fn destinations_that_cannot_matter_are_ignored_and_others_only_in_time() {
    let mut world = World::new([orders(&pods(1))]);
    world.apply(object("shop", "front").cluster_ip("10.96.0.7"));
    let _ = world.engine.take_ignore_updates();
    for address in ["127.0.0.1", "10.96.0.7", "192.0.2.1", "10.0.0.1", "fd00::9"] {
        world.connect(1, address);
    }
    assert_eq!(bored(&mut world), ["127.0.0.1", "10.96.0.7"]);
    world.pass(LONG);
    for address in ["192.0.2.1", "10.0.0.1"] {
        world.connect(1, address);
    }
    assert_eq!(bored(&mut world), ["192.0.2.1"]);
}

#[test]
fn what_becomes_somebodys_or_is_named_is_no_longer_ignored() {
    let mut world = World::new([orders(&pods(1))]);
    for address in ["10.0.0.8", "10.0.0.9"] {
        world.connect(1, address);
        world.pass(LONG);
        world.connect(1, address);
    }
    assert_eq!(bored(&mut world), ["10.0.0.8", "10.0.0.9"]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.9"]);
    assert_eq!(unbored(&mut world), ["10.0.0.9"]);
    world.apply(orders(&[ready("p-8", "10.0.0.8")]));
    assert_eq!(unbored(&mut world), ["10.0.0.8"]);
}

#[test]
fn where_services_are_learnt_what_could_be_one_is_never_ignored() {
    let learner = Some(Learner::new(crate::topology::learned::LearnConfig::default()));
    let mut world = World::with(Config { learner, ..config() }, []);
    for address in ["192.0.2.1", "10.0.0.1"] {
        world.connect(1, address);
        world.pass(LONG);
        world.connect(1, address);
    }
    assert_eq!(bored(&mut world), ["192.0.2.1"]);
}

#[test]
fn evidence_that_there_is_no_room_for_is_counted() {
    let answer_cache = crate::answer_cache::Config { addresses: 3, ..Default::default() };
    let mut world = World::with(Config { answer_cache, ..config() }, [orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.resolve(2, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.1");
    world.connect(2, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 none=1", "client-2 service=1"]);
    assert_eq!(world.snapshot().quality.events_lost["answers_evicted"], 2);
}

#[test]
fn evidence_outlives_its_ttl_but_not_a_client_that_is_silent_for_a_day() {
    let mut world = World::new([orders(&pods(1))]);
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    for _ in 0..3 {
        world.pass(hours(23));
        let now = world.time();
        world.engine.expire(now);
        world.connect(1, "10.0.0.1");
    }
    assert_eq!(world.clients("orders"), ["client-1 service=3"], "it never asks again and is not silent");
    world.pass(hours(24));
    let now = world.time();
    world.engine.expire(now);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 none=1 service=3"]);
}

#[test]
fn clients_that_there_is_no_room_for_are_one() {
    let mut world = World::with(Config { cells: 1, ..config() }, [orders(&pods(1))]);
    for client in [1, 2, 3] {
        world.connect(client, "10.0.0.1");
    }
    assert_eq!(world.clients("orders"), ["client-1 none=1", "~other none=2"]);
    assert_eq!(world.rows("orders"), ["orders-0 3/0/0/3"]);
    assert_eq!(world.snapshot().quality.events_lost["clients_folded"], 2);
}

#[test]
fn quality_says_what_was_lost_and_what_was_left_out() {
    let mut world = World::new([orders(&pods(1))]);
    world.apply(Change::Synced(true));
    let quality = world.snapshot().quality;
    assert_eq!((quality.events_lost["ring_full"], quality.events_lost["record_unknown"]), (6, 8));
    assert!(
        !quality.events_lost.contains_key("ignored") && !quality.events_lost.contains_key("dns_not_answer")
    );
    assert_eq!(quality.excluded["ignored"], 5);
    let refused = Counts::from([("unsolicited".to_owned(), 9), ("other_server".to_owned(), 10)]);
    assert_eq!(quality.dns_refused, refused);
    assert!(!quality.events_lost.keys().any(|name| name.contains("asked") || name.contains("other_server")));
    assert_eq!((quality.reconciled, quality.reconciled_share), (0, 0.0));
    assert_eq!((quality.topology.source.as_str(), quality.topology.synced), ("files", true));
    let unattributed: Vec<_> = quality.unattributed.keys().map(String::as_str).collect();
    assert_eq!(unattributed, ["ambiguous", "no_dns", "not_endpoint", "other_name", "other_port", "removed"]);
}
