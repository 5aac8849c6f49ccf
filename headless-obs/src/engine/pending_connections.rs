//! Connections that are ahead of the topology: the client received the address under the name of a headless Service,
//! and the Service does not have the endpoint yet, because the topology's source is behind the DNS server.
//!
//! In: such connections, and their ends. Out: the same when the address becomes an endpoint, or when it has not for too
//! long.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use headless_obs_ebpf::ring_record::TcpRecord;

use super::ip;
use crate::client::Client;
use crate::hash::{HashMap, HashSet};
use crate::time::Time;

/// How far a topology may be behind.
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
    /// The record of its end, if it has ended.
    pub(super) closed: Option<TcpRecord>,
}

/// Socket and start.
type Key = (u64, u64);

/// All waiting connections.
#[derive(Debug, Default)]
pub(super) struct PendingConnections {
    waiting: HashMap<Key, Waiting>,
    by_age: VecDeque<(Time, Key)>,
}

impl PendingConnections {
    /// Lets a connection wait; false if there is no room.
    pub(super) fn add(&mut self, now: Time, record: &TcpRecord, client: Client) -> bool {
        if self.by_age.len() >= LIMIT {
            return false;
        }
        self.waiting.insert(key(record), Waiting { record: *record, client, closed: None });
        self.by_age.push_back((now, key(record)));
        true
    }

    /// A connection ended; nothing happens if it does not wait.
    pub(super) fn closed(&mut self, record: &TcpRecord) {
        if let Some(waiting) = self.waiting.get_mut(&key(record)) {
            waiting.closed = Some(*record);
        }
    }

    /// The connections to one of these addresses.
    pub(super) fn of(&self, addresses: &[IpAddr]) -> Vec<Waiting> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let addresses: HashSet<&IpAddr> = addresses.iter().collect();
        let to_them = |waiting: &&Waiting| addresses.contains(&ip(waiting.record.destination));
        self.waiting.values().filter(to_them).copied().collect()
    }

    /// How many wait.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    /// The clients of waiting connections.
    pub(super) fn clients(&self) -> impl Iterator<Item = Client> {
        self.waiting.values().map(|waiting| waiting.client)
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, record: &TcpRecord) {
        self.waiting.remove(&key(record));
    }

    /// Removes connections that have waited for too long; returns their number.
    pub(super) fn expire(&mut self, now: Time) -> u64 {
        let mut expired = 0;
        while let Some((since, key)) = self.by_age.front()
            && now.since(*since) >= LAG
        {
            expired += u64::from(self.waiting.remove(key).is_some());
            self.by_age.pop_front();
        }
        expired
    }
}

fn key(record: &TcpRecord) -> Key {
    (record.socket, record.started)
}
