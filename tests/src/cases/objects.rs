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
        "metadata": {"namespace": service.namespace, "name": name, "annotations": service.annotations},
        "spec": {
            "clusterIP": "None",
            "clusterIPs": ["None"],
            "ports": [{"name": "main", "port": port, "targetPort": service.port, "protocol": "TCP"}],
            "publishNotReadyAddresses": service.publish_not_ready,
            "trafficDistribution": service.distribution,
        },
    })
}

fn slices(scene: &Scene, name: &str, service: &Service) -> Vec<Value> {
    let of_family = |v4: bool| {
        let of_pods = scene.all(&service.pods).filter(|pod| pod.listed);
        let of_pods = of_pods.filter_map(|pod| endpoint(pod, service, v4));
        let bare = service.addresses.0.iter().filter(|address| address.is_ipv4() == v4);
        let bare = bare.map(|address| json!({"addresses": [address], "conditions": {"ready": true}}));
        let endpoints: Vec<Value> = of_pods.chain(bare).collect();
        let slice = |(number, endpoints)| slice(name, service, v4, number, endpoints);
        endpoints.chunks(SLICE).enumerate().map(slice).collect::<Vec<_>>()
    };
    [of_family(true), of_family(false)].concat()
}

fn slice(name: &str, service: &Service, v4: bool, number: usize, endpoints: &[Value]) -> Value {
    let family = if v4 { "IPv4" } else { "IPv6" };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": service.namespace,
            "name": format!("{name}-{}-{number}", family.to_lowercase()),
            "labels": {"kubernetes.io/service-name": name, "service.kubernetes.io/headless": ""},
        },
        "addressType": family,
        "ports": [{"name": "main", "port": service.port, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// A pod as an endpoint, if it has an address of the family.
fn endpoint(pod: &PodState, service: &Service, v4: bool) -> Option<Value> {
    let is_ready = service.publish_not_ready || pod.ready && !pod.terminating;
    let addresses: Vec<_> = pod.addresses.iter().filter(|address| address.is_ipv4() == v4).collect();
    let zone = pod.zone.as_deref();
    let hints =
        zone.filter(|_| service.distribution.is_some()).map(|zone| json!({"forZones": [{"name": zone}]}));
    (!addresses.is_empty()).then(|| {
        json!({
            "addresses": addresses,
            "conditions": {"ready": is_ready, "serving": pod.ready, "terminating": pod.terminating},
            "hostname": pod.name,
            "nodeName": pod.node,
            "zone": zone,
            "hints": hints,
            "targetRef": {"kind": "Pod", "namespace": pod.namespace(), "name": pod.name, "uid": pod.uid},
        })
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
