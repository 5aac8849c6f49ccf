//! A real API server accepts every rendering: kinds, names and values of all fields, including those that no schema
//! checks.

use serde_json::json;

use crate::harness::Shared;
use crate::render::{NAMESPACE, SETS, rendered};

pub(crate) fn the_api_server_takes_all_that_is_rendered(shared: &Shared) {
    let api = shared.cluster.api();
    for name in [NAMESPACE, "shop", "web"] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.apply(&namespace.to_string()).unwrap();
    }
    for (set, values) in SETS {
        for object in rendered(shared, &[values]).unwrap() {
            // The server also rejects unknown fields.
            api.apply(&object.to_string()).unwrap_or_else(|error| panic!("{set}: {error:#}: {object:#}"));
            if object["kind"] == "Pod" {
                // The next set could not update the pod, because almost all its fields are immutable.
                let name = object["metadata"]["name"].as_str().unwrap();
                api.delete(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}"), Some(0)).unwrap();
            }
        }
    }
}
