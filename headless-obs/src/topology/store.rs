//! The store: applies changes, and keeps Services, slices and Pods consistent. Lookups are in `lookup`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::address_index::AddressIndex;
use super::intent::{Annotations, NotObeyed, Subject};
use super::model::{Change, Kind, Object, ObjectKey, Pod, Service, ServiceKey, Slice};
use super::nat64::Nat64;
use super::node_zone::NodeZone;
use super::pods::Pods;
use super::service::ServiceState;
use super::string_interner::StringInterner;
use super::{Config, Counters, EndpointId, EndpointRef, ServiceId, Touched};
use crate::hash::{HashMap, HashSet};
use crate::time::Time;

/// A slice as it arrived, also if nothing says yet that its Service is headless, and the endpoints made from it.
#[derive(Debug)]
struct Stored {
    number: u32,
    slice: Slice,
    members: Vec<EndpointId>,
    /// Entries for which there was no room.
    missing: usize,
}

/// The most wrong annotations that wait to be taken.
const WRONG: usize = 64;

/// Services, their endpoints over time, and Pods.
#[derive(Debug)]
pub struct Topology {
    pub(super) addresses: AddressIndex,
    pub(super) services: HashMap<ServiceId, ServiceState>,
    /// Namespace → name → id: a lookup needs no owned key.
    pub(super) by_name: HashMap<Arc<str>, HashMap<Arc<str>, ServiceId>>,
    /// ClusterIP → Services that have it.
    pub(super) cluster_ips: HashMap<IpAddr, usize>,
    pub(super) pods: Pods,
    pub(super) nat64: Nat64,
    pub(super) node_zone: NodeZone,
    pub(super) synced: bool,
    /// The number of times that a name came to mean another headless Service, or none.
    pub(super) renamed: u64,
    /// Annotations that are not obeyed and that nobody has taken yet.
    pub(super) wrong: Vec<NotObeyed>,
    /// Endpoints that were forgotten and whose zones nobody has taken yet.
    zones: Vec<(EndpointRef, Arc<str>)>,
    slices: HashMap<ObjectKey, Stored>,
    /// The Services and endpoints that the current change affects. They are updated when the whole change is in, so an
    /// endpoint that only moves to another slice never leaves in between.
    dirty: BTreeMap<ServiceId, Vec<EndpointId>>,
    /// Entries of all slices together.
    entries: usize,
    names: StringInterner,
    next_service: u32,
    next_slice: u32,
}

impl Topology {
    /// An empty topology.
    pub fn new(config: Config) -> Self {
        Self {
            node_zone: NodeZone::new(&config),
            addresses: AddressIndex::new(config),
            services: HashMap::default(),
            by_name: HashMap::default(),
            cluster_ips: HashMap::default(),
            pods: Pods::default(),
            nat64: Nat64::default(),
            synced: false,
            renamed: 0,
            wrong: Vec::new(),
            zones: Vec::new(),
            slices: HashMap::default(),
            dirty: BTreeMap::new(),
            entries: 0,
            names: StringInterner::default(),
            next_service: 0,
            next_slice: 0,
        }
    }

    /// Counts of objects that did not fit.
    pub fn counters(&self) -> &Counters {
        &self.addresses.counters
    }

    /// Applies a change that a source reports at the moment `now`.
    pub fn apply(&mut self, now: Time, change: Change) -> Touched {
        match change {
            Change::Apply(object) => {
                self.put(now, object);
            }
            Change::Delete(kind, key) => self.delete(now, kind, &key),
            Change::Reset(kind, objects) => self.reset(now, kind, objects),
            Change::Synced(synced) => self.synced = synced,
        }
        for (id, endpoints) in std::mem::take(&mut self.dirty) {
            self.settle(now, id, endpoints);
        }
        self.forget_old(now);
        self.touched()
    }

    /// Forgets old tombstones; to be called now and then if there are no changes.
    pub fn expire(&mut self, now: Time) -> Touched {
        self.forget_old(now);
        self.touched()
    }

    /// Whether nothing is stored or indexed.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.by_name.is_empty()
            && self.slices.is_empty()
            && self.cluster_ips.is_empty()
            && self.entries == 0
            && self.addresses.is_empty()
    }

    fn touched(&mut self) -> Touched {
        Touched {
            addresses: std::mem::take(&mut self.addresses.touched),
            zones: std::mem::take(&mut self.zones),
        }
    }

    fn put(&mut self, now: Time, object: Object) -> ObjectKey {
        match object {
            Object::Service(service) => {
                let key = object_key(&service.key);
                self.put_service(service);
                key
            }
            Object::Slice(slice) => {
                let key = slice.key.clone();
                self.put_slice(slice);
                key
            }
            Object::Pod(pod) => {
                let key = pod.key.clone();
                self.put_pod(now, pod);
                key
            }
            Object::Unreadable(key) => key,
        }
    }

    fn delete(&mut self, now: Time, kind: Kind, key: &ObjectKey) {
        match kind {
            Kind::Service => self.delete_service(key),
            Kind::Slice => self.delete_slice(key),
            Kind::Pod => self.pods.delete(now, key, &mut self.addresses.touched),
        }
    }

    fn reset(&mut self, now: Time, kind: Kind, objects: Vec<Object>) {
        let kept: HashSet<ObjectKey> = objects.into_iter().map(|object| self.put(now, object)).collect();
        let missing: Vec<ObjectKey> = match kind {
            Kind::Service => self
                .services
                .values()
                .filter(|state| state.object.is_some())
                .map(|state| object_key(state.key()))
                .filter(|key| !kept.contains(key))
                .collect(),
            Kind::Slice => self.slices.keys().filter(|key| !kept.contains(*key)).cloned().collect(),
            Kind::Pod => self.pods.keys().filter(|key| !kept.contains(*key)).cloned().collect(),
        };
        for key in missing {
            self.delete(now, kind, &key);
        }
    }

    /// Keeps the wrong annotations of an object that `before` did not have.
    fn note_wrong(
        &mut self,
        kind: Subject,
        key: &ObjectKey,
        before: Option<&Annotations>,
        now: Option<&Annotations>,
    ) {
        let before = before.map_or(&[][..], |said| &*said.wrong);
        let new = now.into_iter().flat_map(|said| said.wrong.iter()).filter(|wrong| !before.contains(wrong));
        let room = WRONG.saturating_sub(self.wrong.len());
        self.wrong.extend(new.take(room).map(|wrong| NotObeyed::new(kind, &key.namespace, &key.name, wrong)));
    }

    fn put_pod(&mut self, now: Time, mut pod: Pod) {
        if pod.annotations.is_some() {
            let before = self.pods.by_key(&pod.key).and_then(|pod| pod.annotations.clone());
            self.note_wrong(Subject::Pod, &pod.key, before.as_deref(), pod.annotations.as_deref());
        }
        self.names.share_pod(&mut pod);
        canonical(pod.addresses.iter_mut());
        let limit = self.addresses.config.pods;
        if !self.pods.apply(now, pod, limit, &mut self.addresses.touched) {
            self.addresses.counters.pods_full += 1;
        }
    }

    fn put_service(&mut self, mut service: Service) {
        self.names.share_service(&mut service);
        canonical(service.cluster_ips.iter_mut());
        let Some(id) = self.service_id(&service.key) else { return };
        if service.annotations.is_some() {
            let state = self.services.get(&id);
            let before = state.and_then(|state| state.annotations().cloned());
            self.note_wrong(
                Subject::Service,
                &object_key(&service.key),
                before.as_ref(),
                service.annotations.as_deref(),
            );
        }
        for address in &service.cluster_ips {
            *self.cluster_ips.entry(*address).or_default() += 1;
            self.addresses.touched.push(*address);
        }
        let Some(state) = self.services.get_mut(&id) else { return };
        let old = state.object.replace(service);
        self.dirty.entry(id).or_default().extend(state.endpoint_ids());
        self.drop_cluster_ips(old);
    }

    fn delete_service(&mut self, key: &ObjectKey) {
        let Some(id) = self.find(&key.namespace, &key.name) else { return };
        let Some(state) = self.services.get_mut(&id) else { return };
        let old = state.object.take();
        self.dirty.entry(id).or_default().extend(state.endpoint_ids());
        self.drop_cluster_ips(old);
    }

    fn drop_cluster_ips(&mut self, service: Option<Service>) {
        for address in service.into_iter().flat_map(|service| service.cluster_ips) {
            if let Some(count) = self.cluster_ips.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    self.cluster_ips.remove(&address);
                }
            }
            self.addresses.touched.push(address);
        }
    }

    fn put_slice(&mut self, mut slice: Slice) {
        self.names.share_slice(&mut slice);
        canonical(slice.endpoints.iter_mut().map(|entry| &mut entry.address));
        // A slice cannot change its Service, but an edited file can say so.
        if self.slices.get(&slice.key).is_some_and(|old| old.slice.service != slice.service) {
            self.delete_slice(&slice.key);
        }
        let owner = ServiceKey { namespace: slice.key.namespace.clone(), name: slice.service.clone() };
        let Some(id) = self.service_id(&owner) else { return };

        let old = self.slices.remove(&slice.key);
        self.entries -= old.as_ref().map_or(0, |old| weight(&old.slice));
        old.iter().for_each(|old| self.node_zone.remove(&old.slice));
        let missing = self.shorten(&mut slice) + slice.missing;
        self.entries += weight(&slice);
        let (number, left, missing_before) = match old {
            Some(old) => (old.number, old.members, old.missing),
            None => {
                self.next_slice = self.next_slice.wrapping_add(1);
                (self.next_slice, Vec::new(), 0)
            }
        };

        let Some(state) = self.services.get_mut(&id) else { return };
        if !state.slices.contains(&slice.key) {
            state.slices.push(slice.key.clone());
        }
        state.missing = state.missing + missing - missing_before;
        state.withdraw(number, &left);
        let members =
            if state.headless { state.contribute(number, &slice, &mut self.addresses) } else { Vec::new() };
        self.dirty.entry(id).or_default().extend(left.iter().chain(&members));
        self.node_zone.add(&slice);
        self.slices.insert(slice.key.clone(), Stored { number, slice, members, missing });
    }

    fn delete_slice(&mut self, key: &ObjectKey) {
        let Some(old) = self.slices.remove(key) else { return };
        self.entries -= weight(&old.slice);
        self.node_zone.remove(&old.slice);
        let Some(id) = self.find(&key.namespace, &old.slice.service) else { return };
        let Some(state) = self.services.get_mut(&id) else { return };
        state.slices.retain(|other| other != key);
        state.missing -= old.missing;
        state.withdraw(old.number, &old.members);
        self.dirty.entry(id).or_default().extend(old.members);
    }

    /// Removes entries for which there is no room; returns how many.
    fn shorten(&mut self, slice: &mut Slice) -> usize {
        let room = self.addresses.config.endpoints.saturating_sub(self.entries + 1);
        let excess = slice.endpoints.len().saturating_sub(room);
        slice.endpoints.truncate(room);
        slice.endpoints.shrink_to_fit();
        self.addresses.counters.endpoints_full += u64::try_from(excess).unwrap_or(u64::MAX);
        excess
    }

    /// Updates a Service after its slices or its own object changed: the `dirty` endpoints, or all of them if the
    /// change decided whether it is headless.
    fn settle(&mut self, now: Time, id: ServiceId, mut dirty: Vec<EndpointId>) {
        let Some(state) = self.services.get_mut(&id) else { return };
        let headless = match &state.object {
            Some(object) => object.headless,
            // The last report counts when no slice and no object is left.
            None if state.slices.is_empty() => state.headless,
            None => state
                .slices
                .iter()
                .any(|key| self.slices.get(key).is_some_and(|stored| stored.slice.headless)),
        };
        if headless != state.headless {
            self.renamed += 1;
            state.headless = headless;
            state.withdraw_all();
            for key in state.slices.clone() {
                let Some(stored) = self.slices.get_mut(&key) else { continue };
                stored.members = match headless {
                    true => state.contribute(stored.number, &stored.slice, &mut self.addresses),
                    false => Vec::new(),
                };
            }
            dirty = state.endpoint_ids().collect();
        }
        state.settle(now, dirty, &mut self.addresses);
        self.drop_if_void(id);
    }

    fn service_id(&mut self, key: &ServiceKey) -> Option<ServiceId> {
        if let Some(id) = self.find(&key.namespace, &key.name) {
            return Some(id);
        }
        let next = self.next_service.checked_add(1);
        let (Some(next), true) = (next, self.services.len() < self.addresses.config.services) else {
            self.addresses.counters.services_full += 1;
            return None;
        };
        let id = ServiceId(self.next_service);
        self.next_service = next;
        self.services.insert(id, ServiceState::new(id, key.clone()));
        self.by_name.entry(key.namespace.clone()).or_default().insert(key.name.clone(), id);
        Some(id)
    }

    fn drop_if_void(&mut self, id: ServiceId) {
        let Some(key) =
            self.services.get(&id).filter(|state| state.is_void()).map(|state| state.key().clone())
        else {
            return;
        };
        self.services.remove(&id);
        self.renamed += 1;
        if let Some(names) = self.by_name.get_mut(&key.namespace) {
            names.remove(&key.name);
            if names.is_empty() {
                self.by_name.remove(&key.namespace);
            }
        }
    }

    /// Forgets endpoints and Pods whose time is over, and the oldest tombstones if there are too many.
    fn forget_old(&mut self, now: Time) {
        let Config { keep_removed, removed, .. } = self.addresses.config;
        self.pods.expire(now, keep_removed);
        while let Some((since, place)) = self.addresses.removed.first().copied() {
            let due = since.plus(keep_removed) <= now;
            if !due && self.addresses.removed.len() <= removed {
                break;
            }
            self.addresses.counters.removed_evicted += u64::from(!due);
            self.addresses.removed.pop_first();
            if let Some(state) = self.services.get_mut(&place.service) {
                let zone = state.endpoint(place.endpoint).and_then(|endpoint| endpoint.zone().cloned());
                self.zones.extend(zone.map(|zone| (place, zone)));
                state.forget(place.endpoint, &mut self.addresses);
            }
            self.drop_if_void(place.service);
        }
    }
}

fn object_key(key: &ServiceKey) -> ObjectKey {
    ObjectKey { namespace: key.namespace.clone(), name: key.name.clone() }
}

/// The weight of a slice in the limit; an empty one takes memory, too.
fn weight(slice: &Slice) -> usize {
    slice.endpoints.len() + 1
}

fn canonical<'a>(addresses: impl Iterator<Item = &'a mut IpAddr>) {
    for address in addresses {
        *address = address.to_canonical();
    }
}
