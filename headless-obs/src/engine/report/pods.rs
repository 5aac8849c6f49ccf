//! A client's pods: which of them are at work and were not told of an endpoint, which are that endpoint, and how long
//! their connections last.
//!
//! In: open connections, the pods' last answers and connections, the ledger and the topology. Out: counts for an
//! endpoint.
//!
//! Invariant: these are facts of the present, whatever stretch of time a snapshot is about. A client that keeps its
//! connections tells nothing new about how it found them.

use std::net::IpAddr;

use crate::client::{ClientId, WorkloadId};
use crate::engine::client_stats::ClientStats;
use crate::engine::{Engine, ip};
use crate::hash::{HashMap, HashSet};
use crate::service_resolution::Resolution;
use crate::time::Time;
use crate::topology::{Endpoint, EndpointRef, ServiceId};

/// The facts about the pods of all clients.
#[derive(Debug, Default)]
pub(super) struct Pods {
    /// Those with open connections to a Service, by its name or older than the daemon.
    open: HashSet<(ServiceId, ClientId)>,
    /// The addresses from which a client has open connections to a Service.
    addresses: HashSet<(ServiceId, WorkloadId, IpAddr)>,
    /// Those that were an endpoint whose name another pod has by now.
    former: HashMap<EndpointRef, Vec<ClientId>>,
    /// Those that were deleted.
    gone: HashSet<ClientId>,
    /// Connections by an answer that a client ever made to an endpoint.
    lives: HashMap<(WorkloadId, EndpointRef), Lives>,
}

/// The time that connections lasted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lives {
    /// Those that ended at once.
    pub(super) brief: u64,
    /// Those that lasted, or are open.
    pub(super) lasting: u64,
}

impl Pods {
    /// The time that a client's connections to an endpoint lasted.
    pub(super) fn lives(&self, client: Option<WorkloadId>, endpoint: EndpointRef) -> Lives {
        client.and_then(|client| self.lives.get(&(client, endpoint))).copied().unwrap_or_default()
    }
}

impl Engine {
    /// The pods of all clients.
    pub(super) fn pods(&self) -> Pods {
        let mut pods = Pods::default();
        for (flow, cell, ..) in self.reconciler.open_connections() {
            let (service, local) = (cell.endpoint.service, ip(flow.source));
            let is_by_name = cell.resolution.counts() || cell.resolution == Resolution::Preexisting;
            let scope = self.clients.scope_of(&self.topology, flow.cgroup, local);
            if let Some(scope) = scope.filter(|_| is_by_name) {
                pods.open.insert((service, scope));
            }
            if let Some(workload) = cell.client {
                pods.addresses.insert((service, workload, local.to_canonical()));
            }
        }
        for (key, cell) in self.reconciler.ledger.cells().filter(|(key, _)| key.resolution.is_choice()) {
            let Some(workload) = key.client else { continue };
            let brief = cell.total_of(|cell| cell.brief);
            let lives = pods.lives.entry((workload, key.endpoint)).or_default();
            lives.brief += brief;
            lives.lasting += cell.total_of(|cell| cell.opened).saturating_sub(brief);
        }
        for (left, successor) in self.successors() {
            let pod = self.topology.endpoint(left).and_then(Endpoint::pod);
            let scope = pod.and_then(|pod| self.clients.scope_of_pod(&pod.uid));
            if let Some(scope) = scope {
                pods.former.entry(successor).or_default().push(scope);
            }
        }
        pods.gone = self.topology.deleted_pods().filter_map(|uid| self.clients.scope_of_pod(uid)).collect();
        pods
    }

    /// The number of a client's pods that are at work, by the Service's name, and have received no answer since the
    /// endpoint became ready. Those that get addresses from elsewhere than DNS need no answer.
    pub(super) fn unaware(&self, pods: &Pods, endpoint: &Endpoint, client: &ClientStats<'_>) -> u64 {
        let Some(ready) = endpoint.ready_since() else { return 0 };
        let service = endpoint.id().service;
        let is_told = |scope, told: Option<Time>| {
            told.is_some_and(|told| told >= ready)
                || endpoint
                    .addresses()
                    .any(|address| self.answer_cache.last_answered(scope, address, service).is_some())
        };
        let unaware = client.pods().filter(|(scope, connected, told)| {
            let is_at_work = pods.open.contains(&(service, *scope))
                || connected.is_some_and(|connected| connected > ready) && !pods.gone.contains(scope);
            is_at_work && !is_told(*scope, *told)
        });
        unaware.count() as u64
    }

    /// The number of a client's pods that are this endpoint: the same pod, or the same address. A member that was
    /// replaced under its name was this endpoint, too: the counts of both are one row.
    pub(super) fn own(
        &self,
        pods: &Pods,
        endpoint: &Endpoint,
        client: &ClientStats<'_>,
        workload: WorkloadId,
    ) -> u64 {
        let service = endpoint.id().service;
        let has_address =
            |address: IpAddr| pods.addresses.contains(&(service, workload, address.to_canonical()));
        let by_uid = endpoint.pod().and_then(|pod| self.topology.pod_by_uid(&pod.uid));
        let by_address = || endpoint.addresses().find_map(|address| self.topology.pod_by_address(address));
        let scope = by_uid.or_else(by_address).and_then(|pod| self.clients.scope_of_pod(&pod.uid));
        let former = pods.former.get(&endpoint.id()).map_or(&[][..], Vec::as_slice);
        let is_own = client.scopes().any(|own| Some(own) == scope || former.contains(&own))
            || scope.is_none() && endpoint.addresses().any(has_address);
        u64::from(is_own)
    }
}
