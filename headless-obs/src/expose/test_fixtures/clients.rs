//! The clients of shop/orders, with their pods.

use super::super::snapshot::{
    AnswerAge, Cause, Client, ClientAnswers, ClientPod, Confidence, Ends, OtherPods, PodEndpoint, Readings,
    Responses, SelectionPattern, StaleTarget, Verdict,
};
use super::{at, client, counts, histogram, part, responses, spread, verdict};
use crate::worst_pods::{beyond_share, busiest};

/// A pod of a client with these connections and open ones at endpoints, of three that are ready.
pub(crate) fn client_pod(pod: &str, made: &[(&str, u64, u64)]) -> ClientPod {
    let row = |(pod, opened, active): &(&str, u64, u64)| PodEndpoint {
        pod: (*pod).to_owned(),
        opened: *opened,
        failed: 0,
        active: *active,
    };
    let endpoints: Vec<PodEndpoint> = made.iter().map(row).collect();
    let [opened, active] =
        [|at: &PodEndpoint| at.opened, |at: &PodEndpoint| at.active].map(|of| endpoints.iter().map(of).sum());
    ClientPod {
        pod: pod.into(),
        opened,
        active,
        used: endpoints.len() as u64,
        beyond_share: beyond_share(&endpoints, opened.max(active), 3),
        endpoints: busiest(endpoints),
        ..ClientPod::default()
    }
}

pub(super) fn cron() -> Client {
    let mut taken = part("orders-0", 200, 4);
    taken.failed = 3;
    taken.reasons = counts([("refused", 2), ("timeout", 1)]);
    taken.selections = 203;
    taken.connect_times.seconds =
        histogram(&[[0.000_488_281_25; 198].as_slice(), &[0.001_953_125, 1.0]].concat());
    taken.round_trips.seconds = histogram(&[0.000_488_281_25; 2]);
    taken.readings = Readings {
        connections: 4,
        measured: 4,
        mean_rtt_us: 612.5,
        max_rtt_us: 1_400,
        least_rtt_us: 220,
        unacknowledged_bytes: 96,
        ..Readings::default()
    };
    taken.syns_retransmitted = 1;
    let mut idle = part("orders-2", 0, 0);
    let mut left = part("orders-3", 12, 0);
    left.selections = 12;
    for (part, first, last) in [(&mut taken, 17, 29), (&mut left, 2, 16)] {
        part.answered_pods = 1;
        part.last_answered = Some(at(last));
        part.first_connection = Some(at(first));
        part.last_connection = Some(at(last));
    }
    left.drained_seconds = Some(12.0);
    (idle.answered_pods, idle.last_answered) = (1, Some(at(29)));
    taken.ports[0].failed = taken.reasons.clone();
    let pod = ClientPod {
        failed: 3,
        oldest_open: Some(at(24)),
        last_answered: Some(at(29)),
        program: Some("php".into()),
        ..client_pod("cron-29-xk2", &[("orders-0", 200, 4), ("orders-3", 12, 0)])
    };
    Client {
        by_pod: vec![ClientPod {
            endpoints: pod
                .endpoints
                .iter()
                .map(|at| PodEndpoint { failed: at.active.min(3), ..at.clone() })
                .collect(),
            ..pod
        }],
        since: Some(at(2)),
        responses: vec![
            responses("noerror", "udp", 212),
            responses("noerror", "tcp", 3),
            responses("nxdomain", "udp", 3),
        ],
        stale_kinds: counts([("removed", 12), ("grace", 1)]),
        ends: Ends {
            by: counts([("client", 207), ("server", 1)]),
            lifetimes: histogram(&[[0.5; 200].as_slice(), &[2.0; 8]].concat()),
        },
        answer_age: AnswerAge {
            within_ttl: 215,
            max_seconds: 0.75,
            buckets: counts([("1", 215)]),
            histogram: histogram(&[[0.0; 213].as_slice(), &[0.25, 0.75]].concat()),
            ..AnswerAge::default()
        },
        answer_position: counts([("0", 215)]),
        program: Some("php".into()),
        pods: 1,
        spread: spread(&[200, 0, 0]),
        selections: spread(&[203, 0, 0]),
        open: spread(&[4, 0, 0]),
        answers: ClientAnswers {
            count: 215,
            smallest: 3,
            largest: 4,
            ttl_seconds: 30,
            last_ttl_seconds: 5,
            first: Some(at(2)),
            last: Some(at(29)),
            last_of_oldest: Some(at(29)),
            interval_seconds: Some(0.126),
            intervals: 214,
            first_records: counts([("orders-0", 203), ("orders-3", 12)]),
            ..ClientAnswers::default()
        },
        selection_pattern: SelectionPattern {
            selections: 215,
            first: 215,
            first_by_chance: 70.7,
            with_known_position: 215,
            smallest_answer: 3,
            max_endpoints: 2,
            pods: 1,
            max_connects_per_answer: 1,
            ..SelectionPattern::default()
        },
        stale: vec![StaleTarget {
            unresolved: 0,
            pod: "orders-3".into(),
            kind: "removed".into(),
            connections: 12,
            answered_after: 12,
            past_ttl: 0,
            seconds: 12.0,
            current_owner: None,
        }],
        verdict: Some(verdict(
            Cause::AnswerOrder,
            &[
                "215 of 215 selections took the first address of their answer; random choice would give 71.",
                "orders-0 was first in 203 of 215 answers; shuffled answers would give 72.",
            ],
            Some("Let the DNS server shuffle: `loadbalance` in CoreDNS; or select at random in the client."),
        )),
        ..client("cron", 1.0 / 3.0, vec![taken, part("orders-1", 0, 0), idle, left])
    }
}

pub(super) fn web() -> Client {
    let mut by_hostname = part("orders-1", 210, 2);
    by_hostname.counted = 200;
    by_hostname.resolution = counts([("service", 200), ("hostname", 10)]);
    by_hostname.ports[0].opened = by_hostname.resolution.clone();
    let mut first = part("orders-0", 200, 1);
    for part in [&mut first, &mut by_hostname] {
        part.selections = 1;
        part.answered_pods = 2;
        part.last_answered = Some(at(1));
        part.first_connection = Some(at(1));
        part.last_connection = Some(at(30));
    }
    let pods = [
        client_pod("web-5c7-bb1", &[("orders-1", 200, 2)]),
        client_pod("web-5c7-aa9", &[("orders-0", 199, 1), ("orders-1", 10, 0)]),
    ];
    Client {
        by_pod: pods
            .map(|pod| ClientPod { last_answered: Some(at(1)), program: Some("node".into()), ..pod })
            .into(),
        other_pods: OtherPods { pods: 1, opened: 1, ..OtherPods::default() },
        since: Some(at(1)),
        responses: vec![Responses { truncated: true, ..responses("noerror", "udp", 1) }],
        convergence: histogram(&[3.0, 700.0]),
        answer_position: counts([("0", 200), ("1", 200)]),
        program: Some("node".into()),
        pods: 2,
        spread: spread(&[200, 200, 0]),
        selections: spread(&[1, 1, 0]),
        open: spread(&[1, 2, 0]),
        answers: ClientAnswers {
            count: 1,
            truncated: 1,
            truncated_used: 400,
            smallest: 2,
            largest: 2,
            ttl_seconds: 30,
            last_ttl_seconds: 30,
            first: Some(at(1)),
            last: Some(at(1)),
            last_of_oldest: Some(at(1)),
            first_records: counts([("orders-0", 1)]),
            ..ClientAnswers::default()
        },
        selection_pattern: SelectionPattern {
            selections: 2,
            first: 1,
            first_by_chance: 1.0,
            with_known_position: 400,
            max_position: 1,
            smallest_answer: 2,
            max_endpoints: 2,
            pods: 2,
            max_connects_per_answer: 200,
            ..SelectionPattern::default()
        },
        verdict: Some(Verdict {
            confidence: Confidence::Medium,
            ..verdict(
                Cause::TruncatedAnswer,
                &["400 of 400 connections used a truncated answer; it listed 2 of 3 endpoints."],
                Some("Let the resolver repeat the query over TCP, or query with EDNS."),
            )
        }),
        ..client("web", 2.0 / 3.0, vec![first, by_hostname, part("orders-2", 0, 0), part("orders-3", 0, 0)])
    }
}
