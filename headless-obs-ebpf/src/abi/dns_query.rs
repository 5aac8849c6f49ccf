//! PENDING_QUERIES: what sockets asked DNS servers and have not been answered yet.
//!
//! Written by the kernel at egress. A datagram is told to user space only if it answers an entry, a segment only if its
//! socket has one; user space takes out what nobody answered.

use crate::Address;

/// The most servers that one query is remembered for; resolvers know three name servers.
pub const MAX_SERVERS: usize = 3;
/// The server of a connected socket, whatever its address is: the kernel hands it nobody else's packets. Where its
/// address is translated in the socket's own network namespace, the one seen at egress is not the one that answers come
/// from.
pub const PEER: Address = [0; 16];

/// A bit of [`PendingQuery::state`]. Query: a server has answered, others may still do.
pub const ANSWERED: u16 = 1;
/// Stream: the client has ended its side.
pub const CLIENT_ENDED: u16 = 2;
/// Stream: the server has ended its side.
pub const SERVER_ENDED: u16 = 4;

/// Which query: `protocol` is `IPPROTO_UDP`, or `IPPROTO_TCP` for a stream that this socket began.
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

/// Who asked, and whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PendingQuery {
    /// `CLOCK_MONOTONIC`, nanoseconds: when it was first asked. Stream: when it began, or when the client ended its side.
    pub time: u64,
    /// Cgroup of the socket.
    pub cgroup: u64,
    /// Address of the socket.
    pub client: Address,
    /// UDP: servers that may still answer, or [`PEER`].
    pub servers: [Address; MAX_SERVERS],
    /// UDP: their ports, in the same places; 0: nobody.
    pub ports: [u16; MAX_SERVERS],
    /// Bits: [`ANSWERED`], [`CLIENT_ENDED`], [`SERVER_ENDED`].
    pub state: u16,
}
const _: () = assert!(size_of::<PendingQuery>() == 88);
