//! Records that came while the engine worked in another thread.
//!
//! In: records from the ring. Out: the same, in their order. Invariant: bounded. Without room, records stay in the ring.

use std::collections::VecDeque;

use headless_obs_ebpf::ring_record::{DnsRecord, TcpRecord};

use crate::probe::{Record, Ring};

/// The most bytes of records.
const MOST: usize = 16 << 20;

/// Records that are taken from the ring before there has to be room again.
const SLICE: usize = 1024;

/// A record that is kept.
enum Kept {
    Dns(DnsRecord, Box<[u8]>),
    Tcp(TcpRecord),
}

impl Kept {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Dns(_, payload) => payload.len(),
                Self::Tcp(_) => 0,
            }
    }
}

/// The records, the oldest first.
#[derive(Default)]
pub(super) struct Backlog {
    records: VecDeque<Kept>,
    bytes: usize,
}

impl Backlog {
    /// Keeps what is in the ring, as far as there is room.
    pub(super) fn keep(&mut self, ring: &mut Ring) {
        while self.has_room() && ring.drain(SLICE, |record| self.push(&record)) == SLICE {}
    }

    fn push(&mut self, record: &Record<'_>) {
        let kept = match record {
            Record::Dns(dns, payload) => Kept::Dns(*dns, (*payload).into()),
            Record::Tcp(tcp) => Kept::Tcp(*tcp),
        };
        self.bytes += kept.bytes();
        self.records.push_back(kept);
    }

    pub(super) fn has_room(&self) -> bool {
        self.bytes < MOST
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes up to `limit` records; returns how many there were.
    pub(super) fn take(&mut self, limit: usize, mut sink: impl FnMut(Record<'_>)) -> usize {
        let taken = limit.min(self.records.len());
        for kept in self.records.drain(..taken) {
            self.bytes -= kept.bytes();
            match kept {
                Kept::Dns(dns, payload) => sink(Record::Dns(dns, &payload)),
                Kept::Tcp(tcp) => sink(Record::Tcp(tcp)),
            }
        }
        if self.records.is_empty() {
            self.records = VecDeque::new();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use headless_obs_ebpf::ring_record::{Header, KIND_DNS};

    use super::*;

    fn record(cgroup: u64) -> DnsRecord {
        DnsRecord {
            header: Header { kind: KIND_DNS, length: 0, time: cgroup, cgroup },
            client: [0; 16],
            server: [0; 16],
            client_port: 0,
            server_port: 53,
            protocol: 17,
            tcp_flags: 0,
            truncated_len: 0,
            sequence: 0,
            following: 0,
            queried_at: 0,
        }
    }

    #[test]
    fn records_come_in_their_order_and_take_limited_room() {
        let (mut backlog, mut pushed) = (Backlog::default(), 0);
        while backlog.has_room() {
            backlog.push(&Record::Dns(record(pushed), &[7; 1_000]));
            pushed += 1;
        }
        assert!((10_000..20_000).contains(&pushed), "{pushed} of a thousand bytes in 16 MiB");
        let mut taken = Vec::new();
        while !backlog.is_empty() {
            let before = taken.len();
            let count = backlog.take(4_096, |record| match record {
                Record::Dns(dns, payload) => {
                    assert_eq!(payload, [7; 1_000]);
                    taken.push(dns.header.cgroup);
                }
                Record::Tcp(_) => panic!("none was kept"),
            });
            assert_eq!(taken.len() - before, count);
        }
        assert_eq!(taken, (0..pushed).collect::<Vec<_>>());
        assert!(backlog.has_room() && backlog.bytes == 0);
    }
}
