//! The attempts that count as selections, the facts that an answer adds, and the order of forgetting.

use super::*;
use crate::attribution::AnswerRef;
use crate::service_resolution::Resolution;
use crate::topology::EndpointRef;
use crate::windowed::Stretch;

const LIMIT: usize = 64;
const ME: ClientServiceKey = (ClientId(1), WorkloadId(1), ServiceId(1));

fn s(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

fn used_answer(at: u64, position: u16) -> AnswerRef {
    AnswerRef { at: s(at), position, size: 4, ttl: 5, truncated: false, nearest: 1, is_near: position == 2 }
}

fn target(endpoint: u32, used_answer: AnswerRef) -> Target {
    let endpoint = EndpointRef { service: ServiceId(1), endpoint: EndpointId(endpoint) };
    Target {
        endpoint,
        resolution: Resolution::Service,
        used_answer: Some(used_answer),
        stale: None,
        is_other_port: false,
    }
}

fn by(process: u32, is_ipv6: bool) -> Attempt {
    Attempt { scope: ClientId(1), process, service: ServiceId(1), is_ipv6 }
}

/// Whether it is a selection.
fn dial(client_stats: &mut ClientStatsTable, who: Attempt, target: &Target, at: u64) -> bool {
    client_stats.record_connect(ME, who, target, s(at), false, || "thread".into()).is_selection
}

#[test]
fn the_first_connection_of_a_process_by_an_answer_is_a_selection() {
    let mut client_stats = ClientStatsTable::new(LIMIT);
    let mut dial = |process, is_ipv6, answered| {
        dial(&mut client_stats, by(process, is_ipv6), &target(1, used_answer(answered, 0)), 20)
    };
    assert!(dial(1, false, 10), "the first");
    assert!(!dial(1, false, 10), "by the same answer");
    assert!(dial(2, false, 10), "another process");
    assert!(dial(1, true, 11), "another family has its own answers");
    assert!(!dial(1, false, 10), "that changes nothing for the first one");
    assert!(dial(1, false, 12), "looked up again");
    assert!(!dial(1, false, 10), "an older answer is none that was chosen from anew");
}

#[test]
fn places_are_held_against_chance() {
    let mut client_stats = ClientStatsTable::new(LIMIT);
    for (answered, position) in [(1, 0), (2, 2), (3, 2), (4, 1)] {
        for (place, position) in [(position.into(), position), (3, 3)] {
            dial(&mut client_stats, by(1, false), &target(place, used_answer(answered, position)), answered);
        }
    }
    let mut facts = ClientStats::default();
    let (_, connect_stats, answered) = client_stats.all().next().unwrap();
    facts.add(ClientId(1), Stretch::All, connect_stats, answered);
    let choice = facts.choice();
    assert_eq!((choice.selections, choice.first, choice.first_by_chance), (4, 1, 1.0));
    assert_eq!((choice.nearest_candidates, choice.nearest, choice.nearest_by_chance), (4, 2, 1.0));
    assert_eq!((choice.with_known_position, choice.max_position, choice.smallest_answer), (8, 3, 4));
    assert_eq!(
        (choice.max_endpoints, choice.pods, choice.pods_on_one, choice.max_connects_per_answer),
        (4, 1, 0, 2)
    );
}

#[test]
fn ages_are_held_against_the_ttl() {
    let mut client_stats = ClientStatsTable::new(LIMIT);
    for at in [10, 14, 17, 100] {
        dial(&mut client_stats, by(1, false), &target(1, used_answer(10, 0)), at);
    }
    // The sums keep the counts of a forgotten pod.
    client_stats.connect_stats.clear();
    let (_, totals) = client_stats.sums().next().unwrap();
    let age = totals.sums.total().answer_age();
    assert_eq!((age.histogram.count, age.histogram.sum, age.histogram.zero), (4, 101.0, 1));
    assert_eq!((age.within_ttl, age.past_ttl, age.max_seconds), (2, 2, 90.0));
    let buckets: Vec<_> = age.buckets.iter().map(|(bound, count)| (bound.as_str(), *count)).collect();
    assert_eq!(buckets, [("1", 1), ("30", 1), ("300", 1), ("5", 1)]);
}

#[test]
fn without_room_those_go_that_were_silent_for_longest() {
    let mut client_stats = ClientStatsTable::new(LIMIT);
    let all = u32::try_from(LIMIT).unwrap() + 1;
    for pod in 0..all {
        client_stats.connect_stats((ClientId(pod), WorkloadId(1), ServiceId(1)), s(pod.into()));
    }
    assert_eq!(client_stats.evicted(), (LIMIT / 8) as u64);
    let oldest = client_stats.all().map(|((scope, ..), ..)| scope.0).min();
    assert_eq!(oldest, Some(all / 8));
    client_stats.expire(s(u64::from(all) + 5), Duration::from_secs(10), |_| true, |_, _| None);
    assert_eq!(client_stats.all().count(), 4);
}

#[test]
fn who_asks_for_everything_takes_the_room_of_nobody_else() {
    let mut client_stats = ClientStatsTable::new(LIMIT);
    // One client whose two Services are the oldest, and one client that keeps adding.
    for service in [1, 2] {
        client_stats.connect_stats((ClientId(1), WorkloadId(1), ServiceId(service)), s(1));
    }
    for service in 0..1_000 {
        client_stats
            .connect_stats((ClientId(2), WorkloadId(2), ServiceId(service)), s(2 + u64::from(service)));
    }
    let quiet = client_stats.all().filter(|((scope, ..), ..)| *scope == ClientId(1)).count();
    let sums = client_stats.sums().filter(|((workload, _), _)| *workload == WorkloadId(1)).count();
    assert_eq!((quiet, sums), (2, 2));
    assert!(client_stats.all().count() <= LIMIT && client_stats.evicted() > 900);
}
