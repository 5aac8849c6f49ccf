//! Networks of containers: a machine may have several in which the same name means different Services.
//!
//! In: answers for names that a network has for itself ([`is_networks_own`]), with the client that received them. Out:
//! the Service that the answer is about. Answers are of one network if they have an address or a subnet in common, or if
//! one client received them.
//!
//! Invariants: bounded by the number of Services, [`NETWORKS`] and [`CLIENTS`]. A network that does not fit shares the
//! last one's Service.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use crate::dns::Name;
use crate::hash::HashMap;
use crate::topology::model::ServiceKey;

/// The most networks of one name.
const NETWORKS: usize = 64;
/// The most clients of one network; a client beyond them is known by the addresses that it receives.
const CLIENTS: usize = 256;

/// Whether each network of containers has this name for itself: a name without a domain (Docker, Compose), the tasks of
/// a Swarm service, a name in Podman's domain.
pub fn is_networks_own(name: &str) -> bool {
    let host = name.strip_prefix("tasks.").or_else(|| name.strip_suffix(".dns.podman")).unwrap_or(name);
    !host.is_empty() && !host.contains('.')
}

/// One network's Service of a name.
#[derive(Debug)]
struct Network {
    service: ServiceKey,
    clients: VecDeque<u32>,
}

/// The networks, by the name that they share.
#[derive(Debug, Default)]
pub(super) struct Networks(HashMap<Name, Vec<Network>>);

impl Networks {
    /// The Service of an answer with these addresses; nothing if it lists none and its client is not known. `has` tells
    /// whether a Service has an address that the given function accepts.
    pub(super) fn service(
        &self,
        name: &Name,
        client: u32,
        addresses: &[IpAddr],
        has: impl Fn(&ServiceKey, &dyn Fn(IpAddr) -> bool) -> bool,
    ) -> Option<ServiceKey> {
        let known = self.0.get(name).map_or(&[][..], Vec::as_slice);
        let is_listed = |address| addresses.contains(&address);
        let in_subnet = |address| addresses.iter().any(|listed| subnet(*listed) == subnet(address));
        let find =
            |is_like: &dyn Fn(IpAddr) -> bool| known.iter().find(|network| has(&network.service, is_like));
        let network = find(&is_listed)
            .or_else(|| find(&in_subnet))
            .or_else(|| known.iter().find(|network| network.clients.contains(&client)))
            .or_else(|| known.last().filter(|_| known.len() >= NETWORKS));
        if let Some(network) = network {
            return Some(network.service.clone());
        }
        // The first one has the plain name, as it would alone.
        let lowest = addresses.iter().min()?;
        let namespace = if known.is_empty() { Arc::default() } else { subnet(*lowest) };
        Some(ServiceKey { namespace, name: name.clone() })
    }

    /// The Services of other networks with the name of this one.
    pub(super) fn others<'a>(&'a self, service: &'a ServiceKey) -> impl Iterator<Item = &'a ServiceKey> {
        let known = self.0.get(&service.name).into_iter().flatten();
        known.map(|network| &network.service).filter(move |other| *other != service)
    }

    /// A client received an answer about this Service.
    pub(super) fn answered(&mut self, service: &ServiceKey, client: u32) {
        let known = self.0.entry(service.name.clone()).or_default();
        let place = known.iter().position(|network| network.service == *service).unwrap_or_else(|| {
            known.push(Network { service: service.clone(), clients: VecDeque::new() });
            known.len() - 1
        });
        let Some(network) = known.get_mut(place) else { return };
        if !network.clients.contains(&client) {
            network.clients.truncate(CLIENTS - 1);
            network.clients.push_front(client);
        }
    }

    /// The number of known networks.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// A Service is gone.
    pub(super) fn forget(&mut self, service: &ServiceKey) {
        if let Some(known) = self.0.get_mut(&service.name) {
            known.retain(|network| network.service != *service);
            if known.is_empty() {
                self.0.remove(&service.name);
            }
        }
    }
}

/// The subnet of an address, for output as well: 256 addresses, of IPv6 those with the same first half.
fn subnet(address: IpAddr) -> Arc<str> {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.x").into()
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::x").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_network_has_for_itself() {
        for name in ["web", "tasks.web", "web.dns.podman"] {
            assert!(is_networks_own(name), "{name}");
        }
        for name in
            ["", "web.corp", "web.shop.svc.cluster.local", "a.tasks.web", "tasks.web.corp", "a.b.dns.podman"]
        {
            assert!(!is_networks_own(name), "{name}");
        }
    }
}
