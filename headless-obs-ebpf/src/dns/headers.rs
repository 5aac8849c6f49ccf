//! Reads the headers of a packet, from the IP header on: addresses, and the position of the transport header.
//!
//! The IP version comes from the packet, never from the socket's family, because IPv4 also arrives on IPv6 sockets.

use aya_ebpf::programs::SkBuffContext;

use crate::socket::ipv4_mapped;

pub(super) const IPPROTO_TCP: u8 = 6;
pub(super) const IPPROTO_UDP: u8 = 17;
pub(super) const FIN: u8 = 0b001;
pub(super) const SYN: u8 = 0b010;
pub(super) const RST: u8 = 0b100;
pub(super) const ACK: u8 = 0b1_0000;

/// IPv6 extension headers between the IP and the transport header.
const MAX_EXTENSIONS: usize = 3;

/// The addresses of a packet, and the position of its transport header.
pub(super) struct Network {
    pub(super) source: [u64; 2],
    pub(super) destination: [u64; 2],
    pub(super) protocol: u8,
    pub(super) transport: usize,
}

impl Network {
    /// Whether it is multicast, as queries of mDNS are.
    #[inline(always)]
    pub(super) fn is_multicast(&self) -> bool {
        const V4: u64 = 0xffff_0000;
        let [first, second] = self.destination;
        first & 0xff == 0xff || (first == 0 && second & 0xf0_ffff_ffff == 0xe0_0000_0000 | V4)
    }
}

/// The first bytes of an IP packet: an IPv4 header without options, or the beginning of an IPv6 header. One call reads
/// them all, because a call costs more than the bytes.
#[repr(C)]
struct Start {
    version: u8,
    _before: [u8; 5],
    v6_next: u8,
    _between: [u8; 2],
    v4_protocol: u8,
    _checksum: [u8; 2],
    v4_source: u32,
    v4_destination: u32,
}
const _: () = assert!(size_of::<Start>() == 20);

#[inline(always)]
pub(super) fn network(ctx: &SkBuffContext) -> Option<Network> {
    let start: Start = ctx.load(0).ok()?;
    match start.version >> 4 {
        4 => Some(Network {
            source: ipv4_mapped(start.v4_source),
            destination: ipv4_mapped(start.v4_destination),
            protocol: start.v4_protocol,
            transport: ((start.version & 0x0f) as usize) * 4,
        }),
        6 => {
            let [source, destination]: [[u64; 2]; 2] = ctx.load(8).ok()?;
            let (protocol, transport) = skip_extensions(ctx, start.v6_next)?;
            Some(Network { source, destination, protocol, transport })
        }
        _ => None,
    }
}

/// Protocol and offset after the IPv6 header and its extensions.
#[inline(always)]
fn skip_extensions(ctx: &SkBuffContext, mut next: u8) -> Option<(u8, usize)> {
    let mut offset = 40;
    for _ in 0..MAX_EXTENSIONS {
        match next {
            // Hop-by-hop, routing, destination options: length in units of 8 after the first 8.
            0 | 43 | 60 => {
                let [following, length]: [u8; 2] = ctx.load(offset).ok()?;
                next = following;
                offset += (length as usize + 1) * 8;
            }
            // Fragment header of a reassembled datagram.
            44 => {
                next = ctx.load(offset).ok()?;
                offset += 8;
            }
            _ => break,
        }
    }
    Some((next, offset))
}

/// Source and destination port of a packet without IP options and extension headers, if its beginning is directly
/// readable. Most packets end here, and this takes no call.
#[inline(always)]
pub(super) fn ports_no_options(ctx: &SkBuffContext) -> Option<[u16; 2]> {
    const V4: usize = 20;
    const V6: usize = 40;
    // SAFETY: the context is valid for the program's run.
    let start = unsafe { (*ctx.skb.skb).data } as usize;
    // SAFETY: as above.
    let end = unsafe { (*ctx.skb.skb).data_end } as usize;
    let is_here = |length: usize| start + length <= end;
    // SAFETY: what is read is between the packet's start and its end, which the verifier checks.
    let byte = |offset: usize| unsafe { ((start + offset) as *const u8).read() };
    // SAFETY: as above.
    let port = |offset: usize| unsafe { u16::from_be(((start + offset) as *const u16).read()) };
    if !is_here(V4 + 4) {
        return None;
    }
    let is_transport = |protocol: u8| protocol == IPPROTO_UDP || protocol == IPPROTO_TCP;
    match byte(0) {
        0x45 if is_transport(byte(9)) => Some([port(V4), port(V4 + 2)]),
        first if first >> 4 == 6 && is_transport(byte(6)) && is_here(V6 + 4) => {
            Some([port(V6), port(V6 + 2)])
        }
        _ => None,
    }
}

/// Source and destination port.
#[inline(always)]
pub(super) fn ports(ctx: &SkBuffContext, network: &Network) -> Option<[u16; 2]> {
    let [s0, s1, d0, d1]: [u8; 4] = ctx.load(network.transport).ok()?;
    Some([u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])])
}
