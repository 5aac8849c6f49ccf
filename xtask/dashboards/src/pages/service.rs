//! One Service: how its connections spread over its pods, which pods are passed over, who is to blame.

use serde_json::json;

use super::overview::{link, organize};
use crate::model::{Dashboard, Panel, Row, coloured, row};
use crate::panels::{history, lines, shares, stacked, stat, table, text, timeline};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-service",
        title: "Headless Services / Service",
        description: "How connections spread over the pods of one headless Service, and which clients make it so.",
        variables: &[Variable::Cluster, Variable::Namespace, Variable::Service, Variable::Before],
        rows: vec![now(), spread(), endpoints(), clients(), trouble(), cost()],
    }
}

/// New connections of each pod. Those without a choice (a pod's own name, an address without DNS) say nothing of a
/// spread.
const OPENED: &str = r#"sum by (pod) (rate(headless_connections_opened_total{S,resolution=~"service|srv"}[$__rate_interval]))"#;

fn now() -> Row {
    row(
        "Now",
        [
            text(
                "How to read this page",
                "**Spread** says whether it is even, **Endpoints** which pods are passed over and since when, **Clients** \
                 who does it, **Trouble** what goes wrong on the way. An even whole of narrow clients (each at few pods) \
                 is fine until one of them is heavy; an uneven whole of even clients hardly exists. \
                 `headless-obs explain NAMESPACE/SERVICE` gives cause, evidence and remedy of each client.",
            )
            .size(24, 3),
            stat("Ready pods", "Pods that the Service sends clients to, as the observers know them.")
                .unit("none")
                .query("sum(max by (S, pod) (headless_endpoint_ready{S}))", "ready"),
            stat("Coverage", "Share of the pods, ready for ten minutes, that got a connection in the last ten minutes.")
                .unit("percentunit")
                .query("namespace_service:headless_connections:coverage{S}", "coverage"),
            stat("Peak to mean", "The busiest pod's connections over the mean: how bad it is. 1 is even.")
                .unit("none")
                .colours("green", &[(1.5, "orange"), (2.0, "red")])
                .query("namespace_service:headless_connections:peak_to_mean{S}", "peak/mean"),
            stat(
                "Jain index",
                "1: all alike; k/n: as if k of n pods shared everything. One hot pod among many hardly moves it.",
            )
            .unit("none")
            .query("namespace_service:headless_connections:jain{S}", "Jain"),
            stat(
                "z",
                "How far the spread is from what random choice would give, in standard deviations. Above 4 it is no \
                 chance; well below 0 somebody takes turns.",
            )
            .unit("none")
            .colours("green", &[(4.0, "red")])
            .query("namespace_service:headless_selections:z{S}", "z"),
            stat("Waste", "(peak/mean − 1) × connections a second: what the busiest pod gets beyond its share.")
                .unit("cps")
                .query("namespace_service:headless_connections:waste{S}", "waste"),
        ],
    )
}

fn spread() -> Row {
    row(
        "Spread",
        [
            heat(),
            shares(
                "Share of new connections",
                "Each pod's part of all new connections. Even bands are fair; a band that thins out belongs to a pod \
                 that clients leave or never learn of.",
            )
            .unit("cps")
            .query(OPENED, "{{pod}}"),
            open(),
            lines(
                "Now and before",
                "Peak to mean of now (solid) and of the time chosen above (dashed). It tells whether a change helped.",
            )
            .unit("none")
            .query("namespace_service:headless_connections:peak_to_mean{S}", "now")
            .query("namespace_service:headless_connections:peak_to_mean{S} offset $before", "$before ago")
            .named("$before ago", &[("custom.lineStyle", json!({"fill": "dash", "dash": [8, 8]}))]),
            stacked("New connections", "Connections a second, of all clients together, one colour a pod.")
                .unit("cps")
                .query(OPENED, "{{pod}}"),
        ],
    )
}

fn heat() -> Panel {
    history(
        "Pods over time",
        "Each row is a pod, each cell its new connections as a multiple of the mean over all pods. Green is a fair share, \
         blue less than half of it, purple nothing at all, red more than twice. A purple row is a pod that clients do \
         not use; a row that turns red while others turn blue is where they went. No cell: nobody connected to any pod.",
    )
    .unit("none")
    .default("decimals", json!(2))
    .colours(
        "purple",
        &[(0.001, "blue"), (0.5, "green"), (1.5, "yellow"), (2.0, "red")],
    )
    .query(&format!("{OPENED} / on () group_left () avg({OPENED})"), "{{pod}}")
}

/// The mean, and how far from it chance alone would take a pod: a pod's number is about Poisson.
fn open() -> Panel {
    let active = "namespace_service_pod:headless_connections_active:sum{S}";
    let hidden = [
        ("custom.lineWidth", json!(0)),
        ("custom.hideFrom", json!({"legend": true, "tooltip": true, "viz": false})),
    ];
    let mut above = hidden.to_vec();
    above.extend([
        ("custom.fillBelowTo", json!("below")),
        ("custom.fillOpacity", json!(15)),
        ("color", json!({"mode": "fixed", "fixedColor": "text"})),
    ]);
    lines(
        "Open connections",
        "Open connections of each pod, with the mean (dashed) and a band of two standard deviations that random choice \
         would leave. A pod outside of the band for long is no chance. Long-lived connections keep an old imbalance \
         until they end.",
    )
    .unit("none")
    .query(&format!("sum by (pod) ({active})"), "{{pod}}")
    .query(&format!("avg({active})"), "mean")
    .query(&format!("avg({active}) + 2 * sqrt(avg({active}))"), "above")
    .query(&format!("clamp_min(avg({active}) - 2 * sqrt(avg({active})), 0)"), "below")
    .named("mean", &[("custom.lineStyle", json!({"fill": "dash", "dash": [8, 8]})), ("custom.lineWidth", json!(2))])
    .named("above", &above)
    .named("below", &hidden)
}

fn endpoints() -> Row {
    row(
        "Endpoints",
        [
            timeline(
                "Endpoints and first connections",
                "Each row is a pod: grey while it is not ready, terminating or removed; yellow from ready until the first \
                 connection that was seen, green from then on. Long yellow after a rollout: clients do not look up \
                 again, or are told of the pod late. Yellow for ever: the pod is idle.",
                &[(0, "not ready", "text"), (1, "ready, never connected to", "yellow"), (2, "ready, connected to", "green")],
            )
            .unit("none")
            .query(
                "max by (pod) (headless_endpoint_ready{S}) * (1 + ((sum by (pod) (headless_connections_opened_total{S}) \
                 + sum by (pod) (headless_connections_active{S})) > bool 0))",
                "{{pod}}",
            ),
            idle(),
            lines(
                "Time to the first connection",
                "From ready to each client's first connection to a new pod, for 95 of 100 pods. More than the DNS TTL: the \
                 client holds on to old answers or to its pool. Empty until a pod becomes ready.",
            )
            .size(12, 9)
            .unit("s")
            .query(
                "namespace_service_client:headless_endpoint_first_connection_seconds:p95{S}",
                "{{client_namespace}}/{{client_workload}}",
            ),
        ],
    )
}

fn idle() -> Panel {
    table(
        "Idle pods",
        "Ready pods without an open or a new connection, while others have some, and for how long they have been ready. \
         If DNS lists them (see the DNS page), clients choose not to use them.",
    )
    .size(12, 9)
    .unit("none")
    .query(
        "(time() - max by (S, pod) (headless_endpoint_ready_timestamp_seconds{S})) \
         and on (S, pod) (namespace_service_pod:headless_endpoint_idle:bool{S} == 1)",
        "Ready for",
    )
    .named("Ready for", &[("unit", json!("s"))])
    .option("sortBy", json!([{"displayName": "Ready for", "desc": true}]))
    .transform("organize", organize(&["cluster", "namespace", "service", "pod"], &["Ready for"]))
}

fn clients() -> Row {
    let columns = [
        ("Pinning", "namespace_service_client:headless_connections:pinning{S}", "percentunit"),
        ("Coverage", "namespace_service_client:headless_connections:coverage{S}", "percentunit"),
        ("Peak/mean", "namespace_service_client:headless_connections:peak_to_mean{S}", "none"),
        ("z", "namespace_service_client:headless_selections:z{S}", "none"),
        ("New/s", "sum by (C) (rate(headless_connections_opened_total{S}[10m]))", "cps"),
        ("Stale", "namespace_service_client:headless_stale_connections:ratio10m{S}", "percentunit"),
    ];
    let url = "/d/headless-client?${__url_time_range}&${datasource:queryparam}&${cluster:queryparam}\
         &var-namespace=${__data.fields.Namespace}&var-service=${__data.fields.Service}\
         &var-client_namespace=${__data.fields[\"Namespace of client\"]}&var-client=${__data.fields.Client}";
    let mut panel = table(
        "Clients",
        "Each client's own spread over the last ten minutes. Pinning is the share that goes to its favourite pod: 100 % \
         is one pod only. Stale is the share of its connections that went to endpoints that had left. A client's name \
         leads to its page.",
    )
    .unit("none")
    .default("decimals", json!(2))
    .option("sortBy", json!([{"displayName": "New/s", "desc": true}]));
    for (title, query, unit) in columns {
        let mut settings = vec![("unit", json!(unit))];
        settings.extend(coloured("text", if title == "z" { &[(4.0, "red")] } else { &[] }));
        panel = panel.query(query, title).named(title, &settings);
    }
    let labels = ["cluster", "namespace", "service", "client_namespace", "client_workload"];
    row(
        "Clients",
        [panel
            .named("Client", &[("links", json!([link("Open this client", url)]))])
            .transform("merge", json!({}))
            .transform("organize", organize(&labels, &columns.map(|column| column.0)))],
    )
}

fn trouble() -> Row {
    row(
        "Trouble",
        [
            stacked(
                "Stale connections",
                "To addresses that were no serving endpoint when dialled: removed, terminating, not ready, or another pod's \
                 by then (ip_reused, the worst: requests reach a stranger). Those right after a change (grace) are left \
                 out.",
            )
            .unit("cps")
            .query(
                r#"sum by (kind) (rate(headless_stale_connections_total{S,kind!="grace"}[$__rate_interval]))"#,
                "{{kind}}",
            ),
            stacked(
                "Failures",
                "Attempts that ended without a connection, by reason, and connections that were reset. Refused: nobody \
                 listens there; timeout: packets are lost or the pod is gone.",
            )
            .unit("cps")
            .query("sum by (reason) (rate(headless_connect_failures_total{S}[$__rate_interval]))", "{{reason}}"),
            stacked(
                "Failures by pod",
                "The same by pod. All on one pod: it is ill. On all pods: the client or the network is.",
            )
            .unit("cps")
            .query("sum by (pod) (rate(headless_connect_failures_total{S}[$__rate_interval]))", "{{pod}}"),
            lines(
                "Wrong port",
                "Connections and attempts at a port that the endpoint does not have, by client and port. A headless Service \
                 maps no ports: clients must dial the port of the container.",
            )
            .unit("cps")
            .query(
                "sum by (client_namespace, client_workload, port) \
                 (rate(headless_port_mismatch_total{S}[$__rate_interval]))",
                "{{client_namespace}}/{{client_workload}} :{{port}}",
            ),
        ],
    )
}

fn cost() -> Row {
    row(
        "Cost",
        [
            stacked(
                "Bytes by pod",
                "Bytes that clients sent and received, counted when a connection ends. Even connections with uneven \
                 bytes: some connections carry much more.",
            )
            .unit("Bps")
            .query("sum by (pod) (rate(headless_connection_bytes_total{S}[$__rate_interval]))", "{{pod}}"),
            stacked(
                "Bytes by zone of the pod",
                "The same by the zone of the pod. Compare with the zone of the client's node: traffic between zones costs \
                 money and time.",
            )
            .unit("Bps")
            .query(
                "sum by (zone) (sum by (S, pod) (rate(headless_connection_bytes_total{S}[$__rate_interval])) \
                 * on (S, pod) group_left (zone) \
                 group by (S, pod, zone) (headless_endpoint_ready_timestamp_seconds{S}))",
                "zone {{zone}}",
            ),
        ],
    )
}
