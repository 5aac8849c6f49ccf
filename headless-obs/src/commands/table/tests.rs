//! The report as people see it.

use super::super::test_names;
use super::*;
use crate::expose::snapshot::{Cause, Counts, MapFill, Refusal, Spread, TopologyState};
use crate::expose::test_fixtures::{self, client, counts, endpoint, part};
use crate::testing::golden;

const PLAIN_60: Look = Look { width: 60, colours: false };
const PLAIN_80: Look = Look { width: 80, colours: false };
const PLAIN_120: Look = Look { width: 120, colours: false };

#[test]
fn a_report() {
    golden("report-60.txt", &render(&test_fixtures::snapshot(), PLAIN_60));
    golden("report-80.txt", &render(&test_fixtures::snapshot(), PLAIN_80));
    golden("report-120.txt", &render(&test_fixtures::snapshot(), PLAIN_120));
}

#[test]
fn colours() {
    let text = render(&test_fixtures::snapshot(), Look { width: 80, colours: true });
    golden("report-colours.txt", &text.replace('\u{1b}', "ESC"));
    assert_eq!(without_colours(&text), render(&test_fixtures::snapshot(), PLAIN_80));
}

/// Takes out what `ESC [ … m` says, and the blanks that were painted before a line's end.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap().to_owned();
    let plain = pieces.fold(first, |plain, piece| plain + piece.split_once('m').unwrap().1);
    plain.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn nothing_seen_says_why_that_may_be() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services.clear();
    snapshot.quality.probes.insert("dns".into(), "none".into());
    snapshot.quality.topology.synced = false;
    golden("report-nothing.txt", &render(&snapshot, PLAIN_80));
}

#[test]
fn a_topology_that_is_old_or_incomplete() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services.truncate(1);
    snapshot.quality.topology = TopologyState {
        source: "kubernetes".into(),
        stale_since: Some(test_fixtures::at(-90)),
        refused: vec![
            Refusal {
                verb: "watch".into(),
                resource: "services".into(),
                lost: "ports of Services".into(),
                ..Refusal::default()
            },
            Refusal {
                verb: "list".into(),
                resource: "pods".into(),
                namespace: "shop\u{1b}[31m".into(),
                lost: "names of clients".into(),
            },
        ],
        rejected_objects: 2,
        ..TopologyState::default()
    };
    golden("report-stale.txt", &render(&snapshot, PLAIN_80));
}

#[test]
fn services_without_connections() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services.truncate(1);
    let service = &mut snapshot.services[0];
    service.endpoints = vec![endpoint("orders-0", "ready", 0, 0), endpoint("orders-1", "not_ready", 0, 0)];
    service.clients.clear();
    service.stale.clear();
    service.idle.clear();
    service.spread = Spread::default();
    snapshot.quality.unattributed = Counts::new();
    let text = render(&snapshot, PLAIN_80);
    assert!(text.contains("No connection to any endpoint was seen"), "{text}");
    assert!(!text.contains("idle"), "nothing is idle where nobody connects: {text}");
    assert!(text.contains("not ready"), "{text}");
}

#[test]
fn losses_are_called_what_they_are() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.quality.events_lost = counts([("ring_full", 1_200)]);
    snapshot.quality.reconciled = 1_200;
    snapshot.quality.reconciled_share = 0.012;
    let text = render(&snapshot, PLAIN_120);
    assert!(
        text.contains("totals are exact: 1,200 ring_full; raise --ring-size")
            && text.contains("1,200 connections (1%)"),
        "{text}"
    );
    snapshot.quality.events_lost.insert("flows_full".into(), 3);
    snapshot.quality.maps.insert("FLOWS".into(), MapFill { entries: 100, capacity: 100 });
    let text = render(&snapshot, PLAIN_120);
    assert!(
        text.contains("Totals are too low, because events were lost: 1,200 ring_full, 3 flows_full; raise"),
        "{text}"
    );
    assert!(text.contains("Kernel map FLOWS is 100% full; raise --max-flows"), "{text}");
    assert!(!text.contains("Complete"), "{text}");
}

#[test]
fn many_pods_are_summed_up() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services.truncate(1);
    let opened = |i: u64| if i < 100 { 0 } else { i };
    let pods = 0..1_000;
    snapshot.services[0].endpoints =
        pods.clone().map(|i| endpoint(&format!("pod-{i}"), "ready", opened(i), 0)).collect();
    snapshot.services[0].idle = (0..100).map(|i| format!("pod-{i}")).collect();
    snapshot.services[0].clients =
        vec![client("web", 0.9, pods.map(|i| part(&format!("pod-{i}"), opened(i), 0)).collect())];
    let text = render(&snapshot, PLAIN_120);
    assert!(text.contains("pod-999 "), "the busiest is shown: {text}");
    assert_eq!(text.matches("ready, idle").count(), 10, "{text}");
    assert!(text.contains("… and 960 more endpoints") && text.contains("90 idle"), "{text}");
    assert!(text.contains(" +966"), "{text}");
}

#[test]
fn lines_fit_whatever_the_names_are() {
    let mut snapshot = test_fixtures::snapshot();
    let long = "a-very-long-name-\u{1b}[31m\u{202e}日本".repeat(9);
    let service = &mut snapshot.services[0];
    service.namespace = long.clone();
    service.stale.insert(long.clone(), u64::MAX);
    service.endpoints[0].pod = long.clone();
    service.endpoints[0].state = long.clone();
    service.endpoints[0].opened = 123_456_789;
    service.endpoints[1].failed.insert(long.clone(), 4);
    service.clients[0].workload = long.clone();
    service.clients[0].resolution.insert(long.clone(), 4);
    service.dns.rcodes.insert(long.clone(), 4);
    snapshot.quality.events_lost.insert(long.clone(), 4);
    snapshot.quality.probes.insert(long.clone(), long);
    for look in [PLAIN_80, PLAIN_120] {
        let text = render(&snapshot, look);
        assert!(!text.contains(['\u{1b}', '\u{202e}']));
        for line in text.lines() {
            assert!(width(line) <= look.width, "{} columns: {line}", look.width);
        }
    }
}

#[test]
fn what_is_wrong_is_listed_by_waste() {
    let mut snapshot = test_fixtures::snapshot();
    let mut worse = test_fixtures::orders();
    (worse.name, worse.waste) = ("carts".into(), 99.0);
    worse.clients[0].excluded = Some("host".into());
    snapshot.services.push(worse);
    let text = render(&snapshot, PLAIN_120);
    let (services, list) = text.split_once("What is wrong").unwrap();
    assert!(services.find("shop/carts").unwrap() < services.find("shop/orders").unwrap(), "{text}");
    let rows: Vec<Vec<&str>> = list.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["99.0", "shop/carts", "shop/web", "truncated_answer"]);
    assert_eq!(rows[1][..3], ["shop/carts", "-", "idle"], "who does not count is not in it");
    assert_eq!(rows[2][..4], ["20.0", "shop/orders", "shop/web", "truncated_answer"]);
    assert!(list.contains("`headless-obs explain shop/carts`"), "{list}");
    snapshot.services.retain(|service| service.name == "sessions");
    assert!(!render(&snapshot, PLAIN_120).contains("What is wrong"), "nothing is");
}

#[test]
fn clients_have_a_verdict_or_the_reason_why_not() {
    let mut snapshot = test_fixtures::snapshot();
    let clients = &mut snapshot.services[0].clients;
    clients[0].verdict = None;
    clients[0].withheld = Some("not_in_sync".into());
    clients[1].verdict = Some(test_fixtures::verdict(Cause::TooFew, &[], None));
    clients[1].verdict.as_mut().unwrap().needed = Some(12);
    let text = render(&snapshot, PLAIN_120);
    assert!(text.contains("(not_in_sync)") && text.contains("too_few (12 more)"), "{text}");
    assert!(text.contains("excluded: option"), "{text}");
}

#[test]
fn names_are_cut_last_at_any_width() {
    for (width, length, differ) in test_names::cases() {
        let snapshot = test_names::snapshot(length, differ);
        let text = render(&snapshot, Look { width, colours: false });
        let case = format!("{width} columns, names of {length} that differ at the {differ:?}");
        test_names::assert_fits(&text, width, &case);
        let service = &snapshot.services[0];
        let pods = test_names::table(&text, "POD", service.endpoints.len());
        pods.assert_names(&test_names::pod_names(service), &[], &case);
        pods.assert_figures(service.endpoints.iter().map(|endpoint| endpoint.opened), &case);
        let clients = test_names::table(&text, "CLIENT", service.clients.len());
        let optional = ["PODS", "COVERAGE", "ACTIVE", "RESOLVED BY"];
        clients.assert_names(&test_names::client_names(service), &optional, &case);
        clients.assert_figures(service.clients.iter().map(|client| client.opened), &case);
    }
}

#[test]
fn the_longest_names_and_figures_fit_the_narrowest_terminal() {
    for width in [0, 40, 50, 60, 80] {
        let mut snapshot = test_names::snapshot(63, test_names::Differ::End);
        for endpoint in &mut snapshot.services[0].endpoints {
            endpoint.opened = u64::MAX;
            endpoint.active = u64::MAX;
            endpoint.failed = counts([("refused", u64::MAX), ("timeout", u64::MAX)]);
        }
        snapshot.services[0].clients[0].opened = u64::MAX;
        snapshot.services[0].clients[0].workload = "日本語".repeat(20);
        snapshot.services[1].name = "日本語".repeat(20);
        let text = render(&snapshot, Look { width, colours: false });
        test_names::assert_fits(&text, width.max(MIN_WIDTH), "the longest");
        assert!(text.contains("18,446,744,073,709,551,615"), "{text}");
    }
}

#[test]
fn long_names_at_usual_widths() {
    let snapshot = test_names::snapshot(40, test_names::Differ::End);
    for width in [60, 100, 160] {
        golden(&format!("report-long-{width}.txt"), &render(&snapshot, Look { width, colours: false }));
    }
}

#[test]
fn a_daemon_that_stands_by_says_so_and_calls_nothing_complete() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.quality = crate::expose::snapshot::Quality { stands_by: true, ..Default::default() };
    snapshot.services.iter_mut().for_each(|service| service.endpoints.clear());
    let text = render(&snapshot, Look { width: 80, colours: false });
    assert!(text.contains("This daemon stands by"), "{text}");
    assert!(!text.contains("Complete") && !text.contains("observe longer"), "{text}");
    let part = crate::expose::snapshot::NodeStatus::of(&snapshot);
    assert!(part.missing.is_some_and(|why| why.contains("stands by")));
}

#[test]
fn what_the_source_refuses_is_said() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.quality.topology.problem = Some("b.yaml: document 1: unclosed bracket".to_owned());
    let text = render(&snapshot, Look { width: 120, colours: false });
    assert!(text.contains("Not read from") && text.contains("b.yaml"), "{text}");
    snapshot.quality.topology.stale_since = Some(snapshot.to);
    let text = render(&snapshot, Look { width: 120, colours: false });
    assert!(text.contains("is refused") && !text.contains("unreachable"), "{text}");
}
