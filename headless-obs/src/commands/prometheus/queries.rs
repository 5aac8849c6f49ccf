//! The queries to Prometheus. Pure.
//!
//! Sums are over nodes, so each series is of the fleet. If nodes differ about a fact, the recording rules decide: an
//! endpoint has the state that the node reports that has known it for longest. Window, selectors and groups are those
//! of the rules. If a group is finer here, the selection of the rules is applied later, so that the rest can be shown
//! as well.

use std::time::Duration;

/// The selected series, and the window.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Matchers of labels; may be empty.
    pub(super) selector: String,
    pub(super) window: Duration,
}

/// Labels of an endpoint, of a client, of a Service, of a node.
const ENDPOINT: &str = "namespace, service, pod";
const CLIENT: &str = "client_namespace, client_workload";
const SERVICE: &str = "namespace, service";
const NODE: &str = "node, instance";

/// Each query runs once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Query {
    Opened,
    Selections,
    Failures,
    Active,
    Bytes,
    Ready,
    ReadySince,
    Stale,
    Responses,
    TruncatedUsed,
    AnswerPosition,
    RemovedAnswered,
    Incomplete,
    RatioSum,
    RatioCount,
    Ttl,
    Interval,
    WrongPorts,
    Verdicts,
    Synced,
    Lost,
    Started,
    Up,
}

impl Query {
    pub(super) const ALL: [Self; 23] = [
        Self::Opened,
        Self::Selections,
        Self::Failures,
        Self::Active,
        Self::Bytes,
        Self::Ready,
        Self::ReadySince,
        Self::Stale,
        Self::Responses,
        Self::TruncatedUsed,
        Self::AnswerPosition,
        Self::RemovedAnswered,
        Self::Incomplete,
        Self::RatioSum,
        Self::RatioCount,
        Self::Ttl,
        Self::Interval,
        Self::WrongPorts,
        Self::Verdicts,
        Self::Synced,
        Self::Lost,
        Self::Started,
        Self::Up,
    ];

    /// The text of the query.
    pub(super) fn text(self, scope: &Scope) -> String {
        let grown = |labels: &str, metric: &str| {
            format!(
                "sum by ({labels}) (increase({}[{}s]))",
                of(scope, metric, ""),
                scope.window.as_secs().max(1)
            )
        };
        let now = |how: &str, labels: &str, metric: &str| {
            format!("{how} by ({labels}) ({})", of(scope, metric, ""))
        };
        // The data of a daemon whose topology has been stale for minutes are old.
        let in_touch = |how: &str, labels: &str, metric: &str| {
            let old = of(scope, "headless_observer_topology_stale_seconds", "");
            let metric = of(scope, metric, "");
            format!("{how} by ({labels}) ({metric} unless on (cluster, instance) {old} > 120)")
        };
        let edge = format!("{ENDPOINT}, {CLIENT}");
        let edge_by = |label: &str| format!("{edge}, {label}");
        let client = format!("{SERVICE}, {CLIENT}");
        let client_by = |label: &str| format!("{client}, {label}");
        match self {
            Self::Opened => grown(&edge_by("resolution"), "headless_connections_opened_total"),
            Self::Selections => grown(&edge, "headless_selections_total"),
            Self::Failures => grown(&edge_by("reason"), "headless_connect_failures_total"),
            Self::Active => now("sum", &edge, "headless_connections_active"),
            Self::Bytes => grown(&edge_by("direction"), "headless_connection_bytes_total"),
            Self::Ready => in_touch("max", ENDPOINT, "headless_endpoint_ready"),
            Self::ReadySince => {
                in_touch("min", &format!("{ENDPOINT}, zone"), "headless_endpoint_ready_timestamp_seconds")
            }
            Self::Stale => grown(&client_by("kind"), "headless_stale_connections_total"),
            Self::Responses => {
                grown(&client_by("rcode, truncated, transport, qtype"), "headless_dns_responses_total")
            }
            Self::TruncatedUsed => grown(&client, "headless_dns_truncated_used_total"),
            Self::AnswerPosition => grown(&client_by("position"), "headless_connect_answer_position_total"),
            Self::RemovedAnswered => grown(SERVICE, "headless_dns_removed_answered_total"),
            Self::Incomplete => grown(SERVICE, "headless_dns_incomplete_responses_total"),
            Self::RatioSum => grown(SERVICE, "headless_dns_answer_endpoints_ratio_sum"),
            Self::RatioCount => grown(SERVICE, "headless_dns_answer_endpoints_ratio_count"),
            Self::Ttl => now("max", &client, "headless_dns_answer_ttl_seconds"),
            Self::Interval => now("max", &client, "headless_dns_resolve_interval_seconds"),
            Self::WrongPorts => grown(&client_by("port"), "headless_port_mismatch_total"),
            Self::Verdicts => {
                format!(
                    "count by ({}) ({} == 1)",
                    client_by("cause"),
                    of(scope, "headless_client_verdict", "")
                )
            }
            Self::Synced => now("min", NODE, "headless_observer_topology_synced"),
            Self::Lost => grown(&format!("{NODE}, reason"), "headless_observer_events_lost_total"),
            Self::Started => now("max", NODE, "headless_observer_start_timestamp_seconds"),
            Self::Up => {
                let up = of(scope, "up", r#"job=~".*headless-obs.*""#);
                format!("min by ({NODE}) ({up})")
            }
        }
    }
}

/// The existing daemons, by cluster.
pub(super) fn daemons(scope: &Scope) -> String {
    format!("count by (cluster) ({})", of(scope, "headless_observer_build_info", ""))
}

/// Series whose labels Prometheus has overwritten with those of the scraped pod.
pub(super) fn overwritten(scope: &Scope) -> String {
    let with = |label: &str| {
        let matcher = format!(r#"{label}!="""#);
        format!("count({})", of(scope, "headless_endpoint_ready", &matcher))
    };
    format!("{} or {}", with("exported_namespace"), with("exported_pod"))
}

fn of(scope: &Scope, metric: &str, matcher: &str) -> String {
    let matchers = [matcher, &scope.selector];
    let matchers: Vec<_> = matchers.into_iter().filter(|matcher| !matcher.is_empty()).collect();
    format!("{metric}{{{}}}", matchers.join(","))
}
