//! DNS packets of sockets: records queries, and copies their responses whole; user space does the rest.
//!
//! The fast path ends after one load, in both directions: for a connected socket whose peer's port is no DNS port. For
//! a socket without a peer, such as a UDP server's, the program reads the ports in the packet.

use aya_ebpf::programs::SkBuffContext;
use headless_obs_ebpf::counters::{DNS_NOT_ANSWER, DNS_UNSOLICITED};
use headless_obs_ebpf::symbols::MAX_DNS_PORTS;

mod capture;
mod headers;
mod pending_queries;

use capture::{Transport, emit, remaining_len};
use headers::{FIN, IPPROTO_TCP, IPPROTO_UDP, Network, RST, SYN, network, ports, ports_no_options};

use crate::atomic::count;
use crate::maps::DNS_PORTS;

/// One received packet, from its IP header on.
#[inline(always)]
pub(crate) fn ingress(ctx: &SkBuffContext) {
    let Some(peer) = peer_dns_port(ctx) else { return };
    if peer == 0 && ports_no_options(ctx).is_some_and(|[source, _]| !is_dns_port(source)) {
        return;
    }
    let Some(network) = network(ctx) else { return };
    let transport = match network.protocol {
        IPPROTO_UDP => received_datagram(ctx, &network, peer),
        IPPROTO_TCP => received_segment(ctx, &network),
        _ => None,
    };
    let Some(transport) = transport else { return };
    emit(ctx, &network, &transport);
    if network.protocol == IPPROTO_TCP {
        pending_queries::received_segment(ctx, transport.tcp_flags);
    }
}

/// One packet that is sent, from its IP header on.
#[inline(always)]
pub(crate) fn egress(ctx: &SkBuffContext) {
    let Some(peer) = peer_dns_port(ctx) else { return };
    let is_other = || ports_no_options(ctx).is_some_and(|[_, destination]| !is_dns_port(destination));
    if peer == 0 && !is_on_loopback(ctx) && is_other() {
        return;
    }
    let Some(network) = network(ctx) else { return };
    match network.protocol {
        IPPROTO_UDP => pending_queries::sent_datagram(ctx, &network, peer),
        // A client's socket has its peer before it sends anything.
        IPPROTO_TCP if peer != 0 => pending_queries::sent_segment(ctx, &network),
        _ => {}
    }
}

/// The port of the socket's peer, 0 without one; nothing if the peer's port is no DNS port.
#[inline(always)]
fn peer_dns_port(ctx: &SkBuffContext) -> Option<u16> {
    // SAFETY: the context is valid for the program's run; `remote_port` is 0 without a connected socket.
    let remote = unsafe { (*ctx.skb.skb).remote_port };
    // The kernel gives the port in network order, in the upper half of the word.
    let port = u32::from_be(remote) as u16;
    (remote == 0 || is_dns_port(port)).then_some(port)
}

/// Whether the packet stays in its network namespace. There, firewall rules may send a query to any port.
#[inline(always)]
fn is_on_loopback(ctx: &SkBuffContext) -> bool {
    /// The loopback device of every network namespace.
    const LOOPBACK: u32 = 1;
    // SAFETY: the context is valid for the program's run.
    let device = unsafe { &raw const (*ctx.skb.skb).ifindex };
    // SAFETY: as above.
    unsafe { device.read_volatile() == LOOPBACK }
}

#[inline(always)]
pub(crate) fn is_dns_port(port: u16) -> bool {
    let ports = (&raw const DNS_PORTS).cast::<u16>();
    for index in 0..MAX_DNS_PORTS {
        // SAFETY: `Global` is transparent over an array of MAX_DNS_PORTS, read-only while programs run.
        let listed = unsafe { ports.wrapping_add(index).read_volatile() };
        // In this order, because the first test compares constants for the verifier, which then leaves out unused
        // slots.
        if listed != 0 && port == listed {
            return true;
        }
    }
    false
}

#[inline(always)]
fn received_datagram(ctx: &SkBuffContext, network: &Network, peer: u16) -> Option<Transport> {
    // UDP's header, then the message: its id, and QR, which is set in responses.
    let Ok([s0, s1, d0, d1, _, _, _, _, high, low, flags]) = ctx.load::<[u8; 11]>(network.transport) else {
        return truncated(ctx, network);
    };
    let [server_port, client_port] = [u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])];
    if !is_dns_port(server_port) {
        return None;
    }
    if flags & 0x80 == 0 {
        count(DNS_NOT_ANSWER);
        return None;
    }
    let queried_at = if pending_queries::filter_enabled() {
        let id = u16::from_be_bytes([high, low]);
        match pending_queries::match_query(ctx, network, peer, server_port, id) {
            Ok(queried_at) => queried_at,
            Err(reason) => {
                count(reason);
                return None;
            }
        }
    } else {
        0
    };
    let payload = network.transport + 8;
    Some(Transport { server_port, client_port, tcp_flags: 0, sequence: 0, payload, queried_at })
}

#[inline(always)]
fn received_segment(ctx: &SkBuffContext, network: &Network) -> Option<Transport> {
    // TCP's header up to its flags: ports, sequence number, acknowledgement.
    let Ok([s0, s1, d0, d1, q0, q1, q2, q3, _, _, _, _, data_offset, tcp_flags]) =
        ctx.load::<[u8; 14]>(network.transport)
    else {
        return truncated(ctx, network);
    };
    let [server_port, client_port] = [u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])];
    if !is_dns_port(server_port) {
        return None;
    }
    let payload = network.transport + ((data_offset >> 4) as usize) * 4;
    let is_empty = remaining_len(ctx, payload) == 0;
    // A segment without payload matters only at the beginning or end of a stream.
    if is_empty && tcp_flags & (FIN | SYN | RST) == 0 {
        return None;
    }
    if pending_queries::filter_enabled() && !pending_queries::is_initiator(ctx) {
        if !is_empty {
            count(DNS_UNSOLICITED);
        }
        return None;
    }
    let sequence = u32::from_be_bytes([q0, q1, q2, q3]);
    Some(Transport { server_port, client_port, tcp_flags, sequence, payload, queried_at: 0 })
}

/// A packet from a DNS server that is too short for a message.
#[inline(always)]
fn truncated(ctx: &SkBuffContext, network: &Network) -> Option<Transport> {
    let [server_port, _] = ports(ctx, network)?;
    if is_dns_port(server_port) {
        count(DNS_NOT_ANSWER);
    }
    None
}
