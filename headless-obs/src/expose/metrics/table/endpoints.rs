//! Metrics of endpoints: whether they are ready, since when, and how soon clients find them.

use prometheus_client::registry::Unit;

use super::{CLIENT, ENDPOINT, Kind, Metric, PER_CLIENT, PER_ENDPOINT, client, place, seconds};
use crate::expose::metrics::histogram_bounds;

/// See its `help`.
pub(super) const READY: Metric = Metric {
    name: "headless_endpoint_ready",
    unit: None,
    kind: Kind::Gauge,
    help: "Whether the endpoint is ready (1) or not ready, terminating or removed (0).",
    labels: ENDPOINT,
    per: PER_ENDPOINT,
    more: "Only for Services that have clients on this node.",
    example: "count by (namespace, service) (max by (namespace, service, pod) (headless_endpoint_ready) == 1)",
    collect: |scrape, series| {
        for (service, endpoint) in scrape.endpoints() {
            let ready = if endpoint.state == "ready" { 1.0 } else { 0.0 };
            series.max(place(service, endpoint), ready);
        }
    },
};

/// See its `help`.
pub(super) const READY_TIMESTAMP: Metric = Metric {
    name: "headless_endpoint_ready_timestamp",
    unit: Some(Unit::Seconds),
    kind: Kind::Gauge,
    help: "When the endpoint became ready, in seconds since 1970.",
    labels: &["namespace", "service", "pod", "zone"],
    per: "endpoint that is ready",
    more: "Each daemon reports when it saw that; nodes may differ, and the minimum is the most accurate.",
    example: "time() - min by (namespace, service, pod) (headless_endpoint_ready_timestamp_seconds) > 600",
    collect: |scrape, series| {
        for (service, endpoint) in scrape.endpoints() {
            if let Some(since) = endpoint.ready_since {
                let [namespace, name, pod] = place(service, endpoint);
                let zone = endpoint.zone.as_deref().unwrap_or("");
                series.max([namespace, name, pod, zone], seconds(since));
            }
        }
    },
};

/// See its `help`.
pub(super) const FIRST_CONNECTION: Metric = Metric {
    name: "headless_endpoint_first_connection",
    unit: Some(Unit::Seconds),
    kind: Kind::Histogram(histogram_bounds::SECONDS),
    help: "Time from the moment when an endpoint became ready to the client's first connection to it.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "Counts each endpoint once that became ready while the daemon ran and that the client connected to.",
    example: "histogram_quantile(0.95, sum by (namespace, service, le) \
              (rate(headless_endpoint_first_connection_seconds_bucket[1h])))",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            series.merge(client(service, of), &of.convergence);
        }
    },
};
