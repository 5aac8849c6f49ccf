//! The counts of the engine, by Service: the input of a snapshot over any stretch of time.
//!
//! In: the ledger, the statistics of clients, open connections. Out: the sums of one Service over a stretch
//! ([`Sources`]).
//!
//! Invariant: this points to what the engine holds. Sums are copies, so they exist for one Service at a time where a
//! snapshot is made of many Services and stretches.

use std::sync::Arc;

use super::Tally;
use super::open_connections::{self, Holders};
use super::pods::Pods;
use super::{intents, intents::OfPods};
use crate::client::{ClientId, WorkloadId};
use crate::engine::Engine;
use crate::engine::client_stats::{ClientCounters, ClientStats, ClientTotals, ConnectStats, ResponseStats};
use crate::hash::{HashMap, HashSet};
use crate::ledger::{Cell, CellKey, active};
use crate::time::Time;
use crate::topology::{ServiceId, ServiceState};
use crate::windowed::{Stretch, Windowed};

/// Everything that is counted.
pub(super) struct Counted<'a> {
    services: HashMap<ServiceId, OfService<'a>>,
    /// Clients that the spread excludes, and the reason.
    excluded: HashMap<WorkloadId, &'static str>,
    /// Services whose annotations exclude all of their clients.
    ignored: HashSet<ServiceId>,
    /// The annotations of clients' pods.
    pub(super) said: OfPods,
    /// Only for a report.
    pub(super) pods: Pods,
}

/// A cell, and the zone of its endpoint.
type CountedCell<'a> = (&'a CellKey, Option<&'a Arc<str>>, &'a Windowed<Cell>);

/// The counts of one Service.
#[derive(Default)]
pub(super) struct OfService<'a> {
    cells: Vec<CountedCell<'a>>,
    connects: Vec<(ClientId, WorkloadId, &'a ConnectStats, Option<&'a ResponseStats>)>,
    totals: Vec<(WorkloadId, &'a ClientTotals)>,
    /// The counts of forgotten cells.
    departed: Vec<(&'a CellKey, Option<&'a Arc<str>>, &'a Cell)>,
    /// The sums of forgotten workloads, by namespace.
    pub(super) archived: Vec<(&'a Arc<str>, &'a ClientCounters)>,
    pub(super) held: Holders,
}

/// The sums of a Service over a stretch of time.
#[derive(Default)]
pub(super) struct Sources<'a> {
    pub(super) cells: Vec<(&'a CellKey, Tally)>,
    pub(super) client_stats: HashMap<WorkloadId, ClientStats<'a>>,
}

impl Engine {
    /// Everything that is counted, for a report.
    pub(super) fn counted(&self) -> Counted<'_> {
        Counted { pods: self.pods(), ..self.counted_for_series() }
    }

    /// The same without what no series uses.
    pub(super) fn counted_for_series(&self) -> Counted<'_> {
        let mut services: HashMap<ServiceId, OfService<'_>> = HashMap::default();
        let mut clients: HashSet<WorkloadId> = HashSet::default();
        let ledger = &self.reconciler.ledger;
        for (key, cell) in ledger.cells() {
            let of_service = services.entry(key.endpoint.service).or_default();
            of_service.cells.push((key, self.zone_of(key.endpoint), cell));
            clients.extend(key.client);
        }
        for (key, zone, cell) in ledger.departed() {
            services.entry(key.endpoint.service).or_default().departed.push((key, zone, cell));
        }
        for ((scope, workload, service), connects, answered) in self.client_stats.all() {
            let of_service = services.entry(*service).or_default();
            of_service.connects.push((*scope, *workload, connects, answered));
            clients.insert(*workload);
        }
        for ((workload, service), totals) in self.client_stats.sums() {
            services.entry(*service).or_default().totals.push((*workload, totals));
            clients.insert(*workload);
        }
        for ((service, namespace), sums) in self.client_stats.archived() {
            services.entry(*service).or_default().archived.push((namespace, sums));
        }
        for (service, held) in open_connections::by_service(&self.reconciler) {
            services.entry(service).or_default().held = held;
        }
        let said = self.said_by_pods();
        let is_ignored = |id: &WorkloadId| said.get(id).is_some_and(|said| said.ignore);
        let why = |id| self.excluded(id).or_else(|| is_ignored(&id).then_some(intents::EXCLUDED));
        let excluded = clients.into_iter().filter_map(|id| Some((id, why(id)?))).collect();
        let ignored =
            self.topology.services().filter(|state| state.annotations().is_some_and(|said| said.ignore));
        let ignored = ignored.map(ServiceState::id).collect();
        Counted { services, excluded, ignored, said, pods: Pods::default() }
    }
}

impl<'a> Counted<'a> {
    pub(super) fn of(&self, service: ServiceId) -> Option<&OfService<'a>> {
        self.services.get(&service)
    }

    /// The reason why the spread excludes a client of a Service.
    pub(super) fn why_excluded(
        &self,
        service: ServiceId,
        client: Option<WorkloadId>,
    ) -> Option<&'static str> {
        let own = client.and_then(|client| self.excluded.get(&client)).copied();
        own.or_else(|| self.ignored.contains(&service).then_some(intents::EXCLUDED))
    }
}

impl<'a> OfService<'a> {
    /// The sums over a stretch.
    pub(super) fn over(&self, stretch: Stretch) -> Sources<'a> {
        let tally = |((key, zone, cell), active): (CountedCell<'a>, u64)| {
            (key, Tally { sums: cell.over(stretch), active, zone: zone.cloned() })
        };
        let cells = self.changed(stretch).map(tally).collect();
        let mut client_stats: HashMap<WorkloadId, ClientStats<'a>> = HashMap::default();
        for (scope, workload, connects, answered) in self.connected(stretch) {
            client_stats.entry(workload).or_default().add(scope, stretch, connects, answered);
        }
        for (workload, totals) in &self.totals {
            if is_in(stretch, totals.last) || client_stats.contains_key(workload) {
                client_stats.entry(*workload).or_default().sum_up(stretch, totals);
            }
        }
        Sources { cells, client_stats }
    }

    /// The sums of all time, with those of forgotten cells.
    pub(super) fn ever(&self) -> Sources<'a> {
        let mut sources = self.over(Stretch::All);
        for (key, zone, cell) in &self.departed {
            let tally = Tally { sums: (*cell).clone(), active: 0, zone: zone.cloned() };
            sources.cells.push((key, tally));
        }
        sources
    }

    /// The numbers of clients and of cells over a stretch.
    pub(super) fn size(&self, stretch: Stretch) -> (usize, usize) {
        let connected = self.connected(stretch).map(|(_, workload, ..)| workload);
        let summed = self.totals.iter().filter(|(_, totals)| is_in(stretch, totals.last));
        let clients: HashSet<WorkloadId> = connected.chain(summed.map(|(workload, _)| *workload)).collect();
        (clients.len(), self.changed(stretch).count())
    }

    /// The cells that have changed in a stretch, or that have open connections; and these.
    fn changed(&self, stretch: Stretch) -> impl Iterator<Item = (CountedCell<'a>, u64)> {
        let cells = self.cells.iter().map(|cell| (*cell, active(cell.2)));
        cells.filter(move |((.., cell), active)| *active > 0 || cell.has_changed(stretch))
    }

    /// The pods that connected in a stretch, and those of clients with open connections.
    fn connected(
        &self,
        stretch: Stretch,
    ) -> impl Iterator<Item = (ClientId, WorkloadId, &'a ConnectStats, Option<&'a ResponseStats>)> {
        let open = self.cells.iter().filter(|(.., cell)| active(cell) > 0);
        let have_open: HashSet<WorkloadId> = open.filter_map(|(key, ..)| key.client).collect();
        let connects = self.connects.iter().copied();
        connects.filter(move |(_, workload, connects, _)| {
            is_in(stretch, connects.last) || have_open.contains(workload)
        })
    }
}

/// Whether a stretch has this moment.
fn is_in(stretch: Stretch, moment: Time) -> bool {
    match stretch {
        Stretch::All => true,
        Stretch::Since(start) => moment >= start.begin(),
    }
}
