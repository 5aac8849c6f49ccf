//! A hand-made snapshot for tests: figures agree with one another as the engine's do.

use jiff::Timestamp;

mod clients;
mod connections;
mod trace;

use super::snapshot::{
    AttemptSums, Carried, Cause, Client, ClientEndpoint, Confidence, Counts, Dns, Endpoint, Histogram,
    History, MapFill, OtherName, PortCounts, Quality, Responses, SCHEMA, Service, ServiceIntent, Snapshot,
    Spread, TopologyState, Unanswered, Unreached, Verdict, ZoneSum, ZoneTraffic, Zones,
};
pub(crate) use clients::client_pod;
use clients::{cron, web};
pub(crate) use connections::{connection_list, connection_query};
pub(crate) use trace::trace_events;

/// Counts from pairs.
pub(crate) fn counts<const N: usize>(pairs: [(&str, u64); N]) -> Counts {
    pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

/// A moment, seconds after the samples' beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

/// An endpoint with connections that all count.
pub(crate) fn endpoint(pod: &str, state: &str, opened: u64, active: u64) -> Endpoint {
    Endpoint {
        pod: pod.into(),
        addresses: vec!["10.244.1.5".into()],
        state: state.into(),
        ports: vec![8080],
        zone: (state == "ready").then(|| "zone-a".to_owned()),
        ready_since: (state == "ready").then(|| at(-7_200)),
        mature: state == "ready",
        opened,
        counted: opened,
        failed: Counts::new(),
        superseded: 0,
        active,
        counted_active: active,
        counted_bytes: opened.saturating_sub(active) * 2_100,
        counted_segments: opened.saturating_sub(active) * 3,
        closed: opened.saturating_sub(active),
        bytes_sent: opened * 100,
        bytes_received: opened * 2_000,
        carried: Carried { segments_sent: opened, segments_received: opened * 2, ..Carried::default() },
        ..Endpoint::default()
    }
}

/// A client's part at an endpoint, resolved by the Service's name.
pub(crate) fn part(pod: &str, opened: u64, active: u64) -> ClientEndpoint {
    ClientEndpoint {
        pod: pod.into(),
        opened,
        counted: opened,
        active,
        counted_active: active,
        resolution: counts([("service", opened)]),
        bytes_sent: opened * 100,
        bytes_received: opened * 2_000,
        carried: Carried { segments_sent: opened, segments_received: opened * 2, ..Carried::default() },
        ports: vec![PortCounts {
            port: 8080,
            opened: if opened > 0 { counts([("service", opened)]) } else { Counts::new() },
            failed: Counts::new(),
        }],
        ..ClientEndpoint::default()
    }
}

/// The Service with the zones of its traffic, from a node in zone-a.
fn zoned(mut service: Service) -> Service {
    let Service { endpoints, clients, zones, .. } = &mut service;
    for client in clients.iter_mut() {
        let row = |(endpoint, own): (&Endpoint, &ClientEndpoint)| ZoneTraffic {
            from: Some("zone-a".to_owned()),
            to: endpoint.zone.clone(),
            sum: ZoneSum {
                connections: own.opened,
                bytes_sent: own.bytes_sent,
                bytes_received: own.bytes_received,
            },
        };
        let rows = endpoints.iter().zip(&client.endpoints).map(row);
        client.zones = Zones::of(rows.filter(|row| row.sum != ZoneSum::default()));
        // JSON keeps thousandths as they are.
        client.zones.share_across = (client.zones.share_across * 1_000.0).round() / 1_000.0;
    }
    *zones = Zones::sum(clients.iter().map(|client| &client.zones));
    zones.share_across = (zones.share_across * 1_000.0).round() / 1_000.0;
    service
}

/// A histogram of these values.
pub(crate) fn histogram(values: &[f64]) -> Histogram {
    let mut histogram = Histogram::default();
    values.iter().for_each(|value| histogram.record(*value));
    histogram
}

/// A client of the given parts.
pub(crate) fn client(workload: &str, coverage: f64, endpoints: Vec<ClientEndpoint>) -> Client {
    let mut resolution = Counts::new();
    for (name, count) in endpoints.iter().flat_map(|endpoint| &endpoint.resolution) {
        *resolution.entry(name.clone()).or_default() += count;
    }
    Client {
        namespace: "shop".into(),
        workload: workload.into(),
        resolution,
        opened: endpoints.iter().map(|endpoint| endpoint.opened).sum(),
        failed: endpoints.iter().map(|endpoint| endpoint.failed).sum(),
        active: endpoints.iter().map(|endpoint| endpoint.active).sum(),
        reconciled: 0,
        coverage,
        answer_position: counts([("0", 400)]),
        endpoints,
        ..Client::default()
    }
}

/// Figures of these counts, as `crate::spread` makes them, in thousandths: those survive JSON as they are.
pub(crate) fn spread(counts: &[u64]) -> Spread {
    let connections: u64 = counts.iter().sum();
    let (n, total) = (counts.len() as f64, connections as f64);
    if connections == 0 || counts.len() < 2 {
        return Spread { connections, endpoints: counts.len() as u64, ..Spread::default() };
    }
    let mean = total / n;
    let shares = || counts.iter().map(|count| *count as f64 / total).filter(|share| *share > 0.0);
    let squared_cv = counts.iter().map(|x| (*x as f64 / mean - 1.0).powi(2)).sum::<f64>() / n;
    let dispersion = total * squared_cv / (n - 1.0);
    let width = 2.0 / (9.0 * (n - 1.0));
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let ranked: f64 = (1_u64..).zip(&sorted).map(|(rank, count)| (rank * count) as f64).sum();
    let exact = Spread {
        connections,
        endpoints: counts.len() as u64,
        coverage: shares().count() as f64 / n,
        peak_to_mean: *sorted.last().unwrap() as f64 / mean,
        peak_to_expected: *sorted.last().unwrap() as f64 / mean,
        cv: squared_cv.sqrt(),
        jain: 1.0 / (1.0 + squared_cv),
        cv_corrected: (squared_cv - (n - 1.0) / total).max(0.0).sqrt(),
        dispersion,
        z: Some((dispersion.cbrt() - (1.0 - width)) / width.sqrt()),
        gini: 2.0 * ranked / (n * total) - (n + 1.0) / n,
        entropy: shares().map(|share| -share * share.ln()).sum::<f64>() / n.ln(),
        expected_coverage: 1.0 - (1.0 - 1.0 / n).powf(total),
        expected_peak_to_mean: 1.0 + (2.0 * n * n.ln() / total).sqrt(),
    };
    // Adding 0 makes a negative zero an ordinary one.
    let round = |figure: f64| (figure * 1_000.0).round() / 1_000.0 + 0.0;
    Spread {
        coverage: round(exact.coverage),
        peak_to_mean: round(exact.peak_to_mean),
        peak_to_expected: round(exact.peak_to_expected),
        cv: round(exact.cv),
        jain: round(exact.jain),
        cv_corrected: round(exact.cv_corrected),
        dispersion: round(exact.dispersion),
        z: exact.z.map(round),
        gini: round(exact.gini),
        entropy: round(exact.entropy),
        expected_coverage: round(exact.expected_coverage),
        expected_peak_to_mean: round(exact.expected_peak_to_mean),
        ..exact
    }
}

/// A verdict with high confidence.
pub(crate) fn verdict(cause: Cause, evidence: &[&str], fix: Option<&str>) -> Verdict {
    Verdict {
        cause,
        confidence: Confidence::High,
        evidence: evidence.iter().map(|&line| line.to_owned()).collect(),
        alternatives: Vec::new(),
        fix: fix.map(ToOwned::to_owned),
        ..Verdict::default()
    }
}

/// shop/orders: four pods, one idle, one removed. cron takes the first address and goes to a pod that left; web uses
/// an answer that was cut, and one pod's own name.
pub(crate) fn orders() -> Service {
    let mut first = endpoint("orders-0", "ready", 400, 5);
    first.failed = counts([("refused", 2), ("timeout", 1)]);
    first.selections = 204;
    let mut second = endpoint("orders-1", "ready", 210, 2);
    second.counted = 200;
    second.selections = 1;
    second.zone = Some("zone-b".to_owned());
    let mut idle = endpoint("orders-2", "ready", 0, 0);
    idle.ready_since = Some(at(-660));
    idle.first_answered = Some(at(21));
    let mut left = endpoint("orders-3", "removed", 12, 0);
    left.state_since = Some(at(4));
    left.selections = 12;
    for endpoint in [&mut first, &mut second, &mut left] {
        endpoint.first_answered = Some(at(1));
    }
    zoned(Service {
        publishes_not_ready: false,
        intent: ServiceIntent::default(),
        namespace: "shop".into(),
        name: "orders".into(),
        endpoints: vec![first, second, idle, left],
        spread: Spread { z: spread(&[204, 1, 0]).z, ..spread(&[400, 200, 0]) },
        selections: spread(&[204, 1, 0]),
        open: spread(&[5, 2, 0]),
        bytes: spread(&[395 * 2_100, 208 * 2_100, 0]),
        segments: spread(&[395 * 3, 208 * 3, 0]),
        waste: 20.0,
        idle: vec!["orders-2".into()],
        stale: counts([("removed", 12), ("terminating", 0)]),
        dns: Dns {
            ratio: histogram(&[1.0, 1.0, 0.75, 0.5]),
            answers: 216,
            truncated: 1,
            completeness: 0.75,
            listed: 486,
            listable: 648,
            rcodes: counts([("noerror", 216), ("nxdomain", 3)]),
            transports: counts([("udp", 218), ("tcp", 1)]),
            truncated_used: 400,
            first_records: counts([("orders-0", 204), ("orders-3", 12)]),
            removed_answered: 12,
            incomplete: 161,
            denied: 0,
            latency: histogram(&[0.000_4, 0.001, 0.003, 5.002]),
        },
        clients: vec![cron(), web()],
        changes: Vec::new(),
        other_names: vec![
            other_name("orders.corp.example", "web", &[]),
            other_name("orders.shop.svc.cluster.local.example.net", "web", &["10.99.0.9"]),
        ],
        history: History {
            step_seconds: 16,
            from: at(0),
            opened: [("orders-0", [250, 150]), ("orders-1", [110, 100]), ("orders-3", [11, 1])]
                .map(|(pod, opened)| (pod.to_owned(), opened.to_vec()))
                .into(),
        },
        ..Service::default()
    })
}

fn other_name(name: &str, workload: &str, addresses: &[&str]) -> OtherName {
    OtherName {
        name: name.into(),
        namespace: "shop".into(),
        workload: workload.into(),
        answers: 3,
        addresses: addresses.iter().map(ToString::to_string).collect(),
    }
}

/// Answers to queries for IPv4 addresses.
fn responses(rcode: &str, transport: &str, count: u64) -> Responses {
    let (rcode, transport) = (rcode.into(), transport.into());
    Responses { rcode, truncated: false, transport, qtype: "a".into(), count }
}

/// shop/sessions: three pods; an even client, and one that scrapes.
fn sessions() -> Service {
    let pods = || (0..3).map(|i| format!("sessions-{i}"));
    let endpoint = |pod: String| Endpoint { counted: 50, selections: 50, ..endpoint(&pod, "ready", 51, 10) };
    let mut web = client("web", 1.0, pods().map(|pod| part(&pod, 50, 10)).collect());
    web.answer_position = counts([("0", 48), ("1", 51), ("2", 51)]);
    web.spread = spread(&[50, 50, 50]);
    web.selections = web.spread;
    web.open = spread(&[10, 10, 10]);
    web.verdict = Some(verdict(
        Cause::Even,
        &["150 connections went to 3 of 3 endpoints; the busiest has 1.00 times the mean, round-robin-like."],
        None,
    ));
    let scraped = |pod: String| ClientEndpoint { counted: 0, ..part(&pod, 1, 0) };
    let scraper = Client {
        namespace: "monitoring".into(),
        answer_position: Counts::new(),
        excluded: Some("option".into()),
        withheld: Some("excluded".into()),
        ..client("prometheus", 0.0, pods().map(scraped).collect())
    };
    zoned(Service {
        publishes_not_ready: false,
        namespace: "shop".into(),
        name: "sessions".into(),
        endpoints: pods().map(endpoint).collect(),
        spread: web.spread,
        selections: web.selections,
        open: web.open,
        dns: Dns { answers: 151, completeness: 1.0, ..Dns::default() },
        clients: vec![scraper, web],
        ..Service::default()
    })
}

/// One node, one Service that is uneven, one that is even.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        schema: SCHEMA.into(),
        node: "n1".into(),
        nodes: Vec::new(),
        from: at(0),
        to: at(30),
        began: None,
        observation: None,
        zone: Some("zone-a".to_owned()),
        mature_after_seconds: 600.0,
        quality: Quality {
            stands_by: false,
            events_lost: counts([("ring_full", 0), ("flows_full", 0)]),
            dns_rejected: counts([("malformed", 1)]),
            dns_refused: counts([("unsolicited", 2), ("other_server", 0)]),
            reconciled: 0,
            reconciled_share: 0.0,
            unattributed: counts([("no_dns", 4)]),
            excluded: counts([("probe", 6)]),
            attempts: AttemptSums {
                seen: 900,
                attributed: 880,
                excluded: 6,
                unrelated: 14,
                ..AttemptSums::default()
            },
            probes: [
                ("dns", "cgroup_skb"),
                ("queries", "cgroup_skb/egress"),
                ("tcp", "tp_btf"),
                ("existing", "none"),
                ("load", "iter/bpf_map_elem"),
            ]
            .map(|(probe, hook)| (probe.to_owned(), hook.to_owned()))
            .into(),
            maps: [("flows".to_owned(), MapFill { entries: 8, capacity: 65_536 })].into(),
            topology: TopologyState {
                source: "dns".into(),
                synced: true,
                last_event: Some(at(29)),
                ..TopologyState::default()
            },
        },
        services: vec![orders(), sessions()],
        unanswered: vec![Unanswered { namespace: "shop".into(), workload: "batch".into(), queries: 3 }],
        unreached: vec![Unreached {
            namespace: "shop".into(),
            workload: "legacy".into(),
            attempts: 6,
            since: at(12),
            addresses: [("10.0.0.9:8080".to_owned(), 4), ("10.0.0.8:8080".to_owned(), 2)].into(),
        }],
    }
}

#[test]
fn the_json_is_as_published() {
    let json = serde_json::to_string_pretty(&snapshot()).unwrap() + "\n";
    crate::testing::golden("snapshot.json", &json);
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot());
}
