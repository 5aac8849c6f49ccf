//! Lists sockets that are older than the daemon: an iterator over the open files of all tasks, which reaches every
//! network namespace without entering it. It writes established TCP sockets and listening ones: if a socket's own port
//! has a listener, the socket was accepted and is not a client's.

use core::ffi::{c_int, c_void};

use aya_ebpf::bindings::{file, seq_file};
use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_seq_write, bpf_sock_from_file};
use headless_obs_ebpf::ring_record::SocketRecord;

use crate::socket::{BtfSocket, Socket, bytes, load, offset};

const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// The kernel's `struct bpf_iter_meta`, as far as it is used.
#[repr(C)]
pub(crate) struct Meta {
    pub(crate) seq: *mut seq_file,
}

/// The kernel's context of `iter/task_file`.
#[repr(C)]
struct Context {
    meta: *const Meta,
    task: *const c_void,
    fd: u64,
    file: *mut file,
}

/// One open file of one task.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
extern "C" fn iter_sockets(ctx: *const Context) -> c_int {
    // SAFETY: the kernel passes a valid context; its pointers may be null at the end of the walk.
    let &Context { meta, task, file, .. } = unsafe { &*ctx };
    if task.is_null() || file.is_null() {
        return 0;
    }
    // SAFETY: the helper takes any file and answers null if it is no socket.
    let socket = unsafe { bpf_sock_from_file(file) }.cast::<c_void>();
    if socket.is_null() {
        return 0;
    }
    let sk: *const c_void = load!(socket, socket_sk);
    if sk.is_null() {
        return 0;
    }
    let socket = BtfSocket::new(sk);
    let state = socket.state();
    if state != ESTABLISHED && state != LISTEN {
        return 0;
    }
    let Some(tuple) = socket.tuple() else { return 0 };
    let record = SocketRecord {
        socket: socket.id(),
        cgroup: cgroup_of(sk),
        source: tuple.source,
        destination: tuple.destination,
        comm: bytes([load!(task, task_comm), load!(task, task_comm + 8)]),
        tgid: load!(task, task_tgid),
        port: tuple.port,
        source_port: socket.source_port(),
        state: u32::from(state),
        _pad: 0,
    };
    // SAFETY: `meta` is valid.
    let seq = unsafe { (*meta).seq };
    // SAFETY: `record` is plain bytes without padding.
    unsafe { bpf_seq_write(seq, (&raw const record).cast(), size_of::<SocketRecord>() as u32) };
    0
}

/// Id of the socket's cgroup; 0 if this kernel's layout is not known.
#[inline(always)]
fn cgroup_of(sk: *const c_void) -> u64 {
    let (cgroup, kn, id) = (offset!(cgroup), offset!(cgroup_kn), offset!(kn_id));
    if cgroup == 0 {
        return 0;
    }
    let cgroup = read(sk, cgroup);
    let kn = read(cgroup as *const c_void, kn);
    read(kn as *const c_void, id)
}

/// A word behind a pointer without a type for the verifier; 0 if it cannot be read.
#[inline(always)]
fn read(base: *const c_void, offset: usize) -> u64 {
    let mut word = 0_u64;
    // SAFETY: the helper writes the eight bytes of `word`, and fails instead of faulting.
    unsafe { bpf_probe_read_kernel((&raw mut word).cast(), 8, base.wrapping_byte_add(offset)) };
    word
}
