//! Connections from the client's side: SYN sent, established or failed, ended.
//!
//! A socket enters CONNECTIONS when its SYN is sent, in the context of the task that connects, because only there the
//! client is known. Accepted sockets never enter it, so each of their state changes costs at most one lookup that finds
//! nothing. A connection counts as ended when it leaves ESTABLISHED: the states that follow (FIN_WAIT, TIME_WAIT,
//! CLOSE_WAIT) carry no new request. If the client closes only its sending side, the connection stays open until the
//! server has closed as well.
//!
//! The kernel skips a program that would interrupt itself on the same CPU: while a task connects or closes, a packet
//! may arrive and change another connection. So a second program checks whether the first one ran, and otherwise does
//! its work. As long as the kernel does not switch tasks inside a program, it never skips both at the same change,
//! because a packet would have to interrupt a packet (docs/kernels.md tells of a run where it may have). If the second
//! program handles a change again, the state in CONNECTIONS makes that harmless.
//!
//! The classic tracepoint runs no program at all while another one runs. Such a loss shows later, and is counted then:
//! an opening when the connection ends, an end or a failure when its socket is used again.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated};
use aya_log_ebpf::debug;
use headless_obs_ebpf::COMM_LEN;
use headless_obs_ebpf::connection::Connection;
use headless_obs_ebpf::counters::{CONNECTIONS_FULL, FLOWS_FULL, IGNORED, TCP_RING_FULL};
use headless_obs_ebpf::end;
use headless_obs_ebpf::flow::{FlowKey, FlowTotals, reason};
use headless_obs_ebpf::ring_record::{
    Header, KIND_CLOSED, KIND_FAILED, KIND_OPENED, KIND_STARTED, TcpRecord,
};

use crate::atomic::{add, count};
use crate::dialled;
use crate::losses::count_loss;
use crate::maps::{CONNECTIONS, EVENTS, FLOWS, IGNORED_DESTS, LAST_TRANSITION, Transition};
use crate::ring_wakeup::submit;
use crate::socket::{Load, Socket, bytes, load, offset};

const ESTABLISHED: i32 = 1;
const SYN_SENT: i32 = 2;
const SYN_RECV: i32 = 3;
const FIN_WAIT1: i32 = 4;
const FIN_WAIT2: i32 = 5;
const CLOSE: i32 = 7;
const CLOSE_WAIT: i32 = 8;
const CLOSING: i32 = 11;

const BPF_ANY: u64 = 0;
const BPF_NOEXIST: u64 = 1;

/// Adds to a field of a live value of FLOWS.
macro_rules! bump {
    ($totals:expr, $field:ident, $amount:expr) => {{
        // SAFETY: a pointer that the map gave out in this run.
        let field = unsafe { &raw mut (*$totals).$field };
        // SAFETY: as above.
        unsafe { add(field, $amount) }
    }};
}

/// If the second program finds an attempt that is younger than this, in nanoseconds, the first program has just
/// recorded it. In between, the task or its whole virtual machine may have waited for a processor.
const SAME_ATTEMPT: u64 = 1_000_000_000;

/// A socket goes from state `old` to `new`; the second program will check whether this one ran.
#[inline(always)]
pub(crate) fn on_state_change(ctx: &impl EbpfContext, socket: &impl Socket, old: i32, new: i32) {
    if !is_relevant(old, new) {
        return;
    }
    if let Some(last) = LAST_TRANSITION.get_ptr_mut(0) {
        // SAFETY: a live, aligned value of the map, this CPU's own.
        unsafe { last.write_volatile(Transition { socket: socket.id(), old, new }) };
    }
    handle_transition(ctx, socket, old, new, false);
}

/// The same change, in the second program.
#[inline(always)]
pub(crate) fn on_state_change_fallback(ctx: &impl EbpfContext, socket: &impl Socket, old: i32, new: i32) {
    if !is_relevant(old, new) {
        return;
    }
    let Some(last) = LAST_TRANSITION.get_ptr(0) else { return };
    // SAFETY: a live, aligned value of the map, this CPU's own.
    if unsafe { last.read_volatile() } != (Transition { socket: socket.id(), old, new }) {
        handle_transition(ctx, socket, old, new, true);
    }
}

/// Whether a client's connection can begin, be established, fail or end with this change.
#[inline(always)]
fn is_relevant(old: i32, new: i32) -> bool {
    matches!(
        (old, new),
        (CLOSE, SYN_SENT)
            | (SYN_SENT | ESTABLISHED, _)
            | (FIN_WAIT1, CLOSING | CLOSE)
            | (FIN_WAIT2, CLOSE)
            | (SYN_RECV, FIN_WAIT1 | CLOSE_WAIT | CLOSE)
    )
}

/// Handles a change; `is_fallback`: the first program may have handled it.
#[inline(always)]
pub(crate) fn handle_transition(
    ctx: &impl EbpfContext,
    socket: &impl Socket,
    old: i32,
    new: i32,
    is_fallback: bool,
) {
    match (old, new) {
        (CLOSE, SYN_SENT) => started(ctx, socket, is_fallback),
        // SYN_RECV: both ends connect to each other at once.
        (SYN_SENT, ESTABLISHED | SYN_RECV) => established(socket),
        (SYN_SENT, _) => failed(socket),
        (ESTABLISHED, FIN_WAIT1) if socket.is_half_closed() => {}
        // From FIN_WAIT: it was half closed until now. Any other connection has ended already.
        (ESTABLISHED, _)
        | (FIN_WAIT1, CLOSING | CLOSE)
        | (FIN_WAIT2, CLOSE)
        | (SYN_RECV, FIN_WAIT1 | CLOSE_WAIT | CLOSE) => ended(socket, old, new),
        _ => {}
    }
}

#[inline(always)]
fn started(ctx: &impl EbpfContext, socket: &impl Socket, is_fallback: bool) {
    let Some(tuple) = socket.tuple() else { return };
    let (tuple, sent_to) = dialled::undo(socket, tuple);
    if IGNORED_DESTS.get_ptr(tuple.destination).is_some() {
        return count(IGNORED);
    }
    let (comm, tgid) = caller();
    // SAFETY: helper without arguments.
    let cgroup = unsafe { generated::bpf_get_current_cgroup_id() };
    let time = now();
    let flow = FlowKey {
        cgroup,
        source: tuple.source,
        destination: tuple.destination,
        port: tuple.port,
        _pad: [0; 6],
    };
    let connection = &Connection { kind: KIND_STARTED, tgid, flow, started: time, sent_to, comm };
    if CONNECTIONS.insert(socket.id(), connection, BPF_NOEXIST).is_ok() {
        return;
    }
    if let Some(older) = CONNECTIONS.get_ptr(socket.id()) {
        // SAFETY: a live value of the map; only this socket's own changes touch it, one at a time.
        let older = unsafe { &*older };
        if is_fallback && older.kind == KIND_STARTED && time.wrapping_sub(older.started) < SAME_ATTEMPT {
            return;
        }
        count_missed_end(older);
    }
    // This also covers a new socket: a map refuses while it is in use, and accepts the next time.
    if CONNECTIONS.insert(socket.id(), connection, BPF_ANY).is_err() {
        count_loss(CONNECTIONS_FULL, cgroup, tuple.source);
        debug!(ctx, "no room to track a connection to port {}", tuple.port);
    }
}

/// The name of the thread that runs this program, and its process.
#[inline(always)]
fn caller() -> ([u8; COMM_LEN], u32) {
    // If the layout is known, one call replaces two, and no call copies a string byte by byte.
    if offset!(task_comm) != 0 {
        // SAFETY: helper without arguments; its answer is a task with its BTF type.
        let task: *const c_void = unsafe { generated::bpf_get_current_task_btf() }.cast();
        return (bytes([load!(task, task_comm), load!(task, task_comm + 8)]), load!(task, task_tgid));
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    (bpf_get_current_comm().unwrap_or_default(), tgid)
}

/// The socket's older connection has ended, or its attempt has failed, and no program saw when and how.
#[inline(always)]
fn count_missed_end(older: &Connection) {
    match totals_of(older) {
        Some(totals) if older.kind == KIND_STARTED => add_failure(totals, reason::OTHER),
        Some(totals) => bump!(totals, closed, 1),
        None => count_loss(FLOWS_FULL, older.flow.cgroup, older.flow.source),
    }
}

/// The entry of the socket's connection, for its own state changes, which come one at a time.
#[inline(always)]
fn connection_of<'a>(socket: &impl Socket) -> Option<&'a mut Connection> {
    // SAFETY: a live value of the map; only this socket's own changes touch it.
    CONNECTIONS.get_ptr_mut(socket.id()).map(|connection| unsafe { &mut *connection })
}

#[inline(always)]
fn established(socket: &impl Socket) {
    let Some(connection) = connection_of(socket).filter(|connection| connection.kind == KIND_STARTED) else {
        return;
    };
    let load = Load { retransmitted: socket.retransmitted(), ..Load::default() };
    connection.kind = KIND_OPENED;
    report(socket, connection, KIND_OPENED, &load, NOT_ENDED, |totals| bump!(totals, opened, 1));
}

#[inline(always)]
fn failed(socket: &impl Socket) {
    let Some(connection) = connection_of(socket) else { return };
    let why = match socket.failure() {
        reason::NONE => reason::ABORTED,
        why => why,
    };
    let load = Load { retransmitted: socket.retransmitted(), ..Load::default() };
    let outcome = Outcome { reason: why, end: end::NONE };
    report(socket, connection, KIND_FAILED, &load, outcome, |totals| add_failure(totals, why));
    forget(socket);
}

#[inline(always)]
fn ended(socket: &impl Socket, old: i32, new: i32) {
    let Some(connection) = connection_of(socket) else { return };
    let end = way_of_end(socket, old, new);
    let why = if end == end::SERVER_RESET { reason::RESET } else { reason::NONE };
    let was_opened = connection.kind == KIND_OPENED;
    let load = socket.load(new != CLOSE);
    report(socket, connection, KIND_CLOSED, &load, Outcome { reason: why, end }, |totals| {
        if !was_opened {
            bump!(totals, opened, 1);
        }
        bump!(totals, closed, 1);
        bump!(totals, bytes_sent, load.bytes_sent);
        bump!(totals, bytes_received, load.bytes_received);
        bump!(totals, segments_sent, u64::from(load.segments_sent));
        bump!(totals, segments_received, u64::from(load.segments_received));
        if load.retransmitted != 0 {
            bump!(totals, retransmitted, u64::from(load.retransmitted));
        }
        if why != reason::NONE {
            add_failure(totals, why);
        }
    });
    forget(socket);
}

/// The way in which a connection ended, one of the constants of [`end`].
#[inline(always)]
fn way_of_end(socket: &impl Socket, old: i32, new: i32) -> u8 {
    if new == CLOSE_WAIT {
        return end::SERVER;
    }
    if new != CLOSE {
        return end::CLIENT;
    }
    let was_half_closed = matches!(old, FIN_WAIT1 | FIN_WAIT2);
    match socket.failure() {
        reason::RESET => end::SERVER_RESET,
        reason::TIMEOUT | reason::UNREACHABLE => end::TIMEOUT,
        _ if was_half_closed => end::CLIENT,
        reason::NONE => end::CLIENT_RESET,
        _ => end::OTHER,
    }
}

#[inline(always)]
fn add_failure(totals: *mut FlowTotals, why: u8) {
    let why = why as usize;
    if why < reason::COUNT {
        // SAFETY: `totals` is a live value of FLOWS.
        let failed = unsafe { &raw mut (*totals).failed };
        // SAFETY: `why` is in bounds.
        unsafe { add(failed.cast::<u64>().wrapping_add(why), 1) };
    }
}

/// The way in which an attempt or a connection ended.
struct Outcome {
    /// One of the constants of [`reason`].
    reason: u8,
    /// One of the constants of [`end`].
    end: u8,
}

/// It has not ended.
const NOT_ENDED: Outcome = Outcome { reason: reason::NONE, end: end::NONE };

/// Submits a record, then adds to the flow's totals. In the opposite order, a reader of totals could mistake a record
/// that is still to come for a lost one.
#[inline(always)]
fn report(
    socket: &impl Socket,
    connection: &Connection,
    kind: u32,
    load: &Load,
    outcome: Outcome,
    add_totals: impl FnOnce(*mut FlowTotals),
) {
    let totals = totals_of(connection);
    let time = now();
    let flow = &connection.flow;
    match EVENTS.reserve::<TcpRecord>(0) {
        Some(mut entry) => {
            // Field by field: the whole would take the stack that older kernels do not have.
            // SAFETY: the reserved room for a record, and any bytes are one.
            let record = unsafe { &mut *entry.as_mut_ptr() };
            record.header = Header { kind, length: 0, time, cgroup: flow.cgroup };
            record.source = flow.source;
            record.destination = flow.destination;
            record.port = flow.port;
            record._pad = [0; 6];
            record.socket = socket.id();
            record.bytes_sent = load.bytes_sent;
            record.started = connection.started;
            record.bytes_received = load.bytes_received;
            record.sent_to = connection.sent_to;
            record.comm = connection.comm;
            record.tgid = connection.tgid;
            record.reason = outcome.reason;
            record.in_flow_totals = u8::from(totals.is_some());
            record.end = outcome.end;
            record._last = 0;
            record.segments_sent = load.segments_sent;
            record.segments_received = load.segments_received;
            record.retransmitted = load.retransmitted;
            record.rtt = load.rtt;
            submit(entry, time);
        }
        None => count(TCP_RING_FULL),
    }
    match totals {
        Some(totals) => add_totals(totals),
        None => count_loss(FLOWS_FULL, flow.cgroup, flow.source),
    }
}

/// The flow's totals; created at its first connection.
#[inline(always)]
fn totals_of(connection: &Connection) -> Option<*mut FlowTotals> {
    let flow = &connection.flow;
    if let Some(totals) = FLOWS.get_ptr_mut(flow) {
        return Some(totals);
    }
    let zero = FlowTotals {
        opened: 0,
        closed: 0,
        failed: [0; reason::COUNT],
        bytes_sent: 0,
        bytes_received: 0,
        segments_sent: 0,
        segments_received: 0,
        retransmitted: 0,
        sent_to: connection.sent_to,
        comm: connection.comm,
    };
    // Another CPU may have been faster; then its entry counts.
    let _ = FLOWS.insert(flow, zero, BPF_NOEXIST);
    FLOWS.get_ptr_mut(flow)
}

#[inline(always)]
fn forget(socket: &impl Socket) {
    let _ = CONNECTIONS.remove(socket.id());
}

#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: helper without arguments.
    unsafe { generated::bpf_ktime_get_ns() }
}
