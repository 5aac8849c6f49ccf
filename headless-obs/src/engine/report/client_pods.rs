//! The pods of each client, by name: what each opened, holds and was told.
//!
//! In: the statistics of pods over the stretch, and open connections. Out: rows of the snapshot, the worst first.
//!
//! Invariant: the rows of all clients together have a limit; open connections without a known pod are in the rest.

use super::{ClientStats, Order};
use crate::client::{ClientId, WorkloadId};
use crate::engine::client_stats::PodStats;
use crate::engine::{Engine, ip};
use crate::expose::snapshot::{ClientPod, OtherPods, PodEndpoint};
use crate::hash::HashMap;
use crate::time::Time;
use crate::topology::{EndpointId, ServiceId, State};
use crate::worst_pods::{self, SHOWN};

/// The most rows of pods in a snapshot: about 4 MiB.
const ROWS: usize = 10_000;

/// The connections that the pods of all clients hold, and their names.
#[derive(Debug, Default)]
pub(super) struct PodDetail {
    held: HashMap<(ServiceId, WorkloadId), HashMap<Option<ClientId>, Held>>,
    names: HashMap<ClientId, String>,
    /// The most rows of a client.
    shown: usize,
}

/// The open connections of a pod to a Service.
#[derive(Debug, Default)]
struct Held {
    by_endpoint: HashMap<EndpointId, u64>,
    oldest: Option<Time>,
}

impl Engine {
    /// The details for this number of clients.
    pub(super) fn pod_detail(&self, clients: usize) -> PodDetail {
        let mut detail = PodDetail {
            held: HashMap::default(),
            names: self.clients.scope_names(&self.topology),
            shown: (ROWS / clients.max(1)).clamp(1, SHOWN),
        };
        for (flow, cell, count, since) in self.reconciler.open_connections() {
            let Some(workload) = cell.client else { continue };
            let scope = self.clients.scope_of(&self.topology, flow.cgroup, ip(flow.source));
            let of_client = detail.held.entry((cell.endpoint.service, workload)).or_default();
            let held = of_client.entry(scope).or_default();
            *held.by_endpoint.entry(cell.endpoint.endpoint).or_default() += count;
            let since = Some(since).filter(|since| since.0 > 0);
            held.oldest = held.oldest.into_iter().chain(since).min();
        }
        detail
    }

    /// The worst of a client's pods, and the sum of the others.
    pub(super) fn client_pods(
        &self,
        detail: &PodDetail,
        (service, workload): (ServiceId, WorkloadId),
        facts: Option<&ClientStats<'_>>,
        order: &Order<'_>,
    ) -> (Vec<ClientPod>, OtherPods) {
        let none = HashMap::default();
        let held = detail.held.get(&(service, workload)).unwrap_or(&none);
        let mut rest = OtherPods::default();
        let mut rows: HashMap<ClientId, (Option<&PodStats<'_>>, Option<&Held>)> = HashMap::default();
        for pod in facts.into_iter().flat_map(ClientStats::each) {
            rows.entry(pod.scope).or_default().0 = Some(pod);
        }
        for (scope, held) in held {
            match scope {
                Some(scope) => rows.entry(*scope).or_default().1 = Some(held),
                None => rest.active += held.by_endpoint.values().sum::<u64>(),
            }
        }
        let rows = rows.into_iter().map(|(scope, (pod, held))| {
            let name = detail.names.get(&scope).cloned().unwrap_or_default();
            self.client_pod(name, pod, held, order)
        });
        worst_pods::worst(rows.collect(), detail.shown, rest)
    }

    fn client_pod(
        &self,
        name: String,
        pod: Option<&PodStats<'_>>,
        held: Option<&Held>,
        order: &Order<'_>,
    ) -> ClientPod {
        let mut by_endpoint: HashMap<EndpointId, PodEndpoint> = HashMap::default();
        for used in pod.into_iter().flat_map(|pod| pod.made.used.rows()) {
            let row = by_endpoint.entry(used.endpoint).or_default();
            (row.opened, row.failed) = (used.opened.into(), used.failed.into());
        }
        for (endpoint, count) in held.into_iter().flat_map(|held| &held.by_endpoint) {
            by_endpoint.entry(*endpoint).or_default().active = *count;
        }
        let used = by_endpoint.len() as u64;
        // One that is forgotten has no name any more.
        let named = order.iter().filter_map(|(endpoint, row)| {
            let own = by_endpoint.remove(&endpoint.id().endpoint)?;
            Some(PodEndpoint { pod: row.pod.clone(), ..own })
        });
        let endpoints = worst_pods::busiest(named.collect());
        let opened = pod.map_or(0, |pod| pod.made.opened);
        let active = held.map_or(0, |held| held.by_endpoint.values().sum());
        let ready = order.iter().filter(|(endpoint, _)| endpoint.state() == State::Ready).count();
        ClientPod {
            beyond_share: worst_pods::beyond_share(&endpoints, opened.max(active), ready),
            pod: name,
            node: None,
            opened,
            failed: pod.map_or(0, |pod| pod.made.failed),
            active,
            used,
            endpoints,
            oldest_open: held.and_then(|held| held.oldest).map(|time| self.wall(time)),
            last_answered: pod.and_then(PodStats::told).map(|time| self.wall(time)),
            program: pod.and_then(PodStats::program).map(str::to_owned),
        }
    }
}
