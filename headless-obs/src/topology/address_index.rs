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
            next_endpoint: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.removed.is_empty()
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
        self.addresses.entry(address).or_insert_with(|| Vec::with_capacity(1)).push(endpoint);
        self.touched.push(address);
    }

    pub(super) fn disclaim(&mut self, address: IpAddr, endpoint: EndpointRef) {
        self.touched.push(address);
        if let Some(endpoints) = self.addresses.get_mut(&address) {
            endpoints.retain(|other| *other != endpoint);
            if endpoints.is_empty() {
                self.addresses.remove(&address);
            }
        }
    }
}
