//! Open connections per client.

use headless_obs_ebpf::Address;

use crate::client::WorkloadId;
use crate::engine::reconcile::FlowReconciler;
use crate::expose::snapshot::OpenConnections;
use crate::hash::{HashMap, HashSet};
use crate::time::Time;
use crate::topology::{EndpointId, ServiceId};

/// Open connections of one pod (or cgroup) to one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldRow {
    holder: (u64, Address),
    endpoint: EndpointId,
    since: Time,
}

/// A Service's counted open connections, by client.
pub(super) type Holders = HashMap<WorkloadId, Vec<HeldRow>>;

/// The counted open connections, by Service and client.
pub(super) fn by_service(reconciler: &FlowReconciler) -> HashMap<ServiceId, Holders> {
    let mut services: HashMap<ServiceId, Holders> = HashMap::default();
    for (flow, cell, _, since) in
        reconciler.open_connections().filter(|(_, cell, ..)| cell.resolution.is_choice())
    {
        let Some(workload) = cell.client else { continue };
        let holder = (flow.cgroup, flow.source);
        let row = HeldRow { holder, endpoint: cell.endpoint.endpoint, since };
        services.entry(cell.endpoint.service).or_default().entry(workload).or_default().push(row);
    }
    services
}

/// The open connections of a workload's pods.
pub(super) fn of(rows: &[HeldRow], now: Time) -> OpenConnections {
    let mut holders: HashMap<(u64, Address), (HashSet<EndpointId>, Time)> = HashMap::default();
    for row in rows {
        let (endpoints, oldest) = holders.entry(row.holder).or_insert((HashSet::default(), row.since));
        endpoints.insert(row.endpoint);
        *oldest = (*oldest).min(row.since);
    }
    let on_one = || holders.values().filter(|(endpoints, _)| endpoints.len() == 1);
    let shortest = on_one().map(|(_, oldest)| now.since(*oldest)).min();
    OpenConnections {
        pods: holders.len() as u64,
        pods_on_one: on_one().count() as u64,
        seconds: shortest.map_or(0.0, |time| time.as_secs_f64()),
    }
}
