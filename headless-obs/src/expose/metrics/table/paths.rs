//! Metrics of the paths between clients and endpoints, as TCP measures them.
//!
//! Those of endpoints are the first that lose the endpoint where there would be too many series.

use headless_obs_ebpf::end;
use prometheus_client::registry::Unit;

use super::{CLIENT, EDGE, Kind, Metric, PER_CLIENT, PER_EDGE, client};
use crate::expose::metrics::histogram_bounds;
use crate::expose::metrics::scrape::Edge;

/// Values of [`EDGE`], in a metric of paths.
fn path<'a>(edge: &Edge<'a>) -> [&'a str; 5] {
    let service = edge.part.service;
    [&service.namespace, &service.name, edge.pod_of_path(), &edge.client.namespace, &edge.client.workload]
}

/// See its `help`.
pub(super) const CONNECT_TIME: Metric = Metric {
    name: "headless_connect",
    unit: Some(Unit::Seconds),
    kind: Kind::Histogram(histogram_bounds::LATENCIES),
    help: "Time from a connection's first SYN to the moment when it was established.",
    labels: EDGE,
    per: PER_EDGE,
    more: "Only where the client has connected. About 1 s, 3 s or 7 s: a SYN or its answer was lost once, twice or three \
           times. Connections whose record was lost have no time.",
    example: "histogram_quantile(0.5, sum by (namespace, service, pod, le) \
              (rate(headless_connect_seconds_bucket{service=\"orders\"}[5m])))",
    collect: |scrape, series| {
        for at in scrape.edges().filter(|at| !at.own.connect_times.is_empty()) {
            series.started(at.client.since);
            series.merge(path(&at), &at.own.connect_times.seconds);
        }
    },
};

/// See its `help`.
pub(super) const SYNS: Metric = Metric {
    name: "headless_syns_retransmitted",
    unit: None,
    kind: Kind::Counter,
    help: "SYNs that clients sent again, because the first one had no answer for a second.",
    labels: EDGE,
    per: PER_EDGE,
    more: "Those of attempts that failed, too. Always 0 with the classic tracepoint.",
    example: "sum by (namespace, service, pod) (rate(headless_syns_retransmitted_total[5m])) > 0",
    collect: |scrape, series| {
        for at in scrape.edges() {
            series.started(at.client.since);
            series.add(path(&at), at.own.syns_retransmitted);
        }
    },
};

/// See its `help`.
pub(super) const SEGMENTS: Metric = Metric {
    name: "headless_connection_segments",
    unit: None,
    kind: Kind::Counter,
    help: "Segments with data that clients sent and received, also in connections that are open.",
    labels: &["namespace", "service", "pod", "client_namespace", "client_workload", "direction"],
    per: "endpoint, client and direction",
    more: "`sent` by the client, retransmissions included, or `received`. As for bytes, those from before the daemon started \
           are not included.",
    example: "sum by (pod, direction) (rate(headless_connection_segments_total{service=\"orders\"}[5m]))",
    collect: |scrape, series| {
        for at in scrape.edges() {
            series.started(at.client.since);
            let [namespace, service, pod, client_namespace, workload] = path(&at);
            let carried = &at.own.carried;
            for (direction, segments) in
                [("sent", carried.segments_sent), ("received", carried.segments_received)]
            {
                series.add([namespace, service, pod, client_namespace, workload, direction], segments);
            }
        }
    },
};

/// See its `help`.
pub(super) const SEGMENTS_AGAIN: Metric = Metric {
    name: "headless_segments_retransmitted",
    unit: None,
    kind: Kind::Counter,
    help: "Segments that clients sent again, also in connections that are open; SYNs included.",
    labels: EDGE,
    per: PER_EDGE,
    more: "Those of the server are not seen.",
    example: "sum by (namespace, service, pod) (rate(headless_segments_retransmitted_total[5m])) \
              / sum by (namespace, service, pod) (rate(headless_connection_segments_total{direction=\"sent\"}[5m]))",
    collect: |scrape, series| {
        for at in scrape.edges() {
            series.started(at.client.since);
            series.add(path(&at), at.own.carried.retransmitted);
        }
    },
};

/// See its `help`.
pub(super) const ROUND_TRIP: Metric = Metric {
    name: "headless_connection_rtt",
    unit: Some(Unit::Seconds),
    kind: Kind::Gauge,
    help: "Round-trip time of the connections that are open, as the client's kernel measures it.",
    labels: &["namespace", "service", "pod", "client_namespace", "client_workload", "reading"],
    per: "endpoint, client and reading",
    more: "`smoothed`: the mean of the smoothed times. `least`: the least time of the last minutes. A time ends with an \
           acknowledgement, which may wait up to 40 ms for the program's answer. Only where connections are open; not \
           where endpoints are folded.",
    example: "max by (namespace, service, pod) (headless_connection_rtt_seconds{reading=\"least\"})",
    collect: |scrape, series| {
        let read = |at: &Edge<'_>| at.own.readings.measured > 0 && !at.pod_of_path().is_empty();
        for at in scrape.edges().filter(read) {
            let [namespace, service, pod, client_namespace, workload] = path(&at);
            let readings = &at.own.readings;
            for (reading, microseconds) in
                [("smoothed", readings.mean_rtt_us), ("least", readings.least_rtt_us as f64)]
            {
                let labels = [namespace, service, pod, client_namespace, workload, reading];
                series.max(labels, microseconds / 1e6);
            }
        }
    },
};

/// See its `help`.
pub(super) const WAITING: Metric = Metric {
    name: "headless_connection_waiting",
    unit: Some(Unit::Bytes),
    kind: Kind::Gauge,
    help: "Bytes that wait at the client in connections that are open.",
    labels: &["namespace", "service", "pod", "client_namespace", "client_workload", "state"],
    per: "endpoint, client and state",
    more: "`unsent`: written by the client and not sent yet. `unacknowledged`: sent and not acknowledged. Only where \
           connections are open.",
    example: "sum by (namespace, service, pod) (headless_connection_waiting_bytes{state=\"unsent\"})",
    collect: |scrape, series| {
        for at in scrape.edges().filter(|at| !at.own.readings.is_empty()) {
            let [namespace, service, pod, client_namespace, workload] = path(&at);
            let readings = &at.own.readings;
            for (state, bytes) in
                [("unsent", readings.unsent_bytes), ("unacknowledged", readings.unacknowledged_bytes)]
            {
                series.add([namespace, service, pod, client_namespace, workload, state], bytes);
            }
        }
    },
};

/// See its `help`.
pub(super) const CLOSED: Metric = Metric {
    name: "headless_connections_closed",
    unit: None,
    kind: Kind::Counter,
    help: "Connections that ended, by who ended them first, and how.",
    labels: &["namespace", "service", "client_namespace", "client_workload", "by"],
    per: "Service, client and way",
    more: "`client`, `server`: closed. `client_reset`, `server_reset`: cut off by a reset. `timeout`: the client's kernel gave \
           up, because nothing was acknowledged. `other`: in another way, or in one that nobody saw.",
    example: "sum by (client_workload, by) (rate(headless_connections_closed_total{service=\"orders\"}[5m]))",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            let [namespace, service, client_namespace, workload] = client(service, of);
            for by in end::NAMES {
                let count = of.ends.by.get(by).copied().unwrap_or(0);
                series.add([namespace, service, client_namespace, workload, by], count);
            }
        }
    },
};

/// See its `help`.
pub(super) const LIFETIME: Metric = Metric {
    name: "headless_connection_lifetime",
    unit: Some(Unit::Seconds),
    kind: Kind::Histogram(histogram_bounds::SECONDS),
    help: "Time from a connection's first SYN to its end.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "Only of connections whose beginning and end the daemon saw.",
    example: "histogram_quantile(0.5, sum by (client_workload, le) \
              (rate(headless_connection_lifetime_seconds_bucket{service=\"orders\"}[1h])))",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            series.merge(client(service, of), &of.ends.lifetimes);
        }
    },
};
