//! The observers themselves: whether the other pages are reliable.

use serde_json::json;

use super::overview::organize;
use crate::model::{Dashboard, Row, row};
use crate::panels::{lines, stacked, stat, table};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-observer",
        title: "Headless Services / Observer",
        description: "Health of the daemons: lost events, the state of Services and endpoints, and sizes.",
        variables: &[Variable::Cluster, Variable::Node],
        rows: vec![now(), loss(), topology(), size()],
    }
}

fn now() -> Row {
    row(
        "Now",
        [
            stat("Up", "Daemons that Prometheus reaches. There should be one for each node.")
                .unit("none")
                .query(r#"sum(up{O,job="headless-obs"})"#, "up"),
            stat("Down", "Daemons that Prometheus does not reach: all figures lack the clients of their nodes.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query(r#"count(up{O,job="headless-obs"} == 0) or vector(0)"#, "down"),
            stat("Not in sync", "Daemons whose source of Services and endpoints is unreachable or not completely read yet.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query("count(headless_observer_topology_synced{O} == 0) or vector(0)", "daemons"),
            stat("Refused", "Requests that the API server does not allow. The log and `doctor` show what is missing because of that.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query("count(headless_observer_topology_refused{O} == 1) or vector(0)", "requests"),
            stat("Lost", "Events a second that the daemons lost. Above 0 some figures may be too low; see the reasons below.")
                .unit("cps")
                .colours("green", &[(0.001, "red")])
                .query("sum(rate(headless_observer_events_lost_total{O}[$__rate_interval]))", "lost"),
            stat("Probes off", "Probes that are not attached. `doctor` on the node shows the reason.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query("count(headless_observer_probe_enabled{O} == 0) or vector(0)", "probes"),
        ],
    )
}

fn loss() -> Row {
    row(
        "Lost and excluded",
        [
            lines(
                "Events lost",
                "Lost events by reason. After ring_full only details are missing and sums are exact; after connections_full and \
                 flows_full connections may be missing. docs/snapshot.md explains each reason.",
            )
            .unit("cps")
            .query("sum by (reason) (rate(headless_observer_events_lost_total{O}[$__rate_interval]))", "{{reason}}"),
            lines(
                "Reconciled connections",
                "Connections that the daemon counted from the kernel's totals because their event was lost: client and pod \
                 are exact, the DNS answer is the latest one.",
            )
            .unit("cps")
            .query("sum by (node) (rate(headless_observer_reconciled_connections_total{O}[$__rate_interval]))", "{{node}}"),
            lines(
                "Unattributed connections",
                "Connections that no DNS answer explains. no_dns: attributed only by the address, for example of clients that \
                 are older than the daemon; ambiguous: several Services have the address; other_port and not_endpoint: they \
                 belong to no Service.",
            )
            .unit("cps")
            .query(
                "sum by (reason) (rate(headless_observer_unattributed_connections_total{O}[$__rate_interval]))",
                "{{reason}}",
            ),
            lines(
                "Excluded on purpose",
                "Connections that do not show how clients spread: health checks (probe), those of a mesh's proxy, ignored \
                 destinations (ignored), other nodes on the same kernel, and the daemon's own.",
            )
            .unit("cps")
            .query(
                "sum by (reason) (rate(headless_observer_excluded_connections_total{O}[$__rate_interval]))",
                "{{reason}}",
            ),
            lines(
                "DNS payloads rejected",
                "DNS payloads that the daemon could not decode, by reason. A few are stray traffic on port 53; many mean that \
                 answers are missing.",
            )
            .unit("cps")
            .query("sum by (reason) (rate(headless_observer_dns_rejected_total{O}[$__rate_interval]))", "{{reason}}"),
            lines(
                "Map fill",
                "Fill of the kernel maps. At 100 % FLOWS and CONNECTIONS lose connections: raise their sizes. A full IGNORED_DESTS only \
                 costs work.",
            )
            .unit("percentunit")
            .default("max", json!(1))
            .query(
                "max by (map) (headless_observer_map_entries{O} / headless_observer_map_capacity{O})",
                "{{map}}",
            ),
        ],
    )
}

fn topology() -> Row {
    row(
        "Services and endpoints",
        [
            lines(
                "Unreachable for",
                "Time for which the source of Services and endpoints has been unreachable. The daemon uses the last known \
                 state; new pods are missing.",
            )
            .unit("s")
            .query("max by (node, source) (headless_observer_topology_stale_seconds{O})", "{{node}} {{source}}"),
            lines(
                "Since the last event",
                "Time since the source last sent anything. If only one node's line keeps growing in a busy cluster, a watch \
                 on that node is stuck.",
            )
            .unit("s")
            .query(
                "time() - max by (node, source) (headless_observer_topology_last_event_timestamp_seconds{O})",
                "{{node}} {{source}}",
            ),
            lines(
                "Watches",
                "Watches that the daemons opened again (the API server ends each after some minutes), and lists that they \
                 read again. Many lists load the API server: it drops changes faster than daemons read them.",
            )
            .unit("cps")
            .query("sum(rate(headless_observer_topology_watch_restarts_total{O}[$__rate_interval]))", "watches opened again")
            .query("sum(rate(headless_observer_topology_relists_total{O}[$__rate_interval]))", "lists read again")
            .query("sum(rate(headless_observer_topology_requests_total{O}[$__rate_interval]))", "requests")
            .query(
                "sum(rate(headless_observer_topology_rejected_objects_total{O}[$__rate_interval]))",
                "objects rejected",
            ),
            stacked("From the API server", "Bytes a second that the API server sends to the daemon of each node.")
                .unit("Bps")
                .query(
                    "sum by (node) (rate(headless_observer_topology_received_bytes_total{O}[$__rate_interval]))",
                    "{{node}}",
                ),
        ],
    )
}

fn size() -> Row {
    row(
        "Size",
        [
            stacked(
                "Series",
                "Series that each daemon exposes. They grow with the pods of the Services times the clients on the node; \
                 beyond the limit the daemon aggregates clients.",
            )
            .unit("none")
            .query("sum by (node) (headless_observer_series{O})", "{{node}}"),
            lines(
                "Series folded",
                "Pairs of client and pod a second that the daemon aggregates because a Service has too many series. Sums per \
                 pod stay exact. Prometheus then lacks the client, but the snapshot has it.",
            )
            .unit("cps")
            .query(
                r#"sum by (namespace, service) (rate(headless_series_folded_total{O}[$__rate_interval]))"#,
                "{{namespace}}/{{service}}",
            ),
            lines("Time to scrape", "Time that Prometheus waited for the metrics of each daemon.")
                .unit("s")
                .query(r#"max by (node) (scrape_duration_seconds{O,job="headless-obs"})"#, "{{node}}"),
            table("Versions", "The version on each node, and when it started. If two versions run for long, a rollout is stuck.")
                .size(12, 8)
                .unit("none")
                .query(
                    "1000 * max by (cluster, node) (headless_observer_start_timestamp_seconds{O}) \
                     * on (cluster, node) group_left (version, revision) \
                     group by (cluster, node, version, revision) (headless_observer_build_info{O})",
                    "Started",
                )
                .named("Started", &[("unit", json!("dateTimeAsIso"))])
                .transform("organize", organize(&["cluster", "node", "version", "revision"], &["Started"])),
        ],
    )
}
