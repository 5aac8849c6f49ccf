//! Metrics of the paths between clients and endpoints, as TCP measures them.
//!
//! They are the first that lose the endpoint where there would be too many series.

use prometheus_client::registry::Unit;

use super::{EDGE, Kind, Metric, PER_EDGE};
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
