//! Attribution: the Service and endpoint of a connection, how the client resolved the address, and whether the endpoint
//! still had the address.
//!
//! In: a [`ConnectAttempt`], the [`Topology`], the zone of the cluster, the client's [`CachedAddress`]s. Out: an
//! [`Attribution`]. The client's own DNS answers decide. Without any, the address decides if only one Service has it.
//! Connections that are not the choice of a client, or that another daemon counts, are [`Excluded`].

use std::net::IpAddr;
use std::time::Duration;

mod reused_address;

use crate::answer_cache::{CachedAddress, CachedAnswer};
use crate::client::Role;
use crate::cluster_zone::{ClusterZone, SET};
use crate::offer::Offered;
use crate::service_resolution::{Meaning, Resolution, by_addresses, named};
use crate::time::Time;
use crate::topology::learned::is_networks_own;
use crate::topology::model::{ObjectKey, Pod, PodRef};
use crate::topology::{Endpoint, EndpointRef, Match, ServiceId, ServiceState, State, Topology};

pub use reused_address::with_history;

/// A connect attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectAttempt {
    /// Destination address.
    pub address: IpAddr,
    /// Destination port.
    pub port: u16,
    /// The role of the client.
    pub by: Role,
    /// The time at which it was started; `None` if before the daemon.
    pub started: Option<Time>,
    /// It is known to have failed.
    pub has_failed: bool,
    /// Now.
    pub now: Time,
}

/// The shortest TTL, in seconds, that is held against a client: the one of CoreDNS. No client asks again for each of
/// several connections that it makes at once, so an answer with a TTL of 0 is not outdated at the next one.
const LEAST_TTL: u32 = 5;

/// The kinds of addresses that were not a serving endpoint when the client connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StaleKind {
    /// The endpoint had left.
    Removed,
    /// The endpoint was shutting down, and its Service does not ask for such endpoints (`publishNotReadyAddresses`).
    Terminating,
    /// Its pod was not ready, whether the Service publishes it or not.
    NotReady,
    /// The endpoint had left, and another pod had the address.
    IpReused,
}

impl StaleKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Removed, Self::Terminating, Self::NotReady, Self::IpReused];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Terminating => "terminating",
            Self::NotReady => "not_ready",
            Self::IpReused => "ip_reused",
        }
    }
}

/// The answer that a connection uses, and the position of the address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnswerRef {
    /// The time at which the answer arrived.
    pub at: Time,
    /// Position of the address, from 0.
    pub position: u16,
    /// Addresses in the answer.
    pub size: u16,
    /// The seconds for which a client may keep it.
    pub ttl: u32,
    /// It was truncated.
    pub truncated: bool,
    /// The number of its addresses that are nearest to the client's own; see [`CachedAnswer`].
    pub nearest: u16,
    /// This address is one of them.
    pub is_near: bool,
}

impl AnswerRef {
    /// Whether the answer had expired by `at`.
    pub fn is_past_ttl(&self, at: Time) -> bool {
        // A resolver counts whole seconds.
        at.since(self.at) > Duration::from_secs(u64::from(self.ttl.max(LEAST_TTL)) + 1)
    }
}

/// The address was not a serving endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stale {
    /// The kind.
    pub kind: StaleKind,
    /// Since when.
    pub since: Time,
}

/// The Service and endpoint of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Service and endpoint.
    pub endpoint: EndpointRef,
    /// The way in which the client resolved the address.
    pub resolution: Resolution,
    /// The answer that the connection uses; nothing if there is none, or if the connection is older than the daemon.
    pub used_answer: Option<AnswerRef>,
    /// Set if the address was not a serving endpoint. An endpoint that was not known yet counts as serving: the
    /// topology may be behind DNS.
    pub stale: Option<Stale>,
    /// The port is none of the endpoint's. The connection was established, or is older than the daemon.
    pub is_other_port: bool,
}

/// The reason why a connection to an endpoint's address belongs to no Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unattributed {
    /// No DNS answer, and several Services have the address.
    Ambiguous,
    /// The port is not one of the Service's.
    OtherPort,
    /// The client received the address under a Service's name, but it is not an endpoint of the Service and never was.
    NotEndpoint,
    /// No DNS answer, and the address was that of an endpoint that has left; who has it now is not known.
    Removed,
    /// The client received the address under a name that is no Service's here, and whose addresses are not those of one
    /// Service.
    OtherName,
}

impl Unattributed {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::Ambiguous, Self::OtherPort, Self::NotEndpoint, Self::Removed, Self::OtherName];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::OtherPort => "other_port",
            Self::NotEndpoint => "not_endpoint",
            Self::Removed => "removed",
            Self::OtherName => "other_name",
        }
    }
}

/// The reason why a connection that could be attributed is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Excluded {
    /// The node itself connected to a pod on it, without a DNS answer: the kubelet's probes.
    Probe,
    /// A service mesh's proxy made it for others, whose own connection counts.
    Proxy,
    /// It was made on another node, whose daemon counts it.
    OtherNode,
    /// The daemon made it itself.
    Observer,
    /// A socket-level load balancer chose the endpoint; the client dialled an address that is none.
    LoadBalanced,
}

impl Excluded {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::Probe, Self::Proxy, Self::OtherNode, Self::Observer, Self::LoadBalanced];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Proxy => "proxy",
            Self::OtherNode => "other_node",
            Self::Observer => "observer",
            Self::LoadBalanced => "load_balanced",
        }
    }
}

/// The result of attribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// It belongs to this Service.
    Endpoint(Target),
    /// It goes to an endpoint, but belongs to no Service.
    Unattributed(Unattributed),
    /// The client received the address under the Service's name, but the endpoint does not have the port, and no
    /// connection came about; or the address may be another pod's at that port.
    WrongPort(EndpointRef),
    /// It goes to an endpoint and is left out.
    Excluded(Excluded),
    /// It is not related to any headless Service.
    Unrelated,
}

/// Attributes a connection. `cached` are the client's own, the best first.
pub fn attribute<'a>(
    connect_attempt: ConnectAttempt,
    topology: &Topology,
    zone: &ClusterZone,
    cached: impl Iterator<Item = &'a CachedAddress>,
) -> Attribution {
    let outcome = attribute_by_dns(connect_attempt, topology, zone, cached);
    excluded(connect_attempt, outcome, topology).map_or(outcome, Attribution::Excluded)
}

/// The outcome of a connection to an address that the client did not dial: a socket-level load balancer replaced what it
/// dialled, for which `outcome` is, by `sent_to`. The dialled address decides, if it is an endpoint's.
pub fn with_balancer(outcome: Attribution, sent_to: Option<IpAddr>, topology: &Topology) -> Attribution {
    let is_endpoint = |address| topology.owners(address).next().is_some();
    match outcome {
        Attribution::Unrelated if sent_to.is_some_and(is_endpoint) => {
            Attribution::Excluded(Excluded::LoadBalanced)
        }
        outcome => outcome,
    }
}

/// The reason why a connection with this outcome is left out.
fn excluded(connect_attempt: ConnectAttempt, outcome: Attribution, topology: &Topology) -> Option<Excluded> {
    match (connect_attempt.by, outcome) {
        (_, Attribution::Unrelated) => None,
        (Role::OtherNode, _) => Some(Excluded::OtherNode),
        (Role::Proxy, _) => Some(Excluded::Proxy),
        (Role::Observer, _) => Some(Excluded::Observer),
        (Role::Host, Attribution::Endpoint(target)) if target.resolution == Resolution::None => {
            let endpoint = topology.endpoint(target.endpoint)?;
            (topology.is_here(endpoint)?).then_some(Excluded::Probe)
        }
        _ => None,
    }
}

fn attribute_by_dns<'a>(
    connect_attempt: ConnectAttempt,
    topology: &Topology,
    zone: &ClusterZone,
    cached: impl Iterator<Item = &'a CachedAddress>,
) -> Attribution {
    let ConnectAttempt { address, port, started, .. } = connect_attempt;
    let at = started.unwrap_or(connect_attempt.now);
    let lookup = |service| topology.lookup(address, port, service, at);
    let mut endpoint_unknown = false;
    let mut other_port = None;
    let mut is_others = false;
    for entry in cached {
        let (found, asked) = match present_meaning(&entry.answer, topology, zone) {
            Meaning::Named { service, resolution } => match lookup(service) {
                Some(found) => (found, resolution),
                None => {
                    endpoint_unknown = true;
                    continue;
                }
            },
            Meaning::Held { services, resolution } => {
                let mut serving = services.into_iter().filter_map(lookup).filter(|found| found.serves_port);
                match (serving.next(), serving.next()) {
                    (Some(found), None) => (found, resolution),
                    (Some(_), Some(_)) => return Attribution::Unattributed(Unattributed::Ambiguous),
                    (None, _) => continue,
                }
            }
            // The client may mean this name, so an older answer proves nothing.
            Meaning::Nobody => {
                is_others = true;
                break;
            }
        };
        let resolution = if started.is_some() { asked } else { Resolution::Preexisting };
        let used_answer = started.map(|_| used_answer(entry));
        let target = target(&found, resolution, used_answer, connect_attempt, topology);
        if found.serves_port {
            return Attribution::Endpoint(target);
        }
        other_port = other_port.or(Some((target, found.endpoint)));
    }
    if let Some((target, endpoint)) = other_port {
        let is_its = !connect_attempt.has_failed && is_alone(connect_attempt.address, endpoint, topology);
        return if is_its { Attribution::Endpoint(target) } else { Attribution::WrongPort(target.endpoint) };
    }
    match by_address(connect_attempt, topology) {
        Attribution::Unrelated if endpoint_unknown => Attribution::Unattributed(Unattributed::NotEndpoint),
        Attribution::Endpoint(_)
        | Attribution::Unattributed(Unattributed::Ambiguous | Unattributed::Removed)
            if is_others =>
        {
            Attribution::Unattributed(Unattributed::OtherName)
        }
        outcome => outcome,
    }
}

/// The Service whose name gave the client this address.
pub fn named_service<'a>(
    topology: &Topology,
    zone: &ClusterZone,
    mut cached: impl Iterator<Item = &'a CachedAddress>,
) -> Option<ServiceId> {
    cached.find_map(|entry| match present_meaning(&entry.answer, topology, zone) {
        Meaning::Named { service, .. } => Some(service),
        Meaning::Held { .. } | Meaning::Nobody => None,
    })
}

/// The present meaning of an answer. In most cases it is the meaning at the answer's arrival, so a connection needs no
/// lookup. The topology may have learned of a Service or of endpoints since.
fn present_meaning(answer: &CachedAnswer, topology: &Topology, zone: &ClusterZone) -> Meaning {
    let is_renamed = answer.renamed != topology.renamed();
    match &answer.meaning {
        // A name that several networks have tells nothing without the answer.
        Meaning::Named { .. } if is_renamed && !is_networks_own(&answer.name) => {
            named(&answer.name, topology, zone).unwrap_or_default()
        }
        Meaning::Held { .. } if is_renamed => {
            named(&answer.name, topology, zone).unwrap_or_else(|| answer.meaning.clone())
        }
        Meaning::Nobody => named(&answer.name, topology, zone).unwrap_or_else(|| {
            let addresses = answer.offer.members().iter().filter_map(|member| match member {
                Offered::Address(address) => Some(*address),
                Offered::Endpoint(_) => None,
            });
            by_addresses(&answer.name, addresses, false, answer.truncated, topology)
        }),
        meaning => meaning.clone(),
    }
}

fn used_answer(entry: &CachedAddress) -> AnswerRef {
    let CachedAnswer { at, ttl, size, truncated, nearest, .. } = *entry.answer;
    let CachedAddress { position, is_near, .. } = *entry;
    AnswerRef { at, position, size, ttl, truncated, nearest, is_near }
}

/// Without a DNS answer: the Service that has the address, if there is only one.
fn by_address(connect_attempt: ConnectAttempt, topology: &Topology) -> Attribution {
    let serving =
        || topology.owners(connect_attempt.address).filter(|endpoint| endpoint.serves(connect_attempt.port));
    // An imported Service has the endpoints of this cluster's once more.
    let has_own = serving().any(|endpoint| !is_imported(endpoint, topology));
    let mut serving = serving().filter(|endpoint| !has_own || !is_imported(endpoint, topology));
    let Some(only) = serving.next() else {
        return match topology.owners(connect_attempt.address).next() {
            Some(_) => Attribution::Unattributed(Unattributed::OtherPort),
            None => by_tombstone(connect_attempt, topology),
        };
    };
    if serving.any(|other| other.id().service != only.id().service) {
        return Attribution::Unattributed(Unattributed::Ambiguous);
    }
    let at = connect_attempt.started.unwrap_or(connect_attempt.now);
    let Some(found) = topology.lookup(connect_attempt.address, connect_attempt.port, only.id().service, at)
    else {
        return Attribution::Unrelated;
    };
    let resolution =
        if connect_attempt.started.is_some() { Resolution::None } else { Resolution::Preexisting };
    Attribution::Endpoint(target(&found, resolution, None, connect_attempt, topology))
}

/// Without a DNS answer, and no endpoint has the address: the Service whose endpoint had it, if there is only one. A
/// client that kept an answer from before the daemon dials such addresses. A connection that works may be anybody's who
/// has the address now, so only one that fails, or that goes to the endpoint's own pod, belongs to the Service.
fn by_tombstone(connect_attempt: ConnectAttempt, topology: &Topology) -> Attribution {
    let ConnectAttempt { address, port, has_failed, .. } = connect_attempt;
    let former = || topology.former_owners(address).filter(|endpoint| endpoint.serves(port));
    let Some(one) = former().next() else { return Attribution::Unrelated };
    let is_pods = |pod: &Pod| {
        let own = former().filter_map(Endpoint::pod);
        own.into_iter().any(|own| same_pod(own, &pod.key, &pod.uid))
    };
    let own_pod = topology.pod_by_address(address).map(is_pods);
    if own_pod == Some(false) {
        return Attribution::Unrelated;
    }
    let service = one.id().service;
    let is_only = former().all(|endpoint| endpoint.id().service == service);
    let at = connect_attempt.started.unwrap_or(connect_attempt.now);
    let found = topology.lookup(address, port, service, at).filter(|_| is_only);
    let was_there =
        |found: &Match<'_>| found.status.is_some_and(|(_, status)| status.state != State::Removed);
    match found.filter(|found| has_failed || own_pod.is_some() || was_there(found)) {
        Some(found) => {
            let resolution =
                if connect_attempt.started.is_some() { Resolution::None } else { Resolution::Preexisting };
            Attribution::Endpoint(target(&found, resolution, None, connect_attempt, topology))
        }
        None => Attribution::Unattributed(Unattributed::Removed),
    }
}

fn target(
    found: &Match<'_>,
    resolution: Resolution,
    used_answer: Option<AnswerRef>,
    connect_attempt: ConnectAttempt,
    topology: &Topology,
) -> Target {
    let stale = found.status.and_then(|(since, status)| {
        let kind = match status.state {
            State::Ready if status.serving => return None,
            State::Ready | State::NotReady => StaleKind::NotReady,
            State::Terminating if publishes_not_ready(found.endpoint, topology) => return None,
            State::Terminating => StaleKind::Terminating,
            State::Removed => {
                let ConnectAttempt { address, port, .. } = connect_attempt;
                let is_reused = current_pod_at(address, port, found.endpoint, topology).is_some();
                if is_reused { StaleKind::IpReused } else { StaleKind::Removed }
            }
        };
        Some(Stale { kind, since })
    });
    Target {
        endpoint: found.endpoint.id(),
        resolution,
        used_answer,
        stale,
        is_other_port: !found.serves_port,
    }
}

/// Whether no other pod has the address, as far as is known: then whatever listens there belongs to the endpoint. Pods
/// on the host's network share the node's address with everything else on the node.
fn is_alone(address: IpAddr, endpoint: &Endpoint, topology: &Topology) -> bool {
    let is_other = |key: &ObjectKey, uid: &str| endpoint.pod().is_none_or(|own| !same_pod(own, key, uid));
    let mut pods = topology.owners(address).filter_map(Endpoint::pod);
    !pods.any(|pod| is_other(&pod.key, &pod.uid))
        && topology.pod_by_address(address).is_none_or(|pod| !is_other(&pod.key, &pod.uid))
}

/// Whether the Service is one of a set of clusters.
fn is_imported(endpoint: &Endpoint, topology: &Topology) -> bool {
    let service = topology.service_by_id(endpoint.id().service);
    service.is_some_and(|state| state.key().name.ends_with(SET))
}

fn publishes_not_ready(endpoint: &Endpoint, topology: &Topology) -> bool {
    topology.service_by_id(endpoint.id().service).is_some_and(ServiceState::publishes_not_ready)
}

/// The pod that now has an address of `endpoint`, if it is known and another pod. Pods on the host's network share the
/// node's address, so a Service's pod has the address only at its own ports.
pub fn current_pod_at<'a>(
    address: IpAddr,
    port: u16,
    endpoint: &Endpoint,
    topology: &'a Topology,
) -> Option<&'a ObjectKey> {
    let is_other = |key: &ObjectKey, uid: &str| endpoint.pod().is_none_or(|own| !same_pod(own, key, uid));
    let serving = topology.owners(address).filter(|owner| owner.serves(port));
    let mut owners = serving.filter_map(Endpoint::pod);
    let by_service = owners.find(|pod| is_other(&pod.key, &pod.uid)).map(|pod| &pod.key);
    let by_pod = || topology.pod_by_address(address).filter(|pod| is_other(&pod.key, &pod.uid));
    by_service.or_else(|| by_pod().map(|pod| &pod.key))
}

/// The UID decides, if the source reports UIDs: a pod that is created again has the same name.
fn same_pod(pod: &PodRef, key: &ObjectKey, uid: &str) -> bool {
    if pod.uid.is_empty() || uid.is_empty() { pod.key == *key } else { *pod.uid == *uid }
}

#[cfg(test)]
mod tests;
