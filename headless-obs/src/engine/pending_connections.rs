//! Connections that are ahead of the topology: the client received the address under the name of a headless Service,
//! and the Service does not have the endpoint yet, because the topology's source is behind the DNS server.
//!
//! In: such connections, and their ends. Out: the same when the address becomes an endpoint; and per client and Service,
//! how many wait, or waited in vain in a stretch of time.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use headless_obs_ebpf::ring_record::TcpRecord;

use super::ip;
use crate::client::{Client, WorkloadId};
use crate::hash::{HashMap, HashSet};
use crate::time::Time;
use crate::topology::ServiceId;
use crate::windowed::{LONGEST, Number, Slot, Stretch, Windowed, trim};

/// The time that a topology may be behind.
const LAG: Duration = Duration::from_secs(30);
/// The most connections that wait.
const LIMIT: usize = 4096;

/// A connection that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// The record of its opening or failure.
    pub(super) record: TcpRecord,
    /// Its client.
    pub(super) client: Client,
    /// The Service whose name gave the address.
    service: Option<ServiceId>,
    /// The record of its end, if it has ended.
    pub(super) closed: Option<TcpRecord>,
}

/// The time that those that waited in vain are remembered, and the most clients of Services that have any.
const KEEP: Duration = LONGEST;
const CLIENTS: usize = 4096;

/// Socket and start.
type Key = (u64, u64);

/// All waiting connections.
#[derive(Debug, Default)]
pub(super) struct PendingConnections {
    waiting: HashMap<Key, Waiting>,
    by_age: VecDeque<(Time, Key)>,
    /// Those that waited in vain, and the last time.
    in_vain: HashMap<(WorkloadId, ServiceId), (Windowed<Number>, Time)>,
}

impl PendingConnections {
    /// Lets a connection wait; false if there is no room.
    pub(super) fn add(
        &mut self,
        now: Time,
        record: &TcpRecord,
        client: Client,
        service: Option<ServiceId>,
    ) -> bool {
        let waiting = Waiting { record: *record, client, service, closed: None };
        if self.by_age.len() >= LIMIT {
            self.give_up(now, &waiting);
            return false;
        }
        self.waiting.insert(key(record), waiting);
        self.by_age.push_back((now, key(record)));
        true
    }

    /// A connection ended; nothing happens if it does not wait.
    pub(super) fn closed(&mut self, record: &TcpRecord) {
        if let Some(waiting) = self.waiting.get_mut(&key(record)) {
            waiting.closed = Some(*record);
        }
    }

    /// The connections to one of these addresses; `original` finds the address that a client reaches.
    pub(super) fn of(&self, addresses: &[IpAddr], original: impl Fn(IpAddr) -> IpAddr) -> Vec<Waiting> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let addresses: HashSet<&IpAddr> = addresses.iter().collect();
        let to_them = |waiting: &&Waiting| addresses.contains(&original(ip(waiting.record.destination)));
        self.waiting.values().filter(to_them).copied().collect()
    }

    /// The number of those that wait.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    /// The clients of these connections.
    pub(super) fn clients(&self) -> impl Iterator<Item = WorkloadId> {
        let waiting = self.waiting.values().map(|waiting| waiting.client.workload);
        waiting.chain(self.in_vain.keys().map(|(workload, _)| *workload))
    }

    /// The connections to addresses that the Service's name gave and that are no endpoints of it, by client: those that
    /// wait, and those that waited in vain in a stretch of time.
    pub(super) fn of_service(&self, service: ServiceId, stretch: Stretch) -> HashMap<WorkloadId, u64> {
        let mut clients: HashMap<WorkloadId, u64> = HashMap::default();
        for waiting in self.waiting.values().filter(|waiting| waiting.service == Some(service)) {
            *clients.entry(waiting.client.workload).or_default() += 1;
        }
        let in_vain = self.in_vain.iter().filter(|((_, of), _)| *of == service);
        for ((workload, _), (count, _)) in in_vain.filter(|(_, (count, _))| count.has_changed(stretch)) {
            *clients.entry(*workload).or_default() += count.over(stretch).0;
        }
        clients
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, record: &TcpRecord) {
        self.waiting.remove(&key(record));
    }

    /// Drops slots before this one; returns the room that is taken, in bytes.
    pub(super) fn trim(&mut self, oldest: Slot) -> usize {
        self.in_vain.values_mut().map(|(count, _)| trim(count, oldest)).sum()
    }

    /// Removes connections that have waited for too long; returns their number.
    pub(super) fn expire(&mut self, now: Time) -> u64 {
        let mut expired = 0;
        self.in_vain.retain(|_, (_, last)| now.since(*last) < KEEP);
        while let Some((since, key)) = self.by_age.front().copied()
            && now.since(since) >= LAG
        {
            if let Some(waiting) = self.waiting.remove(&key) {
                self.give_up(now, &waiting);
                expired += 1;
            }
            self.by_age.pop_front();
        }
        expired
    }

    fn give_up(&mut self, now: Time, waiting: &Waiting) {
        let Some(service) = waiting.service else { return };
        let who = (waiting.client.workload, service);
        if self.in_vain.len() < CLIENTS || self.in_vain.contains_key(&who) {
            let (count, last) = self.in_vain.entry(who).or_default();
            count.at(now).0 += 1;
            *last = now;
        }
    }
}

fn key(record: &TcpRecord) -> Key {
    (record.socket, record.started)
}
