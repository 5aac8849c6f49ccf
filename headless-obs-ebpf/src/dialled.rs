//! The destination that a program dialled, before anything replaces it.
//!
//! - At `connect()` of a TCP socket, in front of socket-level load balancers: when the SYN is sent, the entry is taken
//!   out. So a connection has the destination that the client chose, as with load balancers that translate addresses
//!   after the socket.
//! - At `sendmsg()` to a DNS port: when the datagram is sent, the entry is taken out. If the socket's own network
//!   namespace translates the address, the response comes from the one that was dialled.

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::programs::SockAddrContext;
use headless_obs_ebpf::Address;
use headless_obs_ebpf::dialled::Dialled;

use crate::dns::is_dns_port;
use crate::maps::{DIALLED, KNOWS_DIALLED};
use crate::socket::{IPPROTO_TCP, Socket, Tuple, bytes, ipv4_mapped, words};

/// A field of the context. Each is read by itself: the kernel permits only loads of whole fields.
macro_rules! field {
    ($ctx:expr, $field:ident $([$index:literal])?) => {{
        // SAFETY: the context is valid for the program's run.
        let field = unsafe { &raw const (*$ctx.sock_addr).$field $([$index])? };
        // SAFETY: as above.
        unsafe { field.read_volatile() }
    }};
}

/// A socket connects.
#[inline(always)]
pub(crate) fn connect(ctx: &SockAddrContext, address: Address) {
    if field!(ctx, protocol) == u32::from(IPPROTO_TCP) {
        keep(ctx, address, port(ctx));
    }
}

/// A UDP socket sends to an address that it names.
#[inline(always)]
pub(crate) fn send(ctx: &SockAddrContext, address: Address) {
    let port = port(ctx);
    if is_dns_port(port) {
        keep(ctx, address, port);
    }
}

/// The IPv4 address.
#[inline(always)]
pub(crate) fn v4(ctx: &SockAddrContext) -> Address {
    bytes(ipv4_mapped(field!(ctx, user_ip4)))
}

/// The IPv6 address.
#[inline(always)]
pub(crate) fn v6(ctx: &SockAddrContext) -> Address {
    let word = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let first = word(field!(ctx, user_ip6[0]), field!(ctx, user_ip6[1]));
    let second = word(field!(ctx, user_ip6[2]), field!(ctx, user_ip6[3]));
    bytes([first, second])
}

#[inline(always)]
fn port(ctx: &SockAddrContext) -> u16 {
    u16::from_be(field!(ctx, user_port) as u16)
}

#[inline(always)]
fn keep(ctx: &SockAddrContext, address: Address, port: u16) {
    // SAFETY: the context is valid for the program's run.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock_addr.cast()) };
    let _ = DIALLED.insert(cookie, Dialled { address, port, _pad: [0; 6] }, 0);
}

/// Takes out what the socket with this cookie dialled.
#[inline(always)]
pub(crate) fn take(cookie: u64) -> Option<Dialled> {
    let dialled = DIALLED.get_ptr(cookie)?;
    // SAFETY: a live, aligned value of the map. Another thread that sends from the same socket at this moment may
    // replace it by another destination of the socket.
    let dialled = unsafe { dialled.read() };
    let _ = DIALLED.remove(cookie);
    Some(dialled)
}

/// The ends of a connection as the client dialled them, and the address to which it was sent instead, zero if it was
/// not.
#[inline(always)]
pub(crate) fn undo(socket: &impl Socket, tuple: Tuple) -> (Tuple, Address) {
    const NOT: Address = [0; 16];
    if KNOWS_DIALLED.load() == 0 {
        return (tuple, NOT);
    }
    let Some(Dialled { address, port, .. }) = take(socket.cookie()) else { return (tuple, NOT) };
    let is_same = words(address) == words(tuple.destination);
    let sent_to = if is_same { NOT } else { tuple.destination };
    (Tuple { destination: address, port, ..tuple }, sent_to)
}
