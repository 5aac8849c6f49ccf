//! One client of a Service: which pods it uses, what it was answered, how long it keeps that.

use serde_json::json;

use super::overview::organize;
use crate::model::{Dashboard, Panel, Row, row};
use crate::panels::{bars, heatmap, lines, shares, stacked, stat, table};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-client",
        title: "Headless Services / Client",
        description: "How the clients of a headless Service choose among its pods, and by which DNS answers.",
        variables: &[
            Variable::Cluster,
            Variable::Namespace,
            Variable::Services,
            Variable::ClientNamespace,
            Variable::Client,
        ],
        rows: vec![now(), choice(), answers(), change()],
    }
}

fn now() -> Row {
    row(
        "Now",
        [
            stat("Pinning", "Share of the connections that goes to the favourite pod; 100 % is one pod only.")
                .unit("percentunit")
                .query("max(namespace_service_client:headless_connections:pinning{C})", "pinning"),
            stat("Coverage", "Share of the pods, ready for ten minutes, that it connected to in the last ten minutes.")
                .unit("percentunit")
                .query("min(namespace_service_client:headless_connections:coverage{C})", "coverage"),
            stat(
                "z",
                "How far its choices are from random ones, in standard deviations. Above 4 it is no chance; well below 0 it \
                 takes turns.",
            )
            .unit("none")
            .colours("green", &[(4.0, "red")])
            .query("max(namespace_service_client:headless_selections:z{C})", "z"),
            stat("Looks up every", "Mean time between its lookups of the name. Far above the TTL: it keeps answers.")
                .unit("s")
                .query("max(headless_dns_resolve_interval_seconds{C})", "interval"),
            stat("TTL", "How long the last answer may be kept. Zero: for this one connection.")
                .unit("s")
                .query("min(headless_dns_answer_ttl_seconds{C})", "TTL"),
            stat("Stale", "Share of its connections to endpoints that had left, in the last ten minutes.")
                .unit("percentunit")
                .colours("green", &[(0.01, "orange"), (0.05, "red")])
                .query("max(namespace_service_client:headless_stale_connections:ratio10m{C})", "stale"),
        ],
    )
}

fn choice() -> Row {
    row(
        "Choice",
        [
            matrix(),
            verdicts(),
            bars(
                "Chosen place in the answer",
                "Which address of its DNS answer it connected to: 0 is the first. All in 0: it takes the first address, so \
                 only the order of answers spreads it. not_in_answer: it dials what an older answer said.",
                "index",
            )
            .size(8, 9)
            .unit("none")
            .query("sum by (index) (increase(headless_connect_answer_index_total{C}[$__range]))", "connections"),
            shares(
                "Share by pod",
                "Each pod's part of its new connections over time. One colour for long, then another: it pins itself to \
                 one pod until it looks up again.",
            )
            .size(16, 9)
            .unit("cps")
            .query("sum by (pod) (rate(headless_connections_opened_total{C}[$__rate_interval]))", "{{pod}}"),
            lines("Open connections", "Its open connections by pod, those older than the observer included.")
                .unit("none")
                .query("sum by (pod) (headless_connections_active{C})", "{{pod}}"),
            stacked("Bytes", "Bytes that it sent and received, counted when a connection ends.")
                .unit("Bps")
                .query("sum by (direction) (rate(headless_connection_bytes_total{C}[$__rate_interval]))", "{{direction}}"),
        ],
    )
}

fn matrix() -> Panel {
    let opened = "(increase(headless_connections_opened_total{C}[$__range]))";
    let client = |by: &str| format!("sum by (client_namespace, client_workload{by}) {opened}");
    table(
        "Clients and pods",
        "Share of each client's connections (row) that went to each pod (column), over the time shown. A row of equal cells \
         is even; one dark cell is a client that is pinned; an empty column is a pod that nobody uses.",
    )
    .size(16, 10)
    .unit("percentunit")
    .default("decimals", json!(0))
    .default("min", json!(0))
    .default("max", json!(1))
    .default("color", json!({"mode": "continuous-BlPu"}))
    .custom("cellOptions", json!({"type": "color-background", "mode": "basic"}))
    .query(
        &format!(
            r#"label_join({} / on (client_namespace, client_workload) group_left () {}, "client", "/", "client_namespace", "client_workload")"#,
            client(", pod"),
            client("")
        ),
        "share",
    )
    .transform(
        "groupingToMatrix",
        json!({"rowField": "client", "columnField": "pod", "valueField": "Value", "emptyValue": "null"}),
    )
}

fn verdicts() -> Panel {
    table(
        "Verdicts",
        "Why it spreads as it does, by the observer on its node; `withheld:` says why there is no verdict yet. Remedies are \
         in docs/verdicts.md.",
    )
    .size(8, 10)
    .unit("none")
    .query("sum by (service, client_workload, cause) (headless_client_verdict{C} == 1)", "Nodes")
    .transform("organize", organize(&["service", "client_workload", "cause"], &["Nodes"]))
}

fn answers() -> Row {
    row(
        "Answers",
        [
            heatmap(
                "Age of the answer",
                "How old the DNS answer was when it was used, one column a moment, darker for more connections. Compare with \
                 the TTL beside: ages above it are answers kept for too long.",
                "s",
            )
            .unit("none")
            .query("sum by (le) (increase(headless_dns_answer_age_seconds_bucket{C}[$__rate_interval]))", "{{le}}"),
            lines(
                "Age against TTL",
                "Age of the answers used: half and 95 of 100 connections are below these lines. Above the TTL (dashed) the \
                 client keeps what it may not.",
            )
            .unit("s")
            .query(
                "histogram_quantile(0.5, sum by (le) (rate(headless_dns_answer_age_seconds_bucket{C}[$__rate_interval])))",
                "median",
            )
            .query(
                "histogram_quantile(0.95, sum by (le) (rate(headless_dns_answer_age_seconds_bucket{C}[$__rate_interval])))",
                "95 of 100",
            )
            .query("max(headless_dns_answer_ttl_seconds{C})", "TTL")
            .named("TTL", &[("custom.lineStyle", json!({"fill": "dash", "dash": [8, 8]}))]),
            lines(
                "Time between lookups",
                "How often it asks for the name, by client. The smaller, the sooner it learns of new pods; without a line it \
                 asked once and never again.",
            )
            .unit("s")
            .query(
                "max by (client_namespace, client_workload) (headless_dns_resolve_interval_seconds{C})",
                "{{client_namespace}}/{{client_workload}}",
            ),
            lines(
                "Connections by expired answers",
                "Connections a second by an answer whose TTL was over. Pools that live on are not in it, only new connections.",
            )
            .unit("cps")
            .query(
                "sum by (client_namespace, client_workload) \
                 (rate(headless_dns_answer_expired_connections_total{C}[$__rate_interval]))",
                "{{client_namespace}}/{{client_workload}}",
            ),
        ],
    )
}

fn change() -> Row {
    row(
        "Change and trouble",
        [
            lines(
                "Time to the first connection",
                "From the moment a pod is ready to its first connection from here: how fast this client follows a rollout. \
                 Empty until a pod becomes ready.",
            )
            .unit("s")
            .query(
                "histogram_quantile(0.5, sum by (le) \
                 (increase(headless_endpoint_first_connection_seconds_bucket{C}[$__range])))",
                "median",
            )
            .query(
                "histogram_quantile(0.95, sum by (le) \
                 (increase(headless_endpoint_first_connection_seconds_bucket{C}[$__range])))",
                "95 of 100",
            ),
            stacked("Stale connections", "Its connections to addresses that were no serving endpoint, by kind.")
                .unit("cps")
                .query(
                    r#"sum by (kind) (rate(headless_stale_connections_total{C,kind!="grace"}[$__rate_interval]))"#,
                    "{{kind}}",
                ),
            stacked("Failures", "Its attempts that ended without a connection, by reason, and resets.")
                .unit("cps")
                .query("sum by (reason) (rate(headless_connect_failures_total{C}[$__rate_interval]))", "{{reason}}"),
            lines("Wrong port", "Its connections and attempts at ports that the endpoints do not have.")
                .unit("cps")
                .query("sum by (port) (rate(headless_port_mismatch_total{C}[$__rate_interval]))", "port {{port}}"),
        ],
    )
}
