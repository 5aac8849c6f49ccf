//! Reads the load of open connections: an iterator over CONNECTIONS, which looks into each socket.
//!
//! Nothing counts while packets flow: the kernel has these counts already. The verifier cannot know that the key of an
//! entry is a socket, so every field is read through a helper that fails instead of faulting.
//!
//! Invariant: a reading belongs to the entry's connection. The kernel frees a socket only after its end, which removes
//! the entry; so if the entry is still there after the reads, the socket was its own throughout. If the end was hidden
//! from the programs, the memory may have another socket; its ends differ.

use core::ffi::{c_int, c_void};

use aya_ebpf::bindings::seq_file;
use aya_ebpf::helpers::generated::bpf_seq_write;
use headless_obs_ebpf::Address;
use headless_obs_ebpf::connection::Connection;
use headless_obs_ebpf::reading::Reading;
use headless_obs_ebpf::ring_record::KIND_OPENED;

use crate::iter_sockets::Meta;
use crate::maps::{CONNECTIONS, KNOWS_DIALLED};
use crate::socket::{Fields as _, Tuple, Untyped, fin, load_of, offset, tuple_of, unsent, words};

const ESTABLISHED: u8 = 1;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;

/// The kernel's context of `iter/bpf_map_elem`.
#[repr(C)]
struct Context {
    meta: *const Meta,
    map: *const c_void,
    key: *const u64,
    value: *const Connection,
}

/// One entry of CONNECTIONS.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/bpf_map_elem")]
extern "C" fn iter_loads(ctx: *const Context) -> c_int {
    // SAFETY: the kernel passes a valid context; its pointers may be null at the end of the walk.
    let &Context { meta, key, value, .. } = unsafe { &*ctx };
    if key.is_null() || value.is_null() {
        return 0;
    }
    // SAFETY: a live entry of the map.
    let socket = unsafe { key.read() };
    // SAFETY: the same.
    let connection = unsafe { &*value };
    if connection.kind != KIND_OPENED {
        return 0;
    }
    let started = connection.started;
    let sk = Untyped(socket);
    // FIN_WAIT: the client has closed only its sending side.
    let state: u8 = sk.field(offset!(state));
    if !matches!(state, ESTABLISHED | FIN_WAIT1 | FIN_WAIT2) {
        return 0;
    }
    match tuple_of(sk) {
        Some(tuple) if is_its(&tuple, connection) => {}
        _ => return 0,
    }
    let load = load_of(sk);
    let (next, una): (u32, u32) = (sk.field(offset!(snd_nxt)), sk.field(offset!(snd_una)));
    let reading = Reading {
        flow: connection.flow,
        socket,
        started,
        bytes_sent: load.bytes_sent,
        bytes_received: load.bytes_received.saturating_sub(fin(sk)),
        segments_sent: load.segments_sent,
        segments_received: load.segments_received,
        retransmitted: load.retransmitted,
        rtt: load.rtt,
        // A `struct minmax` begins with its best sample: a time, and the value.
        min_rtt: sk.field(offset!(rtt_min) + 4),
        unsent: unsent(sk),
        unacknowledged: next.wrapping_sub(una),
        source_port: sk.field(offset!(sport)),
        _pad: 0,
    };
    if !is_still_open(socket, started) {
        return 0;
    }
    // SAFETY: `meta` is valid.
    let seq: *mut seq_file = unsafe { (*meta).seq };
    // SAFETY: `reading` is plain bytes without padding.
    unsafe { bpf_seq_write(seq, (&raw const reading).cast(), size_of::<Reading>() as u32) };
    0
}

/// Whether a socket has the ends of an entry's connection. A balancer may have replaced the port as well.
#[inline(always)]
fn is_its(tuple: &Tuple, connection: &Connection) -> bool {
    const NOT: Address = [0; 16];
    let is_replaced = words(connection.sent_to) != words(NOT);
    let destination = if is_replaced { connection.sent_to } else { connection.flow.destination };
    words(tuple.source) == words(connection.flow.source)
        && words(tuple.destination) == words(destination)
        && (KNOWS_DIALLED.load() != 0 || tuple.port == connection.flow.port)
}

/// Whether CONNECTIONS still has this connection.
#[inline(always)]
fn is_still_open(socket: u64, started: u64) -> bool {
    CONNECTIONS.get_ptr(socket).is_some_and(|connection| {
        // SAFETY: a live value of the map.
        let connection = unsafe { &*connection };
        connection.kind == KIND_OPENED && connection.started == started
    })
}
