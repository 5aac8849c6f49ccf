//! The load of connections: bytes and segments, each way.
//!
//! In: the kernel's counts, of a connection that ended, of one that is open, or of a flow. Out: sums and differences.
//!
//! Invariants: no difference is negative. The kernel counts a connection's segments in 32 bits, which wrap; so a later
//! count of the same connection is compared as such ([`Load::since`]).

use headless_obs_ebpf::flow::FlowTotals;
use headless_obs_ebpf::reading::Reading;
use headless_obs_ebpf::ring_record::TcpRecord;

use super::Cell;

/// The load of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Bytes that clients sent, each once.
    pub bytes_sent: u64,
    /// Bytes that clients received.
    pub bytes_received: u64,
    /// Segments with data that clients sent.
    pub segments_sent: u64,
    /// Segments with data that clients received.
    pub segments_received: u64,
    /// Segments that clients sent again.
    pub retransmitted: u64,
}

impl Load {
    /// A load without anything.
    pub const NONE: Self =
        Self { bytes_sent: 0, bytes_received: 0, segments_sent: 0, segments_received: 0, retransmitted: 0 };

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// The difference; 0 where the other one is larger.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The smaller one of each figure.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        self.with(other, u64::min)
    }

    /// The load of a connection since an `earlier` count of its own; nothing where it seems to have become less.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        const HALF: u64 = 1 << 31;
        let wrapping = |now: u64, before: u64| {
            let more = now.wrapping_sub(before) & u64::from(u32::MAX);
            if more < HALF { more } else { 0 }
        };
        Self {
            segments_sent: wrapping(self.segments_sent, earlier.segments_sent),
            segments_received: wrapping(self.segments_received, earlier.segments_received),
            retransmitted: wrapping(self.retransmitted, earlier.retransmitted),
            ..self.minus(earlier)
        }
    }

    fn with(self, other: Self, join: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            bytes_sent: join(self.bytes_sent, other.bytes_sent),
            bytes_received: join(self.bytes_received, other.bytes_received),
            segments_sent: join(self.segments_sent, other.segments_sent),
            segments_received: join(self.segments_received, other.segments_received),
            retransmitted: join(self.retransmitted, other.retransmitted),
        }
    }
}

impl Cell {
    /// Connections carried this.
    pub fn carry(&mut self, load: Load) {
        let Load { bytes_sent, bytes_received, segments_sent, segments_received, retransmitted } = load;
        self.bytes_sent += bytes_sent;
        self.bytes_received += bytes_received;
        self.segments_sent += segments_sent;
        self.segments_received += segments_received;
        self.retransmitted += retransmitted;
    }

    /// Connections had carried this before the daemon started.
    pub fn carry_before(&mut self, load: Load) {
        if load != Load::NONE {
            let before = self.before.get_or_insert_default();
            **before = before.plus(load);
        }
    }

    /// The load that connections had before the daemon started.
    pub fn before(&self) -> Load {
        self.before.as_deref().copied().unwrap_or_default()
    }
}

/// Of a connection that ended.
impl From<&TcpRecord> for Load {
    fn from(record: &TcpRecord) -> Self {
        Self {
            bytes_sent: record.bytes_sent,
            bytes_received: record.bytes_received,
            segments_sent: record.segments_sent.into(),
            segments_received: record.segments_received.into(),
            retransmitted: record.retransmitted.into(),
        }
    }
}

/// Of an open connection.
impl From<&Reading> for Load {
    fn from(reading: &Reading) -> Self {
        Self {
            bytes_sent: reading.bytes_sent,
            bytes_received: reading.bytes_received,
            segments_sent: reading.segments_sent.into(),
            segments_received: reading.segments_received.into(),
            retransmitted: reading.retransmitted.into(),
        }
    }
}

/// Of a flow's connections that ended.
impl From<&FlowTotals> for Load {
    fn from(totals: &FlowTotals) -> Self {
        Self {
            bytes_sent: totals.bytes_sent,
            bytes_received: totals.bytes_received,
            segments_sent: totals.segments_sent,
            segments_received: totals.segments_received,
            retransmitted: totals.retransmitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_may_wrap_and_nothing_becomes_less() {
        let load = |bytes_sent, segments_sent| Load { bytes_sent, segments_sent, ..Load::NONE };
        assert_eq!(load(7, 5).since(load(3, u64::from(u32::MAX))), load(4, 6));
        // As many more as fit into 32 bits, after a count that has wrapped before.
        assert_eq!(load(7, 5).since(load(7, (1 << 32) + 2)), load(0, 3));
        assert_eq!(load(3, 5).since(load(7, 6)), Load::NONE);
        assert_eq!(load(3, 9).least(load(7, 6)).plus(load(1, 1)).minus(load(9, 2)), load(0, 5));
    }
}
