//! The table of metrics: name, help, labels, and where the figures come from.
//!
//! `headless_*` is about Services and their clients, `headless_observer_*` about the observer itself.
//! Labels: `namespace`, `service`, `pod` (the address where there is no pod), `client_namespace`,
//! `client_workload` and few with a short list of values; never a DNS name that a client asked for.

use prometheus_client::registry::Unit;

use super::series::Series;
use crate::expose::snapshot::{Client, ClientEndpoint, Counts, Endpoint, Service, Snapshot};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; the exposition appends `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A family of series.
#[derive(Debug)]
pub struct Metric {
    /// Name without unit and without `_total`: both are appended.
    pub name: &'static str,
    /// What it is counted in, where that is part of the name.
    pub unit: Option<Unit>,
    /// What it is.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Takes the figures from a snapshot.
    pub collect: for<'a> fn(&'a Snapshot, &mut Series<'a>),
}

impl Metric {
    /// Name with unit, as in the exposition's TYPE line.
    pub fn family(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{}_{}", self.name, unit.as_str()),
            None => self.name.to_owned(),
        }
    }
}

const PAIR: &[&str] = &["namespace", "service", "pod", "client_namespace", "client_workload"];
const ENDPOINT: &[&str] = &["namespace", "service", "pod"];

/// Every metric, in the order of the exposition.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "headless_connections_opened",
        unit: None,
        kind: Kind::Counter,
        help: "Connections that clients opened to an endpoint, by what the address was resolved by. \
               Only service and srv say something about how clients spread.",
        labels: &["namespace", "service", "pod", "client_namespace", "client_workload", "resolution"],
        collect: |snapshot, series| {
            for (service, client, endpoint) in pairs(snapshot) {
                let pair = pair(service, client, endpoint);
                series.add([&pair[..], &["service"]].concat(), 0);
                for (resolution, opened) in &endpoint.resolution {
                    // Open before the observer was: it did not see them being opened.
                    if resolution != "preexisting" {
                        series.add([&pair[..], &[resolution]].concat(), *opened);
                    }
                }
            }
        },
    },
    Metric {
        name: "headless_connect_failures",
        unit: None,
        kind: Kind::Counter,
        help: "Attempts that ended without a connection, and connections that were reset (reason reset).",
        labels: &["namespace", "service", "pod", "client_namespace", "client_workload", "reason"],
        collect: |snapshot, series| {
            for (service, client, endpoint) in pairs(snapshot) {
                for (reason, failed) in &endpoint.reasons {
                    series.add([&pair(service, client, endpoint)[..], &[reason]].concat(), *failed);
                }
            }
        },
    },
    Metric {
        name: "headless_connections_active",
        unit: None,
        kind: Kind::Gauge,
        help: "Connections that are open now, those older than the observer included.",
        labels: PAIR,
        collect: |snapshot, series| {
            for (service, client, endpoint) in pairs(snapshot) {
                series.add(pair(service, client, endpoint), endpoint.active);
            }
        },
    },
    Metric {
        name: "headless_connection",
        unit: Some(Unit::Bytes),
        kind: Kind::Counter,
        help: "Bytes that clients sent and received, in connections that ended.",
        labels: &["namespace", "service", "pod", "direction"],
        collect: |snapshot, series| {
            for (service, endpoint) in endpoints(snapshot) {
                let [namespace, name, pod] = place(service, endpoint);
                series.add([namespace, name, pod, "sent"], endpoint.bytes_sent);
                series.add([namespace, name, pod, "received"], endpoint.bytes_received);
            }
        },
    },
    Metric {
        name: "headless_endpoint_ready",
        unit: None,
        kind: Kind::Gauge,
        help: "Whether the endpoint is ready (1) or not ready, terminating or removed (0).",
        labels: ENDPOINT,
        collect: |snapshot, series| {
            for (service, endpoint) in endpoints(snapshot) {
                series.max(place(service, endpoint), u64::from(endpoint.state == "ready"));
            }
        },
    },
    Metric {
        name: "headless_endpoint_ready_timestamp",
        unit: Some(Unit::Seconds),
        kind: Kind::Gauge,
        help: "When the endpoint became ready, in seconds since 1970.",
        labels: ENDPOINT,
        collect: |snapshot, series| {
            for (service, endpoint) in endpoints(snapshot) {
                if let Some(since) = endpoint.ready_since {
                    let seconds = u64::try_from(since.as_second()).unwrap_or(0);
                    series.max(place(service, endpoint), seconds);
                }
            }
        },
    },
    Metric {
        name: "headless_stale_connections",
        unit: None,
        kind: Kind::Counter,
        help: "Connections to addresses that were no ready endpoint at that moment.",
        labels: &["namespace", "service", "kind"],
        collect: |snapshot, series| by_service(snapshot, series, |service| &service.stale),
    },
    Metric {
        name: "headless_dns_responses",
        unit: None,
        kind: Kind::Counter,
        help: "DNS answers for the names of the Service that clients received, by response code.",
        labels: &["namespace", "service", "rcode"],
        collect: |snapshot, series| by_service(snapshot, series, |service| &service.dns.rcodes),
    },
    Metric {
        name: "headless_dns_transport_responses",
        unit: None,
        kind: Kind::Counter,
        help: "The same answers by transport.",
        labels: &["namespace", "service", "transport"],
        collect: |snapshot, series| by_service(snapshot, series, |service| &service.dns.transports),
    },
    Metric {
        name: "headless_dns_truncated_responses",
        unit: None,
        kind: Kind::Counter,
        help: "Those that the server could not fit into the answer (TC set).",
        labels: &["namespace", "service"],
        collect: |snapshot, series| {
            for service in &snapshot.services {
                series.add([service.namespace.as_str(), &service.name], service.dns.truncated);
            }
        },
    },
    Metric {
        name: "headless_observer_events_lost",
        unit: None,
        kind: Kind::Counter,
        help: "What the observer lost. ring_full costs detail, totals stay exact; tracked_full connections are \
               missing; flows_full ones are if the ring loses them too.",
        labels: &["reason"],
        collect: |snapshot, series| by_name(series, &snapshot.quality.events_lost),
    },
    Metric {
        name: "headless_observer_dns_rejected",
        unit: None,
        kind: Kind::Counter,
        help: "DNS payloads that could not be decoded.",
        labels: &["reason"],
        collect: |snapshot, series| by_name(series, &snapshot.quality.dns_rejected),
    },
    Metric {
        name: "headless_observer_late_connections",
        unit: None,
        kind: Kind::Counter,
        help: "Connections whose detail was lost and which were attributed later, with the evidence at hand.",
        labels: &[],
        collect: |snapshot, series| series.add([], snapshot.quality.late),
    },
    Metric {
        name: "headless_observer_unattributed_connections",
        unit: None,
        kind: Kind::Counter,
        help: "Connections to endpoints of headless Services that no DNS answer explains (no_dns: attributed by \
               the address alone), or that are for none of them (other reasons).",
        labels: &["reason"],
        collect: |snapshot, series| by_name(series, &snapshot.quality.unattributed),
    },
    Metric {
        name: "headless_observer_excluded_connections",
        unit: None,
        kind: Kind::Counter,
        help: "Connections that were left out on purpose.",
        labels: &["reason"],
        collect: |snapshot, series| by_name(series, &snapshot.quality.excluded),
    },
    Metric {
        name: "headless_observer_map_entries",
        unit: None,
        kind: Kind::Gauge,
        help: "Entries in use of a kernel map.",
        labels: &["map"],
        collect: |snapshot, series| {
            for (map, fill) in &snapshot.quality.maps {
                series.add([map.as_str()], fill.entries);
            }
        },
    },
    Metric {
        name: "headless_observer_map_capacity",
        unit: None,
        kind: Kind::Gauge,
        help: "Room of a kernel map.",
        labels: &["map"],
        collect: |snapshot, series| {
            for (map, fill) in &snapshot.quality.maps {
                series.add([map.as_str()], fill.capacity);
            }
        },
    },
    Metric {
        name: "headless_observer_probe_enabled",
        unit: None,
        kind: Kind::Gauge,
        help: "Whether the probe is attached, and to which hook.",
        labels: &["probe", "hook"],
        collect: |snapshot, series| {
            for (probe, hook) in &snapshot.quality.probes {
                series.add([probe.as_str(), hook], u64::from(hook != "none"));
            }
        },
    },
    Metric {
        name: "headless_observer_topology_synced",
        unit: None,
        kind: Kind::Gauge,
        help: "Whether all Services and endpoints have been seen and their source is in touch.",
        labels: &["source"],
        collect: |snapshot, series| {
            let topology = &snapshot.quality.topology;
            series.add([topology.source.as_str()], u64::from(topology.synced));
        },
    },
    Metric {
        name: "headless_observer_topology_stale",
        unit: Some(Unit::Seconds),
        kind: Kind::Gauge,
        help: "For how long the topology's source has been out of touch; 0 while it is in touch.",
        labels: &["source"],
        collect: |snapshot, series| {
            let topology = &snapshot.quality.topology;
            let since = topology.stale_since.unwrap_or(snapshot.to);
            let seconds = snapshot.to.duration_since(since).as_secs();
            series.add([topology.source.as_str()], u64::try_from(seconds).unwrap_or(0));
        },
    },
    Metric {
        name: "headless_observer_topology_refused",
        unit: None,
        kind: Kind::Gauge,
        help: "What the API server does not allow: 1 for each verb, resource and namespace (empty: all).",
        labels: &["verb", "resource", "namespace"],
        collect: |snapshot, series| {
            for refusal in &snapshot.quality.topology.refused {
                series.add([refusal.verb.as_str(), &refusal.resource, &refusal.namespace], 1);
            }
        },
    },
    Metric {
        name: "headless_observer_topology_requests",
        unit: None,
        kind: Kind::Counter,
        help: "Requests to the API server.",
        labels: &[],
        collect: |snapshot, series| series.add([], snapshot.quality.topology.requests),
    },
    Metric {
        name: "headless_observer_topology_received",
        unit: Some(Unit::Bytes),
        kind: Kind::Counter,
        help: "Bytes that the API server sent, without headers.",
        labels: &[],
        collect: |snapshot, series| series.add([], snapshot.quality.topology.received_bytes),
    },
    Metric {
        name: "headless_observer_topology_watch_restarts",
        unit: None,
        kind: Kind::Counter,
        help: "Watches that were opened again; the server ends each after some minutes.",
        labels: &[],
        collect: |snapshot, series| series.add([], snapshot.quality.topology.watch_restarts),
    },
    Metric {
        name: "headless_observer_topology_relists",
        unit: None,
        kind: Kind::Counter,
        help: "Watches whose objects were listed again, because the server had forgotten what happened meanwhile.",
        labels: &[],
        collect: |snapshot, series| series.add([], snapshot.quality.topology.relists),
    },
    Metric {
        name: "headless_observer_topology_rejected_objects",
        unit: None,
        kind: Kind::Counter,
        help: "Objects that could not be read; each stays as it was when it last could.",
        labels: &[],
        collect: |snapshot, series| series.add([], snapshot.quality.topology.rejected_objects),
    },
    Metric {
        name: "headless_observer_build_info",
        unit: None,
        kind: Kind::Gauge,
        help: "The observer's version; always 1.",
        labels: &["version", "revision"],
        collect: |_, series| {
            let revision = option_env!("HEADLESS_OBS_REVISION").unwrap_or("unknown");
            series.add([env!("CARGO_PKG_VERSION"), revision], 1);
        },
    },
];

/// Every endpoint of every Service.
fn endpoints(snapshot: &Snapshot) -> impl Iterator<Item = (&Service, &Endpoint)> {
    snapshot
        .services
        .iter()
        .flat_map(|service| service.endpoints.iter().map(move |endpoint| (service, endpoint)))
}

/// Every client at every endpoint, those without connections included.
fn pairs(snapshot: &Snapshot) -> impl Iterator<Item = (&Service, &Client, &ClientEndpoint)> {
    snapshot.services.iter().flat_map(|service| {
        service
            .clients
            .iter()
            .flat_map(move |client| client.endpoints.iter().map(move |endpoint| (service, client, endpoint)))
    })
}

/// Values of [`ENDPOINT`].
fn place<'a>(service: &'a Service, endpoint: &'a Endpoint) -> [&'a str; 3] {
    [&service.namespace, &service.name, &endpoint.pod]
}

/// Values of [`PAIR`].
fn pair<'a>(service: &'a Service, client: &'a Client, endpoint: &'a ClientEndpoint) -> [&'a str; 5] {
    [&service.namespace, &service.name, &endpoint.pod, &client.namespace, &client.workload]
}

/// One series per Service and name in its counts.
fn by_service<'a>(snapshot: &'a Snapshot, series: &mut Series<'a>, counts: fn(&'a Service) -> &'a Counts) {
    for service in &snapshot.services {
        for (name, count) in counts(service) {
            series.add([service.namespace.as_str(), &service.name, name], *count);
        }
    }
}

/// One series per name.
fn by_name<'a>(series: &mut Series<'a>, counts: &'a Counts) {
    for (name, count) in counts {
        series.add([name.as_str()], *count);
    }
}
