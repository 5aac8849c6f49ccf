//! Metrics of connections: opened, failed, open, across zones, stale.

use prometheus_client::registry::Unit;

use super::{CLIENT, EDGE, Kind, Metric, PER_CLIENT, PER_EDGE, client, edge};

/// Reasons of failures.
const REASONS: [&str; 6] = ["refused", "timeout", "unreachable", "reset", "aborted", "other"];
/// Kinds of stale connections.
const KINDS: [&str; 5] = ["removed", "terminating", "not_ready", "ip_reused", "grace"];

/// See its `help`.
pub(super) const OPENED: Metric = Metric {
    name: "headless_connections_opened",
    unit: None,
    kind: Kind::Counter,
    help: "Connections that clients opened to an endpoint, by the kind of name that they resolved. \
           Only service and srv show how clients spread.",
    labels: &["namespace", "service", "pod", "port", "client_namespace", "client_workload", "resolution"],
    per: "endpoint, port, client and resolution",
    more: "`resolution` is `service`, `srv`, `hostname` or `none`; with the last two the client did not select among \
           addresses, as far as known. Each client has a series with `resolution=\"service\"` for each endpoint, with 0 if \
           it never connected, so that unused endpoints are visible.",
    example: "sum by (pod) (increase(headless_connections_opened_total{service=\"orders\",resolution=~\"service|srv\"}[10m]))",
    collect: |scrape, series| {
        for (at, ports) in scrape.edges_with_ports() {
            series.started(at.client.since);
            let [namespace, service, pod, client_namespace, workload] = edge(&at);
            let mut add = |port, resolution, opened| {
                series.add(
                    [namespace, service, pod, scrape.port(port), client_namespace, workload, resolution],
                    opened,
                );
            };
            ports.iter().for_each(|port| add(*port, "service", 0));
            for counts in &at.own.ports {
                for (resolution, opened) in &counts.opened {
                    add(counts.port, resolution, *opened);
                }
            }
        }
    },
};

/// See its `help`.
pub(super) const SELECTIONS: Metric = Metric {
    name: "headless_selections",
    unit: None,
    kind: Kind::Counter,
    help: "Selections: the first connection or attempt of a client process by each DNS answer for the Service's name or \
           its SRV names.",
    labels: EDGE,
    per: PER_EDGE,
    more: "A pool may open many connections after one selection, so verdicts compare selections with random choice.",
    example: "sum by (pod) (increase(headless_selections_total{service=\"orders\"}[1h]))",
    collect: |scrape, series| {
        for at in scrape.edges() {
            series.started(at.client.since);
            series.add(edge(&at), at.own.selections);
        }
    },
};

/// See its `help`.
pub(super) const FAILURES: Metric = Metric {
    name: "headless_connect_failures",
    unit: None,
    kind: Kind::Counter,
    help: "Attempts that ended without a connection, and connections that the endpoint reset (reason reset).",
    labels: &["namespace", "service", "pod", "port", "client_namespace", "client_workload", "reason"],
    per: "endpoint, port, client and reason",
    more: "`refused`, `timeout`, `unreachable`, `aborted` (the client gave up), `other`; `reset`: the peer reset the \
           established connection, which `headless_connections_opened_total` counts, too.",
    example: "sum by (namespace, service, pod, reason) (rate(headless_connect_failures_total[5m])) > 0",
    collect: |scrape, series| {
        for (at, ports) in scrape.edges_with_ports() {
            series.started(at.client.since);
            let [namespace, service, _, client_namespace, workload] = edge(&at);
            let pod = at.pod_of_details();
            let mut add = |port, reason, failed| {
                series.add(
                    [namespace, service, pod, scrape.port(port), client_namespace, workload, reason],
                    failed,
                );
            };
            for port in &ports {
                REASONS.iter().for_each(|reason| add(*port, reason, 0));
            }
            for counts in &at.own.ports {
                for (reason, failed) in &counts.failed {
                    add(counts.port, reason, *failed);
                }
            }
        }
    },
};

/// See its `help`.
pub(super) const ACTIVE: Metric = Metric {
    name: "headless_connections_active",
    unit: None,
    kind: Kind::Gauge,
    help: "Connections that are open now, including those that are older than the daemon.",
    labels: EDGE,
    per: PER_EDGE,
    more: "",
    example: "topk(5, sum by (pod) (headless_connections_active{service=\"orders\"}))",
    collect: |scrape, series| {
        for at in scrape.edges() {
            series.add(edge(&at), at.own.active);
        }
    },
};

/// See its `help`.
pub(super) const BYTES: Metric = Metric {
    name: "headless_connection",
    unit: Some(Unit::Bytes),
    kind: Kind::Counter,
    help: "Bytes that clients sent and received, also in connections that are open.",
    labels: &["namespace", "service", "pod", "client_namespace", "client_workload", "direction"],
    per: "endpoint, client and direction",
    more: "`sent` by the client (each byte once, without retransmissions) or `received`. Bytes from before the daemon started are \
           not included. If `quality.probes.load` is `none`, all bytes count when the connection ends.",
    example: "sum by (pod, direction) (rate(headless_connection_bytes_total{service=\"orders\"}[5m]))",
    collect: |scrape, series| {
        for at in scrape.edges() {
            series.started(at.client.since);
            let [namespace, service, _, client_namespace, workload] = edge(&at);
            let pod = at.pod_of_details();
            series.add([namespace, service, pod, client_namespace, workload, "sent"], at.own.bytes_sent);
            series.add(
                [namespace, service, pod, client_namespace, workload, "received"],
                at.own.bytes_received,
            );
        }
    },
};

/// See its `help`.
pub(super) const CROSS_ZONE: Metric = Metric {
    name: "headless_cross_zone_connections",
    unit: None,
    kind: Kind::Counter,
    help: "Connections that clients opened to endpoints in another zone than the node's.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "With any resolution. Only where the zone of the node is known: from the endpoints on it, or by `--zone`.",
    example: "sum by (namespace, service) (rate(headless_cross_zone_connections_total[5m]))",
    collect: |scrape, series| {
        for (service, of) in scrape.zoned_clients() {
            series.started(of.since);
            series.add(client(service, of), of.zones.across.connections);
        }
    },
};

/// See its `help`.
pub(super) const CROSS_ZONE_BYTES: Metric = Metric {
    name: "headless_cross_zone",
    unit: Some(Unit::Bytes),
    kind: Kind::Counter,
    help: "Bytes that clients sent to and received from endpoints in another zone than the node's, also in connections \
           that are open.",
    labels: &["namespace", "service", "client_namespace", "client_workload", "direction"],
    per: "Service, client and direction",
    more: "`direction` as in `headless_connection_bytes_total`. A part of those bytes, without headers, acknowledgements and \
           retransmissions. Only where the zone of the node is known.",
    example: "sum by (namespace, service) (increase(headless_cross_zone_bytes_total[1d])) / 2^30",
    collect: |scrape, series| {
        for (service, of) in scrape.zoned_clients() {
            series.started(of.since);
            let [namespace, service, client_namespace, workload] = client(service, of);
            let across = of.zones.across;
            for (direction, bytes) in [("sent", across.bytes_sent), ("received", across.bytes_received)] {
                series.add([namespace, service, client_namespace, workload, direction], bytes);
            }
        }
    },
};

/// See its `help`.
pub(super) const STALE: Metric = Metric {
    name: "headless_stale_connections",
    unit: None,
    kind: Kind::Counter,
    help: "Connections and attempts to addresses that did not belong to a serving endpoint at that time.",
    labels: &["namespace", "service", "client_namespace", "client_workload", "kind"],
    per: "Service, client and kind",
    more: "`removed`, `terminating`, `not_ready` (even if the Service publishes it), `ip_reused` (another pod had the \
           address by then); `grace`: within `--stale-grace` after the change, which is no fault.",
    example: "sum by (service, client_workload) (rate(headless_stale_connections_total{kind!=\"grace\"}[10m])) > 0",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            let [namespace, service, client_namespace, workload] = client(service, of);
            for kind in KINDS {
                let count = of.stale_kinds.get(kind).copied().unwrap_or(0);
                series.add([namespace, service, client_namespace, workload, kind], count);
            }
        }
    },
};

/// See its `help`.
pub(super) const PORT_MISMATCH: Metric = Metric {
    name: "headless_port_mismatch",
    unit: None,
    kind: Kind::Counter,
    help: "Attempts in vain at a port that the endpoint does not have: they failed, or the other side accepted them and \
           ended them within five seconds without a byte. A headless Service does not map ports.",
    labels: &["namespace", "service", "client_namespace", "client_workload", "port"],
    per: "Service, client and wrong port",
    more: "No other metric of the Service counts attempts that failed. Connections to such a port are in \
           `headless_connections_opened_total`, whether they work or not.",
    example: "increase(headless_port_mismatch_total[10m]) > 0",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            let [namespace, service, client_namespace, workload] = client(service, of);
            for other in &of.other_ports {
                let port = scrape.port(other.port);
                series.add([namespace, service, client_namespace, workload, port], other.failed);
            }
        }
    },
};
