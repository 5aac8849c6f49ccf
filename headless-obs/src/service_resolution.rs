//! The meaning of a name: a headless Service, and the part of it that the name refers to.
//!
//! In: names of answers, the [`Topology`]. Out: a Service and a [`Resolution`], or nothing.

use crate::dns::service_name::{NameKind, candidates, without_port};
use crate::dns::{Answer, Name};
use crate::topology::{ServiceId, Topology};

/// How a client resolved the address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// The Service's name.
    Service,
    /// An SRV name of the Service.
    Srv,
    /// One pod's name: an intended choice, never an imbalance.
    Hostname,
    /// No DNS answer: gossip, API watch, fixed address.
    None,
    /// Older than the daemon.
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

    /// Whether it counts in the spread: the client had a choice, and the alternatives are known.
    pub fn counts(self) -> bool {
        matches!(self, Self::Service | Self::Srv)
    }
}

/// The meaning of a name at a moment of the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedName {
    /// The headless Service.
    pub service: ServiceId,
    /// The part of it.
    pub resolution: Resolution,
    /// [`Topology::renamed`] at that moment.
    pub renamed: u64,
}

/// The name in an answer that belongs to a headless Service, with the Service and its part. An alias only leads to
/// another name, so the last such name counts.
pub fn meant<'a>(answer: &'a Answer, topology: &Topology) -> Option<(&'a Name, ServiceId, Resolution)> {
    answer.chain.iter().rev().find_map(|name| {
        let (service, resolution) = service_of(name, topology)?;
        Some((name, service, resolution))
    })
}

/// The headless Service that a name refers to, if the topology has it, and the part of it.
pub fn service_of(name: &str, topology: &Topology) -> Option<(ServiceId, Resolution)> {
    let headless = |namespace: &str, service: &str| {
        let id = topology.find(namespace, service)?;
        topology.service_by_id(id).is_some_and(|state| state.headless()).then_some(id)
    };
    let in_kubernetes = candidates(name).find_map(|candidate| {
        let resolution = match candidate.asked {
            NameKind::Service => Resolution::Service,
            NameKind::Hostname(_) => Resolution::Hostname,
            NameKind::Port { .. } => Resolution::Srv,
        };
        headless(candidate.namespace, candidate.service).map(|id| (id, resolution))
    });
    // Outside Kubernetes, the domain name is the name of the Service.
    in_kubernetes.or_else(|| match without_port(name) {
        whole if whole.len() == name.len() => headless("", whole).map(|id| (id, Resolution::Service)),
        below => headless("", below).map(|id| (id, Resolution::Srv)),
    })
}
