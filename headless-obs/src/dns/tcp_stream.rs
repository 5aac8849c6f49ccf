//! DNS messages out of TCP segments.
//!
//! In: the segments that clients received from DNS ports, in the order they arrived. Out: whole messages,
//! without their length prefix, in the order of the stream.
//!
//! If the beginning of a stream was not seen, the reader joins it at the next segment and assumes that a message begins
//! there. It does the same after a gap that is not filled. It drops data that cannot be a message, and tries the next
//! segment.
//!
//! Invariants: [`Limits`] bounds streams, buffered bytes and the age of both, whatever arrives. [`StreamStats`] counts
//! everything that was lost, and nothing else. A segment that consists of whole messages, in order, is passed on
//! without a copy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use self::reassembly::Reassembly;
use crate::hash::HashMap;
use crate::time::Time;

mod reassembly;

/// Flags of a TCP header, as the kernel's records carry them.
pub mod flags {
    /// The server sends no more data.
    pub const FIN: u8 = 1;
    /// The connection starts.
    pub const SYN: u8 = 2;
    /// The connection is reset.
    pub const RST: u8 = 4;
}

/// A TCP connection to a DNS server, as the client's side sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamKey {
    /// The client's cgroup: clients in different network namespaces can have the same addresses.
    pub cgroup: u64,
    /// The client's address and port.
    pub client: SocketAddr,
    /// The server's address and port.
    pub server: SocketAddr,
}

/// A segment that the client received.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sequence number of the first payload byte, or of the SYN.
    pub sequence: u32,
    /// The [`flags`] of the header; other bits are ignored.
    pub flags: u8,
    /// Bytes that followed the payload but were not copied.
    pub cut: u16,
    /// The payload.
    pub payload: &'a [u8],
}

/// Bounds on what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Streams at the same time.
    pub streams: usize,
    /// Buffered bytes of all streams together.
    pub bytes: usize,
    /// Bytes of one stream that wait for earlier ones.
    pub out_of_order: usize,
    /// The time that bytes wait.
    pub gap: Duration,
    /// The time that an idle stream is kept.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 1024,
            bytes: 8 << 20,
            out_of_order: 128 << 10,
            gap: Duration::from_secs(2),
            idle: Duration::from_secs(60),
        }
    }
}

/// Messages of all streams, and losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Messages passed on.
    pub messages: u64,
    /// Gaps that were not filled in time.
    pub gap: u64,
    /// Gaps that were abandoned because too much data waited for them.
    pub overflow: u64,
    /// Streams with buffered data that were evicted.
    pub evicted: u64,
    /// Segments that the kernel program did not copy whole.
    pub cut: u64,
    /// Positions where a message had to begin and none could.
    pub unsynced: u64,
    /// Streams that ended, or started again, inside a message.
    pub incomplete: u64,
}

impl StreamStats {
    /// Losses by their names in counters.
    pub fn losses(&self) -> [(&'static str, u64); 6] {
        [
            ("tcp_gap", self.gap),
            ("tcp_overflow", self.overflow),
            ("tcp_evicted", self.evicted),
            ("tcp_cut", self.cut),
            ("tcp_unsynced", self.unsynced),
            ("tcp_incomplete", self.incomplete),
        ]
    }
}

/// Messages of one client that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLoss {
    /// The stream.
    pub key: StreamKey,
    /// The name of the loss.
    pub reason: &'static str,
    /// The number.
    pub count: u64,
}

/// A followed stream.
struct Stream {
    flow: Reassembly,
    /// The time of its last segment.
    last: Time,
    /// Its place in [`Streams::order`].
    turn: u64,
}

/// All streams.
pub struct Streams {
    limits: Limits,
    streams: HashMap<StreamKey, Stream>,
    /// All streams, by the order of their last use.
    order: BTreeMap<u64, StreamKey>,
    turn: u64,
    bytes: usize,
    stats: StreamStats,
    /// Losses that nobody has taken yet.
    lost: Vec<StreamLoss>,
}

impl Default for Streams {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Streams {
    /// No streams yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            streams: HashMap::default(),
            order: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            stats: StreamStats::default(),
            lost: Vec::new(),
        }
    }

    /// Takes a segment that arrived at `now`; passes every message that it completes to `sink`.
    pub fn push(&mut self, now: Time, key: StreamKey, segment: Segment<'_>, mut sink: impl FnMut(&[u8])) {
        self.expire(now);
        let before = self.stats;
        let known = self.remove(&key);
        if segment.flags & flags::RST != 0 {
            if let Some(flow) = known {
                flow.count_unfinished(&mut self.stats);
                self.note(key, before);
            }
            return;
        }
        // Acknowledgements, and the end of an unknown stream, need no entry.
        if known.is_none() && segment.payload.is_empty() && segment.flags & flags::SYN == 0 {
            return;
        }
        let mut flow = known.unwrap_or_default();
        flow.accept(now, segment, &self.limits, &mut self.stats, &mut sink);
        self.note(key, before);
        self.insert(now, key, flow);
    }

    /// Forgets streams that have been idle for too long. [`push`](Self::push) does this too.
    pub fn expire(&mut self, now: Time) {
        while let Some(key) = self.oldest()
            && self.streams.get(&key).is_none_or(|stream| now.since(stream.last) > self.limits.idle)
            && let Some(flow) = self.remove(&key)
        {
            let before = self.stats;
            flow.count_unfinished(&mut self.stats);
            self.note(key, before);
        }
    }

    /// The losses since the last call. Data that belonged to no message (`tcp_unsynced`) is none, and the kernel
    /// programs count what they cut.
    pub fn take_losses(&mut self) -> Vec<StreamLoss> {
        std::mem::take(&mut self.lost)
    }

    fn note(&mut self, key: StreamKey, before: StreamStats) {
        if self.stats == before {
            return;
        }
        for ((reason, was), (_, is)) in before.losses().into_iter().zip(self.stats.losses()) {
            if is > was && !matches!(reason, "tcp_unsynced" | "tcp_cut") {
                self.lost.push(StreamLoss { key, reason, count: is - was });
            }
        }
    }

    /// Messages and losses so far.
    pub fn stats(&self) -> StreamStats {
        self.stats
    }

    /// The number of streams.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The number of buffered bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn oldest(&self) -> Option<StreamKey> {
        self.order.first_key_value().map(|(_, key)| *key)
    }

    fn remove(&mut self, key: &StreamKey) -> Option<Reassembly> {
        let stream = self.streams.remove(key)?;
        self.order.remove(&stream.turn);
        self.bytes -= stream.flow.held();
        Some(stream.flow)
    }

    fn insert(&mut self, now: Time, key: StreamKey, flow: Reassembly) {
        self.turn += 1;
        self.bytes += flow.held();
        self.order.insert(self.turn, key);
        self.streams.insert(key, Stream { flow, last: now, turn: self.turn });
        while (self.streams.len() > self.limits.streams || self.bytes > self.limits.bytes)
            && let Some(oldest) = self.oldest()
            && let Some(flow) = self.remove(&oldest)
        {
            let before = self.stats;
            self.stats.evicted += u64::from(flow.held() > 0);
            self.note(oldest, before);
        }
    }
}

#[cfg(test)]
mod tests;
