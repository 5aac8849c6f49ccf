//! Lookups in the topology, by hash map and without allocation.

use std::net::IpAddr;
use std::sync::Arc;

use super::endpoint::{Endpoint, EndpointStatus, State};
use super::intent::{NotObeyed, Subject};
use super::model::{Pod, ServiceKey};
use super::nat64::Prefix;
use super::service::ServiceState;
use super::store::Topology;
use super::{EndpointRef, ServiceId};
use crate::time::Time;

/// The endpoint that an address has in a Service.
#[derive(Clone, Copy, Debug)]
pub struct Match<'a> {
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// Its state at the given moment, and since when; `None` if it was not known then.
    pub status: Option<(Time, EndpointStatus)>,
    /// Whether it has the given port.
    pub serves_port: bool,
}

impl Topology {
    /// Whether the source has reported everything that exists and is current.
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

    /// The number of times that a name came to mean another headless Service, or none. While this number is the same,
    /// the meaning of a name is the same.
    pub fn renamed(&self) -> u64 {
        self.renamed
    }

    /// A Service by its id; `None` once nothing is left of it.
    pub fn service_by_id(&self, id: ServiceId) -> Option<&ServiceState> {
        self.services.get(&id)
    }

    /// All headless Services, in no order; also those that are gone, while their endpoints are remembered.
    pub fn services(&self) -> impl Iterator<Item = &ServiceState> {
        self.services.values().filter(|state| state.headless())
    }

    /// The pods that exist and have not ended.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.present()
    }

    /// Annotations of Services and pods that are not obeyed.
    pub fn not_obeyed(&self) -> impl Iterator<Item = NotObeyed> {
        let services = self.services().filter_map(|state| {
            let ServiceKey { namespace, name } = state.key();
            Some((Subject::Service, namespace, name, state.annotations()?))
        });
        let pods = self.pods().filter_map(|pod| {
            Some((Subject::Pod, &pod.key.namespace, &pod.key.name, pod.annotations.as_deref()?))
        });
        services
            .chain(pods)
            .flat_map(|(kind, namespace, name, said)| NotObeyed::all(kind, (namespace, name), said))
    }

    /// Those that came since the last call.
    pub fn take_not_obeyed(&mut self) -> Vec<NotObeyed> {
        std::mem::take(&mut self.wrong)
    }

    /// An endpoint by its position; `None` when it is forgotten.
    pub fn endpoint(&self, place: EndpointRef) -> Option<&Endpoint> {
        self.services.get(&place.service)?.endpoint(place.endpoint)
    }

    /// The endpoint of `service` that `address` stands for, for a client that connects at `at`.
    ///
    /// Several endpoints may have or have had the address: pods on the host network share the node's addresses, a pod
    /// that moves to another node has its successor beside it, and addresses are reused. An endpoint that serves `port`
    /// comes first, then the one that had the address at that moment and could serve then, then the one that has it
    /// now, then the one that lost it last, then the one that became ready last. Their order in slices decides nothing.
    pub fn lookup(&self, address: IpAddr, port: u16, service: ServiceId, at: Time) -> Option<Match<'_>> {
        self.lookup_in(self.services.get(&service)?, address, port, at)
    }

    /// The same for a Service that the caller has already.
    pub fn lookup_in<'a>(
        &self,
        state: &'a ServiceState,
        address: IpAddr,
        port: u16,
        at: Time,
    ) -> Option<Match<'a>> {
        let service = state.id();
        let rank = |endpoint: &'a Endpoint| {
            let status = endpoint.status_at_address(address, at).map(|(_, status)| status);
            let is_serving = status.is_some_and(|status| status.serving);
            let is_ready = status.is_some_and(|status| status.state == State::Ready);
            let held = (endpoint.had(address, at), is_serving, is_ready, endpoint.has(address));
            let name = endpoint.pod().map(|pod| (&pod.key, &pod.uid));
            (endpoint.serves(port), held, endpoint.lost(address), endpoint.ready_since(), name)
        };
        let endpoint = self
            .addresses
            .at(address)
            .iter()
            .filter(|place| place.service == service)
            .filter_map(|place| state.endpoint(place.endpoint))
            // Most addresses have one endpoint, so nothing is compared.
            .reduce(|best, other| if rank(other) >= rank(best) { other } else { best })?;
        Some(Match {
            endpoint,
            status: endpoint.status_at_address(address, at),
            serves_port: state.serves(endpoint, port),
        })
    }

    /// Whether clients that connect now to an address of this endpoint reach it. Of several endpoints that have an
    /// address and a port in common, one does.
    pub fn is_reached(&self, endpoint: &Endpoint, now: Time) -> bool {
        let Some(state) = self.services.get(&endpoint.id().service) else { return false };
        let ports = if endpoint.ports().is_empty() { &[0] } else { endpoint.ports() };
        let reaches = |address, port| {
            let found = self.lookup_in(state, address, port, now);
            found.is_some_and(|found| found.endpoint.id() == endpoint.id())
        };
        endpoint.addresses().any(|address| ports.iter().any(|port| reaches(address, *port)))
    }

    /// Endpoints that have `address` now, of any Service.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = &Endpoint> {
        self.addresses
            .at(address)
            .iter()
            .filter_map(|place| self.endpoint(*place))
            .filter(move |endpoint| endpoint.has(address))
    }

    /// Endpoints that had `address` and have it no more, of any Service.
    pub fn former_owners(&self, address: IpAddr) -> impl Iterator<Item = &Endpoint> {
        self.addresses
            .at(address)
            .iter()
            .filter_map(|place| self.endpoint(*place))
            .filter(move |endpoint| !endpoint.has(address))
    }

    /// Services that have `address` now, or else those that had it; a Service comes once for each of its endpoints.
    pub fn holders(&self, address: IpAddr) -> impl Iterator<Item = ServiceId> {
        let places = self.addresses.at(address);
        let has =
            move |place: &EndpointRef| self.endpoint(*place).is_some_and(|endpoint| endpoint.has(address));
        // Most addresses have one endpoint, so nothing is compared.
        let is_owned = places.len() > 1 && places.iter().any(has);
        places.iter().filter(move |place| !is_owned || has(place)).map(|place| place.service)
    }

    /// Whether an endpoint is on the daemon's node; `None` if that is not known.
    pub fn is_here(&self, endpoint: &Endpoint) -> Option<bool> {
        Some(endpoint.node()? == self.addresses.config.node.as_ref()?)
    }

    /// The zone of the daemon's node, if it is known.
    pub fn node_zone(&self) -> Option<&Arc<str>> {
        self.node_zone.get()
    }

    /// The pod that has `address` alone: not one on the host network, and not one that has ended.
    pub fn pod_by_address(&self, address: IpAddr) -> Option<&Pod> {
        self.pods.by_address(address)
    }

    /// A pod by its UID, for a while also after its deletion. If the source reports no UID, `namespace/name` stands for
    /// it.
    pub fn pod_by_uid(&self, uid: &str) -> Option<&Pod> {
        self.pods.by_uid(uid)
    }

    /// UIDs of pods that were deleted, while they are remembered.
    pub fn deleted_pods(&self) -> impl Iterator<Item = &Arc<str>> {
        self.pods.deleted()
    }

    /// Whether `address` is a Service's ClusterIP.
    pub fn is_cluster_ip(&self, address: IpAddr) -> bool {
        self.cluster_ips.contains_key(&address)
    }

    /// The address that a client reaches at `address`: the original of a translated address, otherwise `address` itself.
    /// Of an endpoint or a pod, it is that itself, whatever prefix it has.
    pub fn original(&self, address: IpAddr) -> IpAddr {
        let IpAddr::V6(translated) = address else { return address };
        let original = self.nat64.original(translated).filter(|_| !self.knows(address));
        original.map_or(address, IpAddr::V4)
    }

    /// The translated addresses at which a client reaches `address`.
    pub fn translations(&self, address: IpAddr) -> impl Iterator<Item = IpAddr> {
        let original = match address {
            IpAddr::V4(original) => Some(original),
            IpAddr::V6(_) => None,
        };
        original.into_iter().flat_map(|original| self.nat64.translations(original)).map(IpAddr::V6)
    }

    /// Addresses are translated under this prefix.
    pub fn learn_nat64(&mut self, prefix: Prefix) {
        self.nat64.learn(prefix);
    }

    /// Whether endpoints are, or were, in the same network as `address`.
    pub fn is_near_endpoints(&self, address: IpAddr) -> bool {
        self.addresses.has_network_of(address)
    }

    /// Whether `address` is or was an endpoint's, or is a pod's, so that connections to it can matter.
    pub fn knows(&self, address: IpAddr) -> bool {
        !self.addresses.at(address).is_empty() || self.pod_by_address(address).is_some()
    }
}
