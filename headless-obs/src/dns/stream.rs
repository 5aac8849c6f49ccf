//! DNS messages out of TCP segments.
//!
//! In: the segments that clients received from DNS ports, in the order they arrived. Out: whole messages,
//! without their length prefix, in the order of the stream.
//!
//! A stream whose beginning was not seen is joined at the next segment, taking it to begin with a message. The
//! same happens after a gap that nobody fills. What cannot be a message then is dropped, and the next segment
//! tried.
//!
//! Invariants: streams, buffered bytes and the age of both are bounded by [`Limits`], whatever arrives.
//! Everything that was lost is counted in [`StreamStats`]; nothing else is. A segment that holds whole messages
//! only, in order, is handed on without a copy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use self::flow::Flow;
use crate::hash::HashMap;
use crate::time::Time;

mod flow;

/// Flags of a TCP header, as the kernel's records carry them.
pub mod flags {
    /// The server sends no more.
    pub const FIN: u8 = 1;
    /// The connection begins.
    pub const SYN: u8 = 2;
    /// The connection is broken off.
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
    /// Streams followed at a time.
    pub streams: usize,
    /// Bytes buffered in all.
    pub bytes: usize,
    /// Bytes of one stream that wait for those before them.
    pub out_of_order: usize,
    /// How long they wait.
    pub gap: Duration,
    /// How long a stream is kept after its last segment.
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

/// What streams yielded, and what was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Messages handed on.
    pub messages: u64,
    /// Gaps that were not filled in time.
    pub gap: u64,
    /// Gaps given up because too much waited for them.
    pub overflow: u64,
    /// Streams with buffered data that had to make room.
    pub evicted: u64,
    /// Segments of which a part was not copied.
    pub cut: u64,
    /// Times that what should have begun a message could not.
    pub unsynced: u64,
    /// Streams that ended, or began anew, within a message.
    pub incomplete: u64,
}

impl StreamStats {
    /// Losses by the names they are counted under.
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

/// A followed stream.
struct Stream {
    flow: Flow,
    /// When its last segment came.
    last: Time,
    /// Its place in [`Streams::order`].
    turn: u64,
}

/// All streams.
pub struct Streams {
    limits: Limits,
    streams: HashMap<StreamKey, Stream>,
    /// Every stream, by the turn it was last used in.
    order: BTreeMap<u64, StreamKey>,
    turn: u64,
    bytes: usize,
    stats: StreamStats,
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
        }
    }

    /// Takes a segment that arrived at `now`; `sink` gets every message it completes.
    pub fn push(&mut self, now: Time, key: StreamKey, segment: Segment<'_>, mut sink: impl FnMut(&[u8])) {
        self.expire(now);
        let known = self.remove(&key);
        if segment.flags & flags::RST != 0 {
            if let Some(flow) = known {
                flow.count_unfinished(&mut self.stats);
            }
            return;
        }
        // Acknowledgements and the end of an unknown stream are not worth an entry.
        if known.is_none() && segment.payload.is_empty() && segment.flags & flags::SYN == 0 {
            return;
        }
        let mut flow = known.unwrap_or_default();
        flow.accept(now, segment, &self.limits, &mut self.stats, &mut sink);
        self.insert(now, key, flow);
    }

    /// Forgets streams that have been idle for too long. [`push`](Self::push) does this too.
    pub fn expire(&mut self, now: Time) {
        while let Some(key) = self.oldest()
            && self.streams.get(&key).is_none_or(|stream| now.since(stream.last) > self.limits.idle)
            && let Some(flow) = self.remove(&key)
        {
            flow.count_unfinished(&mut self.stats);
        }
    }

    /// What was handed on and lost so far.
    pub fn stats(&self) -> StreamStats {
        self.stats
    }

    /// Streams followed now.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether no stream is followed.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Bytes buffered now.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn oldest(&self) -> Option<StreamKey> {
        self.order.first_key_value().map(|(_, key)| *key)
    }

    fn remove(&mut self, key: &StreamKey) -> Option<Flow> {
        let stream = self.streams.remove(key)?;
        self.order.remove(&stream.turn);
        self.bytes -= stream.flow.held();
        Some(stream.flow)
    }

    fn insert(&mut self, now: Time, key: StreamKey, flow: Flow) {
        self.turn += 1;
        self.bytes += flow.held();
        self.order.insert(self.turn, key);
        self.streams.insert(key, Stream { flow, last: now, turn: self.turn });
        while (self.streams.len() > self.limits.streams || self.bytes > self.limits.bytes)
            && let Some(oldest) = self.oldest()
            && let Some(flow) = self.remove(&oldest)
        {
            self.stats.evicted += u64::from(flow.held() > 0);
        }
    }
}

#[cfg(test)]
mod tests;
