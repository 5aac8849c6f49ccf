//! Attribution: the Service and endpoint of a connection, how the client resolved the address, and whether the endpoint
//! still had the address.
//!
//! In: a [`Dial`], the [`Topology`], the client's [`Sighting`]s. Out: an [`Outcome`]. The client's own DNS answers
//! decide. Without any, the address decides if only one Service has it. Connections that are not the choice of a
//! client, or that another daemon counts, are [`Excluded`].

use std::net::IpAddr;
use std::time::Duration;

use crate::answer_cache::{Received, Sighting};
use crate::client::Role;
use crate::service_resolution::{Resolution, service_of};
use crate::time::Time;
use crate::topology::model::{ObjectKey, PodRef};
use crate::topology::{Endpoint, EndpointRef, Match, ServiceId, State, Topology};

/// A connect attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Destination address.
    pub address: IpAddr,
    /// Destination port.
    pub port: u16,
    /// The role of the client.
    pub by: Role,
    /// When it was started; `None` if before the daemon.
    pub started: Option<Time>,
    /// Now.
    pub now: Time,
}

/// The kinds of addresses that were not a serving endpoint when the client connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stale {
    /// The endpoint had left.
    Removed,
    /// The endpoint was shutting down.
    Terminating,
    /// Its pod was not ready, whether the Service publishes it or not.
    NotReady,
    /// The endpoint had left, and another pod had the address.
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

/// The answer that a connection uses, and the position of the address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// When the answer arrived.
    pub at: Time,
    /// Position of the address, from 0.
    pub position: u16,
    /// Addresses in the answer.
    pub size: u16,
    /// How many seconds a client may keep it.
    pub ttl: u32,
    /// It was truncated.
    pub truncated: bool,
    /// How many of its addresses are nearest to the client's own; see [`Received`].
    pub nearest: u16,
    /// This address is one of them.
    pub is_near: bool,
}

impl Told {
    /// Whether the answer had expired by `at`.
    pub fn is_past_ttl(&self, at: Time) -> bool {
        // A resolver counts whole seconds.
        at.since(self.at) > Duration::from_secs(u64::from(self.ttl) + 1)
    }
}

/// The address was not a serving endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Staleness {
    /// The kind.
    pub kind: Stale,
    /// Since when.
    pub since: Time,
}

/// The Service and endpoint of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Service and endpoint.
    pub endpoint: EndpointRef,
    /// How the client resolved the address.
    pub resolution: Resolution,
    /// The answer that the connection uses; nothing if there is none, or if the connection is older than the daemon.
    pub told: Option<Told>,
    /// Set if the address was not a serving endpoint. An endpoint that was not known yet counts as serving: the
    /// topology may be behind DNS.
    pub stale: Option<Staleness>,
}

/// Why a connection to an endpoint's address belongs to no Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unattributed {
    /// No DNS answer, and several Services have the address.
    Ambiguous,
    /// The port is not one of the Service's.
    OtherPort,
    /// The client received the address under a Service's name, but it is not an endpoint of the Service and never was.
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
    /// The node itself connected to a pod on it, without a DNS answer: the kubelet's probes.
    Probe,
    /// A service mesh's proxy made it for others, whose own connection counts.
    Proxy,
    /// It was made on another node, whose daemon counts it.
    OtherNode,
    /// The daemon made it itself.
    Observer,
}

impl Excluded {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Probe, Self::Proxy, Self::OtherNode, Self::Observer];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Proxy => "proxy",
            Self::OtherNode => "other_node",
            Self::Observer => "observer",
        }
    }
}

/// The result of attribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It belongs to this Service.
    To(Target),
    /// It goes to an endpoint, but belongs to no Service.
    ToNobody(Unattributed),
    /// The client received the address under the Service's name, but the endpoint does not have the port.
    OtherPort(EndpointRef),
    /// It goes to an endpoint and is left out.
    LeftOut(Excluded),
    /// It is not related to any headless Service.
    Unrelated,
}

/// Attributes a connection. `sightings` are the client's own, the best first.
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
        (Role::Observer, _) => Some(Excluded::Observer),
        (Role::Host, Outcome::To(target)) if target.resolution == Resolution::None => {
            let endpoint = topology.endpoint(target.endpoint)?;
            (topology.is_here(endpoint)?).then_some(Excluded::Probe)
        }
        _ => None,
    }
}

fn owner<'a>(dial: Dial, topology: &Topology, sightings: impl Iterator<Item = &'a Sighting>) -> Outcome {
    let at = dial.started.unwrap_or(dial.now);
    let mut is_ahead = false;
    let mut other_port = None;
    for sighting in sightings {
        let Some((service, asked)) = still_meant(&sighting.answer, topology) else { continue };
        let Some(found) = topology.lookup(dial.address, dial.port, service, at) else {
            is_ahead = true;
            continue;
        };
        if !found.serves_port {
            other_port = other_port.or(Some(found.endpoint.id()));
            continue;
        }
        let resolution = if dial.started.is_some() { asked } else { Resolution::Preexisting };
        let told = dial.started.map(|_| told(sighting));
        return Outcome::To(target(&found, resolution, told, dial, topology));
    }
    if let Some(endpoint) = other_port {
        return Outcome::OtherPort(endpoint);
    }
    match by_address(dial, topology) {
        Outcome::Unrelated if is_ahead => Outcome::ToNobody(Unattributed::NotEndpoint),
        outcome => outcome,
    }
}

/// The present meaning of an answer's name. In most cases it is the meaning at the answer's arrival, so a connection
/// needs no lookup.
fn still_meant(answer: &Received, topology: &Topology) -> Option<(ServiceId, Resolution)> {
    match answer.meaning {
        Some(meaning) if meaning.renamed == topology.renamed() => Some((meaning.service, meaning.resolution)),
        _ => service_of(&answer.name, topology),
    }
}

fn told(sighting: &Sighting) -> Told {
    let Received { at, ttl, size, truncated, nearest, .. } = *sighting.answer;
    let Sighting { position, is_near, .. } = *sighting;
    Told { at, position, size, ttl, truncated, nearest, is_near }
}

/// Without a DNS answer: the Service that has the address, if there is only one.
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
    told: Option<Told>,
    dial: Dial,
    topology: &Topology,
) -> Target {
    let stale = found.standing.and_then(|(since, standing)| {
        let kind = match standing.state {
            State::Ready if standing.serving => return None,
            State::Ready | State::NotReady => Stale::NotReady,
            State::Terminating => Stale::Terminating,
            State::Removed if taken_over(dial.address, found.endpoint, topology).is_some() => Stale::IpReused,
            State::Removed => Stale::Removed,
        };
        Some(Staleness { kind, since })
    });
    Target { endpoint: found.endpoint.id(), resolution, told, stale }
}

/// The pod that now has an address of `endpoint`, if it is known and another pod.
pub fn taken_over<'a>(address: IpAddr, endpoint: &Endpoint, topology: &'a Topology) -> Option<&'a ObjectKey> {
    let is_other = |key: &ObjectKey, uid: &str| endpoint.pod().is_none_or(|own| !same_pod(own, key, uid));
    let mut owners = topology.owners(address).filter_map(Endpoint::pod);
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
