//! The table of metrics: name, help, labels, and the source of the figures. docs/metrics.md is made from it.
//!
//! `headless_*` is about Services and their clients, `headless_observer_*` about the daemon itself. Labels:
//! `namespace`, `service`, `pod` (the address if there is no pod), `client_namespace`, `client_workload`, and a few
//! with a short list of values; never a DNS name from a query.

use jiff::Timestamp;
use prometheus_client::registry::Unit;

use super::scrape::{Edge, Scrape};
use super::series::Series;
use crate::expose::snapshot::{Client, Counts, Endpoint, Service};

mod clients;
mod connections;
mod dns;
mod endpoints;
mod observer;
mod paths;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A counter; the exposition appends `_total`.
    Counter,
    /// A gauge.
    Gauge,
    /// A histogram, with the finite bounds of the classic buckets.
    Histogram(&'static [i32]),
}

impl Kind {
    /// Its name in the exposition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    /// The number of series that a row of such a family is in Prometheus.
    pub fn series(self) -> u64 {
        match self {
            // The infinite bucket, the sum and the count.
            Self::Histogram(bounds) => bounds.len() as u64 + 3,
            Self::Counter | Self::Gauge => 1,
        }
    }
}

/// A family of series.
#[derive(Debug)]
pub struct Metric {
    /// Name without unit and without `_total`: both are appended.
    pub name: &'static str,
    /// The unit, if it is part of the name.
    pub unit: Option<Unit>,
    /// Its type.
    pub kind: Kind,
    /// Its help text.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// The object that each series is about.
    pub per: &'static str,
    /// Further notes for the documentation.
    pub more: &'static str,
    /// A query.
    pub example: &'static str,
    /// Reads the figures from a scrape.
    pub collect: for<'a> fn(&'a Scrape, &mut Series<'a>),
}

impl Metric {
    /// Name with unit, as in the exposition's TYPE line.
    pub fn family(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{}_{}", self.name, unit.as_str()),
            None => self.name.to_owned(),
        }
    }

    /// Name as queries use it.
    pub fn sample(&self) -> String {
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        self.family() + suffix
    }
}

/// Metrics under one heading of the documentation.
#[derive(Debug)]
pub struct Subject {
    /// The heading.
    pub title: &'static str,
    /// The first metric under it.
    pub first: &'static str,
}

/// The headings, in the order of [`METRICS`].
pub const SUBJECTS: &[Subject] = &[
    Subject { title: "Connections", first: connections::OPENED.name },
    Subject { title: "Paths", first: paths::CONNECT_TIME.name },
    Subject { title: "Endpoints", first: endpoints::READY.name },
    Subject { title: "DNS", first: dns::RESPONSES.name },
    Subject { title: "Clients", first: clients::ANSWER_POSITION.name },
    Subject { title: "The daemon", first: observer::EVENTS_LOST.name },
];

/// Every metric, in the order of the exposition.
pub const METRICS: &[Metric] = &[
    connections::OPENED,
    connections::SELECTIONS,
    connections::FAILURES,
    connections::ACTIVE,
    connections::BYTES,
    connections::CROSS_ZONE,
    connections::CROSS_ZONE_BYTES,
    connections::STALE,
    connections::PORT_MISMATCH,
    paths::CONNECT_TIME,
    paths::SYNS,
    paths::SEGMENTS,
    paths::SEGMENTS_AGAIN,
    paths::ROUND_TRIP,
    paths::WAITING,
    paths::CLOSED,
    paths::LIFETIME,
    endpoints::READY,
    endpoints::READY_TIMESTAMP,
    endpoints::FIRST_CONNECTION,
    dns::RESPONSES,
    dns::TRUNCATED_USED,
    dns::ANSWER_SECONDS,
    dns::UNANSWERED,
    dns::ENDPOINTS_RATIO,
    dns::INCOMPLETE,
    dns::REMOVED_ANSWERED,
    dns::ANSWER_AGE,
    dns::ANSWER_TTL,
    dns::ANSWER_EXPIRED,
    dns::RESOLVE_INTERVAL,
    clients::ANSWER_POSITION,
    clients::VERDICT,
    clients::SERIES_FOLDED,
    observer::EVENTS_LOST,
    observer::DNS_REJECTED,
    observer::DNS_REFUSED,
    observer::RECONCILED_CONNECTIONS,
    observer::UNATTRIBUTED_CONNECTIONS,
    observer::EXCLUDED_CONNECTIONS,
    observer::MAP_ENTRIES,
    observer::MAP_CAPACITY,
    observer::PROBE_ENABLED,
    observer::TOPOLOGY_SYNCED,
    observer::TOPOLOGY_STALE,
    observer::TOPOLOGY_REFUSED,
    observer::TOPOLOGY_REQUESTS,
    observer::TOPOLOGY_RECEIVED,
    observer::TOPOLOGY_WATCH_RESTARTS,
    observer::TOPOLOGY_RELISTS,
    observer::TOPOLOGY_REJECTED_OBJECTS,
    observer::BUILD_INFO,
    observer::TOPOLOGY_LAST_EVENT,
    observer::START_TIMESTAMP,
    observer::SERIES,
];

const SERVICE: &[&str] = &["namespace", "service"];
const ENDPOINT: &[&str] = &["namespace", "service", "pod"];
const CLIENT: &[&str] = &["namespace", "service", "client_namespace", "client_workload"];
const EDGE: &[&str] = &["namespace", "service", "pod", "client_namespace", "client_workload"];

/// The object of a series, as text.
const PER_SERVICE: &str = "Service";
const PER_ENDPOINT: &str = "endpoint";
const PER_CLIENT: &str = "Service and client";
const PER_EDGE: &str = "endpoint and client";

/// Values of [`ENDPOINT`].
fn place<'a>(service: &'a Service, endpoint: &'a Endpoint) -> [&'a str; 3] {
    [&service.namespace, &service.name, &endpoint.pod]
}

/// Values of [`CLIENT`].
fn client<'a>(service: &'a Service, client: &'a Client) -> [&'a str; 4] {
    [&service.namespace, &service.name, &client.namespace, &client.workload]
}

/// Values of [`EDGE`], in a metric of spread.
fn edge<'a>(edge: &Edge<'a>) -> [&'a str; 5] {
    let service = edge.part.service;
    [&service.namespace, &service.name, edge.pod(), &edge.client.namespace, &edge.client.workload]
}

/// One series per name.
fn by_name<'a>(series: &mut Series<'a>, counts: &'a Counts) {
    for (name, count) in counts {
        series.add([name.as_str()], *count);
    }
}

/// Seconds since 1970.
fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}
