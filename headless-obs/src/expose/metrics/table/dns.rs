//! Metrics of DNS: responses to clients, their completeness, and how long clients use them.

use prometheus_client::registry::Unit;

use super::{CLIENT, Kind, Metric, PER_CLIENT, PER_SERVICE, SERVICE, client};
use crate::expose::metrics::histogram_bounds;

/// See its `help`.
pub(super) const RESPONSES: Metric = Metric {
    name: "headless_dns_responses",
    unit: None,
    kind: Kind::Counter,
    help: "DNS responses that clients received for the names of the Service.",
    labels: &[
        "namespace",
        "service",
        "client_namespace",
        "client_workload",
        "rcode",
        "truncated",
        "transport",
        "qtype",
    ],
    per: "Service, client and kind of response",
    more: "`rcode`: `noerror`, `nxdomain`, `servfail`, `other`. `truncated`: `true` with TC set. `transport`: `udp` or \
           `tcp`. `qtype`: `a`, `aaaa`, `srv` or `other`. Responses for names that only search lists produce are not counted.",
    example: "sum by (service, rcode) (rate(headless_dns_responses_total[5m]))",
    collect: |scrape, series| {
        for (service, of) in scrape.clients() {
            series.started(of.since);
            let [namespace, service, client_namespace, workload] = client(service, of);
            for kind in &of.responses {
                let truncated = if kind.truncated { "true" } else { "false" };
                let (rcode, transport, qtype) = (&*kind.rcode, &*kind.transport, &*kind.qtype);
                series.add(
                    [namespace, service, client_namespace, workload, rcode, truncated, transport, qtype],
                    kind.count,
                );
            }
        }
    },
};

/// See its `help`.
pub(super) const TRUNCATED_USED: Metric = Metric {
    name: "headless_dns_truncated_used",
    unit: None,
    kind: Kind::Counter,
    help: "Connections and attempts by a truncated answer, which lacked endpoints.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "",
    example: "sum by (service, client_workload) (increase(headless_dns_truncated_used_total[10m])) > 0",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            series.add(client(service, of), of.answers.truncated_used);
        }
    },
};

/// See its `help`.
pub(super) const ANSWER_SECONDS: Metric = Metric {
    name: "headless_dns_answer",
    unit: Some(Unit::Seconds),
    kind: Kind::Histogram(histogram_bounds::LATENCIES),
    help: "Time from a client's query for a name of the Service to the response, over UDP.",
    labels: SERVICE,
    per: PER_SERVICE,
    more: "If the client repeats the query, the time begins with the first one. There are no values while the daemon cannot \
           see queries (`headless_observer_probe_enabled{probe=\"queries\"}`).",
    example: "histogram_quantile(0.99, sum by (service, le) (rate(headless_dns_answer_seconds_bucket[10m])))",
    collect: |scrape, series| {
        for part in scrape.described() {
            series.merge([part.service.namespace.as_str(), &part.service.name], &part.service.dns.latency);
        }
    },
};

/// See its `help`.
pub(super) const UNANSWERED: Metric = Metric {
    name: "headless_dns_unanswered",
    unit: None,
    kind: Kind::Counter,
    help: "Queries over UDP, for any name, that no DNS server answered within ten seconds.",
    labels: &["client_namespace", "client_workload"],
    per: "client",
    more: "The first hundred clients have series of their own; all others are `~other`. Later responses are not used.",
    example: "sum by (client_namespace, client_workload) (rate(headless_dns_unanswered_total[10m])) > 0",
    collect: |scrape, series| {
        for row in &scrape.snapshot.unanswered {
            series.add([row.namespace.as_str(), &row.workload], row.queries);
        }
    },
};

/// See its `help`.
pub(super) const ENDPOINTS_RATIO: Metric = Metric {
    name: "headless_dns_answer_endpoints_ratio",
    unit: None,
    kind: Kind::Histogram(histogram_bounds::SHARES),
    help: "Share of the ready endpoints of the queried address family that each complete answer for the Service's name \
           listed.",
    labels: SERVICE,
    per: PER_SERVICE,
    more: "1 means all of them.",
    example: "1 - sum by (service) (rate(headless_dns_answer_endpoints_ratio_sum[10m])) / \
              sum by (service) (rate(headless_dns_answer_endpoints_ratio_count[10m]))",
    collect: |scrape, series| {
        for part in scrape.described() {
            series.merge([part.service.namespace.as_str(), &part.service.name], &part.service.dns.ratio);
        }
    },
};

/// See its `help`.
pub(super) const INCOMPLETE: Metric = Metric {
    name: "headless_dns_incomplete_responses",
    unit: None,
    kind: Kind::Counter,
    help: "Answers that were not truncated, but lacked an endpoint that had been ready for longer than the grace.",
    labels: SERVICE,
    per: PER_SERVICE,
    more: "",
    example: "sum by (namespace, service) (rate(headless_dns_incomplete_responses_total[10m])) > 0",
    collect: |scrape, series| {
        for part in scrape.described() {
            series.add([part.service.namespace.as_str(), &part.service.name], part.service.dns.incomplete);
        }
    },
};

/// See its `help`.
pub(super) const REMOVED_ANSWERED: Metric = Metric {
    name: "headless_dns_removed_answered",
    unit: None,
    kind: Kind::Counter,
    help: "Answers that listed an endpoint after it had left and the grace had passed.",
    labels: SERVICE,
    per: PER_SERVICE,
    more: "",
    example: "sum by (namespace, service) (rate(headless_dns_removed_answered_total[10m])) > 0",
    collect: |scrape, series| {
        for part in scrape.described() {
            series.add(
                [part.service.namespace.as_str(), &part.service.name],
                part.service.dns.removed_answered,
            );
        }
    },
};

/// See its `help`.
pub(super) const ANSWER_AGE: Metric = Metric {
    name: "headless_dns_answer_age",
    unit: Some(Unit::Seconds),
    kind: Kind::Histogram(histogram_bounds::SECONDS),
    help: "Age of the DNS answer that a connection or an attempt used.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "",
    example: "histogram_quantile(0.9, sum by (client_workload, le) \
              (rate(headless_dns_answer_age_seconds_bucket{service=\"orders\"}[10m])))",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            series.merge(client(service, of), &of.answer_age.histogram);
        }
    },
};

/// See its `help`.
pub(super) const ANSWER_TTL: Metric = Metric {
    name: "headless_dns_answer_ttl",
    unit: Some(Unit::Seconds),
    kind: Kind::Gauge,
    help: "TTL of the last answer with addresses that the client received.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "",
    example: "max by (service) (headless_dns_answer_ttl_seconds)",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients().filter(|(_, of)| of.answers.count > 0) {
            series.max(client(service, of), f64::from(of.answers.last_ttl_seconds));
        }
    },
};

/// See its `help`.
pub(super) const ANSWER_EXPIRED: Metric = Metric {
    name: "headless_dns_answer_expired_connections",
    unit: None,
    kind: Kind::Counter,
    help: "Connections and attempts that used an answer past its TTL.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "",
    example: "sum by (service, client_workload) (rate(headless_dns_answer_expired_connections_total[10m])) > 0",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            series.started(of.since);
            series.add(client(service, of), of.answer_age.past_ttl);
        }
    },
};

/// See its `help`.
pub(super) const RESOLVE_INTERVAL: Metric = Metric {
    name: "headless_dns_resolve_interval",
    unit: Some(Unit::Seconds),
    kind: Kind::Gauge,
    help: "Mean time between consecutive lookups of one pod of the client.",
    labels: CLIENT,
    per: PER_CLIENT,
    more: "There is no value before the second lookup. One lookup may have an answer of each address family.",
    example: "headless_dns_resolve_interval_seconds > 300",
    collect: |scrape, series| {
        for (service, of) in scrape.connecting_clients() {
            if let Some(seconds) = of.answers.interval_seconds {
                series.max(client(service, of), seconds);
            }
        }
    },
};
