//! Connections by client and pod, from the servers' counts and from a report, for comparison.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ground_truth::TruthRow;

/// (client, pod) → connections, without zeros.
pub type Matrix = BTreeMap<(String, String), u64>;

/// The servers' counts.
#[must_use]
pub fn accepted(truth: &[TruthRow]) -> Matrix {
    truth
        .iter()
        .filter(|row| row.accepted > 0)
        .map(|row| ((row.client.clone(), row.pod.clone()), row.accepted))
        .collect()
}

/// A snapshot's counts, over all its Services.
#[must_use]
pub fn reported(snapshot: &Value) -> Matrix {
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut matrix = Matrix::new();
    for client in list(snapshot, "services").iter().flat_map(|service| list(service, "clients")) {
        for endpoint in list(&client, "endpoints") {
            let opened = endpoint.get("opened").and_then(Value::as_u64).unwrap_or(0);
            if opened > 0 {
                *matrix.entry((text(&client, "workload"), text(&endpoint, "pod"))).or_default() += opened;
            }
        }
    }
    matrix
}
