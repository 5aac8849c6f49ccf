//! One Service: how its connections spread over its pods, which pods get none, and which clients cause it.

use serde_json::json;

use super::overview::{link, organize};
use crate::model::{Dashboard, Panel, Row, coloured, row};
use crate::panels::{history, lines, shares, stacked, stat, table, text, timeline};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-service",
        title: "Headless Services / Service",
        description: "How clients spread their connections over the pods of one headless Service, and which clients are uneven.",
        variables: &[Variable::Cluster, Variable::Namespace, Variable::Service, Variable::Before],
        rows: vec![now(), spread(), endpoints(), clients(), trouble(), paths(), cost()],
    }
}

/// New connections of each pod. Connections without a selection (to a pod's own name, or to an address without DNS) do
/// not count in the spread.
const OPENED: &str = r#"sum by (pod) (rate(headless_connections_opened_total{S,resolution=~"service|srv"}[$__rate_interval]))"#;

fn now() -> Row {
    row(
        "Now",
        [
            text(
                "How to read this page",
                "**Spread** shows whether the Service is even, **Endpoints** which pods get no connections and since when, \
                 **Clients** which clients are uneven, **Trouble** stale connections, failures and wrong ports, **Paths** \
                 how long it takes to connect, and how connections end. A Service \
                 can be even although each client uses few pods; that is fine until one client opens many connections. \
                 `headless-obs explain NAMESPACE/SERVICE` shows cause, evidence and remedy for each client.",
            )
            .size(24, 3),
            stat("Ready pods", "Ready pods of the Service, as the daemons know them.")
                .unit("none")
                .query("sum(max by (S, pod) (headless_endpoint_ready{S}))", "ready"),
            stat("Coverage", "Share of the pods ready for ten minutes that got a connection in the last ten minutes.")
                .unit("percentunit")
                .query("namespace_service:headless_connections:coverage{S}", "coverage"),
            stat("Peak to mean", "Connections of the busiest pod divided by the mean. 1 is even.")
                .unit("none")
                .colours("green", &[(1.5, "orange"), (2.0, "red")])
                .query("namespace_service:headless_connections:peak_to_mean{S}", "peak/mean"),
            stat(
                "Jain index",
                "1 means that all pods get the same; k/n is as if k of n pods got everything. One busy pod among many \
                 hardly changes it.",
            )
            .unit("none")
            .query("namespace_service:headless_connections:jain{S}", "Jain"),
            stat(
                "z",
                "Distance of the spread from random choice, in standard deviations. Chance does not explain values above \
                 4. Values well below 0 mean that clients take turns.",
            )
            .unit("none")
            .colours("green", &[(4.0, "red")])
            .query("namespace_service:headless_selections:z{S}", "z"),
            stat("Waste", "(peak/mean − 1) × connections a second: capacity that stays unused if every pod is sized for the busiest one.")
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
                "Each pod's share of all new connections. Equal bands are even. A band becomes thin if clients leave the \
                 pod or do not know it.",
            )
            .unit("cps")
            .query(OPENED, "{{pod}}"),
            open(),
            lines(
                "Now and before",
                "Peak to mean now (solid) and at the earlier time chosen above (dashed). It shows whether a change helped.",
            )
            .unit("none")
            .query("namespace_service:headless_connections:peak_to_mean{S}", "now")
            .query("namespace_service:headless_connections:peak_to_mean{S} offset $before", "$before ago")
            .named("$before ago", &[("custom.lineStyle", json!({"fill": "dash", "dash": [8, 8]}))]),
            stacked("New connections", "Connections a second of all clients together, one colour for each pod.")
                .unit("cps")
                .query(OPENED, "{{pod}}"),
        ],
    )
}

fn heat() -> Panel {
    history(
        "Pods over time",
        "Each row is a pod, each cell its new connections as a multiple of the mean over all pods. Green is a fair share, \
         blue less than half of it, purple none, red more than twice. A purple row is a pod that clients do not use. \
         If one row turns red while others turn blue, clients moved to that pod. Cells are missing while no client \
         connected to any pod.",
    )
    .unit("none")
    .default("decimals", json!(2))
    .colours(
        "purple",
        &[(0.001, "blue"), (0.5, "green"), (1.5, "yellow"), (2.0, "red")],
    )
    .query(&format!("{OPENED} / on () group_left () avg({OPENED})"), "{{pod}}")
}

/// The mean, and the range that chance alone explains: a pod's number has about a Poisson distribution.
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
        "Open connections of each pod, with the mean (dashed) and a band of two standard deviations of random choice. \
         Chance does not explain a pod that stays outside of the band. Long-lived connections keep an old imbalance \
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
                "Each row is a pod: grey while it is not ready, terminating or removed; yellow from ready until its first \
                 connection; green from then on. If a pod is yellow for long after a rollout, clients do not resolve \
                 again, or DNS lists the pod late. A pod that stays yellow is idle.",
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
                "Time from ready to each client's first connection to a new pod, for 95 of 100 pods. If it is longer than \
                 the DNS TTL, the client keeps old answers or pooled connections. Empty until a pod becomes ready.",
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
         If DNS lists them (see the DNS page), the clients do not select them.",
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
        "Each client's own spread over the last ten minutes. Pinning is the share of its connections that go to its \
         busiest pod: 100 % is one pod only. Stale is the share of its connections that went to endpoints that had left. \
         The name of a client links to its page.",
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
                "Connections to addresses that were no serving endpoint at that time: removed, terminating, not ready, or \
                 owned by another pod (ip_reused, the worst: requests reach a stranger). Connections within the grace \
                 after a change do not count.",
            )
            .unit("cps")
            .query(
                r#"sum by (kind) (rate(headless_stale_connections_total{S,kind!="grace"}[$__rate_interval]))"#,
                "{{kind}}",
            ),
            stacked(
                "Failures",
                "Attempts that ended without a connection, by reason, and connections that the pod reset. Refused means that \
                 no process listens on the port, timeout that packets are lost or the pod is gone.",
            )
            .unit("cps")
            .query("sum by (reason) (rate(headless_connect_failures_total{S}[$__rate_interval]))", "{{reason}}"),
            stacked(
                "Failures by pod",
                "The same failures by pod. If only one pod has failures, look at the pod; if all have, look at the client \
                 or the network.",
            )
            .unit("cps")
            .query("sum by (pod) (rate(headless_connect_failures_total{S}[$__rate_interval]))", "{{pod}}"),
            lines(
                "Wrong port",
                "Connections and attempts to a port that the endpoint does not have, by client and port. A headless Service \
                 does not map ports: clients must connect to the port of the container.",
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

fn paths() -> Row {
    row(
        "Paths",
        [
            lines(
                "Time to connect",
                "Half of the connections took so long or longer, by pod: from the first SYN to the established connection. \
                 One pod above the others is slow, or the way to it is. About 1 s: a SYN was lost.",
            )
            .unit("s")
            .query(
                "histogram_quantile(0.5, sum by (pod, le) (rate(headless_connect_seconds_bucket{S}[$__rate_interval])))",
                "{{pod}}",
            ),
            lines(
                "Least round trips",
                "The least round-trip time of the last minutes on open connections, by pod, of the client with the longest. \
                 A server may acknowledge together with its answer, so up to 40 ms may be its program's.",
            )
            .unit("s")
            .query(r#"max by (pod) (headless_connection_rtt_seconds{S,reading="least"})"#, "{{pod}}"),
            lines(
                "Sent again",
                "Segments that clients sent again, by pod, and SYNs. A lost segment is sent again after the round-trip time \
                 or 200 ms, a lost SYN after a second.",
            )
            .unit("pps")
            .query("sum by (pod) (rate(headless_segments_retransmitted_total{S}[$__rate_interval]))", "{{pod}}")
            .query("sum by (pod) (rate(headless_syns_retransmitted_total{S}[$__rate_interval]))", "SYNs {{pod}}"),
            stacked(
                "Waiting",
                "Bytes that wait at the clients in open connections, by pod: not sent yet, or not acknowledged. If one pod's \
                 grow, it reads too slowly.",
            )
            .unit("bytes")
            .query("sum by (pod) (headless_connection_waiting_bytes{S})", "{{pod}}"),
            stacked(
                "Ends",
                "Connections that ended, by who ended them first and how. Servers that end connections after a while \
                 (MAX_CONNECTION_AGE) make clients resolve again; resets and timeouts cost requests.",
            )
            .unit("cps")
            .query("sum by (by) (rate(headless_connections_closed_total{S}[$__rate_interval]))", "{{by}}"),
            lines("Lifetimes", "Half of the connections that ended had lived so long or longer, by client.")
                .unit("s")
                .query(
                    "histogram_quantile(0.5, sum by (client_namespace, client_workload, le) \
                     (rate(headless_connection_lifetime_seconds_bucket{S}[$__rate_interval])))",
                    "{{client_namespace}}/{{client_workload}}",
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
                "Bytes that clients sent and received, also in open connections. If connections are even and bytes are \
                 not, some connections carry much more.",
            )
            .unit("Bps")
            .query("sum by (pod) (rate(headless_connection_bytes_total{S}[$__rate_interval]))", "{{pod}}"),
            stacked(
                "Segments by pod",
                "Segments with data that clients sent and received. Where messages are small, segments show the load \
                 better than bytes.",
            )
            .unit("pps")
            .query("sum by (pod) (rate(headless_connection_segments_total{S}[$__rate_interval]))", "{{pod}}"),
            stacked(
                "Bytes by zone of the pod",
                "The same bytes by the zone of the pod. If a zone has far more than its share of the pods, clients prefer it or \
                 its pods are busier.",
            )
            .unit("Bps")
            .query(
                "sum by (zone) (sum by (S, pod) (rate(headless_connection_bytes_total{S}[$__rate_interval])) \
                 * on (S, pod) group_left (zone) \
                 group by (S, pod, zone) (headless_endpoint_ready_timestamp_seconds{S}))",
                "zone {{zone}}",
            ),
            stacked(
                "Bytes across zones",
                "Bytes between clients and pods in different zones, by client: this traffic costs money and time. Nodes whose \
                 zone is not known have none; see docs/topology.md.",
            )
            .unit("Bps")
            .query(
                "sum by (client_namespace, client_workload) (rate(headless_cross_zone_bytes_total{S}[$__rate_interval]))",
                "{{client_namespace}}/{{client_workload}}",
            ),
        ],
    )
}
