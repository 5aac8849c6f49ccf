//! Copies a whole payload into the ring, in as many records as it needs. A piece that cannot be copied is held against
//! the client that was to receive it.

use core::arch::asm;

use aya_ebpf::helpers::generated::{bpf_skb_cgroup_id, bpf_skb_load_bytes};
use aya_ebpf::programs::SkBuffContext;
use aya_log_ebpf::debug;
use headless_obs_ebpf::counters::{DNS_COPY_FAILED, DNS_RING_FULL, DNS_TRUNCATED};
use headless_obs_ebpf::ring_record::{DNS_CHUNKS, DNS_CLASSES, DNS_MAX, DnsRecord, Header, KIND_DNS};

use super::headers::{FIN, Network, RST, SYN};
use crate::losses::count_loss;
use crate::maps::EVENTS;
use crate::ring_wakeup::submit;
use crate::socket::bytes;
use crate::tcp::now;

/// A transport header that passed the filter.
pub(super) struct Transport {
    pub(super) server_port: u16,
    pub(super) client_port: u16,
    pub(super) tcp_flags: u8,
    pub(super) sequence: u32,
    pub(super) payload: usize,
    /// The time of the query, if it is known.
    pub(super) queried_at: u64,
}

/// Nothing was lost.
const NONE: u32 = u32::MAX;

/// Sends the payload to user space.
#[inline(always)]
pub(super) fn emit(ctx: &SkBuffContext, network: &Network, transport: &Transport) {
    // SAFETY: the context is valid for the program's run.
    let cgroup = unsafe { bpf_skb_cgroup_id(ctx.skb.skb) };
    let lost = pieces(ctx, network, transport, cgroup, now());
    if lost != NONE {
        count_loss(lost, cgroup, bytes(network.destination));
    }
}

/// Sends the payload in as many records as it needs, all with the same time; returns the number of the counter for what
/// was lost. After a loss, the rest is useless.
#[inline(always)]
fn pieces(ctx: &SkBuffContext, network: &Network, transport: &Transport, cgroup: u64, time: u64) -> u32 {
    for chunk in 0..DNS_CHUNKS {
        let skip = chunk * DNS_MAX;
        let left = remaining_len(ctx, transport.payload + skip);
        // A segment without payload is the beginning or the end of a stream.
        if left == 0 && chunk > 0 {
            return NONE;
        }
        let beyond = left.saturating_sub(DNS_MAX);
        let is_last = chunk + 1 == DNS_CHUNKS || beyond == 0;
        let (following, truncated_len) = if chunk + 1 == DNS_CHUNKS { (0, beyond) } else { (beyond, 0) };
        let header = Header { kind: KIND_DNS, length: 0, time, cgroup };
        let lost = send(
            ctx,
            network,
            &piece(transport, skip, is_last),
            left,
            DnsRest { header, following, truncated_len },
        );
        if lost != NONE {
            return lost;
        }
        if truncated_len > 0 {
            return DNS_TRUNCATED;
        }
    }
    NONE
}

/// The part of a record's head that does not come from the packet's headers.
struct DnsRest {
    header: Header,
    following: usize,
    truncated_len: usize,
}

/// A part of a packet, as a packet of its own: a stream begins with the first part and ends after the last one. The
/// sequence number of a datagram is the position of the part.
#[inline(always)]
fn piece(whole: &Transport, skip: usize, is_last: bool) -> Transport {
    let not_here = if skip > 0 { SYN } else { 0 } | if is_last { 0 } else { FIN | RST };
    // A SYN takes one sequence number, before the payload.
    let after_syn = u32::from(skip > 0 && whole.tcp_flags & SYN != 0);
    Transport {
        tcp_flags: whole.tcp_flags & !not_here,
        sequence: whole.sequence.wrapping_add(skip as u32).wrapping_add(after_syn),
        payload: whole.payload + skip,
        ..*whole
    }
}

/// Bytes of the packet from `offset` on. It is computed each time, so the verifier has no range to carry from one turn
/// of a loop to the next, and recognises that the turns are alike.
#[inline(always)]
pub(super) fn remaining_len(ctx: &SkBuffContext, offset: usize) -> usize {
    // SAFETY: the context is valid for the program's run.
    let length = unsafe { &raw const (*ctx.skb.skb).len };
    // SAFETY: as above.
    let length = unsafe { length.read_volatile() };
    (length as usize).saturating_sub(offset)
}

/// One record with up to [`DNS_MAX`] bytes of the payload; returns the number of the counter for what was lost.
#[inline(always)]
fn send(ctx: &SkBuffContext, network: &Network, transport: &Transport, left: usize, rest: DnsRest) -> u32 {
    let [small, medium, large] = DNS_CLASSES;
    let head = DnsRecord {
        header: rest.header,
        client: bytes(network.destination),
        server: bytes(network.source),
        client_port: transport.client_port,
        server_port: transport.server_port,
        protocol: network.protocol,
        tcp_flags: transport.tcp_flags,
        truncated_len: rest.truncated_len.min(u16::MAX as usize) as u16,
        sequence: transport.sequence,
        following: rest.following as u32,
        queried_at: transport.queried_at,
    };
    let offset = transport.payload;
    if left <= small {
        copy::<{ DNS_CLASSES[0] }>(ctx, head, offset, left)
    } else if left <= medium {
        copy::<{ DNS_CLASSES[1] }>(ctx, head, offset, left)
    } else {
        copy::<{ DNS_CLASSES[2] }>(ctx, head, offset, left.min(large))
    }
}

/// The same number, hidden from the compiler: the compiler must not derive the following bounds from earlier tests,
/// because the verifier does not.
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
fn copy<const N: usize>(ctx: &SkBuffContext, mut head: DnsRecord, offset: usize, length: usize) -> u32 {
    let Some(mut entry) = EVENTS.reserve::<Room<N>>(0) else {
        debug!(ctx, "ring full: a DNS payload of {} bytes is lost", length);
        return DNS_RING_FULL;
    };
    let record = entry.as_mut_ptr();
    // One less than the length is tested, and then one is added: the verifier of Linux 6.1 bounds only the register
    // that is compared, and needs both bounds on the one that is passed.
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
            return DNS_COPY_FAILED;
        }
    }
    // SAFETY: `record` is the reserved entry.
    let head_at = unsafe { &raw mut (*record).head };
    // SAFETY: as above. Bytes after `length` stay as they are: user space reads no further.
    unsafe { head_at.write(head) };
    submit(entry, head.header.time);
    NONE
}
