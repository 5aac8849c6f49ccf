//! Copies a whole payload into the ring, in as many records as it needs.

use core::arch::asm;

use aya_ebpf::helpers::generated::{bpf_skb_cgroup_id, bpf_skb_load_bytes};
use aya_ebpf::programs::SkBuffContext;
use aya_log_ebpf::debug;
use headless_obs_ebpf::counters::{DNS_COPY_FAILED, DNS_RING_FULL, DNS_TRUNCATED};
use headless_obs_ebpf::ring_record::{DNS_CHUNKS, DNS_CLASSES, DNS_MAX, DnsRecord, Header, KIND_DNS};

use super::headers::{FIN, IPPROTO_TCP, Network, RST, SYN};
use crate::atomic::count;
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

/// Sends the payload to user space: a datagram in one record, a segment in as many as it needs.
#[inline(always)]
pub(super) fn emit(ctx: &SkBuffContext, network: &Network, transport: &Transport) {
    let is_tcp = network.protocol == IPPROTO_TCP;
    let most = if is_tcp { DNS_CHUNKS } else { 1 };
    for chunk in 0..DNS_CHUNKS {
        let skip = chunk * DNS_MAX;
        if chunk == most {
            return;
        }
        let left = remaining_len(ctx, transport.payload + skip);
        // A segment without payload is the beginning or the end of a stream.
        if left == 0 && chunk > 0 {
            return;
        }
        let truncated_len = if chunk + 1 == most { left.saturating_sub(DNS_MAX) } else { 0 };
        if truncated_len > 0 {
            count(DNS_TRUNCATED);
        }
        let is_last = chunk + 1 == most || left <= DNS_MAX;
        send(ctx, network, &piece(transport, skip, is_last), left, truncated_len);
    }
}

/// A part of a segment, as a segment of its own: the stream begins with the first part and ends after the last one.
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

/// One record with up to [`DNS_MAX`] bytes of the payload.
#[inline(always)]
fn send(ctx: &SkBuffContext, network: &Network, transport: &Transport, left: usize, truncated_len: usize) {
    let [small, medium, large] = DNS_CLASSES;
    let head = DnsRecord {
        header: Header {
            kind: KIND_DNS,
            length: 0,
            time: now(),
            // SAFETY: the context is valid for the program's run.
            cgroup: unsafe { bpf_skb_cgroup_id(ctx.skb.skb) },
        },
        client: bytes(network.destination),
        server: bytes(network.source),
        client_port: transport.client_port,
        server_port: transport.server_port,
        protocol: network.protocol,
        tcp_flags: transport.tcp_flags,
        truncated_len: truncated_len.min(u16::MAX as usize) as u16,
        sequence: transport.sequence,
        _pad: 0,
        queried_at: transport.queried_at,
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
fn copy<const N: usize>(ctx: &SkBuffContext, mut head: DnsRecord, offset: usize, length: usize) {
    let Some(mut entry) = EVENTS.reserve::<Room<N>>(0) else {
        count(DNS_RING_FULL);
        debug!(ctx, "ring full: a DNS payload of {} bytes is lost", length);
        return;
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
            count(DNS_COPY_FAILED);
            return;
        }
    }
    // SAFETY: `record` is the reserved entry.
    let head_at = unsafe { &raw mut (*record).head };
    // SAFETY: as above. Bytes after `length` stay as they are: user space reads no further.
    unsafe { head_at.write(head) };
    submit(entry, head.header.time);
}
