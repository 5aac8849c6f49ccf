//! The meaning of an answer: a headless Service, and the part of it that the client asked for.
//!
//! In: answers, the [`Topology`], the zone of the cluster. Out: a [`Meaning`].
//!
//! A name of this cluster says which Service is meant. Any other name may be another cluster's, a wildcard's in a search
//! domain, or one that somebody gave to a Service, so the addresses decide: an answer is about the Service that has most
//! of them.

use std::net::IpAddr;

use smallvec::SmallVec;

use crate::cluster_zone::{ClusterZone, SET};
use crate::dns::service_name::{NameKind, ServiceName, candidates};
use crate::dns::{Answer, Name};
use crate::topology::learned::is_networks_own;
use crate::topology::{ServiceId, Topology};

/// The way in which a client resolved the address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// The Service's name.
    Service,
    /// An SRV name of the Service.
    Srv,
    /// One pod's name: an intended choice, never an imbalance.
    Hostname,
    /// A name that stands for some of the endpoints, those of an area for example.
    Part,
    /// No DNS answer: gossip, API watch, fixed address.
    None,
    /// Older than the daemon.
    Preexisting,
}

impl Resolution {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Service, Self::Srv, Self::Hostname, Self::Part, Self::None, Self::Preexisting];

    /// The name used in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Srv => "srv",
            Self::Hostname => "hostname",
            Self::Part => "part",
            Self::None => "none",
            Self::Preexisting => "preexisting",
        }
    }

    /// Whether it counts in the Service's spread: the client could choose among all endpoints.
    pub fn counts(self) -> bool {
        matches!(self, Self::Service | Self::Srv)
    }

    /// Whether it counts in the client's own spread: the client could choose among the endpoints of its answer, all or a
    /// part.
    pub fn is_choice(self) -> bool {
        self.counts() || self == Self::Part
    }
}

/// The subject of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Meaning {
    /// The Service that its name names.
    Named {
        /// The Service.
        service: ServiceId,
        /// The part of it.
        resolution: Resolution,
    },
    /// The Service whose endpoints it holds, under another name.
    Held {
        /// Mostly one. Several have the same endpoints, and the port of a connection may decide.
        services: SmallVec<[ServiceId; 1]>,
        /// The part of it.
        resolution: Resolution,
    },
    /// No Service that is known here.
    #[default]
    Nobody,
}

impl Meaning {
    /// The Service, if there is no doubt, and the part of it.
    pub fn service(&self) -> Option<(ServiceId, Resolution)> {
        match self {
            Self::Named { service, resolution } => Some((*service, *resolution)),
            Self::Held { services, resolution } => match services.as_slice() {
                [only] => Some((*only, *resolution)),
                _ => None,
            },
            Self::Nobody => None,
        }
    }
}

/// The meaning of an answer, and the name that has it: for a Service's name the last one of the chain, because an alias
/// only leads to another name, otherwise the query name.
pub fn meant<'a>(answer: &'a Answer, topology: &Topology, zone: &ClusterZone) -> (&'a Name, Meaning) {
    let of_name = |name| named(name, topology, zone).or_else(|| in_network(name, answer, topology));
    let named = answer.chain.iter().rev().find_map(|name| Some((name, of_name(name)?)));
    named.unwrap_or_else(|| {
        let is_srv = !answer.targets.is_empty();
        (&answer.question, by_addresses(&answer.question, listed(answer), is_srv, answer.truncated, topology))
    })
}

/// The meaning of a name that several networks may have: the Service of that name that has most of the addresses.
fn in_network(name: &str, answer: &Answer, topology: &Topology) -> Option<Meaning> {
    if !is_networks_own(name) {
        return None;
    }
    let Meaning::Held { services, resolution } =
        by_addresses(name, listed(answer), false, answer.truncated, topology)
    else {
        return None;
    };
    let is_its = |service: &ServiceId| is_named(*service, name, topology);
    let service = services.into_iter().find(is_its)?;
    Some(Meaning::Named { service, resolution })
}

/// Whether a Service outside Kubernetes has exactly this name.
pub fn is_named(service: ServiceId, name: &str, topology: &Topology) -> bool {
    let is_clusters = |namespace: &str| !namespace.is_empty() && !namespace.contains(['.', ':']);
    topology
        .service_by_id(service)
        .is_some_and(|state| *state.key().name == *name && !is_clusters(&state.key().namespace))
}

/// The meaning of a name of this cluster.
pub fn named(name: &str, topology: &Topology, zone: &ClusterZone) -> Option<Meaning> {
    let (service, resolution) = service_of(name, topology, zone)?;
    Some(Meaning::Named { service, resolution })
}

/// The headless Service that a name of this cluster refers to, if the topology has it, and the part of it.
pub fn service_of(name: &str, topology: &Topology, zone: &ClusterZone) -> Option<(ServiceId, Resolution)> {
    let in_kubernetes = candidates(name).filter(|candidate| zone.is_own(candidate.zone));
    let mut known =
        in_kubernetes.filter_map(|candidate| Some((here(&candidate, topology)?, part(&candidate))));
    let imported = || {
        let mut of_set = candidates(name).filter(|candidate| candidate.zone == SET);
        of_set.find_map(|candidate| {
            let service = format!("{}.{SET}", candidate.service);
            Some((headless(candidate.namespace, &service, topology)?, part(&candidate)))
        })
    };
    // Outside Kubernetes, the domain name is the name of the Service.
    known.next().or_else(imported).or_else(|| {
        if is_networks_own(name) {
            return None;
        }
        let resolution = if name.starts_with('_') { Resolution::Srv } else { Resolution::Service };
        Some((headless("", name, topology)?, resolution))
    })
}

/// The headless Service of this cluster that has the namespace and the name, whatever zone the name is in.
pub fn here(name: &ServiceName<'_>, topology: &Topology) -> Option<ServiceId> {
    headless(name.namespace, name.service, topology)
}

fn headless(namespace: &str, service: &str, topology: &Topology) -> Option<ServiceId> {
    let id = topology.find(namespace, service)?;
    topology.service_by_id(id).is_some_and(|state| state.headless()).then_some(id)
}

fn part(name: &ServiceName<'_>) -> Resolution {
    match name.asked {
        NameKind::Service => Resolution::Service,
        NameKind::Hostname(_) => Resolution::Hostname,
        NameKind::Area => Resolution::Part,
        NameKind::Port { .. } => Resolution::Srv,
    }
}

/// All addresses of an answer, those of SRV targets last.
pub fn listed(answer: &Answer) -> impl Iterator<Item = IpAddr> + Clone {
    let of_targets = answer.targets.iter().flat_map(|target| &target.addresses);
    answer.addresses.iter().chain(of_targets).map(|record| record.address)
}

/// Addresses of an answer that are compared to learn what it holds. The others of a long answer tell the same.
const COMPARED: usize = 8;

/// Whether an answer for a name that names a Service held that Service's endpoints alone, or none of them, among its
/// first addresses; nothing if it held some.
pub fn holds(answer: &Answer, service: ServiceId, topology: &Topology) -> Option<bool> {
    let (mut its, mut all) = (0, 0);
    for address in listed(answer).take(COMPARED) {
        all += 1;
        its += usize::from(topology.holders(address).any(|holder| holder == service));
    }
    (all > 0 && (its == 0 || its == all)).then_some(its > 0)
}

/// The Service that has most of these addresses, for a name that is none of a Service.
pub fn by_addresses(
    name: &str,
    addresses: impl Iterator<Item = IpAddr>,
    is_srv: bool,
    is_cut: bool,
    topology: &Topology,
) -> Meaning {
    let mut counts: SmallVec<[(ServiceId, usize); 4]> = SmallVec::new();
    let (mut all, mut is_ipv6) = (0, false);
    for address in addresses {
        all += 1;
        is_ipv6 = address.is_ipv6();
        let mut services: SmallVec<[ServiceId; 4]> = topology.holders(address).collect();
        services.sort_unstable();
        services.dedup();
        for service in services {
            match counts.iter_mut().find(|(known, _)| *known == service) {
                Some((_, count)) => *count += 1,
                None => counts.push((service, 1)),
            }
        }
    }
    let ready = |service| topology.service_by_id(service).map_or(0, |state| state.ready(is_ipv6));
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    if most * 2 <= all {
        return Meaning::Nobody;
    }
    counts.retain(|(_, count)| *count == most);
    // Of several that have all of them, the one that has the fewest others.
    let least = counts.iter().map(|(service, _)| ready(*service)).min().unwrap_or(0);
    let mut services: SmallVec<[ServiceId; 1]> =
        counts.iter().map(|(service, _)| *service).filter(|service| ready(*service) == least).collect();
    if services.len() > 1 {
        let alike = services.iter().copied().find(|service| is_like(name, *service, topology));
        services = alike.map_or(services, |alike| SmallVec::from_iter([alike]));
    }
    let resolution = if is_srv {
        Resolution::Srv
    } else if is_cut || most * 2 > least {
        Resolution::Service
    } else if most == 1 {
        Resolution::Hostname
    } else {
        Resolution::Part
    };
    Meaning::Held { services, resolution }
}

/// Whether a name begins with the Service's own. This says nothing by itself, but decides between Services with the same
/// endpoints.
fn is_like(name: &str, service: ServiceId, topology: &Topology) -> bool {
    let Some(state) = topology.service_by_id(service) else { return false };
    name.split('.').next() == Some(&*state.key().name)
}
