//! Tracks the queries of sockets, and refuses responses that no query asked for. Anybody can send a forged response: a
//! resolver that does not connect its socket receives from everyone, and a listening port also accepts connections from
//! port 53.

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use aya_ebpf::helpers::generated::{bpf_get_socket_cookie, bpf_skb_cgroup_id};
use aya_ebpf::programs::SkBuffContext;
use headless_obs_ebpf::counters::{DNS_OTHER_SERVER, DNS_UNSOLICITED};
use headless_obs_ebpf::dialled::Dialled;
use headless_obs_ebpf::dns_query::{
    ANSWERED, CLIENT_ENDED, MAX_SERVERS, PEER, PendingQuery, QueryKey, SERVER_ENDED,
};

use super::headers::{ACK, FIN, IPPROTO_TCP, IPPROTO_UDP, Network, RST, SYN};
use super::is_dns_port;
use crate::dialled;
use crate::maps::{PENDING_QUERIES, REQUIRE_QUERY};
use crate::socket::{bytes, words};
use crate::tcp::now;

/// The headers of a datagram with a DNS message, UDP's and its own. One call reads both.
#[repr(C)]
struct Headers {
    _source_port: u16,
    port: u16,
    _length: u32,
    id: u16,
    flags: u8,
    _rest: [u8; 9],
}
const _: () = assert!(size_of::<Headers>() == 20);

/// Whether responses without a query are refused.
#[inline(always)]
pub(super) fn filter_enabled() -> bool {
    // SAFETY: a live, aligned value of the map, which user space writes once.
    REQUIRE_QUERY.get_ptr(0).is_some_and(|value| unsafe { value.read_volatile() } != 0)
}

/// A datagram that this socket sends; `peer` is the port of the socket's peer, 0 without one.
#[inline(always)]
pub(super) fn sent_datagram(ctx: &SkBuffContext, network: &Network, peer: u16) {
    let socket = cookie(ctx);
    let Ok(headers) = ctx.load::<Headers>(network.transport) else {
        // It is too short for a message, and what it dialled is not that of the next datagram.
        if peer == 0 {
            dialled::take(socket);
        }
        return;
    };
    let translated = (bytes(network.destination), u16::from_be(headers.port));
    // Egress comes after address translation in this network namespace. So for a connected socket the peer counts, and
    // for another one the address that it dialled. If a socket-level load balancer replaced that in between, the
    // response comes from the address of the packet.
    let (server, port) = if peer != 0 {
        (PEER, peer)
    } else {
        match dialled::take(socket) {
            Some(Dialled { address, port, .. }) => (address, port),
            None if is_dns_port(translated.1) => translated,
            None => return,
        }
    };
    // A response, or a multicast query.
    if headers.flags & 0x80 != 0 || network.is_multicast() {
        return;
    }
    let key = query_key(socket, u16::from_be(headers.id));
    let is_translated = peer == 0 && (words(server) != network.destination || port != translated.1);
    let mut query = pending_query(ctx, network);
    query.servers[0] = server;
    query.ports[0] = port;
    if is_translated {
        (query.servers[1], query.ports[1]) = translated;
    }
    // Most queries are new. The map refuses none for lack of room: it evicts the oldest.
    if PENDING_QUERIES.insert(key, query, u64::from(BPF_NOEXIST)).is_err()
        && let Some(query) = PENDING_QUERIES.get_ptr_mut(key)
    {
        // SAFETY: a live value of the map. Another CPU that asks from the same socket at this moment may take the same
        // place; then one of the two answers is refused, and counted.
        let query = unsafe { &mut *query };
        add_server(query, server, port);
        if is_translated {
            add_server(query, translated.0, translated.1);
        }
    }
}

/// Adds a server to a query that is sent again.
#[inline(always)]
fn add_server(query: &mut PendingQuery, server: [u8; 16], port: u16) {
    let server = words(server);
    for slot in 0..MAX_SERVERS {
        if query.ports[slot] == port && words(query.servers[slot]) == server {
            return;
        }
    }
    for slot in 0..MAX_SERVERS {
        if query.ports[slot] == 0 {
            query.servers[slot] = bytes(server);
            query.ports[slot] = port;
            return;
        }
    }
}

/// The time of the query to which a datagram from `port` responds, otherwise the counter for the refusal.
#[inline(always)]
pub(super) fn match_query(
    ctx: &SkBuffContext,
    network: &Network,
    peer: u16,
    port: u16,
    id: u16,
) -> Result<u64, u32> {
    let key = query_key(cookie(ctx), id);
    let Some(query) = PENDING_QUERIES.get_ptr_mut(key) else { return Err(DNS_UNSOLICITED) };
    // SAFETY: a live value of the map; a second answer at this very moment is refused or takes the same place.
    let query = unsafe { &mut *query };
    let (mut is_matched, mut is_waiting) = (false, false);
    for slot in 0..MAX_SERVERS {
        let queried_port = query.ports[slot];
        let server = words(query.servers[slot]);
        let is_this = if server == words(PEER) {
            queried_port == peer
        } else {
            queried_port == port && server == network.source
        };
        if queried_port != 0 {
            if is_this {
                query.ports[slot] = 0;
                is_matched = true;
            } else {
                is_waiting = true;
            }
        }
    }
    let time = query.time;
    if !is_matched {
        return Err(DNS_OTHER_SERVER);
    }
    if is_waiting {
        query.state |= ANSWERED;
    } else {
        let _ = PENDING_QUERIES.remove(key);
    }
    Ok(time)
}

/// A segment that this socket sends to a DNS port. The socket that sends the SYN is the client.
#[inline(always)]
pub(super) fn sent_segment(ctx: &SkBuffContext, network: &Network) {
    let Ok(flags) = ctx.load::<u8>(network.transport + 13) else { return };
    if flags & (SYN | ACK) == SYN {
        let _ = PENDING_QUERIES.insert(stream_key(ctx), pending_query(ctx, network), u64::from(BPF_ANY));
    } else {
        on_fin_rst(ctx, flags, CLIENT_ENDED, SERVER_ENDED);
    }
}

/// Whether this socket opened the stream.
#[inline(always)]
pub(super) fn is_initiator(ctx: &SkBuffContext) -> bool {
    PENDING_QUERIES.get_ptr(stream_key(ctx)).is_some()
}

/// A segment with these flags has been accepted. After the server's end, lost segments may still arrive, so the stream
/// is forgotten when both sides have ended.
#[inline(always)]
pub(super) fn received_segment(ctx: &SkBuffContext, flags: u8) {
    on_fin_rst(ctx, flags, SERVER_ENDED, CLIENT_ENDED);
}

#[inline(always)]
fn on_fin_rst(ctx: &SkBuffContext, flags: u8, this: u16, other: u16) {
    if flags & (FIN | RST) == 0 {
        return;
    }
    let key = stream_key(ctx);
    let Some(query) = PENDING_QUERIES.get_ptr_mut(key) else { return };
    // SAFETY: a live value of the map; only this socket's own segments touch it.
    let query = unsafe { &mut *query };
    if flags & RST != 0 || query.state & other != 0 {
        let _ = PENDING_QUERIES.remove(key);
    } else {
        query.state |= this;
        query.time = now();
    }
}

#[inline(always)]
fn query_key(socket: u64, id: u16) -> QueryKey {
    QueryKey { socket, id, protocol: u16::from(IPPROTO_UDP), _pad: 0 }
}

#[inline(always)]
fn stream_key(ctx: &SkBuffContext) -> QueryKey {
    QueryKey { socket: cookie(ctx), id: 0, protocol: u16::from(IPPROTO_TCP), _pad: 0 }
}

/// An entry of the socket that sends this packet, without a server yet.
#[inline(always)]
fn pending_query(ctx: &SkBuffContext, network: &Network) -> PendingQuery {
    PendingQuery {
        time: now(),
        // SAFETY: the context is valid for the program's run.
        cgroup: unsafe { bpf_skb_cgroup_id(ctx.skb.skb) },
        client: bytes(network.source),
        servers: [PEER; MAX_SERVERS],
        ports: [0; MAX_SERVERS],
        state: 0,
        _pad: [0; 6],
    }
}

#[inline(always)]
fn cookie(ctx: &SkBuffContext) -> u64 {
    // SAFETY: the context is valid for the program's run.
    unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) }
}
