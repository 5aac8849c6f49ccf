//! State that all Services share: the index of addresses, the endpoints that left, the next id, the counters, and the
//! addresses that the current change affects.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Config, Counters, EndpointId, EndpointRef};
use crate::hash::HashMap;
use crate::time::Time;

#[derive(Debug)]
pub(super) struct AddressIndex {
    pub(super) config: Config,
    pub(super) counters: Counters,
    /// Endpoints that left, the oldest first.
    pub(super) removed: BTreeSet<(Time, EndpointRef)>,
    pub(super) touched: Vec<IpAddr>,
    addresses: HashMap<IpAddr, Vec<EndpointRef>>,
    /// The number of them in each network.
    networks: HashMap<IpAddr, usize>,
    next_endpoint: u32,
}

impl AddressIndex {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            counters: Counters::default(),
            removed: BTreeSet::new(),
            touched: Vec::new(),
            addresses: HashMap::default(),
            networks: HashMap::default(),
            next_endpoint: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.networks.is_empty() && self.removed.is_empty()
    }

    /// A new id; none when all are used.
    pub(super) fn endpoint_id(&mut self) -> Option<EndpointId> {
        let id = EndpointId(self.next_endpoint);
        self.next_endpoint = self.next_endpoint.checked_add(1)?;
        Some(id)
    }

    /// Endpoints that have or had `address`.
    pub(super) fn at(&self, address: IpAddr) -> &[EndpointRef] {
        self.addresses.get(&address).map_or(&[], Vec::as_slice)
    }

    pub(super) fn claim(&mut self, address: IpAddr, endpoint: EndpointRef) {
        let endpoints = self.addresses.entry(address).or_insert_with(|| Vec::with_capacity(1));
        if endpoints.is_empty() {
            *self.networks.entry(network(address)).or_default() += 1;
        }
        endpoints.push(endpoint);
        self.touched.push(address);
    }

    pub(super) fn disclaim(&mut self, address: IpAddr, endpoint: EndpointRef) {
        self.touched.push(address);
        if let Some(endpoints) = self.addresses.get_mut(&address) {
            endpoints.retain(|other| *other != endpoint);
            if endpoints.is_empty() {
                self.addresses.remove(&address);
                let network = network(address);
                let rest = self.networks.get(&network).map_or(0, |count| count - 1);
                if rest == 0 {
                    self.networks.remove(&network)
                } else {
                    self.networks.insert(network, rest)
                };
            }
        }
    }

    /// Whether the index has an address of the same network.
    pub(super) fn has_network_of(&self, address: IpAddr) -> bool {
        self.networks.contains_key(&network(address))
    }
}

/// The network that a cluster's pods share, by the widths that clusters have: 16 bits of IPv4 and 48 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::from((address.to_bits() & (u32::MAX << 16)).to_be_bytes()),
        IpAddr::V6(address) => IpAddr::from((address.to_bits() & (u128::MAX << 80)).to_be_bytes()),
    }
}
