//! The Prometheus operator's kinds, without the operator.

use std::time::Duration;

use lab::cluster::Cluster;
use serde_json::{Value, json};

/// The time that the API server may take to serve a new kind.
const PATIENCE: Duration = Duration::from_secs(60);

/// Defines the kinds that the chart uses, with the fields that it uses.
pub(crate) fn add_kinds(cluster: &Cluster) {
    cluster.api().apply(include_str!("operator.yaml")).unwrap();
    for plural in ["podmonitors", "prometheusrules"] {
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.monitoring.coreos.com");
        let is_established = |kind: &Value| {
            let conditions = kind["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| {
                [&condition["type"], &condition["status"]] == [&json!("Established"), &json!("True")]
            })
        };
        cluster.api().when(&path, PATIENCE, is_established).unwrap();
    }
}
