//! Every map and global in one place. Sizes here are defaults; user space sets them when it loads.
//!
//! | map | key → value | when full |
//! |---|---|---|
//! | EVENTS | ring of records | the record is lost and counted; totals are not affected |
//! | FLOWS | flow → totals | the change is lost and counted |
//! | CONNECTIONS | socket → its connection | the connection is lost and counted |
//! | IGNORED_DESTS | address → 1 | only user space writes it |
//! | PENDING_QUERIES | query → client, servers, time | the oldest is evicted; its response is refused and counted |
//! | REQUIRE_QUERY | 0 → whether unsolicited responses are refused | never; only user space writes it |
//! | DIALLED | socket's cookie → what it dialled | the oldest is evicted; what that socket dialled is not known |
//! | COUNTERS | number → count, per CPU | never |
//! | LOSSES | client and reason → losses since user space read them | the loss has no client |
//! | LAST_WAKEUP | 0 → time of the last wake-up, and bytes submitted since | never |
//! | LAST_TRANSITION | 0 → the last state change that `tcp_state` handled, per CPU | never |
//!
//! The hashes are preallocated, because tracing programs and soft interrupts write them, and allocation may fail there.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use headless_obs_ebpf::Address;
use headless_obs_ebpf::connection::Connection;
use headless_obs_ebpf::counters;
use headless_obs_ebpf::dialled::{Dialled, MAX_DIALLED};
use headless_obs_ebpf::dns_query::{PendingQuery, QueryKey};
use headless_obs_ebpf::flow::{FlowKey, FlowTotals};
use headless_obs_ebpf::losses::{LossKey, MAX_LOSSES};
use headless_obs_ebpf::offsets::{SockOffsets, TracepointOffsets};
use headless_obs_ebpf::symbols::{MAX_DNS_PORTS, MAX_PENDING_QUERIES};

#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

#[map]
pub(crate) static FLOWS: HashMap<FlowKey, FlowTotals> = HashMap::with_max_entries(1 << 15, 0);

#[map]
pub(crate) static CONNECTIONS: HashMap<u64, Connection> = HashMap::with_max_entries(1 << 15, 0);

#[map]
pub(crate) static IGNORED_DESTS: HashMap<Address, u8> = HashMap::with_max_entries(1 << 14, 0);

#[map]
pub(crate) static PENDING_QUERIES: LruHashMap<QueryKey, PendingQuery> =
    LruHashMap::with_max_entries(MAX_PENDING_QUERIES, 0);

/// This is not a global, because globals are set before it is known whether egress can be attached.
#[map]
pub(crate) static REQUIRE_QUERY: Array<u32> = Array::with_max_entries(1, 0);

#[map]
pub(crate) static DIALLED: LruHashMap<u64, Dialled> = LruHashMap::with_max_entries(MAX_DIALLED, 0);

#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counters::COUNT, 0);

#[map]
pub(crate) static LOSSES: HashMap<LossKey, u64> = HashMap::with_max_entries(MAX_LOSSES, 0);

/// The state that decides on the next wake-up.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Wakeup {
    /// `CLOCK_MONOTONIC`, nanoseconds, of the last wake-up.
    pub(crate) time: u64,
    /// Bytes submitted since then.
    pub(crate) bytes: u64,
}

#[map]
pub(crate) static LAST_WAKEUP: Array<Wakeup> = Array::with_max_entries(1, 0);

/// A socket, and the states before and after the change.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Transition {
    pub(crate) socket: u64,
    pub(crate) old: i32,
    pub(crate) new: i32,
}

#[map]
pub(crate) static LAST_TRANSITION: PerCpuArray<Transition> = PerCpuArray::with_max_entries(1, 0);

#[unsafe(no_mangle)]
pub(crate) static RING_WATERMARK: Global<u32> = Global::new(1 << 18);

#[unsafe(no_mangle)]
pub(crate) static KNOWS_DIALLED: Global<u32> = Global::new(0);

#[unsafe(no_mangle)]
pub(crate) static DNS_PORTS: Global<[u16; MAX_DNS_PORTS]> = Global::new([0; MAX_DNS_PORTS]);

#[unsafe(no_mangle)]
pub(crate) static SOCK_OFFSETS: Global<SockOffsets> = Global::new(SockOffsets {
    daddr: 0,
    saddr: 0,
    v6_daddr: 0,
    v6_saddr: 0,
    dport: 0,
    sport: 0,
    family: 0,
    state: 0,
    cookie: 0,
    protocol: 0,
    err: 0,
    flags: 0,
    shutdown: 0,
    write_seq: 0,
    snd_nxt: 0,
    bytes_sent: 0,
    bytes_retrans: 0,
    bytes_received: 0,
    segments_sent: 0,
    segments_received: 0,
    retransmitted: 0,
    snd_una: 0,
    srtt: 0,
    rtt_min: 0,
    socket_sk: 0,
    cgroup: 0,
    cgroup_kn: 0,
    kn_id: 0,
    task_comm: 0,
    task_tgid: 0,
});

#[unsafe(no_mangle)]
pub(crate) static TRACEPOINT_OFFSETS: Global<TracepointOffsets> = Global::new(TracepointOffsets {
    skaddr: 0,
    oldstate: 0,
    newstate: 0,
    sport: 0,
    dport: 0,
    family: 0,
    protocol: 0,
    saddr_v6: 0,
    daddr_v6: 0,
});
