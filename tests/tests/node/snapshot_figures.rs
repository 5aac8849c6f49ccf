//! Access to numbers of a snapshot by name.

use serde_json::{Value, json};

/// The row with this value under this key.
fn row<'a>(rows: &'a Value, key: &str, wanted: &str) -> Option<&'a Value> {
    rows.as_array().unwrap().iter().find(|row| row[key] == wanted)
}

/// A pod's row of a Service.
pub(crate) fn endpoint<'a>(service: &'a Value, pod: &str) -> &'a Value {
    row(&service["endpoints"], "pod", pod).unwrap_or_else(|| panic!("no endpoint {pod} in {service:#}"))
}

/// A client's row of a Service.
pub(crate) fn client<'a>(service: &'a Value, workload: &str) -> &'a Value {
    row(&service["clients"], "workload", workload).unwrap_or_else(|| panic!("no {workload} in {service:#}"))
}

/// A client's numbers at a pod.
pub(crate) fn cell<'a>(service: &'a Value, workload: &str, pod: &str) -> &'a Value {
    row(&client(service, workload)["endpoints"], "pod", pod).unwrap()
}

/// Sum of all failures of a Service.
pub(crate) fn failures(service: &Value) -> u64 {
    let endpoints = service["endpoints"].as_array().unwrap().iter();
    let counts = endpoints.flat_map(|endpoint| endpoint["failed"].as_object().unwrap().values());
    counts.map(|count| count.as_u64().unwrap()).sum()
}

/// Failures by reason in an endpoint's format, including reasons with zero.
pub(crate) fn failed(counts: &[(&str, u64)]) -> Value {
    let mut all = json!({"refused": 0, "timeout": 0, "unreachable": 0, "reset": 0, "aborted": 0, "other": 0});
    for (reason, count) in counts {
        assert!(!all[reason].is_null(), "{reason} is no reason");
        all[reason] = json!(count);
    }
    all
}
