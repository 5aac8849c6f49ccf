//! Offers: the endpoints among which an answer lets a client choose. They say what random choice would have selected.
//!
//! In: the addresses of an answer for a Service's name, without the client's own address, and the topology. Out: a
//! shared [`Offer`]. Answers with the same endpoints share one, so a selection costs one addition.
//!
//! Invariants: an offer never changes. It names an endpoint by its id, or by its address while the topology does not
//! have it. The number of shared offers is bounded; beyond that, answers have offers of their own.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use crate::hash::{HashMap, Keyed};
use crate::time::Time;
use crate::topology::{Endpoint, EndpointId, ServiceId, Topology};

/// The most offers that are shared.
const LIMIT: usize = 4096;

/// A member of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offered {
    /// An endpoint.
    Endpoint(EndpointId),
    /// An address whose endpoint the topology did not have.
    Address(IpAddr),
}

/// The endpoints of an answer, whatever their order; one with several addresses in it is there as often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer(Box<[Offered]>);

impl Offer {
    /// Its members.
    pub fn members(&self) -> &[Offered] {
        &self.0
    }
}

/// Identifies an offer: the Service, its number of changes, and a sum over the addresses.
type Key = (Option<ServiceId>, u64, u64);

/// The offers that answers share.
#[derive(Debug, Default)]
pub struct Offers {
    shared: HashMap<Key, Arc<Offer>>,
    hasher: Keyed,
}

impl Offers {
    /// The offer of these addresses, each with the port that the answer gives for it; 0 if it gives none.
    pub fn of(
        &mut self,
        now: Time,
        service: Option<ServiceId>,
        targets: impl Iterator<Item = (IpAddr, u16)> + Clone,
        topology: &Topology,
    ) -> Arc<Offer> {
        let state = service.and_then(|id| topology.service_by_id(id));
        let sum = targets.clone().fold(0_u64, |sum, target| sum.wrapping_add(self.hasher.hash_one(target)));
        let key = (service, state.map_or(0, |state| state.changes()), sum);
        if let Some(known) = self.shared.get(&key) {
            return known.clone();
        }
        let member = |(address, port)| {
            let found = state.and_then(|state| topology.lookup_in(state, address, port, now));
            found.map_or(Offered::Address(address), |found| Offered::Endpoint(found.endpoint.id().endpoint))
        };
        let members = targets.map(member).collect();
        self.share(key, members)
    }

    /// The offer of a client whose answer is not known: the addresses of the family that the ready endpoints have.
    pub fn of_ready(
        &mut self,
        now: Time,
        service: ServiceId,
        is_ipv6: bool,
        topology: &Topology,
    ) -> Arc<Offer> {
        let Some(state) = topology.service_by_id(service) else { return Arc::default() };
        let key = (Some(service), state.changes(), u64::from(is_ipv6));
        if let Some(known) = self.shared.get(&key) {
            return known.clone();
        }
        let is_ready =
            |endpoint: &&Endpoint| endpoint.ready_since().is_some() && topology.is_reached(endpoint, now);
        let of_family = |endpoint: &Endpoint| {
            let addresses = endpoint.addresses().filter(|address| address.is_ipv6() == is_ipv6).count();
            std::iter::repeat_n(Offered::Endpoint(endpoint.id().endpoint), addresses)
        };
        self.share(key, state.endpoints().filter(is_ready).flat_map(of_family).collect())
    }

    fn share(&mut self, key: Key, mut members: Vec<Offered>) -> Arc<Offer> {
        members.sort_unstable();
        let offer = Arc::new(Offer(members.into()));
        if self.shared.len() < LIMIT {
            self.shared.insert(key, offer.clone());
        }
        offer
    }

    /// Forgets offers that nothing uses.
    pub fn expire(&mut self) {
        self.shared.retain(|_, offer| Arc::strong_count(offer) > 1);
        self.shared.shrink_to_fit();
    }
}

#[cfg(test)]
impl Offers {
    pub(crate) fn shared_count(&self) -> usize {
        self.shared.len()
    }
}
