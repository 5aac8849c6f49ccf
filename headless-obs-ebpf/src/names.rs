//! Names that both sides use: maps, programs, and the globals that user space sets before loading.

/// Ring buffer of [`crate::record`]s, DNS and lifecycle in one order.
pub const EVENTS: &str = "EVENTS";
/// Hash, [`crate::flow::FlowKey`] → [`crate::flow::FlowTotals`]: exact totals that survive a full ring.
pub const FLOWS: &str = "FLOWS";
/// Hash, socket address → [`crate::record::TcpRecord`]: what is known of a connection that has not ended.
pub const TRACKED: &str = "TRACKED";
/// Hash, [`crate::Address`] → `u8`: destinations that cannot matter, written by user space.
pub const BORING: &str = "BORING";
/// LRU hash, [`crate::question::AskedKey`] → [`crate::question::Asked`]: questions without an answer, and streams.
pub const ASKED: &str = "ASKED";
/// Entries of [`ASKED`].
pub const MAX_ASKED: u32 = 1 << 14;
/// Array of one `u32`: 1 once questions are seen, so that only their answers count. Written by user space alone.
pub const ASKED_ONLY: &str = "ASKED_ONLY";
/// Per-CPU array of `u64`, indexed by [`crate::counters`].
pub const COUNTERS: &str = "COUNTERS";

/// `cgroup_skb/ingress`: DNS answers.
pub const DNS_INGRESS: &str = "dns_ingress";
/// `cgroup_skb/egress`: DNS questions.
pub const DNS_EGRESS: &str = "dns_egress";
/// `tp_btf/inet_sock_set_state`: connections.
pub const TCP_STATE: &str = "tcp_state";
/// The same once more, for what the kernel leaves out the first one at.
pub const TCP_STATE_AGAIN: &str = "tcp_state_again";
/// `tracepoint/sock/inet_sock_set_state`: connections where the kernel has no BTF.
pub const TCP_STATE_CLASSIC: &str = "tcp_state_classic";
/// `iter/task_file`: connections that are older than the daemon.
pub const EXISTING: &str = "existing";

/// `[u16; MAX_DNS_PORTS]`: source ports of DNS servers; unused places are 0.
pub const DNS_PORTS: &str = "DNS_PORTS";
/// How many DNS ports can be set.
pub const MAX_DNS_PORTS: usize = 8;
/// `u32`: bytes submitted since user space was woken that wake it again.
pub const RING_WATERMARK: &str = "RING_WATERMARK";
/// [`SockOffsets`]: where the fields of the kernel's socket structures are.
pub const SOCK_OFFSETS: &str = "SOCK_OFFSETS";
/// [`TracepointOffsets`]: where the fields of the classic tracepoint's record are.
pub const TRACEPOINT_OFFSETS: &str = "TRACEPOINT_OFFSETS";

/// Byte offsets from `struct sock *`, resolved from the running kernel's BTF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SockOffsets {
    /// `sk.__sk_common.skc_daddr`
    pub daddr: u32,
    /// `sk.__sk_common.skc_rcv_saddr`
    pub saddr: u32,
    /// `sk.__sk_common.skc_v6_daddr`
    pub v6_daddr: u32,
    /// `sk.__sk_common.skc_v6_rcv_saddr`
    pub v6_saddr: u32,
    /// `sk.__sk_common.skc_dport`, network order
    pub dport: u32,
    /// `sk.__sk_common.skc_num`, the local port in machine order
    pub sport: u32,
    /// `sk.__sk_common.skc_family`
    pub family: u32,
    /// `sk.__sk_common.skc_state`
    pub state: u32,
    /// `sk.sk_protocol`
    pub protocol: u32,
    /// `sk.sk_err`
    pub err: u32,
    /// `sk.__sk_common.skc_flags`
    pub flags: u32,
    /// `sk.sk_shutdown`
    pub shutdown: u32,
    /// `((struct tcp_sock *)sk)->write_seq`
    pub write_seq: u32,
    /// `((struct tcp_sock *)sk)->snd_nxt`
    pub snd_nxt: u32,
    /// `((struct tcp_sock *)sk)->bytes_sent`, retransmissions included
    pub bytes_sent: u32,
    /// `((struct tcp_sock *)sk)->bytes_retrans`
    pub bytes_retrans: u32,
    /// `((struct tcp_sock *)sk)->bytes_received`
    pub bytes_received: u32,
    /// `((struct socket *)sock)->sk`
    pub socket_sk: u32,
    /// `sk.sk_cgrp_data.cgroup`
    pub cgroup: u32,
    /// `((struct cgroup *)cgrp)->kn`
    pub cgroup_kn: u32,
    /// `((struct kernfs_node *)kn)->id`
    pub kn_id: u32,
    /// `((struct task_struct *)task)->comm`; 0 where programs cannot have the current task (before Linux 5.11)
    pub task_comm: u32,
    /// `((struct task_struct *)task)->tgid`
    pub task_tgid: u32,
}
const _: () = assert!(size_of::<SockOffsets>() == 92);

/// Byte offsets in the classic tracepoint's record, parsed from its tracefs `format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TracepointOffsets {
    /// `skaddr`
    pub skaddr: u32,
    /// `oldstate`
    pub oldstate: u32,
    /// `newstate`
    pub newstate: u32,
    /// `sport`, machine order
    pub sport: u32,
    /// `dport`, machine order
    pub dport: u32,
    /// `family`
    pub family: u32,
    /// `protocol`
    pub protocol: u32,
    /// `saddr_v6`, IPv4-mapped for IPv4
    pub saddr_v6: u32,
    /// `daddr_v6`, IPv4-mapped for IPv4
    pub daddr_v6: u32,
}
const _: () = assert!(size_of::<TracepointOffsets>() == 36);
