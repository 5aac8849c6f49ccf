//! FLOWS: totals per (client cgroup, source, destination, port). A full ring does not affect them.
//!
//! The kernel submits the ring record first and adds to the totals afterwards. A reader that reads totals and then
//! drains the ring has seen the record of every counted change, unless the ring dropped it.

use crate::{Address, COMM_LEN};

/// The key of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// Cgroup id of the task that started the connection.
    pub cgroup: u64,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Destination port.
    pub port: u16,
    /// Always 0.
    pub _pad: [u8; 6],
}
const _: () = assert!(size_of::<FlowKey>() == 48);

/// Totals of a flow since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowTotals {
    /// Connections that were established.
    pub opened: u64,
    /// Established connections that ended, including those that are older than the daemon.
    pub closed: u64,
    /// Attempts that ended without a connection, and connections that were reset; by [`reason`].
    pub failed: [u64; reason::COUNT],
    /// Bytes that clients sent, each once, in connections that ended.
    pub bytes_sent: u64,
    /// Bytes that clients received, in connections that ended.
    pub bytes_received: u64,
    /// Segments with data that clients sent, in connections that ended.
    pub segments_sent: u64,
    /// Segments with data that clients received, in connections that ended.
    pub segments_received: u64,
    /// Segments that clients sent again, in connections that ended.
    pub retransmitted: u64,
    /// As in [`crate::ring_record::TcpRecord`], of the first connection.
    pub sent_to: Address,
    /// `comm` of the thread that made the first connection.
    pub comm: [u8; COMM_LEN],
}
const _: () = assert!(size_of::<FlowTotals>() == 136);

/// Reasons of failures.
pub mod reason {
    /// The peer answered the SYN with a reset (`ECONNREFUSED`).
    pub const REFUSED: u8 = 0;
    /// No answer to the SYN (`ETIMEDOUT`).
    pub const TIMEOUT: u8 = 1;
    /// No route to the host or network (`EHOSTUNREACH`, `ENETUNREACH`).
    pub const UNREACHABLE: u8 = 2;
    /// Established, then reset by the peer (`ECONNRESET`).
    pub const RESET: u8 = 3;
    /// The client abandoned the attempt before there was an answer (no socket error).
    pub const ABORTED: u8 = 4;
    /// Any other socket error, and every failure if the hook cannot see the error.
    pub const OTHER: u8 = 5;
    /// The number of reasons.
    pub const COUNT: usize = 6;
    /// Names in the order of the numbers, as in metrics and JSON.
    pub const NAMES: [&str; COUNT] = ["refused", "timeout", "unreachable", "reset", "aborted", "other"];
    /// In a [`crate::ring_record::TcpRecord`]: no failure.
    pub const NONE: u8 = 255;
}
