//! Turns objects of the Kubernetes API into those of the topology. Pure.
//!
//! In: typed objects of any source. Out: [`Service`], [`Slice`], [`Pod`] with nil conditions resolved; nothing
//! for an object that cannot matter; or an [`Invalid`] that names the field.
//!
//! Only TCP counts. A slice without ports serves any port. A slice whose ports all have other protocols serves none, so
//! it is ignored, and so is a headless Service with only such ports. Slices of domain names (`addressType: FQDN`) are
//! ignored.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{mesh, workload};
use crate::client::run_names;
use crate::cluster_zone::SET;
use crate::topology::intent::{self, Annotations, Subject};
use crate::topology::model::{
    ObjectKey, Pod, PodRef, Service, ServiceKey, ServicePort, Slice, SliceEndpoint,
};

/// The namespace of an object that has none.
const DEFAULT_NAMESPACE: &str = "default";
/// The label that names a slice's Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label that names the imported Service of a slice, of all clusters of a set.
const IMPORTED_NAME: &str = "multicluster.kubernetes.io/service-name";
/// Submariner's label for slices of headless Services.
const IMPORTED_HEADLESS: &str = "lighthouse.submariner.io/is-headless";
/// The annotation with a static pod's own UID; the API object is only its mirror and has another UID.
const STATIC_UID: &str = "kubernetes.io/config.mirror";
/// The annotation of Endpoints objects that do not list all endpoints.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// The annotation that asked for hints before `trafficDistribution` did.
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
/// The longest word for a distribution that is kept.
const LABEL: usize = 63;
/// The most zones of an endpoint's hints that are kept; Kubernetes permits eight.
const HINTS: usize = 8;
/// The label of the slices of headless Services.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// The error in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field, as in `endpoints[1].addresses[0]`.
    pub path: String,
    /// The error.
    pub reason: String,
}

impl Invalid {
    fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

/// Namespace and name.
pub fn key(meta: &ObjectMeta) -> Result<ObjectKey, Invalid> {
    let name = meta.name.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Invalid::new("metadata.name", "is missing"))?;
    let namespace = meta.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    Ok(ObjectKey { namespace: namespace.unwrap_or(DEFAULT_NAMESPACE).into(), name: name.into() })
}

/// A Service.
pub fn service(object: &core::Service) -> Result<Option<Service>, Invalid> {
    let ObjectKey { namespace, name } = key(&object.metadata)?;
    let default = core::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&default);
    let mut cluster_ips: Vec<_> = indexed("spec.clusterIPs", spec.cluster_ips.as_deref()).collect();
    if cluster_ips.is_empty() {
        cluster_ips.extend(spec.cluster_ip.as_ref().map(|address| ("spec.clusterIP".to_owned(), address)));
    }
    // The name of an ExternalName Service is an alias, whatever address it has.
    let is_alias = spec.type_.as_deref() == Some("ExternalName");
    let headless = !is_alias && cluster_ips.iter().any(|(_, address)| *address == "None");
    cluster_ips.retain(|_| !is_alias);
    cluster_ips.retain(|(_, address)| *address != "None" && !address.is_empty());

    let mut ports = Vec::new();
    let listed = spec.ports.as_deref().unwrap_or_default();
    for (index, entry) in listed.iter().enumerate().filter(|(_, entry)| is_tcp(entry.protocol.as_deref())) {
        let port = port(entry.port, || format!("spec.ports[{index}].port"))?;
        ports.push(ServicePort { name: entry.name.as_deref().unwrap_or_default().into(), port });
    }
    if headless && ports.is_empty() && !listed.is_empty() {
        return Ok(None);
    }
    Ok(Some(Service {
        key: ServiceKey { namespace, name },
        headless,
        cluster_ips: cluster_ips
            .into_iter()
            .map(|(path, text)| address(text, || path))
            .collect::<Result<_, _>>()?,
        ports,
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
        distribution: distribution(spec, &object.metadata),
        annotations: said(&object.metadata, Subject::Service),
    }))
}

/// Whether a slice says to which Service it belongs. Controllers of several clusters and operators write slices that do
/// not.
pub fn names_service(object: &discovery::EndpointSlice) -> bool {
    service_of(&object.metadata).is_some()
}

/// The Service of a slice: the cluster's own, or else an imported one.
fn service_of(meta: &ObjectMeta) -> Option<Arc<str>> {
    let label = |name| meta.labels.as_ref()?.get(name).filter(|service| !service.is_empty());
    let own = label(SERVICE_NAME).map(|service| service.as_str().into());
    own.or_else(|| Some(imported(label(IMPORTED_NAME)?)))
}

/// The name that an imported Service has in the topology.
pub fn imported(name: &str) -> Arc<str> {
    format!("{name}.{SET}").into()
}

/// An imported Service (`ServiceImport`), as far as it matters here.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct ServiceImport {
    /// Namespace and name.
    pub metadata: ObjectMeta,
    /// The way in which clients reach it.
    #[serde(default)]
    pub spec: ServiceImportSpec,
}

/// `spec` of a `ServiceImport`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct ServiceImportSpec {
    /// `Headless` or `ClusterSetIP`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Its own addresses, if it has any.
    #[serde(default)]
    pub ips: Vec<String>,
}

/// An imported Service.
pub fn service_import(object: &ServiceImport) -> Result<Service, Invalid> {
    let ObjectKey { namespace, name } = key(&object.metadata)?;
    let addresses = indexed("spec.ips", Some(&object.spec.ips));
    Ok(Service {
        key: ServiceKey { namespace, name: imported(&name) },
        headless: object.spec.kind == "Headless",
        cluster_ips: addresses.map(|(path, text)| address(text, || path)).collect::<Result<_, _>>()?,
        ports: Vec::new(),
        publish_not_ready: false,
        distribution: None,
        annotations: said(&object.metadata, Subject::Service),
    })
}

/// An EndpointSlice.
pub fn slice(object: &discovery::EndpointSlice) -> Result<Option<Slice>, Invalid> {
    let key = key(&object.metadata)?;
    let service = service_of(&object.metadata).ok_or_else(|| {
        Invalid::new(format!("metadata.labels[{SERVICE_NAME:?}]"), "is missing; it names the slice's Service")
    })?;
    if !["IPv4", "IPv6", "FQDN"].contains(&object.address_type.as_str()) {
        let reason = format!("{:?} is none of \"IPv4\", \"IPv6\", \"FQDN\"", object.address_type);
        return Err(Invalid::new("addressType", reason));
    }
    let listed = object.ports.as_deref().unwrap_or_default();
    let listed = listed.iter().map(|port| (port.name.as_deref(), port.port, port.protocol.as_deref()));
    let Some(ports) = target_ports("ports", listed)? else { return Ok(None) };
    if object.address_type == "FQDN" {
        return Ok(None);
    }
    let mut endpoints = Vec::with_capacity(object.endpoints.len());
    for (index, endpoint) in object.endpoints.iter().enumerate() {
        if endpoint.addresses.is_empty() {
            return Err(Invalid::new(format!("endpoints[{index}].addresses[0]"), "is missing"));
        }
        let conditions = endpoint.conditions.as_ref();
        let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
        // DNS serves every address of an entry.
        for (place, text) in endpoint.addresses.iter().enumerate() {
            endpoints.push(SliceEndpoint {
                address: address(text, || format!("endpoints[{index}].addresses[{place}]"))?,
                port: None,
                hostname: optional(endpoint.hostname.as_deref()),
                pod: pod_ref(endpoint.target_ref.as_ref(), &key),
                node: optional(endpoint.node_name.as_deref()),
                zone: optional(endpoint.zone.as_deref()),
                hints: hints(endpoint),
                ready,
                serving: conditions.and_then(|conditions| conditions.serving).unwrap_or(ready),
                terminating: conditions.and_then(|conditions| conditions.terminating).unwrap_or(false),
            });
        }
    }
    let headless = has_headless_label(&object.metadata);
    Ok(Some(Slice { service, headless, ports, endpoints, missing: 0, key }))
}

/// An Endpoints object: one slice per subset, named `<name>/<number>`; no slice can have such a name.
pub fn endpoints(object: &core::Endpoints) -> Result<Vec<Slice>, Invalid> {
    let key = key(&object.metadata)?;
    let mut slices = Vec::new();
    for (index, subset) in object.subsets.iter().flatten().enumerate() {
        let listed = subset.ports.as_deref().unwrap_or_default();
        let listed =
            listed.iter().map(|port| (port.name.as_deref(), Some(port.port), port.protocol.as_deref()));
        let Some(ports) = target_ports(&format!("subsets[{index}].ports"), listed)? else { continue };
        let mut endpoints = Vec::new();
        for (field, list, ready) in [
            ("addresses", &subset.addresses, true),
            ("notReadyAddresses", &subset.not_ready_addresses, false),
        ] {
            for (place, entry) in list.iter().flatten().enumerate() {
                endpoints.push(SliceEndpoint {
                    address: address(&entry.ip, || format!("subsets[{index}].{field}[{place}].ip"))?,
                    port: None,
                    hostname: optional(entry.hostname.as_deref()),
                    pod: pod_ref(entry.target_ref.as_ref(), &key),
                    node: optional(entry.node_name.as_deref()),
                    zone: None,
                    hints: Box::default(),
                    ready,
                    serving: ready,
                    terminating: false,
                });
            }
        }
        slices.push(Slice {
            key: ObjectKey {
                namespace: Arc::clone(&key.namespace),
                name: format!("{}/{index}", key.name).into(),
            },
            service: Arc::clone(&key.name),
            headless: has_headless_label(&object.metadata),
            ports,
            endpoints,
            missing: 0,
        });
    }
    // The controller lists the first thousand of them.
    let annotations = object.metadata.annotations.as_ref();
    let capacity = annotations.and_then(|annotations| annotations.get(OVER_CAPACITY));
    if let Some(first) = slices.first_mut()
        && capacity.is_some_and(|said| said == "truncated")
    {
        first.missing = 1;
    }
    Ok(slices)
}

/// A Pod.
pub fn pod(object: &core::Pod) -> Result<Pod, Invalid> {
    let key = key(&object.metadata)?;
    let default = core::PodStatus::default();
    let status = object.status.as_ref().unwrap_or(&default);
    let mut addresses = Vec::new();
    for (index, entry) in status.pod_ips.iter().flatten().enumerate() {
        addresses.push(address(&entry.ip, || format!("status.podIPs[{index}].ip"))?);
    }
    if let Some(text) = status.pod_ip.as_deref()
        && addresses.is_empty()
        && !text.is_empty()
    {
        addresses.push(address(text, || "status.podIP".to_owned())?);
    }
    let annotations = object.metadata.annotations.as_ref();
    let uid =
        annotations.and_then(|annotations| annotations.get(STATIC_UID)).or(object.metadata.uid.as_ref());
    let workload = workload::of(object, &key.name);
    let run = workload::is_run(object, &workload).then(|| run_names::pattern(&workload).into());
    Ok(Pod {
        uid: uid.map(String::as_str).unwrap_or_default().into(),
        addresses,
        host_network: object.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false),
        workload: workload.into(),
        run,
        finished: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        proxies: mesh::proxies(object),
        containers: mesh::containers(object),
        annotations: said(&object.metadata, Subject::Pod),
        key,
    })
}

/// The endpoints that clients should prefer.
fn distribution(spec: &core::ServiceSpec, meta: &ObjectMeta) -> Option<Arc<str>> {
    let mode = meta.annotations.as_ref().and_then(|all| all.get(TOPOLOGY_MODE));
    let mode = mode.filter(|mode| mode.eq_ignore_ascii_case("auto")).map(|_| "Auto");
    optional(spec.traffic_distribution.as_deref().or(mode)).filter(|word| word.len() <= LABEL)
}

/// The zones whose clients should use an endpoint.
fn hints(endpoint: &discovery::Endpoint) -> Box<[Arc<str>]> {
    let zones = endpoint.hints.iter().flat_map(|hints| hints.for_zones.iter().flatten());
    zones.filter_map(|zone| optional(Some(&zone.name))).take(HINTS).collect()
}

/// The annotations of an object.
fn said(meta: &ObjectMeta, of: Subject) -> Option<Box<Annotations>> {
    let all = meta.annotations.iter().flatten();
    intent::read(all.map(|(name, value)| (name.as_str(), value.as_str())), of)
}

/// The TCP ports of a slice. An empty list means any port; nothing means that all ports have other protocols.
fn target_ports<'a>(
    path: &str,
    listed: impl Iterator<Item = (Option<&'a str>, Option<i32>, Option<&'a str>)>,
) -> Result<Option<Vec<ServicePort>>, Invalid> {
    let (mut ports, mut any, mut others) = (Vec::new(), false, false);
    for (index, (name, number, protocol)) in listed.enumerate() {
        match number {
            _ if !is_tcp(protocol) => others = true,
            Some(number) => ports.push(ServicePort {
                name: name.unwrap_or_default().into(),
                port: port(number, || format!("{path}[{index}].port"))?,
            }),
            None => any = true,
        }
    }
    if any {
        return Ok(Some(Vec::new()));
    }
    Ok(if ports.is_empty() && others { None } else { Some(ports) })
}

fn is_tcp(protocol: Option<&str>) -> bool {
    matches!(protocol, None | Some("" | "TCP"))
}

fn port(number: i32, path: impl FnOnce() -> String) -> Result<u16, Invalid> {
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    port.ok_or_else(|| Invalid::new(path(), format!("{number} is no port number (1 to 65535)")))
}

fn address(text: &str, path: impl FnOnce() -> String) -> Result<IpAddr, Invalid> {
    let address: Result<IpAddr, _> = text.parse();
    Ok(address.map_err(|_| Invalid::new(path(), format!("{text:?} is no IP address")))?.to_canonical())
}

fn optional(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty()).map(Arc::from)
}

/// The pod that an endpoint refers to, in the endpoint's namespace unless the reference names another.
fn pod_ref(target: Option<&core::ObjectReference>, endpoint: &ObjectKey) -> Option<PodRef> {
    let target = target.filter(|target| target.kind.as_deref() == Some("Pod"))?;
    let namespace = optional(target.namespace.as_deref());
    Some(PodRef {
        key: ObjectKey {
            namespace: namespace.unwrap_or_else(|| Arc::clone(&endpoint.namespace)),
            name: optional(target.name.as_deref())?,
        },
        uid: target.uid.as_deref().unwrap_or_default().into(),
    })
}

fn has_headless_label(meta: &ObjectMeta) -> bool {
    meta.labels.as_ref().is_some_and(|labels| {
        labels.contains_key(HEADLESS) || labels.get(IMPORTED_HEADLESS).is_some_and(|value| value == "true")
    })
}

/// The elements, each with its path.
fn indexed<'a, T>(path: &str, list: Option<&'a [T]>) -> impl Iterator<Item = (String, &'a T)> {
    list.unwrap_or_default().iter().enumerate().map(move |(index, entry)| (format!("{path}[{index}]"), entry))
}
