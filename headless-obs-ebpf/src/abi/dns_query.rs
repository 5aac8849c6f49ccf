//! PENDING_QUERIES: the queries of sockets that have no response yet.
//!
//! The kernel programs write it at egress. They forward a datagram only if it responds to an entry, and a segment only
//! if its socket has one. User space removes unanswered queries.

use crate::Address;

/// The most servers per query: resolvers know three name servers, and their addresses may be translated into another one.
pub const MAX_SERVERS: usize = 4;
/// The server of a connected socket, whatever its address is: the kernel delivers only its peer's packets. If the
/// socket's own network namespace translates the address, egress sees another one than responses come from.
pub const PEER: Address = [0; 16];

/// A bit of [`PendingQuery::state`]. Query: one server has responded, and others may still do.
pub const ANSWERED: u16 = 1;
/// Stream: the client has closed its side.
pub const CLIENT_ENDED: u16 = 2;
/// Stream: the server has closed its side.
pub const SERVER_ENDED: u16 = 4;

/// The key of a query: `protocol` is `IPPROTO_UDP`, or `IPPROTO_TCP` for a stream that this socket opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct QueryKey {
    /// The socket's cookie.
    pub socket: u64,
    /// UDP: the message's id. TCP: 0.
    pub id: u16,
    /// `IPPROTO_UDP` (17) or `IPPROTO_TCP` (6).
    pub protocol: u16,
    /// Always 0.
    pub _pad: u32,
}
const _: () = assert!(size_of::<QueryKey>() == 16);

/// The client, and the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PendingQuery {
    /// `CLOCK_MONOTONIC`, nanoseconds. Query: when it was first sent. Stream: when it began, or when the client closed
    /// its side.
    pub time: u64,
    /// Cgroup of the socket.
    pub cgroup: u64,
    /// Address of the socket.
    pub client: Address,
    /// UDP: servers that may still respond, or [`PEER`].
    pub servers: [Address; MAX_SERVERS],
    /// UDP: their ports, in the same order; 0: none.
    pub ports: [u16; MAX_SERVERS],
    /// Bits: [`ANSWERED`], [`CLIENT_ENDED`], [`SERVER_ENDED`].
    pub state: u16,
    /// Always 0.
    pub _pad: [u8; 6],
}
const _: () = assert!(size_of::<PendingQuery>() == 112);
