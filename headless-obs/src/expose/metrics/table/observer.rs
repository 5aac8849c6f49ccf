//! Metrics about the daemon itself.

use prometheus_client::registry::Unit;

use super::{Kind, Metric, by_name, seconds};

/// See its `help`.
pub(super) const EVENTS_LOST: Metric = Metric {
    name: "headless_observer_events_lost",
    unit: None,
    kind: Kind::Counter,
    help: "Events that the daemon lost. After ring_full, details are missing but totals are exact; after connections_full, \
           connections are missing; after flows_full, they are missing if the ring lost them, too.",
    labels: &["reason"],
    per: "reason",
    more: "",
    example: "sum by (reason) (rate(headless_observer_events_lost_total[5m])) > 0",
    collect: |scrape, series| by_name(series, &scrape.snapshot.quality.events_lost),
};

/// See its `help`.
pub(super) const DNS_REJECTED: Metric = Metric {
    name: "headless_observer_dns_rejected",
    unit: None,
    kind: Kind::Counter,
    help: "DNS payloads that the daemon could not decode.",
    labels: &["reason"],
    per: "reason",
    more: "",
    example: "rate(headless_observer_dns_rejected_total[5m])",
    collect: |scrape, series| by_name(series, &scrape.snapshot.quality.dns_rejected),
};

/// See its `help`.
pub(super) const DNS_REFUSED: Metric = Metric {
    name: "headless_observer_dns_refused",
    unit: None,
    kind: Kind::Counter,
    help: "DNS payloads that the daemon did not use, because they answer no query of the socket that received them.",
    labels: &["reason"],
    per: "reason",
    more: "`unsolicited`: the socket sent no such query, or already has the response, or sent the query more than ten seconds ago or \
           before the daemon started. `other_server`: the socket sent the query to another server. \
           [troubleshooting.md](troubleshooting.md) lists causes other than an attack.",
    example: "sum by (node, reason) (rate(headless_observer_dns_refused_total[10m])) > 0",
    collect: |scrape, series| by_name(series, &scrape.snapshot.quality.dns_refused),
};

/// See its `help`.
pub(super) const RECONCILED_CONNECTIONS: Metric = Metric {
    name: "headless_observer_reconciled_connections",
    unit: None,
    kind: Kind::Counter,
    help: "Connections whose event was lost, and which the daemon attributed later by the latest DNS answer.",
    labels: &[],
    per: "node",
    more: "Totals include them. Client and endpoint are exact; the Service is that of the latest DNS answer.",
    example: "rate(headless_observer_reconciled_connections_total[5m])",
    collect: |scrape, series| series.add([], scrape.snapshot.quality.reconciled),
};

/// See its `help`.
pub(super) const UNATTRIBUTED_CONNECTIONS: Metric = Metric {
    name: "headless_observer_unattributed_connections",
    unit: None,
    kind: Kind::Counter,
    help: "Connections to endpoints of headless Services that no DNS answer explains (no_dns: attributed only by \
           the address), or that belong to no Service (other reasons).",
    labels: &["reason"],
    per: "reason",
    more: "`ambiguous`: no DNS answer explains the connection, and several Services have the address. `other_port`: not a \
           port of the Service. `not_endpoint`: an answer for the Service's name listed the address, which never became an \
           endpoint. `other_name`: an answer for a name of no Service here listed the address. `removed`: no DNS answer explains it, and the address was that of an endpoint that has left. `no_dns`: attributed without a DNS answer; `headless_connections_opened_total` counts these with \
           `resolution=\"none\"`.",
    example: "rate(headless_observer_unattributed_connections_total[5m])",
    collect: |scrape, series| by_name(series, &scrape.snapshot.quality.unattributed),
};

/// See its `help`.
pub(super) const EXCLUDED_CONNECTIONS: Metric = Metric {
    name: "headless_observer_excluded_connections",
    unit: None,
    kind: Kind::Counter,
    help: "Connections that the daemon excludes on purpose.",
    labels: &["reason"],
    per: "reason",
    more: "`ignored`: ignored in the kernel, because the destination cannot be an endpoint. `probe`: from the node itself to a pod on it, \
           without DNS, such as the kubelet's health checks. `proxy`: made by a service mesh's proxy for a client whose own \
           connection counts. `other_node`: made on another node that shares the kernel. `observer`: made by the daemon \
           itself. `load_balanced`: a socket-level load balancer chose the endpoint.",
    example: "rate(headless_observer_excluded_connections_total[5m])",
    collect: |scrape, series| by_name(series, &scrape.snapshot.quality.excluded),
};

/// See its `help`.
pub(super) const MAP_ENTRIES: Metric = Metric {
    name: "headless_observer_map_entries",
    unit: None,
    kind: Kind::Gauge,
    help: "Entries in use in a kernel map.",
    labels: &["map"],
    per: "kernel map",
    more: "`FLOWS`, `CONNECTIONS` and `IGNORED_DESTS`.",
    example: "headless_observer_map_entries / headless_observer_map_capacity > 0.8",
    collect: |scrape, series| {
        for (map, fill) in &scrape.snapshot.quality.maps {
            series.add([map.as_str()], fill.entries);
        }
    },
};

/// See its `help`.
pub(super) const MAP_CAPACITY: Metric = Metric {
    name: "headless_observer_map_capacity",
    unit: None,
    kind: Kind::Gauge,
    help: "Maximum number of entries of a kernel map.",
    labels: &["map"],
    per: "kernel map",
    more: "",
    example: "headless_observer_map_capacity",
    collect: |scrape, series| {
        for (map, fill) in &scrape.snapshot.quality.maps {
            series.add([map.as_str()], fill.capacity);
        }
    },
};

/// See its `help`.
pub(super) const PROBE_ENABLED: Metric = Metric {
    name: "headless_observer_probe_enabled",
    unit: None,
    kind: Kind::Gauge,
    help: "Whether the probe is attached, and to which hook.",
    labels: &["probe", "hook"],
    per: "probe",
    more: "`dns`, `queries`, `servers`, `tcp`, `existing`, and `connects` where there is a socket-level load balancer; 0 with \
           `hook=\"none\"`.",
    example: "headless_observer_probe_enabled == 0",
    collect: |scrape, series| {
        for (probe, hook) in &scrape.snapshot.quality.probes {
            series.add([probe.as_str(), hook], u64::from(hook != "none"));
        }
    },
};

/// See its `help`.
pub(super) const TOPOLOGY_SYNCED: Metric = Metric {
    name: "headless_observer_topology_synced",
    unit: None,
    kind: Kind::Gauge,
    help: "Whether the daemon has read all Services and endpoints, and their source is reachable.",
    labels: &["source"],
    per: "source",
    more: "`kubernetes`, `files` or `dns`.",
    example: "headless_observer_topology_synced == 0",
    collect: |scrape, series| {
        let topology = &scrape.snapshot.quality.topology;
        series.add([topology.source.as_str()], u64::from(topology.synced));
    },
};

/// See its `help`.
pub(super) const TOPOLOGY_STALE: Metric = Metric {
    name: "headless_observer_topology_stale",
    unit: Some(Unit::Seconds),
    kind: Kind::Gauge,
    help: "For how long the source of Services and endpoints has been unreachable; 0 while it is reachable.",
    labels: &["source"],
    per: "source",
    more: "The daemon keeps the last known Services and endpoints.",
    example: "headless_observer_topology_stale_seconds > 300",
    collect: |scrape, series| {
        let topology = &scrape.snapshot.quality.topology;
        let since = topology.stale_since.unwrap_or(scrape.snapshot.to);
        let seconds = scrape.snapshot.to.duration_since(since).as_secs();
        series.add([topology.source.as_str()], u64::try_from(seconds).unwrap_or(0));
    },
};

/// See its `help`.
pub(super) const TOPOLOGY_REFUSED: Metric = Metric {
    name: "headless_observer_topology_refused",
    unit: None,
    kind: Kind::Gauge,
    help: "Requests that the API server does not allow: 1 for each verb, resource and namespace (empty: all).",
    labels: &["verb", "resource", "namespace"],
    per: "verb, resource and namespace",
    more: "`list` or `watch`; `endpointslices`, `services`, `pods`. `/api/v1/snapshot` names what is missing because of that.",
    example: "headless_observer_topology_refused",
    collect: |scrape, series| {
        for refusal in &scrape.snapshot.quality.topology.refused {
            series.add([refusal.verb.as_str(), &refusal.resource, &refusal.namespace], 1);
        }
    },
};

/// See its `help`.
pub(super) const TOPOLOGY_REQUESTS: Metric = Metric {
    name: "headless_observer_topology_requests",
    unit: None,
    kind: Kind::Counter,
    help: "Requests that the daemon sent to the API server.",
    labels: &[],
    per: "node",
    more: "",
    example: "rate(headless_observer_topology_requests_total[5m])",
    collect: |scrape, series| series.add([], scrape.snapshot.quality.topology.requests),
};

/// See its `help`.
pub(super) const TOPOLOGY_RECEIVED: Metric = Metric {
    name: "headless_observer_topology_received",
    unit: Some(Unit::Bytes),
    kind: Kind::Counter,
    help: "Bytes that the API server sent, without headers.",
    labels: &[],
    per: "node",
    more: "",
    example: "rate(headless_observer_topology_received_bytes_total[5m])",
    collect: |scrape, series| series.add([], scrape.snapshot.quality.topology.received_bytes),
};

/// See its `help`.
pub(super) const TOPOLOGY_WATCH_RESTARTS: Metric = Metric {
    name: "headless_observer_topology_watch_restarts",
    unit: None,
    kind: Kind::Counter,
    help: "Watches that the daemon opened again; the API server ends each after some minutes.",
    labels: &[],
    per: "node",
    more: "So this grows slowly in normal operation.",
    example: "increase(headless_observer_topology_watch_restarts_total[1h])",
    collect: |scrape, series| series.add([], scrape.snapshot.quality.topology.watch_restarts),
};

/// See its `help`.
pub(super) const TOPOLOGY_RELISTS: Metric = Metric {
    name: "headless_observer_topology_relists",
    unit: None,
    kind: Kind::Counter,
    help: "Watches whose objects the daemon listed again, because the API server no longer had the changes in between.",
    labels: &[],
    per: "node",
    more: "",
    example: "increase(headless_observer_topology_relists_total[1h])",
    collect: |scrape, series| series.add([], scrape.snapshot.quality.topology.relists),
};

/// See its `help`.
pub(super) const TOPOLOGY_REJECTED_OBJECTS: Metric = Metric {
    name: "headless_observer_topology_rejected_objects",
    unit: None,
    kind: Kind::Counter,
    help: "Objects that the daemon rejected; it keeps the last valid state of each.",
    labels: &[],
    per: "node",
    more: "Each change of such an object counts; the log names the objects.",
    example: "increase(headless_observer_topology_rejected_objects_total[1h]) > 0",
    collect: |scrape, series| series.add([], scrape.snapshot.quality.topology.rejected_objects),
};

/// See its `help`.
pub(super) const BUILD_INFO: Metric = Metric {
    name: "headless_observer_build_info",
    unit: None,
    kind: Kind::Gauge,
    help: "Version of the daemon; always 1.",
    labels: &["version", "revision"],
    per: "node",
    more: "",
    example: "count by (version) (headless_observer_build_info)",
    collect: |_, series| {
        let revision = option_env!("HEADLESS_OBS_REVISION").unwrap_or("unknown");
        series.add([env!("CARGO_PKG_VERSION"), revision], 1);
    },
};

/// See its `help`.
pub(super) const TOPOLOGY_LAST_EVENT: Metric = Metric {
    name: "headless_observer_topology_last_event_timestamp",
    unit: Some(Unit::Seconds),
    kind: Kind::Gauge,
    help: "When the source of Services and endpoints last sent anything, in seconds since 1970.",
    labels: &["source"],
    per: "source",
    more: "With `kubernetes`, that of the watch that has been silent for longest: bookmarks come at least each minute, so \
           in normal operation it is recent. With `files` and `dns`, the last change, which may be long ago.",
    example: "time() - headless_observer_topology_last_event_timestamp_seconds{source=\"kubernetes\"} > 300",
    collect: |scrape, series| {
        let topology = &scrape.snapshot.quality.topology;
        if let Some(last) = topology.last_event {
            series.max([topology.source.as_str()], seconds(last));
        }
    },
};

/// See its `help`.
pub(super) const START_TIMESTAMP: Metric = Metric {
    name: "headless_observer_start_timestamp",
    unit: Some(Unit::Seconds),
    kind: Kind::Gauge,
    help: "When the daemon began to observe, in seconds since 1970.",
    labels: &[],
    per: "node",
    more: "",
    example: "time() - headless_observer_start_timestamp_seconds",
    collect: |scrape, series| series.max([], seconds(scrape.snapshot.from)),
};

/// See its `help`.
pub(super) const SERIES: Metric = Metric {
    name: "headless_observer_series",
    unit: None,
    kind: Kind::Gauge,
    help: "Series of this exposition; each bucket of a histogram is one.",
    labels: &[],
    per: "node",
    more: "The lines with creation times of series do not count.",
    example: "sum(headless_observer_series)",
    collect: |_, series| series.add([], series.before() + 1),
};
