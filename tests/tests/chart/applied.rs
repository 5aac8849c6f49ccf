//! A real API server takes every rendering: kinds, names and values of all fields, not only those that a schema knows.

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
            // Fields that the server does not know are refused, too.
            api.apply(&object.to_string()).unwrap_or_else(|error| panic!("{set}: {error:#}: {object:#}"));
            if object["kind"] == "Pod" {
                // Hardly anything of a pod can be changed by the next set.
                let name = object["metadata"]["name"].as_str().unwrap();
                api.delete(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}"), Some(0)).unwrap();
            }
        }
    }
}
