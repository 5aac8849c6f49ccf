//! The page of hand-made snapshots. tests/tests/page opens one in a browser.

use super::*;
use crate::expose::snapshot::{Counts, History, NodeStatus, Service};
use crate::expose::test_fixtures::{self, client, endpoint, part};

fn page() -> String {
    render(&test_fixtures::snapshot(), Place::File)
}

#[test]
fn it_needs_nothing_and_runs_nothing() {
    let page = page();
    for forbidden in
        ["<script", "javascript:", "http://", "https://", "@import", "url(", " style=", " onload"]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(!page.contains("href=\"/"), "a file leads nowhere");
    let live = render(&test_fixtures::snapshot(), Place::Daemon);
    for path in ["/metrics", "/api/v1/snapshot", "/readyz", "/healthz"] {
        assert!(live.contains(&format!("href=\"{path}\"")), "{path}");
    }
    assert!(!live.contains("http-equiv=\"refresh\""), "it does not move under a reader");
}

#[test]
fn verdicts_come_with_evidence_and_fix_and_the_worst_service_first() {
    let page = page();
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in {page}"));
    assert!(place("id=\"s0-name\">shop/orders") < place("id=\"s1-name\">shop/sessions"));
    for text in [
        "answer_order",
        "215 of 215 selections took the first address",
        "Let the DNS server shuffle",
        "docs/verdicts.md#answer_order",
        "1 of 3 endpoints gets no connections: orders-2",
        "orders-3 was removed",
        "first DNS answer 2026-01-01 00:00:01; first connection 2026-01-01 00:00:02",
        "Probes not attached: existing",
    ] {
        place(text);
    }
}

#[test]
fn zones_have_a_matrix_where_there_are_several() {
    let page = page();
    let places: Vec<_> = page.match_indices("<h3>Zones</h3>").map(|(place, _)| place).collect();
    let [zones] = places[..] else { panic!("shop/sessions has one zone: {places:?}") };
    let section = &page[zones..][..2_000];
    let text = "34% of the bytes and 210 of 610 connections crossed zones: zone-a to zone-b 441,000 bytes.";
    assert!(section.contains(text), "{section}");
    let cells =
        ["to zone-a</th>", "to zone-b</th>", "to not known</th>", "840,000 <small>64%, 400 connections"];
    for cell in cells {
        assert!(section.contains(cell), "{cell}: {section}");
    }
}

#[test]
fn names_cannot_do_anything() {
    let evil = "</title></style><img src=x onerror=alert(1)>\"'&\u{202e}\u{1b}]0;x\u{7}";
    let mut snapshot = test_fixtures::snapshot();
    snapshot.node = evil.into();
    snapshot.nodes = vec![NodeStatus::missing(evil, evil)];
    snapshot.quality.events_lost = [(evil.to_owned(), 3)].into();
    snapshot.quality.maps.insert(evil.into(), crate::expose::snapshot::MapFill::default());
    snapshot.quality.probes.insert(evil.into(), evil.into());
    snapshot.quality.topology.source = evil.into();
    let service = &mut snapshot.services[0];
    service.zones.matrix.iter_mut().for_each(|row| row.to = Some(evil.into()));
    service.history = History {
        step_seconds: 1,
        from: test_fixtures::at(0),
        opened: [(evil.to_owned(), vec![1, 2])].into(),
    };
    (service.namespace, service.name) = (evil.into(), evil.into());
    service.idle = vec![evil.into()];
    let bad: Counts = [(evil.to_owned(), 3)].into();
    (service.stale, service.dns.rcodes, service.dns.transports) = (bad.clone(), bad.clone(), bad.clone());
    let of = &mut service.endpoints[0];
    (of.pod, of.state, of.addresses, of.failed) = (evil.into(), evil.into(), vec![evil.into()], bad.clone());
    let web = &mut service.clients[1];
    (web.namespace, web.workload, web.program) = (evil.into(), evil.into(), Some(evil.into()));
    web.answer_position = bad;
    let verdict = web.verdict.as_mut().unwrap();
    (verdict.evidence, verdict.fix) = (vec![evil.into()], Some(evil.into()));
    let other = &mut service.clients[0];
    (other.verdict, other.withheld) = (None, Some(evil.into()));
    let mut excluded = other.clone();
    excluded.excluded = Some(evil.into());
    service.clients.push(excluded);
    let page = render(&snapshot, Place::Daemon);
    assert!(page.matches("&lt;img src=x").count() > 20, "{}", page.matches("&lt;img").count());
    assert!(!page.contains("<img") && !page.contains(['\u{202e}', '\u{1b}', '\u{7}']));
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("\"'&amp;").count(), 0, "also within attributes");
}

#[test]
fn of_several_nodes_it_says_which_are_missing() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.node = "n1, n2".into();
    snapshot.nodes =
        vec![NodeStatus::of(&test_fixtures::snapshot()), NodeStatus::missing("n3", "connection refused")];
    let page = render(&snapshot, Place::File);
    assert!(page.contains("<h1>Headless Services on nodes n1, n2</h1>"), "{page}");
    assert!(page.contains(
        "No data from 1 of 2 nodes (50%); their clients are not included: n3: connection refused."
    ));
}

/// A Service with many endpoints and clients, and with all buckets of its history in use.
fn large(pods: u64, clients: usize) -> Service {
    let name = |n: u64| format!("pod-{n}");
    let parts: Vec<_> = (0..pods).map(|n| part(&name(n), 0, 0)).collect();
    let clients = (0..clients).map(|n| {
        let mut parts = parts.clone();
        (parts[n].opened, parts[n].counted) = (1, 1);
        client(&format!("client-{n}"), 0.1, parts)
    });
    Service {
        namespace: "shop".into(),
        name: "large".into(),
        waste: 1_000.0,
        endpoints: (0..pods).map(|n| endpoint(&name(n), "ready", n % 7, 0)).collect(),
        clients: clients.collect(),
        history: History {
            step_seconds: 1,
            from: test_fixtures::at(0),
            opened: (0..pods).map(|n| (name(n), vec![n + 1; History::BUCKETS])).collect(),
        },
        ..Service::default()
    }
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services =
        (0..500).map(|n| Service { name: format!("s{n}"), ..test_fixtures::orders() }).collect();
    snapshot.services.push(large(10_000, 2));
    snapshot.services.push(large(500, 500));
    let page = render(&snapshot, Place::File);
    for text in [
        "… and 302 more Services",
        "… and 9,968 more endpoints",
        ">9,984 others<",
        ">476 other clients<",
        "… and 460 more clients",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // No page is larger than this one.
    snapshot.services = std::iter::repeat_n(large(60, 50), SERVICES + 1).collect();
    let page = render(&snapshot, Place::File);
    assert!(page.len() < 5 << 20, "{} bytes", page.len());
}

#[test]
fn nothing_is_a_page_too() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services.clear();
    assert!(render(&snapshot, Place::File).contains("No headless Service was seen"));
    snapshot.services = vec![Service { name: "quiet".into(), ..Service::default() }];
    assert!(render(&snapshot, Place::File).contains("This Service has no endpoints"));
}
