//! The input of the topology: Services, EndpointSlices and Pods, reduced to what is needed, and the [`Change`]s that
//! carry them. The shapes follow the Kubernetes API; the source resolves nil conditions.

use std::net::IpAddr;
use std::sync::Arc;

use super::intent::Annotations;

/// Namespace and name of a Service. Outside Kubernetes the namespace is empty, and the name is a domain name.
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
    /// Endpoints count as ready, whatever the state of their pods.
    pub publish_not_ready: bool,
    /// The endpoints that clients should prefer (`trafficDistribution`, or the annotation
    /// `service.kubernetes.io/topology-mode`), if it says so.
    pub distribution: Option<Arc<str>>,
    /// Its annotations, if it has any of this program's.
    pub annotations: Option<Box<Annotations>>,
}

/// One port of a Service or of a slice. A headless Service maps no ports, so clients must connect to the slice's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty if it has none.
    pub name: Arc<str>,
    /// Number.
    pub port: u16,
}

/// An EndpointSlice, or an Endpoints object turned into slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Namespace and name of the slice itself.
    pub key: ObjectKey,
    /// The Service it belongs to (label `kubernetes.io/service-name`), in the same namespace.
    pub service: Arc<str>,
    /// Whether it has the label `service.kubernetes.io/headless`.
    pub headless: bool,
    /// Target ports, TCP only; empty: any port.
    pub ports: Vec<ServicePort>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
    /// Endpoints, at least, that the source says it leaves out.
    pub missing: usize,
}

/// One address of an endpoint of a slice. The addresses of one pod are one endpoint; without a pod, each is an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Address.
    pub address: IpAddr,
    /// Its own port, in place of the slice's: one of several instances that may share the address.
    pub port: Option<u16>,
    /// DNS host name below the Service's name.
    pub hostname: Option<Arc<str>>,
    /// Its zone, if the source reports it.
    pub zone: Option<Arc<str>>,
    /// The zones whose clients should use it (`hints.forZones`); empty without hints.
    pub hints: Box<[Arc<str>]>,
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
    /// UID; empty if the source reports none.
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
    /// It shares the node's network, so its addresses do not identify it.
    pub host_network: bool,
    /// The workload it belongs to: the Deployment's, StatefulSet's … name, or its own.
    pub workload: Arc<str>,
    /// The common part of the names of runs like it, if it is one that is not started again when it ends.
    pub run: Option<Arc<str>>,
    /// It has ended (Succeeded or Failed), so it no longer has its addresses.
    pub finished: bool,
    /// Its containers that are proxies of a service mesh.
    pub proxies: Proxies,
    /// Its containers that were started, also init containers.
    pub containers: Box<[Container]>,
    /// Its annotations, if it has any of this program's.
    pub annotations: Option<Box<Annotations>>,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Name.
    pub name: Box<str>,
    /// Id, as in cgroup paths.
    pub id: Box<str>,
}

/// Containers that connect in place of others, whose own connections are visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// None.
    #[default]
    None,
    /// The containers with these ids.
    Sidecars(Box<[Box<str>]>),
    /// All: the pod serves the pods of its node.
    All,
}

impl Proxies {
    /// Whether the container with this id is a proxy.
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
    /// It exists and cannot be read: its last readable state stays.
    Unreadable(ObjectKey),
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

/// A report of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The object is new or changed.
    Apply(Object),
    /// The object is gone.
    Delete(Kind, ObjectKey),
    /// These are all objects of this kind; others are gone.
    Reset(Kind, Vec<Object>),
    /// True: the source has reported everything that exists at least once. False: it is no longer current.
    Synced(bool),
}
