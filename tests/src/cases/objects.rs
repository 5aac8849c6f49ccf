//! The Kubernetes objects of a case's Services and pods: Services, EndpointSlices and Pods. Pure.

use serde_json::{Value, json};

use crate::case::Service;
use crate::scene::{PodState, Scene};

/// A Deployment owns its pods by a ReplicaSet, whose name ends in a hash.
const HASH: &str = "5d4f8c7b96";
/// The most endpoints of one slice, as in a real cluster.
const SLICE: usize = 100;

/// All of them as a stream of documents; each is JSON, which is YAML too.
pub(crate) fn of(scene: &Scene) -> String {
    let services = scene.case.services.iter().flat_map(|(name, service)| {
        let mut documents = vec![object(name, service)];
        documents.extend(slices(scene, name, service));
        documents
    });
    let pods = scene.pods.iter().filter(|pod| !pod.data.unlisted).map(pod);
    services.chain(pods).map(|document| format!("---\n{document:#}\n")).collect()
}

fn object(name: &str, service: &Service) -> Value {
    let port = service.own_port.unwrap_or(service.port);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": service.namespace, "name": name},
        "spec": {
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "ports": [{"name": "main", "port": port, "targetPort": service.port, "protocol": "TCP"}],
            "publishNotReadyAddresses": service.publish_not_ready,
        },
    })
}

fn slices(scene: &Scene, name: &str, service: &Service) -> Vec<Value> {
    let of_pods = scene.all(&service.pods).filter(|pod| pod.listed).map(|pod| endpoint(pod, service));
    let bare = service.addresses.0.iter();
    let bare = bare.map(|address| json!({"addresses": [address], "conditions": {"ready": true}}));
    let endpoints: Vec<Value> = of_pods.chain(bare).collect();
    let slice = |(number, endpoints): (usize, &[Value])| {
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": service.namespace,
                "name": format!("{name}-{number}"),
                "labels": {"kubernetes.io/service-name": name, "service.kubernetes.io/headless": ""},
            },
            "addressType": "IPv4",
            "ports": [{"name": "main", "port": service.port, "protocol": "TCP"}],
            "endpoints": endpoints,
        })
    };
    endpoints.chunks(SLICE).enumerate().map(slice).collect()
}

fn endpoint(pod: &PodState, service: &Service) -> Value {
    let is_ready = service.publish_not_ready || pod.ready && !pod.terminating;
    json!({
        "addresses": pod.addresses,
        "conditions": {"ready": is_ready, "serving": pod.ready, "terminating": pod.terminating},
        "hostname": pod.name,
        "nodeName": pod.node,
        "targetRef": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name, "uid": pod.uid},
    })
}

fn pod(pod: &PodState) -> Value {
    let statuses = pod.containers.iter().map(|(name, id)| {
        json!({
            "name": name, "ready": true, "restartCount": 0, "image": "none", "imageID": "none",
            "containerID": format!("containerd://{id}"),
        })
    });
    let containers = pod.containers.keys().map(|name| json!({"name": name, "image": "none"}));
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": pod.namespace(), "name": pod.name, "uid": pod.uid},
        "spec": {"nodeName": pod.node, "containers": containers.collect::<Vec<_>>()},
        "status": {
            "phase": "Running",
            "podIP": pod.addresses.first(),
            "podIPs": pod.addresses.iter().map(|address| json!({"ip": address})).collect::<Vec<_>>(),
            "containerStatuses": statuses.collect::<Vec<_>>(),
        },
    });
    if let Some((kind, name)) = pod.workload() {
        let (kind, name) = if kind == "Deployment" {
            value["metadata"]["labels"] = json!({"pod-template-hash": HASH});
            ("ReplicaSet", format!("{name}-{HASH}"))
        } else {
            (kind, name.to_owned())
        };
        value["metadata"]["ownerReferences"] = json!([{
            "apiVersion": if kind == "Job" { "batch/v1" } else { "apps/v1" },
            "kind": kind, "name": name, "uid": "00000000-0000-4000-8000-000000000001", "controller": true,
        }]);
    }
    value
}
