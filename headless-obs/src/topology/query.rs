//! Questions to the topology. All are answered by hash map, without allocation.

use std::net::IpAddr;

use super::endpoint::{Endpoint, Standing};
use super::index::Topology;
use super::object::{Pod, ServiceKey};
use super::service::ServiceState;
use super::{EndpointRef, ServiceId};
use crate::time::Time;

/// The endpoint that an address means to a Service.
#[derive(Clone, Copy, Debug)]
pub struct Match<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// What it was at the moment asked for, and since when; `None` if it was not known then.
    pub standing: Option<(Time, Standing)>,
    /// Whether the port asked for is one of its ports.
    pub serves_port: bool,
}

impl Topology {
    /// Whether the source has reported everything that exists and is in touch.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// A Service, headless or not.
    pub fn service(&self, key: &ServiceKey) -> Option<&ServiceState> {
        self.find(&key.namespace, &key.name).and_then(|id| self.service_by_id(id))
    }

    /// The id of a Service, headless or not.
    pub fn find(&self, namespace: &str, name: &str) -> Option<ServiceId> {
        self.by_name.get(namespace)?.get(name).copied()
    }

    /// How often a name came to mean another headless Service, or none: what a name meant is still true while this is
    /// the same.
    pub fn renamed(&self) -> u64 {
        self.renamed
    }

    /// A Service by its id; `None` once nothing is left of it.
    pub fn service_by_id(&self, id: ServiceId) -> Option<&ServiceState> {
        self.services.get(&id)
    }

    /// All headless Services, in no order; those that are gone included while endpoints are remembered.
    pub fn services(&self) -> impl Iterator<Item = &ServiceState> {
        self.services.values().filter(|state| state.headless())
    }

    /// An endpoint by its place; `None` once it is forgotten.
    pub fn endpoint(&self, place: EndpointRef) -> Option<&Endpoint> {
        self.services.get(&place.service)?.endpoint(place.endpoint)
    }

    /// The endpoint of `service` that `address` means to somebody who dials it at `at`.
    ///
    /// Several may have or have had the address: node addresses are shared by host-network pods, and addresses
    /// are used again. One that serves `port` goes before others, then the one that had the address at that
    /// moment, then the one that has it now, then the one that lost it last.
    pub fn lookup(&self, address: IpAddr, port: u16, service: ServiceId, at: Time) -> Option<Match<'_>> {
        self.lookup_in(self.services.get(&service)?, address, port, at)
    }

    /// The same, where the Service is at hand.
    pub fn lookup_in<'a>(
        &self,
        state: &'a ServiceState,
        address: IpAddr,
        port: u16,
        at: Time,
    ) -> Option<Match<'a>> {
        let service = state.id();
        let rank = |endpoint: &Endpoint| {
            (endpoint.serves(port), endpoint.had(address, at), endpoint.has(address), endpoint.lost(address))
        };
        let endpoint = self
            .book
            .at(address)
            .iter()
            .filter(|place| place.service == service)
            .filter_map(|place| state.endpoint(place.endpoint))
            // Most addresses have one: nothing is to be compared.
            .reduce(|best, other| if rank(other) >= rank(best) { other } else { best })?;
        Some(Match {
            endpoint,
            standing: endpoint.standing_of(address, at),
            serves_port: endpoint.serves(port),
        })
    }

    /// Endpoints that have `address` now, of any Service.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = &Endpoint> {
        self.book
            .at(address)
            .iter()
            .filter_map(|place| self.endpoint(*place))
            .filter(move |endpoint| endpoint.has(address))
    }

    /// Whether an endpoint is on the node observed; `None` where that is not known.
    pub fn is_here(&self, endpoint: &Endpoint) -> Option<bool> {
        Some(endpoint.node()? == self.book.config.node.as_ref()?)
    }

    /// The pod that has `address` to itself: not one on the host's network, not one that ran to its end.
    pub fn pod_by_address(&self, address: IpAddr) -> Option<&Pod> {
        self.pods.by_address(address)
    }

    /// A pod by its UID, for a while also after it was deleted. A pod whose source gave no UID has
    /// `namespace/name` in its place.
    pub fn pod_by_uid(&self, uid: &str) -> Option<&Pod> {
        self.pods.by_uid(uid)
    }

    /// Whether `address` is a Service's ClusterIP.
    pub fn is_cluster_ip(&self, address: IpAddr) -> bool {
        self.cluster_ips.contains_key(&address)
    }

    /// Whether `address` is or was an endpoint's, or is a pod's: whether connections to it can matter.
    pub fn knows(&self, address: IpAddr) -> bool {
        !self.book.at(address).is_empty() || self.pod_by_address(address).is_some()
    }
}
