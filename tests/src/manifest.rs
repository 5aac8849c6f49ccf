//! The lab's contents as Kubernetes objects: Services, EndpointSlices and Pods, and their DNS names.
//!
//! In: [`ServiceSpec`]s over pods of the lab. Out: manifests (each document is JSON, which is YAML too) and DNS
//! records. Pure: it uses neither files nor the kernel.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::dns::Data;
use crate::pod::Pod;

/// A headless Service.
#[derive(Clone)]
pub struct ServiceSpec {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Named ports; clients connect to these numbers.
    pub ports: Vec<(String, u16)>,
    /// The port number of the Service, if it differs. A headless Service maps no ports, so a connection to it fails.
    pub mapped_from: Option<u16>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointSpec>,
    /// Endpoints are ready even if their pods are not.
    pub publish_not_ready: bool,
}

/// A pod behind a Service.
#[derive(Clone)]
pub struct EndpointSpec {
    /// The pod.
    pub pod: Pod,
    /// DNS host name below the Service's.
    pub hostname: Option<String>,
    /// Whether it serves.
    pub serving: bool,
    /// Whether it is terminating.
    pub terminating: bool,
    /// Its node's zone.
    pub zone: Option<String>,
}

impl EndpointSpec {
    /// A pod that is ready, without a host name.
    #[must_use]
    pub fn new(pod: &Pod) -> Self {
        Self { pod: pod.clone(), hostname: None, serving: true, terminating: false, zone: None }
    }
}

impl ServiceSpec {
    /// A Service with one port and these pods; each pod's name is its host name.
    #[must_use]
    pub fn new(namespace: &str, name: &str, port: u16, pods: &[Pod]) -> Self {
        let endpoint =
            |pod: &Pod| EndpointSpec { hostname: Some(pod.name().to_owned()), ..EndpointSpec::new(pod) };
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ports: vec![("main".to_owned(), port)],
            mapped_from: None,
            endpoints: pods.iter().map(endpoint).collect(),
            publish_not_ready: false,
        }
    }

    /// Its DNS name.
    #[must_use]
    pub fn domain(&self, zone: &str) -> String {
        format!("{}.{}.svc.{zone}", self.name, self.namespace)
    }

    fn is_ready(&self, endpoint: &EndpointSpec) -> bool {
        self.publish_not_ready || (endpoint.serving && !endpoint.terminating)
    }

    fn ready_addresses(&self) -> impl Iterator<Item = (&EndpointSpec, IpAddr)> {
        let ready = self.endpoints.iter().filter(|endpoint| self.is_ready(endpoint));
        ready
            .flat_map(|endpoint| endpoint.pod.addresses().into_iter().map(move |address| (endpoint, address)))
    }

    /// Its DNS names: its own, one for each host name, one SRV name for each port.
    #[must_use]
    pub fn records(&self, zone: &str) -> BTreeMap<String, Vec<Data>> {
        let domain = self.domain(zone);
        let mut records: BTreeMap<String, Vec<Data>> = BTreeMap::new();
        for (endpoint, address) in self.ready_addresses() {
            records.entry(domain.clone()).or_default().push(Data::Address(address));
            let host = endpoint.hostname.clone().unwrap_or_else(|| dashed(address));
            let host = format!("{host}.{domain}");
            records.entry(host.clone()).or_default().push(Data::Address(address));
            for (port_name, port) in &self.ports {
                let target = Data::Srv { priority: 0, weight: 1, port: *port, target: host.clone() };
                let targets = records.entry(format!("_{port_name}._tcp.{domain}")).or_default();
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        records
    }

    fn service(&self) -> Value {
        let ports: Vec<Value> = self
            .ports
            .iter()
            .map(|(name, port)| {
                let own = self.mapped_from.unwrap_or(*port);
                json!({"name": name, "port": own, "targetPort": port, "protocol": "TCP"})
            })
            .collect();
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": self.namespace, "name": self.name},
            "spec": {
                "clusterIP": "None",
                "clusterIPs": ["None"],
                "selector": {"app": self.name},
                "ports": ports,
                "publishNotReadyAddresses": self.publish_not_ready,
            },
        })
    }

    /// One slice for each address family in use.
    fn slices(&self) -> Vec<Value> {
        let slice = |v4: bool| {
            let endpoints: Vec<Value> = self
                .endpoints
                .iter()
                .filter_map(|endpoint| Some((endpoint, endpoint.pod.ip(v4).ok()?)))
                .map(|(endpoint, address)| self.endpoint(endpoint, address))
                .collect();
            let family = if v4 { "IPv4" } else { "IPv6" };
            let ports: Vec<Value> = self
                .ports
                .iter()
                .map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"}))
                .collect();
            (!endpoints.is_empty()).then(|| {
                json!({
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "namespace": self.namespace,
                        "name": format!("{}-{}", self.name, family.to_lowercase()),
                        "labels": {
                            "kubernetes.io/service-name": self.name,
                            "service.kubernetes.io/headless": "",
                            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                        },
                    },
                    "addressType": family,
                    "ports": ports,
                    "endpoints": endpoints,
                })
            })
        };
        [true, false].into_iter().filter_map(slice).collect()
    }

    fn endpoint(&self, endpoint: &EndpointSpec, address: IpAddr) -> Value {
        let pod = &endpoint.pod;
        let mut value = json!({
            "addresses": [address],
            "conditions": {
                "ready": self.is_ready(endpoint),
                "serving": endpoint.serving,
                "terminating": endpoint.terminating,
            },
            "nodeName": pod.node().name(),
            "targetRef": {"kind": "Pod", "namespace": pod.spec().namespace, "name": pod.name(), "uid": pod.uid()},
        });
        if let Some(hostname) = &endpoint.hostname {
            value["hostname"] = json!(hostname);
        }
        if let Some(zone) = &endpoint.zone {
            value["zone"] = json!(zone);
        }
        value
    }
}

/// The host name of an address that has none: `10.1.2.3` is `10-1-2-3`.
fn dashed(address: IpAddr) -> String {
    let text = address.to_string().replace(['.', ':'], "-");
    if text.ends_with('-') { format!("{text}0") } else { text }
}

/// A pod's manifest.
fn pod(pod: &Pod) -> Value {
    let addresses = pod.addresses();
    let spec = pod.spec();
    let ids =
        [(Some(spec.container.as_str()), Some(pod.container())), (spec.sidecar.as_deref(), pod.sidecar())];
    let containers = || ids.iter().filter_map(|(name, id)| Some(((*name)?, (*id)?)));
    let statuses: Vec<Value> = containers()
        .map(|(name, id)| {
            json!({
                "name": name, "ready": true, "restartCount": 0, "image": "none", "imageID": "none",
                "containerID": format!("containerd://{id}"),
            })
        })
        .collect();
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": spec.namespace, "name": spec.name, "uid": spec.uid},
        "spec": {
            "nodeName": pod.node().name(),
            "hostNetwork": spec.host_network,
            "containers": containers().map(|(name, _)| json!({"name": name, "image": "none"})).collect::<Vec<_>>(),
        },
        "status": {
            "phase": "Running",
            "hostIP": pod.node().addresses().first(),
            "podIP": addresses.first(),
            "podIPs": addresses.iter().map(|address| json!({"ip": address})).collect::<Vec<_>>(),
            "containerStatuses": statuses,
        },
    });
    if let Some(app) = &spec.app {
        value["metadata"]["labels"] = json!({"app": app});
    }
    if let Some(workload) = &spec.workload {
        // A Deployment owns its pods by a ReplicaSet, whose name ends in a hash.
        const HASH: &str = "5d4f8c7b96";
        let (kind, name) = if workload.kind == "Deployment" {
            value["metadata"]["labels"]["pod-template-hash"] = json!(HASH);
            ("ReplicaSet", format!("{}-{HASH}", workload.name))
        } else {
            (workload.kind.as_str(), workload.name.clone())
        };
        let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        value["metadata"]["ownerReferences"] = json!([{
            "apiVersion": version, "kind": kind, "name": name, "uid": "00000000-0000-0000-0000-000000000001",
            "controller": true,
        }]);
    }
    value
}

/// Manifests of these Services and pods, as a stream of documents.
#[must_use]
pub fn manifests(services: &[ServiceSpec], pods: &[Pod]) -> String {
    let services = services.iter().flat_map(|service| {
        let mut documents = vec![service.service()];
        documents.extend(service.slices());
        documents
    });
    let documents = services.chain(pods.iter().map(pod));
    documents.map(|document| format!("---\n{document:#}\n")).collect()
}
