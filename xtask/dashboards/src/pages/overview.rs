//! Every headless Service, the one that wastes most first.

use serde_json::{Value, json};

use crate::model::{Dashboard, Panel, Row, coloured, row};
use crate::panels::{lines, stat, table};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-overview",
        title: "Headless Services / Overview",
        description: "Every headless Service, ranked by the capacity that an uneven spread of connections wastes.",
        variables: &[Variable::Cluster, Variable::Namespace],
        rows: vec![now(), ranking(), causes(), course()],
    }
}

fn now() -> Row {
    row(
        "Now",
        [
            stat("Services", "Headless Services that somebody connects to or looks up.")
                .unit("none")
                .query("count(count by (S) (headless_endpoint_ready{N}))", "Services"),
            stat(
                "Imbalanced",
                "Services whose busiest pod has more than 1.5 times the mean, by more than chance explains (z above \
                 4). Anything above 0 is worth opening.",
            )
            .unit("none")
            .colours("green", &[(1.0, "red")])
            .query(
                "count((namespace_service:headless_selections:z{N} > 4) \
                 and (namespace_service:headless_connections:peak_to_mean{N} > 1.5)) or vector(0)",
                "Services",
            ),
            stat(
                "Idle pods",
                "Pods that are ready for long and have neither an open nor a new connection, while their Service has.",
            )
            .unit("none")
            .colours("green", &[(1.0, "orange")])
            .query("sum(namespace_service:headless_endpoints:idle{N}) or vector(0)", "pods"),
            stat(
                "Stale",
                "Connections a second to addresses that were no serving endpoint any more: their client keeps an old \
                 answer. Those right after a change are left out.",
            )
            .unit("cps")
            .colours("green", &[(0.001, "orange")])
            .query(
                r#"sum(rate(headless_stale_connections_total{N,kind!="grace"}[$__rate_interval]))"#,
                "stale",
            ),
            stat("Failures", "Attempts a second that ended without a connection, or in a reset.")
                .unit("cps")
                .colours("green", &[(0.001, "orange")])
                .query("sum(rate(headless_connect_failures_total{N}[$__rate_interval]))", "failures"),
            stat(
                "Wrong port",
                "Connections and attempts a second at a port that the endpoint does not have: the client relies on a \
                 port mapping, which headless Services do not have.",
            )
            .unit("cps")
            .colours("green", &[(0.001, "orange")])
            .query("sum(rate(headless_port_mismatch_total{N}[$__rate_interval])) or vector(0)", "wrong port"),
        ],
    )
}

fn ranking() -> Row {
    row("Ranking", [services()])
}

/// Columns: name, query, unit, and the colours of its figures.
type Column = (&'static str, &'static str, &'static str, &'static [(f64, &'static str)]);

const COLUMNS: [Column; 11] = [
    ("Ready", "sum by (S) (max by (S, pod) (headless_endpoint_ready{N}))", "none", &[]),
    (
        "Used",
        "sum by (S) (namespace_service_pod:headless_connections_opened:increase10m{N} > bool 0)",
        "none",
        &[],
    ),
    ("Idle", "namespace_service:headless_endpoints:idle{N}", "none", &[(1.0, "orange")]),
    ("Coverage", "namespace_service:headless_connections:coverage{N}", "percentunit", &[]),
    (
        "Peak/mean",
        "namespace_service:headless_connections:peak_to_mean{N}",
        "none",
        &[(1.5, "orange"), (2.0, "red")],
    ),
    ("Jain", "namespace_service:headless_connections:jain{N}", "percentunit", &[]),
    ("z", "namespace_service:headless_selections:z{N}", "none", &[(4.0, "red")]),
    ("New/s", "sum by (S) (rate(headless_connections_opened_total{N}[10m]))", "cps", &[]),
    (
        "Stale/s",
        r#"sum by (S) (rate(headless_stale_connections_total{N,kind!="grace"}[10m]))"#,
        "cps",
        &[(0.001, "orange")],
    ),
    ("Fails/s", "sum by (S) (rate(headless_connect_failures_total{N}[10m]))", "cps", &[(0.001, "orange")]),
    ("Waste", "namespace_service:headless_connections:waste{N}", "cps", &[]),
];

fn services() -> Panel {
    let mut panel = table(
        "Services by waste",
        "Waste is (peak/mean − 1) × connections a second: what the busiest pod gets beyond its share. Read peak/mean for \
         how bad it is and z for whether it can be chance: above 4 it is not. Coverage is the share of ready pods that \
         got anything. Figures are of the last ten minutes and of pods that are ready for ten minutes. A Service's name \
         leads to its page; the name of a cluster narrows this one.",
    )
    .size(24, 12)
    .unit("none")
    .default("decimals", json!(2))
    .option("sortBy", json!([{"displayName": "Waste", "desc": true}]));
    for (title, query, unit, colours) in COLUMNS {
        let whole = ["Ready", "Used", "Idle"].contains(&title);
        let mut settings = vec![("unit", json!(unit)), ("decimals", json!(if whole { 0 } else { 2 }))];
        settings.extend(coloured("text", colours));
        panel = panel.query(query, title).named(title, &settings);
    }
    panel
        .named("Service", &[("links", json!([link("Open this Service", SERVICE)]))])
        .named("Cluster", &[("links", json!([link("Only this cluster", CLUSTER)]))])
        .transform("merge", json!({}))
        .transform(
            "organize",
            organize(&["cluster", "namespace", "service"], &COLUMNS.map(|column| column.0)),
        )
}

const SERVICE: &str = "/d/headless-service?${__url_time_range}&${datasource:queryparam}&${cluster:queryparam}\
     &var-namespace=${__data.fields.Namespace}&var-service=${__data.fields.Service}";
const CLUSTER: &str =
    "/d/headless-overview?${__url_time_range}&${datasource:queryparam}&var-cluster=${__value.raw}";

/// A link of a table's cells.
pub(super) fn link(title: &str, url: &str) -> Value {
    json!({"title": title, "url": url, "targetBlank": false})
}

/// Labels first, with a capital; then the values of the queries by these names. No time, no order but this.
pub(super) fn organize(labels: &[&str], values: &[&str]) -> Value {
    let letters = ('A'..='Z').map(|letter| format!("Value #{letter}"));
    // A single query's value has no letter.
    let fields: Vec<String> =
        if values.len() == 1 { vec!["Value".to_owned()] } else { letters.take(values.len()).collect() };
    let names = labels.iter().map(|label| ((*label).to_owned(), heading(label)));
    let names = names.chain(fields.into_iter().zip(values.iter().map(|&value| value.to_owned())));
    let names: Vec<(String, String)> = names.collect();
    let order: serde_json::Map<String, Value> =
        names.iter().enumerate().map(|(at, (field, _))| (field.clone(), json!(at))).collect();
    let renamed: serde_json::Map<String, Value> =
        names.into_iter().map(|(field, name)| (field, json!(name))).collect();
    json!({"excludeByName": {"Time": true}, "indexByName": order, "renameByName": renamed})
}

fn heading(label: &str) -> String {
    match label {
        "client_namespace" => "Namespace of client".to_owned(),
        "client_workload" => "Client".to_owned(),
        label => {
            let (first, rest) = label.split_at(1);
            first.to_uppercase() + rest
        }
    }
}

fn causes() -> Row {
    let client = "/d/headless-client?${__url_time_range}&${datasource:queryparam}&${cluster:queryparam}\
         &var-namespace=${__data.fields.Namespace}&var-service=${__data.fields.Service}\
         &var-client_namespace=${__data.fields[\"Namespace of client\"]}&var-client=${__data.fields.Client}";
    row(
        "Causes",
        [table(
            "Verdicts",
            "Why each client spreads as it does, by the observer on its node; `withheld:` says why there is no verdict \
             yet. Nodes is on how many nodes. What to do about a cause is in docs/verdicts.md, and \
             `headless-obs explain` shows the evidence.",
        )
        .unit("none")
        .query("sum by (C, cause) (headless_client_verdict{N} == 1)", "Nodes")
        .named("Client", &[("links", json!([link("Open this client", client)]))])
        .transform(
            "organize",
            organize(
                &["cluster", "namespace", "service", "client_namespace", "client_workload", "cause"],
                &["Nodes"],
            ),
        )],
    )
}

fn course() -> Row {
    row(
        "Course",
        [
            lines(
                "Waste",
                "The ten Services that waste most, over time: connections a second that the busiest pod gets beyond \
                 its share. A step after a rollout means that its clients did not follow.",
            )
            .unit("cps")
            .query("topk(10, namespace_service:headless_connections:waste{N})", "{{namespace}}/{{service}}"),
            lines(
                "Peak to mean",
                "The ten most uneven Services: 1 is even, 2 means that the busiest pod gets twice its share. High \
                 values of Services with few connections may be chance; z in the ranking tells.",
            )
            .unit("none")
            .query(
                "topk(10, namespace_service:headless_connections:peak_to_mean{N})",
                "{{namespace}}/{{service}}",
            ),
        ],
    )
}
