//! What sources put into the topology: Services, EndpointSlices and Pods, reduced to what is needed, and the
//! [`Change`]s they arrive in. Shapes follow the Kubernetes API; nil conditions are resolved by the source.

use std::net::IpAddr;
use std::sync::Arc;

/// Namespace and name of a Service. Outside Kubernetes the namespace is empty and the name a domain name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceKey {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// Namespace and name of any object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub key: ServiceKey,
    /// `clusterIP: None`.
    pub headless: bool,
    /// ClusterIPs, if it has any.
    pub cluster_ips: Vec<IpAddr>,
    /// Ports as the Service lists them; a headless Service may have none, then any port is the Service's.
    pub ports: Vec<ServicePort>,
    /// Endpoints count as ready whatever their pods say.
    pub publish_not_ready: bool,
}

/// One port of a Service. The endpoints' own ports are in the slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty if it has none.
    pub name: Arc<str>,
    /// The port clients are told (a headless Service maps nothing: they must dial the endpoint's).
    pub port: u16,
}

/// An EndpointSlice (or an Endpoints object, turned into slices).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Namespace and name of the slice itself.
    pub key: ObjectKey,
    /// The Service it belongs to (label `kubernetes.io/service-name`), in the same namespace.
    pub service: Arc<str>,
    /// Whether it carries `service.kubernetes.io/headless`.
    pub headless: bool,
    /// Target ports, TCP only; empty: any port.
    pub ports: Vec<u16>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Address; only the first of a Kubernetes endpoint has a meaning.
    pub address: IpAddr,
    /// DNS host name below the Service's name.
    pub hostname: Option<Arc<str>>,
    /// Its zone, where the source says.
    pub zone: Option<Arc<str>>,
    /// The pod it belongs to.
    pub pod: Option<PodRef>,
    /// Node it runs on.
    pub node: Option<Arc<str>>,
    /// Condition `ready` (nil: true).
    pub ready: bool,
    /// Condition `serving` (nil: as ready).
    pub serving: bool,
    /// Condition `terminating` (nil: false).
    pub terminating: bool,
}

/// `targetRef` of an endpoint that is a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRef {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID; empty where the source gives none.
    pub uid: Arc<str>,
}

/// A Pod: a client, by address or cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// UID, as in cgroup paths.
    pub uid: Arc<str>,
    /// Addresses, both families; those of a host-network pod are the node's.
    pub addresses: Vec<IpAddr>,
    /// Shares the node's network: its addresses say nothing about who it is.
    pub host_network: bool,
    /// The workload it belongs to: the Deployment's, StatefulSet's … name, or its own.
    pub workload: Arc<str>,
    /// It ran to its end (Succeeded or Failed): its addresses are no longer its own.
    pub finished: bool,
    /// Which of its containers are proxies of a service mesh.
    pub proxies: Proxies,
}

/// Containers that make connections for others, whose own connections are seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// None of them.
    #[default]
    None,
    /// These, by id, beside others.
    Sidecars(Box<[Box<str>]>),
    /// All: the pod serves the pods of its node.
    All,
}

impl Proxies {
    /// Whether the container with this id is one.
    pub fn include(&self, container: &str) -> bool {
        match self {
            Self::None => false,
            Self::Sidecars(ids) => ids.iter().any(|id| **id == *container),
            Self::All => true,
        }
    }
}

/// Any object of the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A Service.
    Service(Service),
    /// An EndpointSlice.
    Slice(Slice),
    /// A Pod.
    Pod(Pod),
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Service`]
    Service,
    /// [`Slice`]
    Slice,
    /// [`Pod`]
    Pod,
}

/// What a source reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object is new or changed.
    Apply(Object),
    /// The object is gone.
    Delete(Kind, ObjectKey),
    /// These are all objects of this kind: what is missing is gone.
    Reset(Kind, Vec<Object>),
    /// The source has reported everything that exists at least once (true), or has lost touch (false).
    Synced(bool),
}
