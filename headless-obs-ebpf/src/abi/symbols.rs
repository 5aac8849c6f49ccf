//! Symbols that both sides use: maps, programs, and the globals that user space sets before loading.

/// Ring buffer of [`crate::ring_record`]s: DNS and connections in one order.
pub const EVENTS: &str = "EVENTS";
/// Hash, [`crate::flow::FlowKey`] → [`crate::flow::FlowTotals`]: exact totals that a full ring does not affect.
pub const FLOWS: &str = "FLOWS";
/// Hash, socket address → [`crate::connection::Connection`]: a connection that has not ended.
pub const CONNECTIONS: &str = "CONNECTIONS";
/// Hash, [`crate::Address`] → `u8`: destinations to ignore, written by user space.
pub const IGNORED_DESTS: &str = "IGNORED_DESTS";
/// LRU hash, [`crate::dns_query::QueryKey`] → [`crate::dns_query::PendingQuery`]: queries without a response, and
/// streams.
pub const PENDING_QUERIES: &str = "PENDING_QUERIES";
/// Entries of [`PENDING_QUERIES`].
pub const MAX_PENDING_QUERIES: u32 = 1 << 14;
/// Array of one `u32`: 1 if only responses to known queries count. Only user space writes it.
pub const REQUIRE_QUERY: &str = "REQUIRE_QUERY";
/// Per-CPU array of `u64`, indexed by [`crate::counters`].
pub const COUNTERS: &str = "COUNTERS";
/// Hash, [`crate::losses::LossKey`] → `u64`: losses since the last reading, by client.
pub const LOSSES: &str = "LOSSES";

/// `cgroup_skb/ingress`: DNS responses.
pub const DNS_INGRESS: &str = "dns_ingress";
/// `cgroup_skb/egress`: DNS queries.
pub const DNS_EGRESS: &str = "dns_egress";
/// `tp_btf/inet_sock_set_state`: connections.
pub const TCP_STATE: &str = "tcp_state";
/// The same again, for state changes at which the kernel skips the first one.
pub const TCP_STATE_FALLBACK: &str = "tcp_state_fallback";
/// `tracepoint/sock/inet_sock_set_state`: connections where the kernel has no BTF.
pub const TCP_STATE_CLASSIC: &str = "tcp_state_classic";
/// `cgroup/connect4` and `cgroup/connect6`: destinations before programs of others replace them. Loaded only if there are
/// such programs.
pub const CONNECTS: [&str; 2] = ["headless_conn4", "headless_conn6"];
/// `cgroup/sendmsg4` and `cgroup/sendmsg6`: the servers that unconnected sockets ask.
pub const SENDS: [&str; 2] = ["headless_send4", "headless_send6"];
/// `iter/task_file`: connections that are older than the daemon.
pub const ITER_SOCKETS: &str = "iter_sockets";
/// `iter/bpf_map_elem`: the load of open connections.
pub const ITER_LOADS: &str = "iter_loads";

/// `[u16; MAX_DNS_PORTS]`: ports of DNS servers; unused slots are 0.
pub const DNS_PORTS: &str = "DNS_PORTS";
/// The most DNS ports.
pub const MAX_DNS_PORTS: usize = 8;
/// `u32`: 1 if [`CONNECTS`] are attached.
pub const KNOWS_DIALLED: &str = "KNOWS_DIALLED";
/// `u32`: the number of bytes since the last wake-up that causes another one.
pub const RING_WATERMARK: &str = "RING_WATERMARK";
/// [`crate::offsets::SockOffsets`]: where the fields of the kernel's socket structures are.
pub const SOCK_OFFSETS: &str = "SOCK_OFFSETS";
/// [`crate::offsets::TracepointOffsets`]: where the fields of the classic tracepoint's record are.
pub const TRACEPOINT_OFFSETS: &str = "TRACEPOINT_OFFSETS";
