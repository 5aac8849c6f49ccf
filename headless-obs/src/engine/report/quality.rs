//! The quality of a snapshot.

use super::KernelState;
use super::aggregate::nonzero;
use crate::engine::Engine;
use crate::engine::sampled_totals::Totals;
use crate::expose::snapshot::{AttemptSums, Counts, MapFill, Quality, TopologyState};
use crate::spread::ratio;
use crate::windowed::Stretch;

/// Kernel counters that are no losses.
const NO_LOSS: [&str; 4] = ["dns_not_answer", "ignored", "dns_unsolicited", "dns_other_server"];
/// Counters of refused responses, by reason. They are no losses; otherwise the sender of such responses could make
/// figures look unreliable.
const REFUSED: [(&str, &str); 2] = [("dns_unsolicited", "unsolicited"), ("dns_other_server", "other_server")];

/// Clients for which there was no room: those without a name of their own, and those without cells of their own.
pub(super) const CLIENTS_FULL: &str = "clients_full";
pub(super) const CLIENTS_FOLDED: &str = "clients_folded";

impl Engine {
    /// The quality over a stretch of time; the probes, the maps and the topology's source are those of now.
    pub(in crate::engine) fn quality(&self, kernel: &KernelState, stretch: Stretch) -> Quality {
        let totals = self.sampled.over(stretch, &self.totals(kernel));
        let total = |name| totals.get(name).copied().unwrap_or(0);
        let made = self.account.over(stretch);
        let booked = self.reconciler.ledger.booked(stretch);
        let mut unattributed = Counts::from([("no_dns".to_owned(), booked.by_address)]);
        unattributed.extend(named(made.unattributed()));
        let ignored = total("ignored");
        let mut excluded = Counts::from([("ignored".to_owned(), ignored)]);
        excluded.extend(named(made.excluded()));
        let attempts = AttemptSums {
            // The kernel counts those to ignored destinations, and tells no more of them.
            seen: made.seen + self.account.waiting() + ignored,
            attributed: made.attributed,
            unattributed: made.unattributed().map(|(_, count)| count).sum(),
            waiting: self.pending.len(),
            excluded: excluded.values().sum(),
            unrelated: made.unrelated,
        };
        Quality {
            events_lost: named(totals.iter().map(|(name, count)| (*name, *count)))
                .filter(|(name, _)| !NO_LOSS.contains(&name.as_str()))
                .collect(),
            dns_rejected: nonzero(named(self.dns_rejected.over(stretch)).collect()),
            dns_refused: REFUSED.map(|(counter, reason)| (reason.to_owned(), total(counter))).into(),
            reconciled: booked.reconciled,
            reconciled_share: ratio(booked.reconciled, booked.opened),
            unattributed,
            excluded,
            attempts,
            stands_by: kernel.stands_by,
            probes: kernel.hooks.clone(),
            maps: kernel
                .maps
                .iter()
                .map(|(name, (entries, capacity))| {
                    ((*name).to_owned(), MapFill { entries: *entries, capacity: *capacity })
                })
                .collect(),
            topology: TopologyState {
                synced: self.synced(),
                // A source that records its last event knows better than the changes in the topology.
                last_event: kernel
                    .topology
                    .last_event
                    .or_else(|| self.last_topology_event.map(|time| self.wall(time))),
                wrong_annotations: self.wrong_annotations(),
                ..kernel.topology.clone()
            },
        }
    }

    /// The counters of the kernel programs, and those of the engine's limits, since the beginning.
    pub(in crate::engine) fn totals(&self, kernel: &KernelState) -> Totals {
        let mut totals = kernel.counters.clone();
        let topology = self.topology.counters();
        let clients = self.clients.counters();
        totals.extend([
            ("record_unknown", kernel.unknown_records),
            ("dns_incomplete", self.datagrams.incomplete()),
            ("answers_evicted", self.answer_cache.evicted()),
            ("client_stats_evicted", self.client_stats.evicted()),
            ("clients_evicted", clients.scopes_evicted + clients.cgroups_evicted),
            (CLIENTS_FULL, clients.workloads_full),
            (CLIENTS_FOLDED, self.reconciler.ledger.folded()),
            ("topology_full", topology.services_full + topology.endpoints_full + topology.pods_full),
            (
                "topology_evicted",
                topology.removed_evicted + topology.history_evicted + topology.addresses_evicted,
            ),
            ("learner_full", self.learner.as_ref().map_or(0, |learner| learner.counters().total())),
        ]);
        totals.extend(self.streams.stats().losses());
        totals
    }
}

/// Counts with owned names.
fn named(counts: impl IntoIterator<Item = (&'static str, u64)>) -> impl Iterator<Item = (String, u64)> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count))
}
