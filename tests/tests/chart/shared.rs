//! What all tests share: a lab with one cluster, that knows the kinds of the Prometheus operator.

use std::time::Duration;

use lab::Lab;
use lab::cluster::Cluster;
use serde_json::json;

/// How long the API server may take to know a new kind.
const PATIENCE: Duration = Duration::from_secs(20);

/// The cluster, then the lab it is in.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) lab: Lab,
}

impl Shared {
    pub(crate) fn start() -> Self {
        let lab = Lab::new().unwrap();
        let cluster = Cluster::new(&lab).unwrap();
        add_operators_kinds(&cluster);
        Self { cluster, lab }
    }
}

/// Makes the kinds that the chart uses, with the fields that it uses.
pub(crate) fn add_operators_kinds(cluster: &Cluster) {
    cluster.api().apply(include_str!("operator.yaml")).unwrap();
    for plural in ["podmonitors", "prometheusrules"] {
        let path =
            format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.monitoring.coreos.com");
        let is_established = |kind: &serde_json::Value| {
            let conditions = kind["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| {
                [&condition["type"], &condition["status"]] == [&json!("Established"), &json!("True")]
            })
        };
        cluster.api().when(&path, PATIENCE, is_established).unwrap();
    }
}
