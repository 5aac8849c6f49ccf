//! What DNS tells the clients of headless Services: is it DNS, or what they make of it?

use serde_json::json;

use super::overview::organize;
use crate::model::{Dashboard, Row, row};
use crate::panels::{heatmap, lines, shares, stacked, stat, table};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-dns",
        title: "Headless Services / DNS",
        description: "The DNS answers that clients of headless Services received: how many, how whole, how old.",
        variables: &[Variable::Cluster, Variable::Namespace, Variable::Services],
        rows: vec![now(), answers(), completeness(), clients()],
    }
}

/// Truncated answers among all, by Service.
const TRUNCATED: &str = r#"sum by (S) (rate(headless_dns_responses_total{S,truncated="true"}[$__rate_interval]))
    / sum by (S) (rate(headless_dns_responses_total{S}[$__rate_interval]))"#;

/// Mean share of the ready pods in an answer, by what is put in for `BY`.
const LISTED: &str = "sum BY (rate(headless_dns_answer_endpoints_ratio_sum{S}[$__rate_interval]))
    / sum BY (rate(headless_dns_answer_endpoints_ratio_count{S}[$__rate_interval]))";

fn now() -> Row {
    row(
        "Now",
        [
            stat("Answers", "Answers a second that clients received for the Services' names.")
                .unit("cps")
                .query("sum(rate(headless_dns_responses_total{S}[$__rate_interval]))", "answers"),
            stat("Not found", "Share of NXDOMAIN. A Service without ready endpoints, a name that is spelled wrong.")
                .unit("percentunit")
                .colours("green", &[(0.01, "orange")])
                .query(
                    r#"(sum(rate(headless_dns_responses_total{S,rcode="nxdomain"}[$__rate_interval])) or vector(0))
                    / sum(rate(headless_dns_responses_total{S}[$__rate_interval]))"#,
                    "NXDOMAIN",
                ),
            stat("Truncated", "Share of the answers that did not fit. Harmless where clients ask again over TCP.")
                .unit("percentunit")
                .colours("green", &[(0.01, "orange")])
                .query(
                    r#"(sum(rate(headless_dns_responses_total{S,truncated="true"}[$__rate_interval])) or vector(0))
                    / sum(rate(headless_dns_responses_total{S}[$__rate_interval]))"#,
                    "truncated",
                ),
            stat(
                "Truncated and used",
                "Connections a second by a truncated answer: their clients do not ask again and know only some of the pods.",
            )
            .unit("cps")
            .colours("green", &[(0.001, "red")])
            .query("sum(rate(headless_dns_truncated_used_total{S}[$__rate_interval]))", "used"),
            stat("Listed", "Mean share of the ready pods that whole answers list. Less than 1: DNS is behind.")
                .unit("percentunit")
                .query(&LISTED.replace("BY", ""), "listed"),
            stat("Removed listed", "Answers a second that list a pod that has left: DNS is behind or caches.")
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
                "Answers by code",
                "noerror is well; nxdomain: the name has no records, as with a Service without ready endpoints; servfail: \
                 the DNS server has trouble of its own.",
            )
            .unit("cps")
            .query("sum by (rcode) (rate(headless_dns_responses_total{S}[$__rate_interval]))", "{{rcode}}"),
            shares(
                "Answers by transport",
                "UDP as a rule; TCP where answers do not fit, at the cost of a connection for each lookup.",
            )
            .unit("cps")
            .query("sum by (transport) (rate(headless_dns_responses_total{S}[$__rate_interval]))", "{{transport}}"),
            stacked(
                "Answers by type",
                "Which records clients ask for. Every name costs A and AAAA where a client wants both families.",
            )
            .unit("cps")
            .query("sum by (qtype) (rate(headless_dns_responses_total{S}[$__rate_interval]))", "{{qtype}}"),
            lines(
                "Truncated share",
                "Share of the answers with TC set, by Service. It grows with the number of pods: some 29 addresses fit into 512 \
                 bytes, fewer with long names.",
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
                "Which share of the ready pods each whole answer lists, darker for more answers. All in the bucket of 1 is \
                 well; below it clients cannot know all pods, above it answers list pods that have left.",
                "percentunit",
            )
            .unit("none")
            .query(
                "sum by (le) (increase(headless_dns_answer_endpoints_ratio_bucket{S}[$__rate_interval]))",
                "{{le}}",
            ),
            lines("Completeness", "The mean of the same, by Service. A dip during a rollout is the delay of DNS.")
                .unit("percentunit")
                .query(&LISTED.replace("BY", "by (S)"), "{{namespace}}/{{service}}"),
            lines(
                "Incomplete answers",
                "Whole answers a second without a pod that has long been ready. DNS caches, or serves only a part on purpose.",
            )
            .unit("cps")
            .query(
                "sum by (S) (rate(headless_dns_incomplete_responses_total{S}[$__rate_interval]))",
                "{{namespace}}/{{service}}",
            ),
            lines(
                "Removed answered",
                "Answers a second that list a pod that has left. Clients that use them make stale connections through no \
                 fault of theirs.",
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
        ("Answers/s", "sum by (C) (rate(headless_dns_responses_total{S}[10m]))", "cps"),
        ("Not found/s", r#"sum by (C) (rate(headless_dns_responses_total{S,rcode="nxdomain"}[10m]))"#, "cps"),
        ("Truncated/s", r#"sum by (C) (rate(headless_dns_responses_total{S,truncated="true"}[10m]))"#, "cps"),
        ("Truncated used/s", "sum by (C) (rate(headless_dns_truncated_used_total{S}[10m]))", "cps"),
        ("Looks up every", "max by (C) (headless_dns_resolve_interval_seconds{S})", "s"),
        ("TTL", "max by (C) (headless_dns_answer_ttl_seconds{S})", "s"),
    ];
    let mut panel = table(
        "Clients",
        "What each client asked and was told over the last ten minutes. Many answers that are not found beside few that \
         are: a search list, or a name that is gone. Looking up much more often than the TTL loads DNS, much more seldom \
         misses changes.",
    )
    .unit("none")
    .option("sortBy", json!([{"displayName": "Answers/s", "desc": true}]));
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
