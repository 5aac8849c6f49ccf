//! A hand-made snapshot for tests: figures agree with one another as the engine's do.

use jiff::Timestamp;

use super::snapshot::{
    Client, ClientEndpoint, Counts, Dns, Endpoint, MapFill, Quality, SCHEMA, Service, Snapshot, Spread,
    TopologyState,
};

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
        ready_since: (state == "ready").then(|| at(-60)),
        opened,
        counted: opened,
        failed: Counts::new(),
        superseded: 0,
        active,
        closed: opened.saturating_sub(active),
        bytes_sent: opened * 100,
        bytes_received: opened * 2_000,
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
        resolution: counts([("service", opened)]),
        ..ClientEndpoint::default()
    }
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
        late: 0,
        coverage,
        answer_index: counts([("0", 400)]),
        endpoints,
        ..Client::default()
    }
}

/// shop/orders: four pods, one idle, one removed; a pinned client, an even one with hostname connections.
pub(crate) fn orders() -> Service {
    let mut first = endpoint("orders-0", "ready", 400, 5);
    first.failed = counts([("refused", 2), ("timeout", 1)]);
    let mut second = endpoint("orders-1", "ready", 210, 2);
    second.counted = 200;
    let mut by_hostname = part("orders-1", 210, 2);
    by_hostname.counted = 200;
    by_hostname.resolution = counts([("service", 200), ("hostname", 10)]);
    let mut pinned = part("orders-0", 200, 4);
    pinned.failed = 3;
    pinned.reasons = counts([("refused", 2), ("timeout", 1)]);
    Service {
        namespace: "shop".into(),
        name: "orders".into(),
        endpoints: vec![
            first,
            second,
            endpoint("orders-2", "ready", 0, 0),
            endpoint("orders-3", "removed", 12, 0),
        ],
        spread: Spread {
            connections: 600,
            endpoints: 3,
            coverage: 2.0 / 3.0,
            peak_to_mean: 2.0,
            cv: 0.816,
            jain: 0.6,
            ..Spread::default()
        },
        stale: counts([("removed", 12), ("terminating", 0)]),
        dns: Dns {
            answers: 9,
            truncated: 1,
            completeness: 0.75,
            rcodes: counts([("noerror", 9), ("nxdomain", 3)]),
            transports: counts([("udp", 8), ("tcp", 1)]),
            ..Dns::default()
        },
        clients: vec![
            client(
                "cron",
                1.0 / 3.0,
                vec![pinned, part("orders-1", 0, 0), part("orders-2", 0, 0), part("orders-3", 12, 0)],
            ),
            client(
                "web",
                2.0 / 3.0,
                vec![part("orders-0", 200, 1), by_hostname, part("orders-2", 0, 0), part("orders-3", 0, 0)],
            ),
        ],
        ..Service::default()
    }
}

/// One node, one Service that is uneven, one that is even.
pub(crate) fn snapshot() -> Snapshot {
    let mut even = orders();
    even.name = "sessions".into();
    even.endpoints = (0..3).map(|i| endpoint(&format!("sessions-{i}"), "ready", 50, 10)).collect();
    even.clients = vec![client("web", 1.0, (0..3).map(|i| part(&format!("sessions-{i}"), 50, 10)).collect())];
    even.spread = Spread {
        connections: 150,
        endpoints: 3,
        coverage: 1.0,
        peak_to_mean: 1.0,
        jain: 1.0,
        ..Spread::default()
    };
    even.stale = Counts::new();
    even.dns = Dns { answers: 4, completeness: 1.0, ..Dns::default() };
    Snapshot {
        schema: SCHEMA.into(),
        node: "n1".into(),
        from: at(0),
        to: at(30),
        mature_after_seconds: 600.0,
        quality: Quality {
            events_lost: counts([("ring_full", 0), ("flows_full", 0)]),
            dns_rejected: counts([("malformed", 1)]),
            late: 0,
            late_share: 0.0,
            unattributed: counts([("no_dns", 4)]),
            excluded: counts([("probe", 6)]),
            probes: [("dns", "cgroup_skb"), ("tcp", "tp_btf"), ("existing", "none")]
                .map(|(probe, hook)| (probe.to_owned(), hook.to_owned()))
                .into(),
            maps: [("flows".to_owned(), MapFill { entries: 8, capacity: 65_536 })].into(),
            topology: TopologyState { source: "dns".into(), synced: true, ..TopologyState::default() },
        },
        services: vec![orders(), even],
    }
}

#[test]
fn the_json_is_as_published() {
    let json = serde_json::to_string_pretty(&snapshot()).unwrap() + "\n";
    crate::testing::golden("snapshot.json", &json);
    assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot());
}
