//! Attribution: which Service and endpoint a connection belongs to, what it was resolved by, and whether the address
//! was still the endpoint's.
//!
//! In: a [`Dial`], the [`Topology`], the client's [`Sighting`]s. Out: an [`Outcome`]. The client's own DNS answers
//! decide; only without any does the address alone, if it leaves no choice. What is no client's choice at all, or is
//! counted elsewhere, is [`Excluded`].

use std::net::IpAddr;

use crate::client::Role;
use crate::dns::name::{Asked, candidates, without_port};
use crate::dns::{Answer, Name};
use crate::evidence::Sighting;
use crate::time::Time;
use crate::topology::object::{ObjectKey, PodRef};
use crate::topology::{Endpoint, EndpointRef, Match, ServiceId, State, Topology};

/// A connection as the client started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Destination address.
    pub address: IpAddr,
    /// Destination port.
    pub port: u16,
    /// What the client is.
    pub by: Role,
    /// When it was started; `None` if before the observer.
    pub started: Option<Time>,
    /// Now.
    pub now: Time,
}

/// What a connection was resolved by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// The Service's name.
    Service,
    /// An SRV name of the Service.
    Srv,
    /// One pod's name: intended, never an imbalance.
    Hostname,
    /// No DNS evidence: gossip, API watch, hard-coded.
    None,
    /// Older than the observer.
    Preexisting,
}

impl Resolution {
    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Srv => "srv",
            Self::Hostname => "hostname",
            Self::None => "none",
            Self::Preexisting => "preexisting",
        }
    }

    /// Whether it counts in the headline spread: the client had a choice, and we know between what.
    pub fn counts(self) -> bool {
        matches!(self, Self::Service | Self::Srv)
    }
}

/// The address was no endpoint that serves when it was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stale {
    /// The endpoint had left.
    Removed,
    /// It was shutting down.
    Terminating,
    /// Its pod was not ready, whether or not the Service publishes it all the same.
    NotReady,
    /// It had left, and the address was another pod's by then.
    IpReused,
}

impl Stale {
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

/// Whom a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Service and endpoint.
    pub endpoint: EndpointRef,
    /// What it was resolved by.
    pub resolution: Resolution,
    /// Place of the address in the answer.
    pub position: Option<u16>,
    /// Set if the address was no endpoint that serves. An endpoint that was not known yet counts as one: the topology
    /// may be behind DNS.
    pub stale: Option<Stale>,
}

/// Why a connection to an endpoint's address belongs to no Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unattributed {
    /// No DNS evidence, and several Services have the address.
    Ambiguous,
    /// The port is not one of the Service's.
    OtherPort,
    /// The client was told the address by a Service's name, but it is no endpoint of the Service and never was.
    NotEndpoint,
}

impl Unattributed {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Ambiguous, Self::OtherPort, Self::NotEndpoint];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::OtherPort => "other_port",
            Self::NotEndpoint => "not_endpoint",
        }
    }
}

/// Why a connection that could be attributed is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Excluded {
    /// The node itself dialled a pod on it, without asking DNS: kubelet's probes.
    Probe,
    /// A service mesh's proxy made it for others, whose own connection counts.
    Proxy,
    /// It was made on another node, whose observer counts it.
    OtherNode,
}

impl Excluded {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Probe, Self::Proxy, Self::OtherNode];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Proxy => "proxy",
            Self::OtherNode => "other_node",
        }
    }
}

/// What attribution finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It belongs to this Service.
    To(Target),
    /// It goes to an endpoint but belongs to no Service.
    ToNobody(Unattributed),
    /// It goes to an endpoint and is left out on purpose.
    LeftOut(Excluded),
    /// Nothing to do with any headless Service.
    Unrelated,
}

/// Finds out whom a connection belongs to. `sightings` are the client's own, best first.
pub fn attribute<'a>(
    dial: Dial,
    topology: &Topology,
    sightings: impl Iterator<Item = &'a Sighting>,
) -> Outcome {
    let outcome = owner(dial, topology, sightings);
    excluded(dial, outcome, topology).map_or(outcome, Outcome::LeftOut)
}

/// Why a connection with this outcome is left out.
fn excluded(dial: Dial, outcome: Outcome, topology: &Topology) -> Option<Excluded> {
    match (dial.by, outcome) {
        (_, Outcome::Unrelated) => None,
        (Role::Elsewhere, _) => Some(Excluded::OtherNode),
        (Role::Proxy, _) => Some(Excluded::Proxy),
        (Role::Host, Outcome::To(target)) if target.resolution == Resolution::None => {
            let endpoint = topology.endpoint(target.endpoint)?;
            (topology.is_here(endpoint)?).then_some(Excluded::Probe)
        }
        _ => None,
    }
}

fn owner<'a>(dial: Dial, topology: &Topology, sightings: impl Iterator<Item = &'a Sighting>) -> Outcome {
    let at = dial.started.unwrap_or(dial.now);
    let mut refused = None;
    for sighting in sightings {
        let Some((service, asked)) = service_of(&sighting.name, topology) else { continue };
        let Some(found) = topology.lookup(dial.address, dial.port, service, at) else {
            refused = refused.or(Some(Unattributed::NotEndpoint));
            continue;
        };
        if !found.serves_port {
            refused = Some(Unattributed::OtherPort);
            continue;
        }
        let resolution = if dial.started.is_some() { asked } else { Resolution::Preexisting };
        let position = dial.started.map(|_| sighting.position);
        return Outcome::To(target(&found, resolution, position, dial, topology));
    }
    match (refused, by_address(dial, topology)) {
        (Some(Unattributed::NotEndpoint), Outcome::Unrelated) => Outcome::ToNobody(Unattributed::NotEndpoint),
        (None | Some(Unattributed::NotEndpoint), outcome) => outcome,
        (Some(reason), _) => Outcome::ToNobody(reason),
    }
}

/// The name of an answer that says which headless Service was meant, and what part of it was asked for. An alias is
/// only a way to what it leads to, so the last name that means one counts.
pub fn meant<'a>(answer: &'a Answer, topology: &Topology) -> Option<(&'a Name, ServiceId, Resolution)> {
    answer.chain.iter().rev().find_map(|name| {
        let (service, resolution) = service_of(name, topology)?;
        Some((name, service, resolution))
    })
}

/// The headless Service that a name means, if the topology has one, and what part of it was asked for.
pub fn service_of(name: &str, topology: &Topology) -> Option<(ServiceId, Resolution)> {
    let headless = |namespace: &str, service: &str| {
        let id = topology.find(namespace, service)?;
        topology.service_by_id(id).is_some_and(|state| state.headless()).then_some(id)
    };
    let in_kubernetes = candidates(name).find_map(|candidate| {
        let resolution = match candidate.asked {
            Asked::Service => Resolution::Service,
            Asked::Hostname(_) => Resolution::Hostname,
            Asked::Port { .. } => Resolution::Srv,
        };
        headless(candidate.namespace, candidate.service).map(|id| (id, resolution))
    });
    // Outside of Kubernetes a Service is called by its domain name.
    in_kubernetes.or_else(|| match without_port(name) {
        whole if whole.len() == name.len() => headless("", whole).map(|id| (id, Resolution::Service)),
        below => headless("", below).map(|id| (id, Resolution::Srv)),
    })
}

/// Without evidence: the one Service that has the address, if there is just one.
fn by_address(dial: Dial, topology: &Topology) -> Outcome {
    let mut serving = topology.owners(dial.address).filter(|endpoint| endpoint.serves(dial.port));
    let Some(only) = serving.next() else {
        return match topology.owners(dial.address).next() {
            Some(_) => Outcome::ToNobody(Unattributed::OtherPort),
            None => Outcome::Unrelated,
        };
    };
    if serving.any(|other| other.id().service != only.id().service) {
        return Outcome::ToNobody(Unattributed::Ambiguous);
    }
    let at = dial.started.unwrap_or(dial.now);
    let Some(found) = topology.lookup(dial.address, dial.port, only.id().service, at) else {
        return Outcome::Unrelated;
    };
    let resolution = if dial.started.is_some() { Resolution::None } else { Resolution::Preexisting };
    Outcome::To(target(&found, resolution, None, dial, topology))
}

fn target(
    found: &Match<'_>,
    resolution: Resolution,
    position: Option<u16>,
    dial: Dial,
    topology: &Topology,
) -> Target {
    let stale = found.standing.and_then(|standing| match standing.state {
        State::Ready => (!standing.serving).then_some(Stale::NotReady),
        State::NotReady => Some(Stale::NotReady),
        State::Terminating => Some(Stale::Terminating),
        State::Removed if is_others(dial.address, found.endpoint, topology) => Some(Stale::IpReused),
        State::Removed => Some(Stale::Removed),
    });
    Target { endpoint: found.endpoint.id(), resolution, position, stale }
}

/// Whether the address that `endpoint` had is known to be another pod's now.
fn is_others(address: IpAddr, endpoint: &Endpoint, topology: &Topology) -> bool {
    let is_same = |pod: &PodRef| endpoint.pod().is_some_and(|own| same_pod(own, &pod.key, &pod.uid));
    let mut owners = topology.owners(address).filter_map(Endpoint::pod);
    owners.any(|pod| !is_same(pod))
        || topology
            .pod_by_address(address)
            .is_some_and(|pod| endpoint.pod().is_none_or(|own| !same_pod(own, &pod.key, &pod.uid)))
}

/// The UID tells, where the source gives any: a pod that is made anew has its old name.
fn same_pod(pod: &PodRef, key: &ObjectKey, uid: &str) -> bool {
    if pod.uid.is_empty() || uid.is_empty() { pod.key == *key } else { *pod.uid == *uid }
}

#[cfg(test)]
mod tests;
