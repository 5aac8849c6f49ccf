//! One Service: the union of its slices as endpoints, one per pod.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::address_index::AddressIndex;
use super::endpoint::{Endpoint, SliceEntry, SlicePorts, State};
use super::intent::Annotations;
use super::model::{ObjectKey, PodRef, Service, ServiceKey, ServicePort, Slice, SliceEndpoint};
use super::{EndpointId, EndpointRef, ServiceId};
use crate::hash::HashMap;
use crate::time::Time;

/// The identity of an endpoint over several entries of slices: the pod's UID, otherwise its name, otherwise the
/// address; with the port if several instances have the address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    Uid(Arc<str>),
    Name(ObjectKey),
    Address(IpAddr),
    Instance(IpAddr, u16),
}

impl Identity {
    fn of_pod(pod: &PodRef) -> Self {
        if pod.uid.is_empty() { Self::Name(pod.key.clone()) } else { Self::Uid(pod.uid.clone()) }
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
    /// Addresses of ready endpoints, each once, by family: IPv4, IPv6.
    ready: [usize; 2],
    /// The time at which the first of its endpoints became ready.
    first_ready: Option<Time>,
    /// The number of times that an endpoint became ready, stopped being ready, or had other addresses while it was.
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

    /// The endpoints that clients should prefer, by its object.
    pub fn distribution(&self) -> Option<&Arc<str>> {
        self.object.as_ref()?.distribution.as_ref()
    }

    /// Its annotations.
    pub fn annotations(&self) -> Option<&Annotations> {
        self.object.as_ref()?.annotations.as_deref()
    }

    /// Whether an endpoint serves a port: its slices list it, or the Service's annotation.
    pub fn serves(&self, endpoint: &Endpoint, port: u16) -> bool {
        endpoint.serves(port) || self.annotations().is_some_and(|said| said.ports.contains(&port))
    }

    /// Its endpoints in the order in which they were first seen; those that left have [`State::Removed`].
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values().map(Box::as_ref)
    }

    /// Entries of its slices that the topology's limit leaves out now.
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// The number of addresses of this family that DNS can list: those of its ready endpoints. Two endpoints may share
    /// one.
    pub fn ready(&self, is_ipv6: bool) -> usize {
        let [v4, v6] = self.ready;
        if is_ipv6 { v6 } else { v4 }
    }

    /// The number of times that its ready endpoints or their addresses changed.
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
        let of_slice = SlicePorts::new(&slice.ports);
        let mut members = Vec::with_capacity(slice.endpoints.len());
        for entry in &slice.endpoints {
            let ports = match entry.port {
                Some(port) => SlicePorts::new(&[ServicePort { name: Arc::default(), port }]),
                None => of_slice.clone(),
            };
            let identity = self.identity(entry, &ports);
            let label = self.label(entry, &identity);
            let Some(endpoint) = self.endpoint_of(identity, entry.pod.as_ref(), entry.address, addresses)
            else {
                addresses.counters.endpoints_full += 1;
                continue;
            };
            endpoint.set_label(&label);
            endpoint.pod.clone_from(&entry.pod);
            endpoint.hostname.clone_from(&entry.hostname);
            endpoint.node.clone_from(&entry.node);
            endpoint.zone.clone_from(&entry.zone);
            endpoint.hints.clone_from(&entry.hints);
            endpoint.parts.reserve_exact(1);
            endpoint.parts.push(SliceEntry {
                slice: number,
                address: entry.address,
                ready: entry.ready,
                serving: entry.serving,
                terminating: entry.terminating,
                ports,
            });
            members.push(endpoint.id().endpoint);
        }
        members
    }

    /// The identity of an entry with these ports. An address without a pod is one endpoint with the ports of all slices,
    /// unless a port of the same name has several numbers: then several instances have the address.
    fn identity(&mut self, entry: &SliceEndpoint, ports: &SlicePorts) -> Identity {
        let instance = Identity::Instance(entry.address, ports.first());
        match &entry.pod {
            Some(pod) => Identity::of_pod(pod),
            None if entry.port.is_some() || self.identities.contains_key(&instance) => instance,
            None => {
                let alone = Identity::Address(entry.address);
                let known = self.identities.get(&alone).copied();
                let other = known.and_then(|id| self.endpoints.get_mut(&id));
                let Some(other) = other.filter(|other| other.contradicts(ports)) else { return alone };
                let (id, port) = (other.id().endpoint, other.first_port());
                other.set_label(&SocketAddr::new(entry.address, port).to_string().into());
                self.identities.remove(&alone);
                self.identities.insert(Identity::Instance(entry.address, port), id);
                instance
            }
        }
    }

    /// The name of an entry's endpoint for output.
    fn label(&self, entry: &SliceEndpoint, identity: &Identity) -> Arc<str> {
        match (&entry.pod, identity) {
            (Some(pod), _) if pod.key.namespace == self.key.namespace => pod.key.name.clone(),
            (Some(pod), _) => format!("{}/{}", pod.key.namespace, pod.key.name).into(),
            (None, Identity::Instance(address, port)) => SocketAddr::new(*address, *port).to_string().into(),
            (None, _) => entry.address.to_string().into(),
        }
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
            let before = endpoint.ready_addresses();
            let settled = endpoint.settle(now, publish, addresses.config.history);
            self.first_ready = self.first_ready.or(endpoint.ready_since());
            let (id, after) = (endpoint.id(), endpoint.ready_addresses());
            self.count_ready(id, &before, &after, addresses);
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

    /// Counts the addresses of an endpoint that became ready, or no longer are, unless another endpoint has them, too.
    fn count_ready(
        &mut self,
        id: EndpointRef,
        before: &[IpAddr],
        after: &[IpAddr],
        addresses: &AddressIndex,
    ) {
        self.changes += u64::from(before != after);
        let is_of_another = |address: &IpAddr| {
            let others =
                addresses.at(*address).iter().filter(|other| other.service == self.id && **other != id);
            let mut others = others.filter_map(|other| self.endpoints.get(&other.endpoint));
            others.any(|other| other.state() == State::Ready && other.has(*address))
        };
        let is_own = |address: &&IpAddr| !is_of_another(address);
        let gone = before.iter().filter(|address| !after.contains(address)).filter(is_own);
        let came = after.iter().filter(|address| !before.contains(address)).filter(is_own);
        let [mut v4, mut v6] = self.ready;
        came.for_each(|address| *if address.is_ipv6() { &mut v6 } else { &mut v4 } += 1);
        gone.for_each(|address| *if address.is_ipv6() { &mut v6 } else { &mut v4 } -= 1);
        self.ready = [v4, v6];
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
        endpoint.known_addresses().for_each(|address| addresses.disclaim(address, endpoint.id()));
        let of_address =
            |address| [Identity::Address(address), Identity::Instance(address, endpoint.first_port())];
        let possible: Vec<_> = match endpoint.pod() {
            Some(pod) => vec![Identity::of_pod(pod)],
            None => endpoint.known_addresses().flat_map(of_address).collect(),
        };
        for identity in possible {
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
