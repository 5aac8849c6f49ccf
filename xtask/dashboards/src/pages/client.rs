//! One client of a Service: the pods that it uses, its DNS answers, and how long it uses an answer.

use serde_json::json;

use super::overview::organize;
use crate::model::{Dashboard, Panel, Row, row};
use crate::panels::{bars, heatmap, lines, shares, stacked, stat, table};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-client",
        title: "Headless Services / Client",
        description: "How the clients of a headless Service select pods, and by which DNS answers.",
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
            stat("Pinning", "Share of the client's connections that go to its busiest pod; 100 % is one pod only.")
                .unit("percentunit")
                .query("max(namespace_service_client:headless_connections:pinning{C})", "pinning"),
            stat("Coverage", "Share of the pods ready for ten minutes that the client connected to in the last ten minutes.")
                .unit("percentunit")
                .query("min(namespace_service_client:headless_connections:coverage{C})", "coverage"),
            stat(
                "z",
                "Distance of the client's selections from random choice, in standard deviations. Chance does not explain \
                 values above 4. Values well below 0 mean that the client takes turns.",
            )
            .unit("none")
            .colours("green", &[(4.0, "red")])
            .query("max(namespace_service_client:headless_selections:z{C})", "z"),
            stat("Lookup every", "Mean time between the client's lookups. If it is far above the TTL, the client keeps answers.")
                .unit("s")
                .query("max(headless_dns_resolve_interval_seconds{C})", "interval"),
            stat("TTL", "Time for which the client may keep its last answer. Zero means for one connection.")
                .unit("s")
                .query("min(headless_dns_answer_ttl_seconds{C})", "TTL"),
            stat("Stale", "Share of the client's connections that went to endpoints that had left, in the last ten minutes.")
                .unit("percentunit")
                .colours("green", &[(0.01, "orange"), (0.05, "red")])
                .query("max(namespace_service_client:headless_stale_connections:ratio10m{C})", "stale"),
        ],
    )
}

fn choice() -> Row {
    row(
        "Selection",
        [
            matrix(),
            verdicts(),
            bars(
                "Selected position in the answer",
                "Position of the address in the DNS answer that the client connected to; 0 is the first. If all are 0, the \
                 client takes the first address, so only the order of answers spreads its connections. not_in_answer means \
                 that no answer explains the connection.",
                "position",
            )
            .size(8, 9)
            .unit("none")
            .query("sum by (position) (increase(headless_connect_answer_position_total{C}[$__range]))", "connections"),
            shares(
                "Share by pod",
                "Each pod's share of the client's new connections over time. If one colour lasts for long and another \
                 follows, the client uses one pod until it resolves again.",
            )
            .size(16, 9)
            .unit("cps")
            .query("sum by (pod) (rate(headless_connections_opened_total{C}[$__rate_interval]))", "{{pod}}"),
            lines("Open connections", "The client's open connections by pod, including those that are older than the daemon.")
                .unit("none")
                .query("sum by (pod) (headless_connections_active{C})", "{{pod}}"),
            stacked("Bytes", "Bytes that the client sent and received, also in open connections.")
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
         is even; a row with one dark cell is a pinned client; an empty column is a pod that no client uses.",
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
        "The cause that the daemon on the client's node found for the client's spread; `withheld:` gives the reason for no \
         verdict. docs/verdicts.md has the remedies.",
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
                "Age of the DNS answer when the client used it; a darker cell is more connections. Compare it with the TTL \
                 in the next panel: the client keeps answers that are older than the TTL for too long.",
                "s",
            )
            .unit("none")
            .query("sum by (le) (increase(headless_dns_answer_age_seconds_bucket{C}[$__rate_interval]))", "{{le}}"),
            lines(
                "Age against TTL",
                "Age of the used answers: half and 95 of 100 connections are below these lines. Above the TTL (dashed) the \
                 client keeps answers for too long.",
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
                "Mean time between lookups, by client. The shorter it is, the sooner the client finds new pods. A client \
                 without a line has resolved the name at most once.",
            )
            .unit("s")
            .query(
                "max by (client_namespace, client_workload) (headless_dns_resolve_interval_seconds{C})",
                "{{client_namespace}}/{{client_workload}}",
            ),
            lines(
                "Connections by expired answers",
                "Connections a second that used an answer past its TTL. Only new connections count, not pooled ones.",
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
                "Time from the moment a pod is ready to the client's first connection to it: how fast the client follows a \
                 rollout. Empty until a pod becomes ready.",
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
            stacked("Stale connections", "The client's connections to addresses that were no serving endpoint, by kind.")
                .unit("cps")
                .query(
                    r#"sum by (kind) (rate(headless_stale_connections_total{C,kind!="grace"}[$__rate_interval]))"#,
                    "{{kind}}",
                ),
            stacked("Failures", "The client's attempts that ended without a connection, by reason, and resets.")
                .unit("cps")
                .query("sum by (reason) (rate(headless_connect_failures_total{C}[$__rate_interval]))", "{{reason}}"),
            lines("Wrong port", "The client's connections and attempts to ports that the endpoints do not have.")
                .unit("cps")
                .query("sum by (port) (rate(headless_port_mismatch_total{C}[$__rate_interval]))", "port {{port}}"),
        ],
    )
}
