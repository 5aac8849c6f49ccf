//! The losses that can have taken connections or answers from a client of a Service.

use super::Who;
use super::quality::{CLIENTS_FOLDED, CLIENTS_FULL};
use crate::engine::Engine;
use crate::engine::client_stats::ClientStats;
use crate::engine::losses::Holder;
use crate::engine::sampled_totals::Totals;
use crate::expose::snapshot::Counts;
use crate::topology::ServiceState;
use crate::windowed::Stretch;

impl Engine {
    pub(super) fn losses_of(
        &self,
        state: &ServiceState,
        who: &Who,
        facts: Option<&ClientStats<'_>>,
        stretch: Stretch,
    ) -> Counts {
        let pods = facts.into_iter().flat_map(ClientStats::scopes).map(Holder::Client);
        let holders = pods.chain(who.workload().map(Holder::Workload));
        let mut losses = self.losses.of(holders, state.id(), stretch);
        // Rows of clients that could not be kept apart are about nobody in particular.
        let mixed = match who {
            Who::Workload(None) => Totals::from([(CLIENTS_FOLDED, self.reconciler.ledger.folded())]),
            Who::Workload(Some(id)) if id.is_other() => {
                Totals::from([(CLIENTS_FULL, self.clients.counters().workloads_full)])
            }
            Who::Workload(_) | Who::Namespace(_) | Who::All => Totals::new(),
        };
        let mixed = self.sampled.over(stretch, &mixed);
        let missing = ("topology_full", u64::try_from(state.missing()).unwrap_or(u64::MAX));
        for (reason, count) in mixed.into_iter().chain([missing]).filter(|(_, count)| *count > 0) {
            *losses.entry(reason.to_owned()).or_default() += count;
        }
        losses
    }
}
