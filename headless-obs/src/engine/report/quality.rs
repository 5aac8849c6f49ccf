//! The quality of a snapshot.

use super::KernelState;
use super::aggregate::nonzero;
use crate::dns::message::Reject;
use crate::engine::Engine;
use crate::expose::snapshot::{AttemptSums, Counts, MapFill, Quality, TopologyState};
use crate::service_resolution::Resolution;
use crate::spread::ratio;

/// Kernel counters that are no losses.
const NO_LOSS: [&str; 4] = ["dns_not_answer", "ignored", "dns_unsolicited", "dns_other_server"];
/// Counters of refused responses, by reason. They are no losses; otherwise the sender of such responses could make
/// figures look unreliable.
const REFUSED: [(&str, &str); 2] = [("dns_unsolicited", "unsolicited"), ("dns_other_server", "other_server")];

impl Engine {
    pub(super) fn quality(&self, kernel: &KernelState) -> Quality {
        let cells = || self.reconciler.ledger.cells();
        let opened: u64 = cells().map(|(_, cell)| cell.total_of(|cell| cell.opened)).sum();
        let late: u64 = cells().map(|(_, cell)| cell.total_of(|cell| cell.reconciled)).sum();
        let by_address = cells().filter(|(key, _)| key.resolution == Resolution::None);
        let no_dns = by_address.map(|(_, cell)| cell.total_of(|cell| cell.opened)).sum();
        let account = &self.account;
        let mut unattributed = Counts::from([("no_dns".to_owned(), no_dns)]);
        unattributed.extend(account.unattributed().map(|(reason, count)| (reason.to_owned(), count)));
        let ignored = kernel.counters.get("ignored").copied().unwrap_or(0);
        let mut excluded = Counts::from([("ignored".to_owned(), ignored)]);
        excluded.extend(account.excluded().map(|(reason, count)| (reason.to_owned(), count)));
        let attempts = AttemptSums {
            // The kernel counts those to ignored destinations, and tells no more of them.
            seen: account.seen() + ignored,
            attributed: account.attributed(),
            unattributed: account.unattributed().map(|(_, count)| count).sum(),
            waiting: self.pending.len(),
            excluded: excluded.values().sum(),
            unrelated: account.unrelated(),
        };
        Quality {
            events_lost: self.losses(kernel),
            dns_rejected: nonzero(
                Reject::ALL
                    .iter()
                    .zip(self.dns_rejected)
                    .map(|(reject, count)| (reject.as_str().to_owned(), count))
                    .collect(),
            ),
            dns_refused: REFUSED
                .map(|(counter, reason)| {
                    (reason.to_owned(), kernel.counters.get(counter).copied().unwrap_or(0))
                })
                .into(),
            reconciled: late,
            reconciled_share: ratio(late, opened),
            unattributed,
            excluded,
            attempts,
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
                ..kernel.topology.clone()
            },
        }
    }

    /// All losses by reason: in the kernel, and by the engine's limits.
    fn losses(&self, kernel: &KernelState) -> Counts {
        let in_kernel = kernel.counters.iter().filter(|(name, _)| !NO_LOSS.contains(name));
        let mut losses: Counts = in_kernel.map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let topology = self.topology.counters();
        let clients = self.clients.counters();
        let own = [
            ("record_unknown", kernel.unknown_records),
            ("dns_incomplete", self.datagrams.incomplete()),
            ("answers_evicted", self.answer_cache.evicted()),
            ("client_stats_evicted", self.client_stats.evicted()),
            ("clients_evicted", clients.scopes_evicted + clients.cgroups_evicted),
            ("clients_full", clients.workloads_full),
            ("clients_folded", self.reconciler.ledger.folded()),
            ("topology_full", topology.services_full + topology.endpoints_full + topology.pods_full),
            (
                "topology_evicted",
                topology.removed_evicted + topology.history_evicted + topology.addresses_evicted,
            ),
            ("learner_full", self.learner.as_ref().map_or(0, |learner| learner.counters().total())),
        ];
        losses.extend(own.map(|(name, count)| (name.to_owned(), count)));
        losses.extend(self.streams.stats().losses().map(|(name, count)| (name.to_owned(), count)));
        losses
    }
}
