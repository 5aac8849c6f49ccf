//! The observers themselves: whether what the other pages show can be relied on.

use serde_json::json;

use super::overview::organize;
use crate::model::{Dashboard, Row, row};
use crate::panels::{lines, stacked, stat, table};
use crate::variables::Variable;

pub(super) fn page() -> Dashboard {
    Dashboard {
        uid: "headless-observer",
        title: "Headless Services / Observer",
        description: "Health of the observers: what they lost, whether they know the Services, how full they are.",
        variables: &[Variable::Cluster, Variable::Node],
        rows: vec![now(), loss(), topology(), size()],
    }
}

fn now() -> Row {
    row(
        "Now",
        [
            stat("Up", "Observers that Prometheus reaches. It should be one for each node.")
                .unit("none")
                .query(r#"sum(up{O,job="headless-obs"})"#, "up"),
            stat("Down", "Observers that Prometheus does not reach: what their nodes' clients do is missing everywhere.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query(r#"count(up{O,job="headless-obs"} == 0) or vector(0)"#, "down"),
            stat("Not in touch", "Observers whose source of Services and endpoints is out of reach or not read yet.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query("count(headless_observer_topology_synced{O} == 0) or vector(0)", "observers"),
            stat("Refused", "Requests that the API server does not allow. The log and `doctor` say what is lost by it.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query("count(headless_observer_topology_refused{O} == 1) or vector(0)", "requests"),
            stat("Lost", "Events a second that were lost. Above 0 some figures are too low; see the reasons below.")
                .unit("cps")
                .colours("green", &[(0.001, "red")])
                .query("sum(rate(headless_observer_events_lost_total{O}[$__rate_interval]))", "lost"),
            stat("Probes off", "Probes that could not be attached. `doctor` on the node says why.")
                .unit("none")
                .colours("green", &[(1.0, "red")])
                .query("count(headless_observer_probe_enabled{O} == 0) or vector(0)", "probes"),
        ],
    )
}

fn loss() -> Row {
    row(
        "What is not known",
        [
            lines(
                "Events lost",
                "By reason. ring_full costs detail only, sums stay exact; tracked_full and flows_full cost connections. \
                 docs/snapshot.md explains each.",
            )
            .unit("cps")
            .query("sum by (reason) (rate(headless_observer_events_lost_total{O}[$__rate_interval]))", "{{reason}}"),
            lines(
                "Late connections",
                "Connections that were booked from the kernel's totals because their record was lost: exact as to client \
                 and pod, less sure as to the answer behind them.",
            )
            .unit("cps")
            .query("sum by (node) (rate(headless_observer_late_connections_total{O}[$__rate_interval]))", "{{node}}"),
            lines(
                "Unattributed connections",
                "Connections that no DNS answer explains. no_dns: by the address alone, as with clients older than the \
                 observer; ambiguous: several Services have the address; other_port and not_endpoint: for none of them.",
            )
            .unit("cps")
            .query(
                "sum by (reason) (rate(headless_observer_unattributed_connections_total{O}[$__rate_interval]))",
                "{{reason}}",
            ),
            lines(
                "Left out on purpose",
                "Connections that say nothing of clients: health checks (probe), a mesh's proxy, other destinations \
                 (boring), other nodes on the same kernel, the observer's own.",
            )
            .unit("cps")
            .query(
                "sum by (reason) (rate(headless_observer_excluded_connections_total{O}[$__rate_interval]))",
                "{{reason}}",
            ),
            lines(
                "DNS payloads rejected",
                "Answers that could not be decoded, by reason. A few are stray traffic on port 53; many mean that evidence \
                 is missing.",
            )
            .unit("cps")
            .query("sum by (reason) (rate(headless_observer_dns_rejected_total{O}[$__rate_interval]))", "{{reason}}"),
            lines(
                "Map fill",
                "How full the kernel's maps are. At 100 % FLOWS and TRACKED lose connections: raise their sizes. BORING may be \
                 full, it costs work only.",
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
                "Out of touch for",
                "For how long the source of Services and endpoints has been out of touch. Figures go on with what was known; \
                 new pods are missing.",
            )
            .unit("s")
            .query("max by (node, source) (headless_observer_topology_stale_seconds{O})", "{{node}} {{source}}"),
            lines(
                "Since the last event",
                "How long ago the last change of a Service, endpoint or pod arrived. In a busy cluster a line that only grows, \
                 while those of other nodes do not, is a watch that is stuck.",
            )
            .unit("s")
            .query(
                "time() - max by (node, source) (headless_observer_topology_last_event_timestamp_seconds{O})",
                "{{node}} {{source}}",
            ),
            lines(
                "Watches",
                "Watches opened again (the server ends each after some minutes) and lists read anew. Many lists load the API \
                 server: it forgets faster than observers read.",
            )
            .unit("cps")
            .query("sum(rate(headless_observer_topology_watch_restarts_total{O}[$__rate_interval]))", "watches opened again")
            .query("sum(rate(headless_observer_topology_relists_total{O}[$__rate_interval]))", "lists read again")
            .query("sum(rate(headless_observer_topology_requests_total{O}[$__rate_interval]))", "requests")
            .query(
                "sum(rate(headless_observer_topology_rejected_objects_total{O}[$__rate_interval]))",
                "objects rejected",
            ),
            stacked("From the API server", "Bytes a second that the API server sends to the observers of each node.")
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
                "Series that each observer exposes. Their number is Services' pods times clients on the node; beyond the limit \
                 the client dimension is folded away.",
            )
            .unit("none")
            .query("sum by (node) (headless_observer_series{O})", "{{node}}"),
            lines(
                "Series folded",
                "Edges a second whose client is no label any more because a Service has too many of them. Sums per pod stay \
                 exact; which client it was is lost in Prometheus, not in the snapshot.",
            )
            .unit("cps")
            .query(
                r#"sum by (namespace, service) (rate(headless_series_folded_total{O}[$__rate_interval]))"#,
                "{{namespace}}/{{service}}",
            ),
            lines("Time to scrape", "How long Prometheus waited for each observer's page.")
                .unit("s")
                .query(r#"max by (node) (scrape_duration_seconds{O,job="headless-obs"})"#, "{{node}}"),
            table("Versions", "Which version runs where, and since when. Two versions for long: a rollout is stuck.")
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
