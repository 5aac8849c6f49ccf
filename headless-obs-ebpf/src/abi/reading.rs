//! Readings: the kernel's own counts of a connection that is open now.

use crate::flow::FlowKey;

/// The record that the `iter_loads` iterator writes per open connection, without gaps. The figures are those of
/// `TCP_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reading {
    /// The connection's flow.
    pub flow: FlowKey,
    /// As in [`crate::ring_record::TcpRecord`].
    pub socket: u64,
    /// As in [`crate::ring_record::TcpRecord`].
    pub started: u64,
    /// Bytes sent, each once: `tcpi_bytes_sent` without `tcpi_bytes_retrans`.
    pub bytes_sent: u64,
    /// `tcpi_bytes_received`
    pub bytes_received: u64,
    /// `tcpi_data_segs_out`, which wraps
    pub segments_sent: u32,
    /// `tcpi_data_segs_in`, which wraps
    pub segments_received: u32,
    /// `tcpi_total_retrans`
    pub retransmitted: u32,
    /// `tcpi_rtt`, microseconds; 0 if it is not known.
    pub rtt: u32,
    /// `tcpi_min_rtt`, microseconds; the largest number if it is not known.
    pub min_rtt: u32,
    /// `tcpi_notsent_bytes`
    pub unsent: u32,
    /// Bytes sent and not acknowledged.
    pub unacknowledged: u32,
    /// Source port. A socket in the same memory has another one.
    pub source_port: u16,
    /// Always 0.
    pub _pad: u16,
}
const _: () = assert!(size_of::<Reading>() == 112);
