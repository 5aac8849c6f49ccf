//! Byte offsets in kernel structures. User space finds them and sets them as globals before it loads the programs.

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
    /// `sk.__sk_common.skc_cookie`
    pub cookie: u32,
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
    /// `((struct tcp_sock *)sk)->data_segs_out`
    pub segments_sent: u32,
    /// `((struct tcp_sock *)sk)->data_segs_in`
    pub segments_received: u32,
    /// `((struct tcp_sock *)sk)->total_retrans`
    pub retransmitted: u32,
    /// `((struct tcp_sock *)sk)->snd_una`
    pub snd_una: u32,
    /// `((struct tcp_sock *)sk)->srtt_us`, in eighths of a microsecond
    pub srtt: u32,
    /// `((struct tcp_sock *)sk)->rtt_min`, a `struct minmax`
    pub rtt_min: u32,
    /// `((struct socket *)sock)->sk`
    pub socket_sk: u32,
    /// `sk.sk_cgrp_data.cgroup`
    pub cgroup: u32,
    /// `((struct cgroup *)cgrp)->kn`
    pub cgroup_kn: u32,
    /// `((struct kernfs_node *)kn)->id`
    pub kn_id: u32,
    /// `((struct task_struct *)task)->comm`; 0 if programs cannot have the current task (before Linux 5.11)
    pub task_comm: u32,
    /// `((struct task_struct *)task)->tgid`
    pub task_tgid: u32,
}
const _: () = assert!(size_of::<SockOffsets>() == 120);

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
