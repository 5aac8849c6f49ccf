//! What a name means: the headless Service that was asked for, and what part of it.
//!
//! In: names of answers, the [`Topology`]. Out: a Service and a [`Resolution`], or nothing.

use crate::dns::name::{Asked, candidates, without_port};
use crate::dns::{Answer, Name};
use crate::topology::{ServiceId, Topology};

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
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Service, Self::Srv, Self::Hostname, Self::None, Self::Preexisting];

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

/// What a name meant, as of a moment of the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The headless Service.
    pub service: ServiceId,
    /// What part of it was asked for.
    pub resolution: Resolution,
    /// [`Topology::renamed`] at that moment.
    pub renamed: u64,
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
