//! Ring records. Each starts with a [`Header`], and its `kind` decides on the rest.

use crate::{Address, COMM_LEN};

/// Nanoseconds between two wake-ups of user space; it reads again after this time.
pub const WAKE_PERIOD: u64 = 50_000_000;

/// Only in CONNECTIONS: a SYN was sent, and the outcome is not known yet.
pub const KIND_STARTED: u32 = 0;
/// A DNS message or TCP segment: [`DnsRecord`], then its payload.
pub const KIND_DNS: u32 = 1;
/// A connection was established: [`TcpRecord`].
pub const KIND_OPENED: u32 = 2;
/// An attempt ended without a connection: [`TcpRecord`].
pub const KIND_FAILED: u32 = 3;
/// An established connection ended: [`TcpRecord`].
pub const KIND_CLOSED: u32 = 4;

/// The first bytes of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// One of the `KIND_` constants.
    pub kind: u32,
    /// DNS: bytes of payload that follow. TCP: 0.
    pub length: u32,
    /// `CLOCK_MONOTONIC`, nanoseconds, when the record was made.
    pub time: u64,
    /// Cgroup of the client: of the receiving socket (DNS), of the task that connected (TCP).
    pub cgroup: u64,
}
const _: () = assert!(size_of::<Header>() == 24);

/// Head of a DNS record; `header.length` bytes of payload follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DnsRecord {
    /// `kind` is [`KIND_DNS`].
    pub header: Header,
    /// Address of the receiver.
    pub client: Address,
    /// Address of the DNS server, as the receiver sees it.
    pub server: Address,
    /// Port of the receiver.
    pub client_port: u16,
    /// Port of the server.
    pub server_port: u16,
    /// `IPPROTO_UDP` (17) or `IPPROTO_TCP` (6).
    pub protocol: u8,
    /// TCP flags byte (FIN 1, SYN 2, RST 4); 0 for UDP.
    pub tcp_flags: u8,
    /// Bytes that did not fit into the record (saturating).
    pub truncated_len: u16,
    /// TCP: sequence number of the first payload byte, or of the SYN itself. UDP: position of the payload in its
    /// datagram.
    pub sequence: u32,
    /// Bytes of the same packet in the records that follow; they have the same time.
    pub following: u32,
    /// UDP: `CLOCK_MONOTONIC`, nanoseconds, when the query was first sent; 0 for TCP, and without query tracking.
    pub queried_at: u64,
}
const _: () = assert!(size_of::<DnsRecord>() == 80);

/// Payload sizes of records; the smallest that fits is used.
pub const DNS_CLASSES: [usize; 3] = [512, 1536, 4096];
/// The most payload bytes in one record.
pub const DNS_MAX: usize = 4096;
/// The most records for one packet: a datagram, or a TCP segment after receive offload.
pub const DNS_CHUNKS: usize = 16;

/// An event of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TcpRecord {
    /// `kind` is `KIND_OPENED`, `KIND_FAILED` or `KIND_CLOSED`.
    pub header: Header,
    /// Source address.
    pub source: Address,
    /// Destination address, as the client dialled it.
    pub destination: Address,
    /// Destination port, as the client dialled it.
    pub port: u16,
    /// Always 0.
    pub _pad: [u8; 6],
    /// Identifies the connection together with `started`.
    pub socket: u64,
    /// Closed: bytes sent, each once.
    pub bytes_sent: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds, when the connection was started (SYN); 0 if before the daemon.
    pub started: u64,
    /// Closed: bytes received.
    pub bytes_received: u64,
    /// The address to which a program at `connect()` sent the connection instead ([`crate::dialled`]); zero if none did.
    pub sent_to: Address,
    /// `comm` of the thread that connected.
    pub comm: [u8; COMM_LEN],
    /// Process that connected.
    pub tgid: u32,
    /// Index into [`crate::flow::reason::NAMES`], or [`crate::flow::reason::NONE`].
    pub reason: u8,
    /// 1 if the totals of FLOWS include this change (FLOWS was not full).
    pub in_flow_totals: u8,
    /// Closed: one of the constants of [`crate::end`]; otherwise [`crate::end::NONE`].
    pub end: u8,
    /// Always 0.
    pub _last: u8,
    /// Closed: segments with data sent, retransmissions included.
    pub segments_sent: u32,
    /// Closed: segments with data received.
    pub segments_received: u32,
    /// Closed: segments sent again, the SYN included. Opened and failed: SYNs sent again.
    pub retransmitted: u32,
    /// Closed: the smoothed round-trip time in microseconds; 0 if it is not known.
    pub rtt: u32,
}
const _: () = assert!(size_of::<TcpRecord>() == 152);

/// The record that the `iter_sockets` iterator writes per socket, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SocketRecord {
    /// Address of the kernel's socket.
    pub socket: u64,
    /// Cgroup of the socket.
    pub cgroup: u64,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// `comm` of the process that holds the socket.
    pub comm: [u8; COMM_LEN],
    /// Process that holds the socket.
    pub tgid: u32,
    /// Destination port.
    pub port: u16,
    /// Source port.
    pub source_port: u16,
    /// The kernel's socket state: 1 established, 10 listening; no other is written.
    pub state: u32,
    /// Always 0.
    pub _pad: u32,
}
const _: () = assert!(size_of::<SocketRecord>() == 80);
