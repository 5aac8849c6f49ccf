//! DNS answers to the clients of headless Services. The page shows whether DNS or the clients cause a problem.

use serde_json::json;

use super::overview::organize;
use crate::model::{Dashboard, Row, row};
use crate::panels::{heatmap, lines, shares, stacked, stat, table};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-dns",
        title: "Headless Services / DNS",
        description: "The DNS answers that clients of headless Services received: their number, completeness and age.",
        variables: &[Variable::Cluster, Variable::Namespace, Variable::Services],
        rows: vec![now(), answers(), completeness(), clients()],
    }
}

/// Share of truncated answers, by Service.
const TRUNCATED: &str = r#"sum by (S) (rate(headless_dns_responses_total{S,truncated="true"}[$__rate_interval]))
    / sum by (S) (rate(headless_dns_responses_total{S}[$__rate_interval]))"#;

/// Mean share of the ready pods in an answer; `BY` is a placeholder for the grouping.
const LISTED: &str = "sum BY (rate(headless_dns_answer_endpoints_ratio_sum{S}[$__rate_interval]))
    / sum BY (rate(headless_dns_answer_endpoints_ratio_count{S}[$__rate_interval]))";

fn now() -> Row {
    row(
        "Now",
        [
            stat("Responses", "DNS responses a second that clients received for the Services' names.")
                .unit("cps")
                .query("sum(rate(headless_dns_responses_total{S}[$__rate_interval]))", "responses"),
            stat("Not found", "Share of NXDOMAIN: the Service has no ready endpoints, or the client misspells the name.")
                .unit("percentunit")
                .colours("green", &[(0.01, "orange")])
                .query(
                    r#"(sum(rate(headless_dns_responses_total{S,rcode="nxdomain"}[$__rate_interval])) or vector(0))
                    / sum(rate(headless_dns_responses_total{S}[$__rate_interval]))"#,
                    "NXDOMAIN",
                ),
            stat("Truncated", "Share of truncated responses. They are harmless if clients repeat the query over TCP.")
                .unit("percentunit")
                .colours("green", &[(0.01, "orange")])
                .query(
                    r#"(sum(rate(headless_dns_responses_total{S,truncated="true"}[$__rate_interval])) or vector(0))
                    / sum(rate(headless_dns_responses_total{S}[$__rate_interval]))"#,
                    "truncated",
                ),
            stat(
                "Truncated and used",
                "Connections a second that used a truncated answer: these clients do not repeat the query, so they know \
                 only some of the pods.",
            )
            .unit("cps")
            .colours("green", &[(0.001, "red")])
            .query("sum(rate(headless_dns_truncated_used_total{S}[$__rate_interval]))", "used"),
            stat("Listed", "Mean share of the ready pods that complete answers list. Below 100 % DNS is behind.")
                .unit("percentunit")
                .query(&LISTED.replace("BY", ""), "listed"),
            stat("Removed listed", "Answers a second that list a pod that has left: DNS is behind, or caches answers.")
                .unit("cps")
                .colours("green", &[(0.001, "orange")])
                .query("sum(rate(headless_dns_removed_answered_total{S}[$__rate_interval]))", "answers"),
        ],
    )
}

fn answers() -> Row {
    row(
        "Answers",
        [
            stacked(
                "Responses by code",
                "noerror is success. nxdomain means that the name has no records, for example because the Service has no \
                 ready endpoints. servfail means that the DNS server failed.",
            )
            .unit("cps")
            .query("sum by (rcode) (rate(headless_dns_responses_total{S}[$__rate_interval]))", "{{rcode}}"),
            shares(
                "Responses by transport",
                "Clients usually use UDP. They use TCP if answers do not fit, which takes a connection for each lookup.",
            )
            .unit("cps")
            .query("sum by (transport) (rate(headless_dns_responses_total{S}[$__rate_interval]))", "{{transport}}"),
            stacked(
                "Responses by type",
                "Record types that clients query. A client that wants both address families queries A and AAAA for each name.",
            )
            .unit("cps")
            .query("sum by (qtype) (rate(headless_dns_responses_total{S}[$__rate_interval]))", "{{qtype}}"),
            lines(
                "Truncated share",
                "Share of the responses with TC set, by Service. It grows with the number of pods: about 29 addresses fit into \
                 512 bytes, fewer with long names.",
            )
            .unit("percentunit")
            .query(TRUNCATED, "{{namespace}}/{{service}}"),
        ],
    )
}

fn completeness() -> Row {
    row(
        "Completeness",
        [
            heatmap(
                "Listed of the ready pods",
                "Share of the ready pods that each complete answer lists; a darker cell is more answers. All answers should be \
                 in the bucket of 1. Below it clients cannot know all pods, above it answers list pods that have left.",
                "percentunit",
            )
            .unit("none")
            .query(
                "sum by (le) (increase(headless_dns_answer_endpoints_ratio_bucket{S}[$__rate_interval]))",
                "{{le}}",
            ),
            lines("Completeness", "The mean of that share, by Service. A dip during a rollout is the delay of DNS.")
                .unit("percentunit")
                .query(&LISTED.replace("BY", "by (S)"), "{{namespace}}/{{service}}"),
            lines(
                "Incomplete answers",
                "Complete answers a second that lack a pod that has long been ready. DNS caches answers, or lists only some \
                 pods on purpose.",
            )
            .unit("cps")
            .query(
                "sum by (S) (rate(headless_dns_incomplete_responses_total{S}[$__rate_interval]))",
                "{{namespace}}/{{service}}",
            ),
            lines(
                "Removed answered",
                "Answers a second that list a pod that has left. Clients that use them make stale connections without being \
                 at fault.",
            )
            .unit("cps")
            .query(
                "sum by (S) (rate(headless_dns_removed_answered_total{S}[$__rate_interval]))",
                "{{namespace}}/{{service}}",
            ),
        ],
    )
}

fn clients() -> Row {
    let columns = [
        ("Responses/s", "sum by (C) (rate(headless_dns_responses_total{S}[10m]))", "cps"),
        ("Not found/s", r#"sum by (C) (rate(headless_dns_responses_total{S,rcode="nxdomain"}[10m]))"#, "cps"),
        ("Truncated/s", r#"sum by (C) (rate(headless_dns_responses_total{S,truncated="true"}[10m]))"#, "cps"),
        ("Truncated used/s", "sum by (C) (rate(headless_dns_truncated_used_total{S}[10m]))", "cps"),
        ("Lookup every", "max by (C) (headless_dns_resolve_interval_seconds{S})", "s"),
        ("TTL", "max by (C) (headless_dns_answer_ttl_seconds{S})", "s"),
    ];
    let mut panel = table(
        "Clients",
        "Responses that each client received over the last ten minutes. Many responses that are not found and few others \
         point to a search list, or to a name that is gone. A client that resolves much more often than the TTL loads \
         DNS; a client that resolves much less often misses changes.",
    )
    .unit("none")
    .option("sortBy", json!([{"displayName": "Responses/s", "desc": true}]));
    for (title, query, unit) in columns {
        panel = panel.query(query, title).named(title, &[("unit", json!(unit))]);
    }
    let labels = ["cluster", "namespace", "service", "client_namespace", "client_workload"];
    row(
        "Clients",
        [panel
            .transform("merge", json!({}))
            .transform("organize", organize(&labels, &columns.map(|column| column.0)))],
    )
}
