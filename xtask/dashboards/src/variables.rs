//! The variables of the dashboards: the selections above the panels.
//!
//! `label_values` gets the values of each from the data source, filtered by the variables before it. "All" is the
//! pattern `.*`, which also matches the absent label, so that it includes Prometheus without a `cluster` label and
//! Services without a namespace.

use serde_json::{Value, json};

/// A variable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Variable {
    Cluster,
    Namespace,
    /// Any number of Services.
    Services,
    /// Exactly one.
    Service,
    ClientNamespace,
    Client,
    Node,
    /// The offset of a comparison with an earlier time.
    Before,
}

/// Number of values that a user can select.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    One,
    Any,
}

/// The selection of the data source, the first variable of every dashboard.
pub(super) fn datasource() -> Value {
    json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        "regex": "", "refresh": 1, "hide": 0, "multi": false, "includeAll": false, "options": [], "current": {},
    })
}

impl Variable {
    /// Grafana's JSON of it.
    pub(super) fn json(self) -> Value {
        const CLUSTER: &str = r#"cluster=~"$cluster""#;
        const NAMESPACE: &str = r#"cluster=~"$cluster",namespace=~"$namespace""#;
        const SERVICE: &str = r#"cluster=~"$cluster",namespace=~"$namespace",service=~"$service""#;
        const CLIENTS: &str = r#"cluster=~"$cluster",namespace=~"$namespace",service=~"$service",client_namespace=~"$client_namespace""#;
        let (endpoint, opened) = ("headless_endpoint_ready", "headless_connections_opened_total");
        match self {
            Self::Cluster => {
                labels("cluster", "Cluster", "headless_observer_build_info", "", "cluster", Choice::Any)
            }
            Self::Namespace => labels("namespace", "Namespace", endpoint, CLUSTER, "namespace", Choice::Any),
            Self::Services => labels("service", "Service", endpoint, NAMESPACE, "service", Choice::Any),
            Self::Service => labels("service", "Service", endpoint, NAMESPACE, "service", Choice::One),
            Self::ClientNamespace => labels(
                "client_namespace",
                "Namespace of client",
                opened,
                SERVICE,
                "client_namespace",
                Choice::Any,
            ),
            Self::Client => labels("client", "Client", opened, CLIENTS, "client_workload", Choice::Any),
            Self::Node => {
                labels("node", "Node", "headless_observer_build_info", CLUSTER, "node", Choice::Any)
            }
            Self::Before => before(),
        }
    }
}

fn labels(name: &str, label: &str, metric: &str, matchers: &str, of: &str, choice: Choice) -> Value {
    let selector = if matchers.is_empty() { metric.to_owned() } else { format!("{metric}{{{matchers}}}") };
    let query = format!("label_values({selector}, {of})");
    let any = choice == Choice::Any;
    let mut variable = json!({
        "name": name, "label": label, "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "definition": query, "query": {"query": query, "refId": name},
        // Queried again when the time range changes, sorted by name.
        "refresh": 2, "sort": 1, "regex": "", "hide": 0, "options": [],
        "multi": any, "includeAll": any, "current": {},
    });
    if any {
        variable["allValue"] = json!(".*");
        variable["current"] = json!({"selected": true, "text": ["All"], "value": ["$__all"]});
    }
    variable
}

fn before() -> Value {
    let times = ["1h", "6h", "1d", "7d"];
    let options: Vec<Value> =
        times.iter().map(|time| json!({"text": time, "value": time, "selected": *time == "1d"})).collect();
    json!({
        "name": "before", "label": "Compare with", "type": "custom", "query": times.join(","),
        "multi": false, "includeAll": false, "hide": 0, "options": options,
        "current": {"text": "1d", "value": "1d"},
    })
}
