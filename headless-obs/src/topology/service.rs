//! One Service: the union of its slices as endpoints, one per pod.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::address_index::AddressIndex;
use super::endpoint::{Endpoint, SliceEntry, State};
use super::model::{ObjectKey, PodRef, Service, ServiceKey, ServicePort, Slice};
use super::{EndpointId, EndpointRef, ServiceId};
use crate::hash::HashMap;
use crate::time::Time;

/// The identity of an endpoint over several entries of slices: the pod's UID, otherwise its name, otherwise the
/// address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    Uid(Arc<str>),
    Name(ObjectKey),
    Address(IpAddr),
}

impl Identity {
    fn of(pod: Option<&PodRef>, address: IpAddr) -> Self {
        match pod {
            Some(pod) if !pod.uid.is_empty() => Self::Uid(pod.uid.clone()),
            Some(pod) => Self::Name(pod.key.clone()),
            None => Self::Address(address),
        }
    }
}

/// A Service with its endpoints, including those that left and are still remembered.
#[derive(Debug)]
pub struct ServiceState {
    id: ServiceId,
    key: ServiceKey,
    pub(super) object: Option<Service>,
    pub(super) slices: Vec<ObjectKey>,
    pub(super) headless: bool,
    /// Entries of its slices for which there was no room.
    pub(super) missing: usize,
    /// Boxed, because the nodes of a map that grows at its end are half empty.
    endpoints: BTreeMap<EndpointId, Box<Endpoint>>,
    identities: HashMap<Identity, EndpointId>,
    /// Ready endpoints with an address of the family: IPv4, IPv6.
    ready: [usize; 2],
    /// When the first of its endpoints became ready.
    first_ready: Option<Time>,
    /// How often an endpoint became ready or stopped being ready.
    changes: u64,
}

/// Endpoints that become ready within this time after the first one count as those with which the Service began: a
/// client that knows the Service cannot have missed them for long.
const BEGINNING: Duration = Duration::from_secs(30);

impl ServiceState {
    pub(super) fn new(id: ServiceId, key: ServiceKey) -> Self {
        Self {
            id,
            key,
            object: None,
            slices: Vec::new(),
            headless: false,
            missing: 0,
            endpoints: BTreeMap::new(),
            identities: HashMap::default(),
            ready: [0; 2],
            first_ready: None,
            changes: 0,
        }
    }

    /// Its id.
    pub fn id(&self) -> ServiceId {
        self.id
    }

    /// Its namespace and name.
    pub fn key(&self) -> &ServiceKey {
        &self.key
    }

    /// Whether it is headless, as far as is known: from its own object, otherwise from a slice's label. Only slices of
    /// headless Services become endpoints.
    pub fn headless(&self) -> bool {
        self.headless
    }

    /// The Service's own list of ports; empty also if only slices are known.
    pub fn ports(&self) -> &[ServicePort] {
        self.object.as_ref().map_or(&[], |object| object.ports.as_slice())
    }

    /// Whether it asks for endpoints that are not ready or are shutting down (`publishNotReadyAddresses`): its object
    /// says so, or a slice lists an endpoint as ready that is shutting down.
    pub fn publishes_not_ready(&self) -> bool {
        let is_published = |part: &SliceEntry| part.ready && part.terminating;
        self.object.as_ref().is_some_and(|object| object.publish_not_ready)
            || self.endpoints().any(|endpoint| endpoint.parts.iter().any(is_published))
    }

    /// Its endpoints in the order in which they were first seen; those that left have [`State::Removed`].
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values().map(Box::as_ref)
    }

    /// Entries of its slices that the topology's limit leaves out now.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// How many of its endpoints are ready and have an address of this family.
    pub fn ready(&self, is_ipv6: bool) -> usize {
        let [v4, v6] = self.ready;
        if is_ipv6 { v6 } else { v4 }
    }

    /// How often the set of ready endpoints changed.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether an endpoint is ready and clients had time to find it: `after`, unless the Service, or its observation,
    /// began with it.
    pub fn is_mature(&self, endpoint: &Endpoint, now: Time, after: Duration) -> bool {
        endpoint.ready_since().is_some_and(|since| now.since(since) >= after || !self.is_later(since, after))
    }

    /// Whether an endpoint that has been ready since then came later than those with which the Service began.
    pub fn is_later(&self, since: Time, after: Duration) -> bool {
        self.first_ready.is_some_and(|first| since.since(first) > after.min(BEGINNING))
    }

    /// One of its endpoints.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(&id).map(Box::as_ref)
    }

    pub(super) fn endpoint_ids(&self) -> impl Iterator<Item = EndpointId> {
        self.endpoints.keys().copied()
    }

    pub(super) fn is_void(&self) -> bool {
        self.object.is_none() && self.slices.is_empty() && self.endpoints.is_empty()
    }

    /// Adds the entries of `slice`; returns the affected endpoints, which must be updated.
    pub(super) fn contribute(
        &mut self,
        number: u32,
        slice: &Slice,
        addresses: &mut AddressIndex,
    ) -> Vec<EndpointId> {
        let ports: Arc<[u16]> = slice.ports.as_slice().into();
        let mut members = Vec::with_capacity(slice.endpoints.len());
        for entry in &slice.endpoints {
            let identity = Identity::of(entry.pod.as_ref(), entry.address);
            let Some(endpoint) = self.endpoint_of(identity, entry.pod.as_ref(), entry.address, addresses)
            else {
                addresses.counters.endpoints_full += 1;
                continue;
            };
            endpoint.pod.clone_from(&entry.pod);
            endpoint.hostname.clone_from(&entry.hostname);
            endpoint.node.clone_from(&entry.node);
            endpoint.zone.clone_from(&entry.zone);
            endpoint.parts.reserve_exact(1);
            endpoint.parts.push(SliceEntry {
                slice: number,
                address: entry.address,
                ready: entry.ready,
                serving: entry.serving,
                terminating: entry.terminating,
                ports: ports.clone(),
            });
            members.push(endpoint.id().endpoint);
        }
        members
    }

    /// Removes the entries of slice `number` from `members`.
    pub(super) fn withdraw(&mut self, number: u32, members: &[EndpointId]) {
        for id in members {
            if let Some(endpoint) = self.endpoints.get_mut(id) {
                endpoint.parts.retain(|part| part.slice != number);
            }
        }
    }

    /// Updates `dirty` endpoints and the indexes.
    pub(super) fn settle(
        &mut self,
        now: Time,
        dirty: impl IntoIterator<Item = EndpointId>,
        addresses: &mut AddressIndex,
    ) {
        let publish = self.object.as_ref().is_some_and(|object| object.publish_not_ready);
        for id in dirty {
            let Some(endpoint) = self.endpoints.get_mut(&id) else { continue };
            let before = endpoint.ready_families();
            let settled = endpoint.settle(now, publish, addresses.config.history);
            self.first_ready = self.first_ready.or(endpoint.ready_since());
            self.changes += u64::from(endpoint.ready_families() != before);
            for ((ready, after), before) in self.ready.iter_mut().zip(endpoint.ready_families()).zip(before) {
                *ready = *ready + usize::from(after) - usize::from(before);
            }
            let id = endpoint.id();
            for address in settled.gained {
                addresses.claim(address, id);
            }
            addresses.touched.extend(settled.moved);
            for address in settled.forgotten {
                addresses.disclaim(address, id);
                addresses.counters.addresses_evicted += 1;
            }
            addresses.counters.history_evicted += u64::from(settled.history_evicted);
            if let Some(since) = settled.revived {
                addresses.removed.remove(&(since, id));
            }
            if settled.removed {
                addresses.removed.insert((now, id));
            }
        }
    }

    /// Removes the entries of all slices.
    pub(super) fn withdraw_all(&mut self) {
        for endpoint in self.endpoints.values_mut() {
            endpoint.parts.clear();
        }
    }

    /// Forgets an endpoint that left.
    pub(super) fn forget(&mut self, id: EndpointId, addresses: &mut AddressIndex) {
        let Some(endpoint) = self.endpoints.remove(&id) else { return };
        let mut first = None;
        for address in endpoint.known_addresses() {
            first = first.or(Some(address));
            addresses.disclaim(address, endpoint.id());
        }
        if let Some(address) = first {
            let identity = Identity::of(endpoint.pod(), address);
            if self.identities.get(&identity) == Some(&id) {
                self.identities.remove(&identity);
            }
        }
    }

    /// The endpoint with this identity: known, remembered, known by a weaker identity so far, or new.
    fn endpoint_of(
        &mut self,
        identity: Identity,
        pod: Option<&PodRef>,
        address: IpAddr,
        addresses: &mut AddressIndex,
    ) -> Option<&mut Endpoint> {
        let id = match self.identities.get(&identity) {
            Some(id) => *id,
            None => {
                let id = match self.renamed(&identity, pod, address) {
                    Some(id) => id,
                    None => addresses.endpoint_id()?,
                };
                self.identities.insert(identity, id);
                id
            }
        };
        let place = EndpointRef { service: self.id, endpoint: id };
        Some(self.endpoints.entry(id).or_insert_with(|| Box::new(Endpoint::new(place))))
    }

    /// An endpoint that this update removed and that now has a better identity: an address whose pod has become known,
    /// or a pod whose UID has become known.
    fn renamed(&mut self, identity: &Identity, pod: Option<&PodRef>, address: IpAddr) -> Option<EndpointId> {
        let by_name =
            pod.filter(|_| matches!(identity, Identity::Uid(_))).map(|pod| Identity::Name(pod.key.clone()));
        let by_address = pod.map(|_| Identity::Address(address));
        for weaker in by_name.into_iter().chain(by_address) {
            let Some(id) = self.identities.get(&weaker).copied() else { continue };
            let withdrawn = self
                .endpoints
                .get(&id)
                .is_some_and(|endpoint| endpoint.parts.is_empty() && endpoint.state() != State::Removed);
            if withdrawn {
                self.identities.remove(&weaker);
                return Some(id);
            }
        }
        None
    }
}
