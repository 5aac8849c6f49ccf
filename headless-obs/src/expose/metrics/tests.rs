//! The exposition is valid for any snapshot, and has exactly the snapshot's values, in each format.

use std::collections::BTreeMap;

use prost::Message as _;

use super::cardinality::{Detail, Plan};
use super::protobuf::MetricFamily;
use super::*;
use crate::expose::snapshot::{OtherPort, Refusal, Snapshot};
use crate::expose::test_fixtures::{self, client, endpoint, part};

mod docs;
pub(super) mod strict;

use strict::Exposition;

fn text(scrape: impl Into<Scrape>, format: Format) -> String {
    String::from_utf8(encode(Arc::new(scrape.into()), format).unwrap()).unwrap()
}

fn open(scrape: impl Into<Scrape>) -> Exposition {
    Exposition::parse(&text(scrape, Format::OpenMetrics))
}

fn families(scrape: impl Into<Scrape>) -> Vec<MetricFamily> {
    let bytes = encode(Arc::new(scrape.into()), Format::Protobuf).unwrap();
    let mut rest = bytes.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    families
}

#[test]
fn exposition_of_the_sample() {
    let text = text(test_fixtures::snapshot(), Format::OpenMetrics);
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let revision = option_env!("HEADLESS_OBS_REVISION").unwrap_or("unknown");
    let text = text.replace(&format!("revision=\"{revision}\""), "revision=\"REVISION\"");
    crate::testing::golden("metrics.txt", &text);
    Exposition::parse(&text);
}

/// A snapshot whose every name is hostile.
fn hostile(name: &str) -> Snapshot {
    let mut snapshot = test_fixtures::snapshot();
    for service in &mut snapshot.services {
        service.namespace = name.into();
        service.endpoints.iter_mut().for_each(|endpoint| endpoint.zone = Some(name.into()));
        service.clients.iter_mut().for_each(|client| client.workload = name.into());
    }
    snapshot.services[0].endpoints[0].pod = name.into();
    snapshot.services[0].clients[0].endpoints[0].pod = name.into();
    snapshot.quality.events_lost.insert(name.into(), 7);
    snapshot
}

#[test]
fn hostile_names_leave_every_format_valid_and_whole() {
    let cut = String::from_utf8_lossy(b"\xff\xfe\xc3(\x80").into_owned();
    for name in [
        "a\"b\\c\nd{e}=\"f\",g 1 # EOF\r\u{1b}[31m\u{202e}é",
        "\n# TYPE headless_connections_opened gauge\n",
        "\\",
        "\"",
        "} 1",
        "\\n",
        "# EOF\n",
        " ",
        &"x".repeat(253),
        &cut,
        "\0",
    ] {
        let lost = |of: &BTreeMap<String, String>| of.get("reason").is_some_and(|reason| reason == name);
        let samples = open(hostile(name)).samples;
        let found = samples
            .iter()
            .find(|sample| sample.name == "headless_observer_events_lost_total" && lost(&sample.labels));
        assert_eq!(found.map(|sample| sample.value), Some(7.0), "{name:?}");

        let plain = text(hostile(name), Format::Plain);
        let lines = plain.lines().filter(|line| !line.starts_with('#')).count();
        let values = samples.iter().filter(|sample| !sample.name.ends_with("_created")).count();
        assert_eq!(lines, values, "{name:?}: no label breaks a line");

        let families = families(hostile(name));
        let family = families.iter().find(|family| family.name == "headless_observer_events_lost_total");
        let metrics = &family.unwrap().metrics;
        let found = metrics.iter().find(|metric| metric.labels[0].value == name).unwrap();
        assert_eq!(found.counter.as_ref().unwrap().value, 7.0);
    }
}

#[test]
fn every_format_has_the_same_series() {
    let open = open(test_fixtures::snapshot());
    let told = open.samples.iter().filter(|sample| !sample.name.ends_with("_created"));
    let plain = text(test_fixtures::snapshot(), Format::Plain);
    let lines = plain.lines().filter(|line| !line.starts_with('#')).count();
    let in_protobuf: usize = families(test_fixtures::snapshot())
        .iter()
        .flat_map(|family| &family.metrics)
        .map(|metric| metric.histogram.as_ref().map_or(1, |histogram| histogram.classic.len() + 2))
        .sum();
    let series = open.value("headless_observer_series", &[]);
    let all = told.count();
    assert_eq!((lines, in_protobuf, series), (all, all, all as f64));
}

#[test]
fn counters_and_histograms_tell_when_they_began() {
    let open = open(test_fixtures::snapshot());
    let cron = [("client_workload", "cron"), ("pod", "orders-2"), ("resolution", "service")];
    assert_eq!(open.value("headless_connections_opened_total", &cron), 0.0, "born at zero");
    let since = test_fixtures::at(2).as_second() as f64;
    assert_eq!(open.value("headless_connections_opened_created", &cron), since);
    assert_eq!(open.value("headless_dns_answer_age_seconds_created", &cron[..1]), since);
    let from = test_fixtures::at(0).as_second() as f64;
    assert_eq!(open.value("headless_observer_reconciled_connections_created", &[]), from);

    let families = families(test_fixtures::snapshot());
    let opened = families.iter().find(|family| family.name == "headless_connections_opened_total").unwrap();
    let starts: Vec<_> = opened.metrics.iter().map(|metric| metric.counter.clone().unwrap().start).collect();
    assert!(starts.iter().all(Option::is_some));
    assert_eq!(starts[0].as_ref().map(|start| start.seconds), Some(test_fixtures::at(2).as_second()));
}

#[test]
fn native_and_classic_buckets_are_of_the_same_values() {
    let families = families(test_fixtures::snapshot());
    let ratio = families.iter().find(|family| family.name == "headless_dns_answer_endpoints_ratio").unwrap();
    let histogram = ratio.metrics[0].histogram.clone().unwrap();
    assert_eq!((histogram.count, histogram.sum, histogram.schema, histogram.zero_count), (4, 3.25, 3, 0));
    // 0.5 is in bucket -8, 0.75 in -3, and twice 1 in 0.
    let spans: Vec<_> = histogram.spans.iter().map(|span| (span.offset, span.length)).collect();
    assert_eq!((spans, histogram.deltas), (vec![(-8, 1), (4, 1), (2, 1)], vec![1, 0, 1]));
    let half = histogram.classic.iter().find(|bucket| bucket.bound == 0.5).unwrap();
    assert_eq!(half.up_to, 1);
    let last = histogram.classic.last().unwrap();
    assert_eq!((last.up_to, last.bound), (4, f64::INFINITY));
}

#[test]
fn a_pod_that_came_back_under_its_name_is_one_series() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services[0].endpoints = vec![
        endpoint("db-0", "removed", 5, 0),
        endpoint("db-0", "ready", 7, 2),
        endpoint("db-0", "removed", 1, 0),
    ];
    snapshot.services[0].clients = vec![client("web", 1.0, vec![part("db-0", 5, 0), part("db-0", 7, 2)])];
    let open = open(snapshot);
    assert_eq!(open.value("headless_connections_opened_total", &[("pod", "db-0")]), 12.0);
    assert_eq!(open.value("headless_endpoint_ready", &[("pod", "db-0")]), 1.0);
}

#[test]
fn services_without_clients_have_no_series() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services[0].clients.clear();
    let open = open(snapshot);
    let of_orders =
        |sample: &&strict::Sample| sample.labels.get("service").is_some_and(|name| name == "orders");
    assert_eq!(open.samples.iter().find(of_orders), None);
}

#[test]
fn whoever_was_only_answered_has_answers_and_no_edges() {
    let mut snapshot = test_fixtures::snapshot();
    let resolver = &mut snapshot.services[0].clients[0];
    resolver.endpoints.iter_mut().for_each(|own| *own = part(&own.pod, 0, 0));
    (resolver.opened, resolver.failed, resolver.active) = (0, 0, 0);
    resolver.resolution.clear();
    let open = open(snapshot);
    let families: std::collections::BTreeSet<_> = open
        .samples
        .iter()
        .filter(|sample| sample.labels.get("client_workload").is_some_and(|name| name == "cron"))
        .map(|sample| sample.name.as_str())
        .collect();
    assert_eq!(
        families.into_iter().collect::<Vec<_>>(),
        ["headless_dns_responses_created", "headless_dns_responses_total"]
    );
}

#[test]
fn wrong_ports_and_verdicts() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.services[0].clients[0].other_ports = vec![OtherPort {
        port: 80,
        connections: 2,
        opened: 0,
        failed: 2,
        of_service: true,
        use_port: Some(8080),
    }];
    let open = open(snapshot);
    assert_eq!(
        open.value("headless_port_mismatch_total", &[("client_workload", "cron"), ("port", "80")]),
        2.0
    );
    let verdict = |cause| open.value("headless_client_verdict", &[("cause", cause)]);
    assert_eq!((verdict("answer_order"), verdict("withheld:excluded")), (1.0, 1.0));
}

/// The sample with its first Service folded; its clients are one, as the engine would report them.
fn folded(detail: Detail) -> Scrape {
    let mut snapshot = test_fixtures::snapshot();
    let clients = std::mem::take(&mut snapshot.services[0].clients);
    let mut all = clients[0].clone();
    (all.namespace, all.workload) = (String::new(), String::new());
    (all.verdict, all.withheld) = (None, None);
    for (own, other) in all.endpoints.iter_mut().zip(&clients[1].endpoints) {
        own.active += other.active;
        own.selections += other.selections;
        own.ports.extend(other.ports.clone());
    }
    if detail < Detail::Nothing {
        snapshot.services[0].clients = vec![all];
    }
    Scrape::new(snapshot, vec![Plan { detail, folded: 8 }, Plan::default()], Vec::new())
}

#[test]
fn what_is_folded_loses_names_and_no_counts() {
    let whole = open(test_fixtures::snapshot());
    let of_orders: &[(&str, &str)] = &[("service", "orders")];
    let opened = |open: &Exposition, labels: &[(&str, &str)]| {
        open.sum("headless_connections_opened_total", &[labels, of_orders].concat())
    };
    let failed = |open: &Exposition| open.sum("headless_connect_failures_total", of_orders);
    for detail in [Detail::Endpoints, Detail::Essentials, Detail::Service] {
        let open = open(folded(detail));
        assert_eq!(opened(&open, &[]), opened(&whole, &[]), "{detail:?}");
        assert_eq!(failed(&open), failed(&whole), "{detail:?}");
        assert_eq!(opened(&open, &[("client_workload", "cron")]), 0.0);
        assert_eq!(open.value("headless_series_folded_total", of_orders), 8.0);
        if detail < Detail::Service {
            let pod = [("pod", "orders-1")];
            assert_eq!(opened(&open, &pod), opened(&whole, &pod), "{detail:?}");
        }
    }
    let pods = |detail, family: &str| {
        let open = open(folded(detail));
        let of = |sample: &&strict::Sample| sample.name == family && sample.labels["service"] == "orders";
        let mut pods: Vec<_> =
            open.samples.iter().filter(of).map(|sample| sample.labels["pod"].clone()).collect();
        pods.dedup();
        pods.len()
    };
    let details = [Detail::Endpoints, Detail::Essentials, Detail::Service, Detail::Nothing];
    assert_eq!(details.map(|detail| pods(detail, "headless_connections_opened_total")), [4, 4, 1, 0]);
    let path = |detail| {
        let open = open(folded(detail));
        let of = |sample: &&strict::Sample| {
            sample.name == "headless_connect_seconds_count" && sample.labels["service"] == "orders"
        };
        open.samples
            .iter()
            .filter(of)
            .map(|sample| (sample.labels["pod"].clone(), sample.value))
            .collect::<Vec<_>>()
    };
    assert_eq!(path(Detail::Clients), [("orders-0".to_owned(), 200.0)]);
    for detail in [Detail::Counts, Detail::Endpoints, Detail::Essentials, Detail::Service] {
        assert_eq!(path(detail), [(String::new(), 200.0)], "{detail:?}");
    }
    assert_eq!(details.map(|detail| pods(detail, "headless_connect_failures_total")), [4, 1, 1, 0]);
    assert_eq!(details.map(|detail| pods(detail, "headless_endpoint_ready")), [4, 4, 0, 0]);
}

#[test]
fn a_topology_out_of_touch_and_what_is_refused() {
    let mut snapshot = test_fixtures::snapshot();
    snapshot.quality.topology.stale_since = Some(test_fixtures::at(-90));
    let refusal = |namespace: &str| Refusal {
        verb: "watch".into(),
        resource: "pods".into(),
        namespace: namespace.into(),
        lost: "names".into(),
    };
    snapshot.quality.topology.refused = vec![refusal("bank"), refusal("shop")];
    let open = open(snapshot);
    assert_eq!(open.value("headless_observer_topology_stale_seconds", &[]), 120.0);
    assert_eq!(open.sum("headless_observer_topology_refused", &[]), 2.0);
    assert_eq!(open.value("headless_observer_topology_refused", &[("namespace", "shop")]), 1.0);
}

#[test]
fn plain_text_names_counters_as_their_samples() {
    let plain = text(test_fixtures::snapshot(), Format::Plain);
    assert!(plain.contains("# TYPE headless_connections_opened_total counter\n"));
    assert!(plain.contains("# HELP headless_connection_bytes_total Bytes that clients"));
    assert!(plain.contains("# TYPE headless_connections_active gauge\n"));
    assert!(plain.contains("# TYPE headless_dns_answer_age_seconds histogram\n"));
    for foreign in ["# EOF", "# UNIT", "_total_total", "_created"] {
        assert!(!plain.contains(foreign), "{foreign}");
    }
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_created"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(values(&plain), values(&text(test_fixtures::snapshot(), Format::OpenMetrics)));
}
