//! DNS answers as sockets receive them: filtered by the server's port and copied out whole; everything else about
//! them is read in user space.
//!
//! The fast path ends with one load: a connected socket whose peer is no DNS port. The IP version is taken from the
//! packet, never from the socket's family (IPv4 arrives on IPv6 sockets too).

use core::arch::asm;

use aya_ebpf::helpers::generated::{bpf_skb_cgroup_id, bpf_skb_load_bytes};
use aya_ebpf::programs::SkBuffContext;
use aya_log_ebpf::debug;
use headless_obs_ebpf::counters::{DNS_COPY_FAILED, DNS_CUT, DNS_NOT_ANSWER, DNS_RING_FULL};
use headless_obs_ebpf::names::MAX_DNS_PORTS;
use headless_obs_ebpf::record::{DNS_CHUNKS, DNS_CLASSES, DNS_MAX, DnsRecord, Header, KIND_DNS};

use crate::count::count;
use crate::maps::{DNS_PORTS, EVENTS};
use crate::ring::submit;
use crate::socket::{bytes, mapped};
use crate::tcp::now;

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// IPv6 extension headers that may stand between the IP and the transport header.
const MAX_EXTENSIONS: usize = 3;
const FIN: u8 = 0b001;
const SYN: u8 = 0b010;
const RST: u8 = 0b100;

/// Where a packet comes from and where its transport header is.
struct Network {
    server: [u64; 2],
    client: [u64; 2],
    protocol: u8,
    transport: usize,
}

/// A transport header that passed the filter.
struct Transport {
    server_port: u16,
    client_port: u16,
    tcp_flags: u8,
    sequence: u32,
    payload: usize,
}

/// One received packet, from its IP header on.
#[inline(always)]
pub(crate) fn ingress(ctx: &SkBuffContext) {
    // SAFETY: the context is valid for the program's run; `remote_port` is 0 without a connected socket.
    let remote = unsafe { (*ctx.skb.skb).remote_port };
    // The kernel gives the port in network order, in the upper half of the word.
    if remote != 0 && !is_dns_port(u32::from_be(remote) as u16) {
        return;
    }
    let Some(network) = network(ctx) else { return };
    let transport = match network.protocol {
        IPPROTO_UDP => udp(ctx, &network),
        IPPROTO_TCP => tcp(ctx, &network),
        _ => None,
    };
    if let Some(transport) = transport {
        emit(ctx, &network, &transport);
    }
}

#[inline(always)]
fn is_dns_port(port: u16) -> bool {
    let ports = (&raw const DNS_PORTS).cast::<u16>();
    for index in 0..MAX_DNS_PORTS {
        // SAFETY: `Global` is transparent over an array of MAX_DNS_PORTS, read-only while programs run.
        let listed = unsafe { ports.wrapping_add(index).read_volatile() };
        if port == listed && port != 0 {
            return true;
        }
    }
    false
}

#[inline(always)]
fn network(ctx: &SkBuffContext) -> Option<Network> {
    let first: u8 = ctx.load(0).ok()?;
    match first >> 4 {
        4 => Some(Network {
            server: mapped(ctx.load(12).ok()?),
            client: mapped(ctx.load(16).ok()?),
            protocol: ctx.load(9).ok()?,
            transport: ((first & 0x0f) as usize) * 4,
        }),
        6 => {
            let (protocol, transport) = skip_extensions(ctx)?;
            Some(Network { server: ctx.load(8).ok()?, client: ctx.load(24).ok()?, protocol, transport })
        }
        _ => None,
    }
}

/// Protocol and offset of what follows the IPv6 header and its extensions.
#[inline(always)]
fn skip_extensions(ctx: &SkBuffContext) -> Option<(u8, usize)> {
    let mut next: u8 = ctx.load(6).ok()?;
    let mut offset = 40;
    for _ in 0..MAX_EXTENSIONS {
        match next {
            // Hop-by-hop, routing, destination options: length in units of 8 after the first 8.
            0 | 43 | 60 => {
                let [following, length]: [u8; 2] = ctx.load(offset).ok()?;
                next = following;
                offset += (length as usize + 1) * 8;
            }
            // Fragment header of a datagram that was put together again.
            44 => {
                next = ctx.load(offset).ok()?;
                offset += 8;
            }
            _ => break,
        }
    }
    Some((next, offset))
}

#[inline(always)]
fn udp(ctx: &SkBuffContext, network: &Network) -> Option<Transport> {
    let [server_port, client_port] = ports(ctx, network)?;
    // Byte 2 of the message holds QR: set in answers.
    let is_answer = match ctx.load::<u8>(network.transport + 8 + 2) {
        Ok(flags) => flags & 0x80 != 0,
        Err(_) => false,
    };
    if !is_answer {
        count(DNS_NOT_ANSWER);
        return None;
    }
    Some(Transport { server_port, client_port, tcp_flags: 0, sequence: 0, payload: network.transport + 8 })
}

#[inline(always)]
fn tcp(ctx: &SkBuffContext, network: &Network) -> Option<Transport> {
    let [server_port, client_port] = ports(ctx, network)?;
    let Ok([data_offset, tcp_flags]) = ctx.load::<[u8; 2]>(network.transport + 12) else {
        count(DNS_NOT_ANSWER);
        return None;
    };
    let sequence: [u8; 4] = ctx.load(network.transport + 4).ok()?;
    Some(Transport {
        server_port,
        client_port,
        tcp_flags,
        sequence: u32::from_be_bytes(sequence),
        payload: network.transport + ((data_offset >> 4) as usize) * 4,
    })
}

/// Source and destination port, if the source is a DNS port.
#[inline(always)]
fn ports(ctx: &SkBuffContext, network: &Network) -> Option<[u16; 2]> {
    let [s0, s1, d0, d1]: [u8; 4] = ctx.load(network.transport).ok()?;
    let server = u16::from_be_bytes([s0, s1]);
    is_dns_port(server).then_some([server, u16::from_be_bytes([d0, d1])])
}

/// Hands the payload to user space: a datagram in one record, a segment in as many as it needs.
#[inline(always)]
fn emit(ctx: &SkBuffContext, network: &Network, transport: &Transport) {
    let is_tcp = network.protocol == IPPROTO_TCP;
    let most = if is_tcp { DNS_CHUNKS } else { 1 };
    for chunk in 0..DNS_CHUNKS {
        let skip = chunk * DNS_MAX;
        if chunk == most {
            return;
        }
        let left = left(ctx, transport.payload + skip);
        // An empty segment is of interest only where a stream begins or ends.
        if left == 0 && (chunk > 0 || (is_tcp && transport.tcp_flags & (FIN | SYN | RST) == 0)) {
            return;
        }
        let cut = if chunk + 1 == most { left.saturating_sub(DNS_MAX) } else { 0 };
        if cut > 0 {
            count(DNS_CUT);
        }
        let is_last = chunk + 1 == most || left <= DNS_MAX;
        send(ctx, network, &piece(transport, skip, is_last), left, cut);
    }
}

/// A part of a segment as a segment of its own: the stream begins with the first and ends after the last one.
#[inline(always)]
fn piece(whole: &Transport, skip: usize, is_last: bool) -> Transport {
    let not_here = if skip > 0 { SYN } else { 0 } | if is_last { 0 } else { FIN | RST };
    // A SYN takes a place in the sequence, before the payload.
    let after_syn = u32::from(skip > 0 && whole.tcp_flags & SYN != 0);
    Transport {
        tcp_flags: whole.tcp_flags & !not_here,
        sequence: whole.sequence.wrapping_add(skip as u32).wrapping_add(after_syn),
        payload: whole.payload + skip,
        ..*whole
    }
}

/// Bytes of the packet from `offset` on. Read anew each time: the verifier then has no range to carry from one turn
/// of a loop to the next, and recognises that the turns are alike.
#[inline(always)]
fn left(ctx: &SkBuffContext, offset: usize) -> usize {
    // SAFETY: the context is valid for the program's run.
    let length = unsafe { &raw const (*ctx.skb.skb).len };
    // SAFETY: as above.
    let length = unsafe { length.read_volatile() };
    (length as usize).saturating_sub(offset)
}

/// One record with up to [`DNS_MAX`] bytes of the payload.
#[inline(always)]
fn send(ctx: &SkBuffContext, network: &Network, transport: &Transport, left: usize, cut: usize) {
    let [small, medium, large] = DNS_CLASSES;
    let head = DnsRecord {
        header: Header {
            kind: KIND_DNS,
            length: 0,
            time: now(),
            // SAFETY: the context is valid for the program's run.
            cgroup: unsafe { bpf_skb_cgroup_id(ctx.skb.skb) },
        },
        client: bytes(network.client),
        server: bytes(network.server),
        client_port: transport.client_port,
        server_port: transport.server_port,
        protocol: network.protocol,
        tcp_flags: transport.tcp_flags,
        cut: cut.min(u16::MAX as usize) as u16,
        sequence: transport.sequence,
        _pad: 0,
    };
    let offset = transport.payload;
    if left <= small {
        copy::<{ DNS_CLASSES[0] }>(ctx, head, offset, left);
    } else if left <= medium {
        copy::<{ DNS_CLASSES[1] }>(ctx, head, offset, left);
    } else {
        copy::<{ DNS_CLASSES[2] }>(ctx, head, offset, left.min(large));
    }
}

/// The same number, about which the compiler knows nothing: it must not derive the bounds that follow from earlier
/// tests, because the verifier does not.
#[inline(always)]
fn opaque(mut number: usize) -> usize {
    // SAFETY: no instruction.
    unsafe { asm!("/* {0} */", inout(reg) number, options(pure, nomem, nostack)) };
    number
}

/// A record with room for `N` bytes of payload.
#[repr(C)]
struct Room<const N: usize> {
    head: DnsRecord,
    payload: [u8; N],
}

#[inline(always)]
fn copy<const N: usize>(ctx: &SkBuffContext, mut head: DnsRecord, offset: usize, length: usize) {
    let Some(mut entry) = EVENTS.reserve::<Room<N>>(0) else {
        count(DNS_RING_FULL);
        debug!(ctx, "ring full: a DNS payload of {} bytes is lost", length);
        return;
    };
    let record = entry.as_mut_ptr();
    // One less than the length, tested and then made one more: the verifier of Linux 6.1 bounds only the
    // register that is compared, and needs both bounds on the one that is handed over.
    let last = opaque(length.wrapping_sub(1));
    if last < N {
        let length = last + 1;
        head.header.length = length as u32;
        // SAFETY: `record` is the reserved entry.
        let payload = unsafe { (&raw mut (*record).payload).cast() };
        // SAFETY: the helper writes `length` bytes, at most the N that are reserved.
        let result = unsafe { bpf_skb_load_bytes(ctx.skb.skb.cast(), offset as u32, payload, length as u32) };
        if result != 0 {
            entry.discard(0);
            count(DNS_COPY_FAILED);
            return;
        }
    }
    // SAFETY: `record` is the reserved entry.
    let place = unsafe { &raw mut (*record).head };
    // SAFETY: as above. Bytes after `length` stay as they are: user space reads no further.
    unsafe { place.write(head) };
    submit(entry, head.header.time);
}
