//! Every headless Service, sorted by waste.

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
            stat("Services", "Headless Services that clients connect to or resolve.")
                .unit("none")
                .query("count(count by (S) (headless_endpoint_ready{N}))", "Services"),
            stat(
                "Imbalanced",
                "Services whose busiest pod has more than 1.5 times the mean, beyond chance (z above 4). Look at the \
                 ranking if this is above 0.",
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
                "Pods that have been ready for 10 minutes and have no open and no new connection, while other pods of \
                 their Service have some.",
            )
            .unit("none")
            .colours("green", &[(1.0, "orange")])
            .query("sum(namespace_service:headless_endpoints:idle{N}) or vector(0)", "pods"),
            stat(
                "Stale",
                "Connections a second to addresses that were no longer a serving endpoint: the client or DNS uses an old \
                 answer. Connections within the grace after a change do not count.",
            )
            .unit("cps")
            .colours("green", &[(0.001, "orange")])
            .query(
                r#"sum(rate(headless_stale_connections_total{N,kind!="grace"}[$__rate_interval]))"#,
                "stale",
            ),
            stat("Failures", "Attempts a second that ended without a connection or with a reset.")
                .unit("cps")
                .colours("green", &[(0.001, "orange")])
                .query("sum(rate(headless_connect_failures_total{N}[$__rate_interval]))", "failures"),
            stat(
                "Wrong port",
                "Connections and attempts a second to a port that the endpoint does not have: the client relies on a \
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

/// Columns: name, query, unit, and colour steps.
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
        "Waste is (peak/mean − 1) × connections a second: the capacity that stays unused if every pod is sized for the \
         busiest one. Peak/mean shows how uneven the Service is. Chance does not explain a z above 4. Coverage is the \
         share of ready pods with a connection. The figures cover the last ten minutes and pods that have been ready for \
         ten minutes. The name of a Service links to its page, the name of a cluster filters this page.",
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

/// A link for the cells of a table.
pub(super) fn link(title: &str, url: &str) -> Value {
    json!({"title": title, "url": url, "targetBlank": false})
}

/// Labels first, with a capital; then the values of the queries by these names. It hides the time, and fixes the order.
pub(super) fn organize(labels: &[&str], values: &[&str]) -> Value {
    let letters = ('A'..='Z').map(|letter| format!("Value #{letter}"));
    // The value of a single query has no letter.
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
            "The cause that the daemon on the client's node found for the client's spread; `withheld:` gives the reason \
             for no verdict. Nodes is the number of nodes. docs/verdicts.md has the remedies, and \
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
        "Over time",
        [
            lines(
                "Waste",
                "Waste of the ten Services with the most waste, in connections a second. A step after a rollout means \
                 that clients did not find the new pods.",
            )
            .unit("cps")
            .query("topk(10, namespace_service:headless_connections:waste{N})", "{{namespace}}/{{service}}"),
            lines(
                "Peak to mean",
                "The ten most uneven Services: 1 is even, 2 means that the busiest pod gets twice its share. High \
                 values of Services with few connections may be chance; see z in the ranking.",
            )
            .unit("none")
            .query(
                "topk(10, namespace_service:headless_connections:peak_to_mean{N})",
                "{{namespace}}/{{service}}",
            ),
        ],
    )
}
