//! Manifests of many Services, written to files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Endpoints in one slice: the limit of the controller.
const PER_SLICE: u32 = 100;

fn slice(service: u32, part: u32, count: u32, first: u32) -> Value {
    let (namespace, name) = (format!("team-{}", service % 50), format!("service-{service}"));
    let endpoint = |place: u32| {
        let (serial, pod) = (first + place, format!("{name}-{}", part * PER_SLICE + place));
        let [_, a, b, c] = serial.to_be_bytes();
        json!({
            "addresses": [format!("10.{}.{b}.{c}", 64 + a)],
            "conditions": {"ready": true},
            "nodeName": format!("node-{}", serial % 500),
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod, "uid": format!("{service:08}-0000-4000-8000-{serial:012}")},
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "namespace": namespace, "name": format!("{name}-{part}"),
            "labels": {"kubernetes.io/service-name": name, "service.kubernetes.io/headless": ""},
        },
        "ports": [{"name": "main", "port": 8080}], "endpoints": (0..count).map(endpoint).collect::<Vec<_>>(),
    })
}

fn service(number: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": format!("team-{}", number % 50), "name": format!("service-{number}")},
        "spec": {"clusterIP": "None", "ports": [{"name": "main", "port": 8080}]},
    })
}

/// Writes `services` Services with `each` endpoints into a folder, together with `own`, the manifests of the lab's
/// pods.
pub(crate) fn write(folder: &Path, services: u32, each: u32, own: &str) -> Result<PathBuf> {
    // Removes the files of an earlier step.
    let _none = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (number, first) in (0..services).step_by(1_000).enumerate() {
        let mut text = String::new();
        for service_number in first..services.min(first + 1_000) {
            let parts = (0..each.div_ceil(PER_SLICE)).map(|part| {
                let count = PER_SLICE.min(each - part * PER_SLICE);
                slice(service_number, part, count, service_number * each + part * PER_SLICE)
            });
            for document in std::iter::once(service(service_number)).chain(parts) {
                text.push_str(&format!("---\n{document}\n"));
            }
        }
        fs::write(folder.join(format!("many-{number}.yaml")), text)?;
    }
    fs::write(folder.join("own.yaml"), own)?;
    Ok(folder.to_owned())
}
