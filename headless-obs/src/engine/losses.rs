//! Losses, by whom they can concern.
//!
//! In: the losses of the kernel programs, and those of the engine's own limits, each with the client that it was about
//! where that is known. Out: for a client of a Service, the losses that can have taken connections or answers from it.
//!
//! Invariants: counts are sums of what was added, per holder, Service and reason, and nothing else. The number of
//! counts is bounded: without room, a loss can concern everybody. A loss of unknown origin can concern everybody, too.

use std::collections::BTreeMap;
use std::time::Duration;

use headless_obs_ebpf::Address;

use super::{Engine, ip};
use crate::answer_cache::Eviction;
use crate::client::{ClientId, Role, WorkloadId};
use crate::dns::tcp_stream::StreamLoss;
use crate::expose::snapshot::Counts;
use crate::hash::HashMap;
use crate::time::Time;
use crate::topology::ServiceId;
use crate::windowed::{Number, Slot, Stretch, Windowed, trim};

/// The one whom a loss can concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// Every client.
    Everybody,
    /// The pod or cgroup that the event was about.
    Client(ClientId),
    /// All pods of a workload.
    Workload(WorkloadId),
}

/// The kernel's losses that take connections or answers from somebody. `ring_full` takes none: the totals bring them.
const OF_KERNEL: [&str; 6] =
    ["tcp_skipped", "connections_full", "flows_full", "dns_ring_full", "dns_copy_failed", "dns_cut"];

/// The most counts.
const LIMIT: usize = 16_384;

/// A loss of the kernel programs that was about one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelLoss {
    /// The client's cgroup.
    pub cgroup: u64,
    /// Its address.
    pub client: Address,
    /// The name of the counter.
    pub reason: &'static str,
    /// The number since the last reading.
    pub count: u64,
}

/// One count.
#[derive(Clone, Debug)]
struct Count {
    /// The Service that it is about; nothing: any.
    service: Option<ServiceId>,
    reason: &'static str,
    count: Windowed<Number>,
    last: Time,
}

/// All losses.
#[derive(Debug, Default)]
pub(super) struct LossTable {
    by_holder: HashMap<Holder, Vec<Count>>,
    counts: usize,
    /// The part of the kernel's counters that is in `by_holder`.
    of_kernel: BTreeMap<&'static str, u64>,
}

impl LossTable {
    /// Adds losses. `service` is the only one that they can be about, if that is known.
    pub(super) fn add(
        &mut self,
        now: Time,
        holder: Holder,
        service: Option<ServiceId>,
        reason: &'static str,
        count: u64,
    ) {
        if count == 0 {
            return;
        }
        let has_room = self.counts < LIMIT || holder == Holder::Everybody;
        let known = self.by_holder.get_mut(&holder).and_then(|counts| {
            counts.iter_mut().find(|known| (known.service, known.reason) == (service, reason))
        });
        if let Some(known) = known {
            known.count.at(now).0 += count;
            known.last = now;
        } else if has_room {
            let mut new = Count { service, reason, count: Windowed::default(), last: now };
            new.count.at(now).0 = count;
            self.by_holder.entry(holder).or_default().push(new);
            self.counts += 1;
        } else {
            self.add(now, Holder::Everybody, None, reason, count);
        }
    }

    /// Takes the kernel's counters, the `named` part of which belongs to clients: the rest can concern everybody.
    fn add_rest(&mut self, now: Time, totals: &BTreeMap<&'static str, u64>) {
        for reason in OF_KERNEL {
            let total = totals.get(reason).copied().unwrap_or(0);
            let known = self.of_kernel.entry(reason).or_default();
            let rest = total.saturating_sub(*known);
            *known += rest;
            self.add(now, Holder::Everybody, None, reason, rest);
        }
    }

    /// The losses in a stretch of time that can concern these holders' connections to a Service and the answers for its
    /// names, by reason.
    pub(super) fn of(
        &self,
        holders: impl Iterator<Item = Holder>,
        service: ServiceId,
        stretch: Stretch,
    ) -> Counts {
        let mut losses = Counts::new();
        if self.counts == 0 {
            return losses;
        }
        let known = holders.chain([Holder::Everybody]).filter_map(|holder| self.by_holder.get(&holder));
        let about = |count: &&Count| count.service.is_none_or(|only| only == service);
        for count in known.flatten().filter(about).filter(|count| count.count.has_changed(stretch)) {
            *losses.entry(count.reason.to_owned()).or_default() += count.count.over(stretch).0;
        }
        losses
    }

    /// Drops slots before this one; returns the room that is taken, in bytes.
    pub(super) fn trim(&mut self, oldest: Slot) -> usize {
        self.by_holder.values_mut().flatten().map(|known| trim(&mut known.count, oldest)).sum()
    }

    /// Forgets losses that are older than the clients that are remembered.
    pub(super) fn expire(&mut self, now: Time, keep: Duration) {
        self.by_holder.retain(|_, counts| {
            counts.retain(|count| now.since(count.last) < keep);
            !counts.is_empty()
        });
        self.counts = self.by_holder.values().map(Vec::len).sum();
    }
}

impl Engine {
    /// Takes the kernel's counters, and the part of them that is about known clients. `totals` must have been read
    /// after `named`.
    pub fn count_kernel_losses(
        &mut self,
        now: Time,
        totals: &BTreeMap<&'static str, u64>,
        named: &[KernelLoss],
    ) {
        for loss in named.iter().filter(|loss| OF_KERNEL.contains(&loss.reason)) {
            *self.losses.of_kernel.entry(loss.reason).or_default() += loss.count;
            self.lose(now, loss.cgroup, ip(loss.client), loss.reason, loss.count);
        }
        self.losses.add_rest(now, totals);
    }

    /// Takes the losses by the engine's own limits.
    pub(super) fn collect_losses(&mut self, now: Time) {
        for StreamLoss { key, reason, count } in self.streams.take_losses() {
            self.lose(now, key.cgroup, key.client.ip(), reason, count);
        }
        for scope in self.clients.take_dropped() {
            self.answer_cache.forget(scope);
        }
        for Eviction { scope, service, entries } in self.answer_cache.take_evictions() {
            self.losses.add(now, Holder::Client(scope), service, "answers_evicted", entries);
        }
        for (holder, service) in self.client_stats.take_evictions() {
            self.losses.add(now, holder, Some(service), "client_stats_evicted", 1);
        }
    }

    /// Counts a loss of the client with this cgroup and address.
    pub(super) fn lose(
        &mut self,
        now: Time,
        cgroup: u64,
        address: std::net::IpAddr,
        reason: &'static str,
        count: u64,
    ) {
        let client = self.clients.identify(&self.topology, cgroup, address, &[]);
        // Another node's daemon counts it.
        if client.role != Role::OtherNode {
            self.losses.add(now, Holder::Client(client.scope), None, reason, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: ServiceId = ServiceId(1);
    const OTHER: ServiceId = ServiceId(2);

    fn client(id: u32) -> Holder {
        Holder::Client(ClientId(id))
    }

    fn of(table: &LossTable, id: u32, service: ServiceId) -> Vec<(String, u64)> {
        table.of([client(id)].into_iter(), service, Stretch::All).into_iter().collect()
    }

    fn count(reason: &str, count: u64) -> (String, u64) {
        (reason.to_owned(), count)
    }

    #[test]
    fn losses_concern_their_client_their_service_or_everybody() {
        let mut table = LossTable::default();
        table.add(Time(1), client(1), Some(SERVICE), "answers_evicted", 3);
        table.add(Time(2), client(1), Some(SERVICE), "answers_evicted", 4);
        table.add(Time(2), client(1), None, "dns_cut", 1);
        table.add(Time(2), client(3), None, "dns_cut", 0);
        table.add_rest(Time(2), &BTreeMap::from([("flows_full", 5), ("ring_full", 9)]));
        table.add_rest(Time(3), &BTreeMap::from([("flows_full", 6), ("ring_full", 9)]));
        assert_eq!(
            of(&table, 1, SERVICE),
            [count("answers_evicted", 7), count("dns_cut", 1), count("flows_full", 6)]
        );
        assert_eq!(of(&table, 1, OTHER), [count("dns_cut", 1), count("flows_full", 6)]);
        assert_eq!(of(&table, 2, SERVICE), [count("flows_full", 6)]);
        assert_eq!(table.counts, 3);
        table.expire(Time(3).plus(Duration::from_secs(9)), Duration::from_secs(9));
        assert_eq!((table.counts, of(&table, 1, SERVICE)), (0, vec![]));
    }

    #[test]
    fn losses_without_room_concern_everybody() {
        let mut table = LossTable::default();
        for id in 0..u32::try_from(LIMIT).unwrap() + 10 {
            table.add(Time(1), client(id), None, "tcp_gap", 1);
        }
        table.add(Time(1), client(0), None, "tcp_gap", 1);
        assert_eq!(table.counts, LIMIT + 1);
        assert_eq!(of(&table, 0, SERVICE), [count("tcp_gap", 12)]);
        assert_eq!(of(&table, u32::MAX, SERVICE), [count("tcp_gap", 10)]);
    }
}
