//! Names that both sides use: maps, programs, and the globals that user space sets before loading.

/// Ring buffer of [`crate::ring_record`]s, DNS and lifecycle in one order.
pub const EVENTS: &str = "EVENTS";
/// Hash, [`crate::flow::FlowKey`] → [`crate::flow::FlowTotals`]: exact totals that survive a full ring.
pub const FLOWS: &str = "FLOWS";
/// Hash, socket address → [`crate::ring_record::TcpRecord`]: what is known of a connection that has not ended.
pub const CONNECTIONS: &str = "CONNECTIONS";
/// Hash, [`crate::Address`] → `u8`: destinations that cannot matter, written by user space.
pub const IGNORED_DESTS: &str = "IGNORED_DESTS";
/// LRU hash, [`crate::dns_query::QueryKey`] → [`crate::dns_query::PendingQuery`]: queries without an answer, and streams.
pub const PENDING_QUERIES: &str = "PENDING_QUERIES";
/// Entries of [`PENDING_QUERIES`].
pub const MAX_PENDING_QUERIES: u32 = 1 << 14;
/// Array of one `u32`: 1 once queries are seen, so that only their answers count. Written by user space alone.
pub const REQUIRE_QUERY: &str = "REQUIRE_QUERY";
/// Per-CPU array of `u64`, indexed by [`crate::counters`].
pub const COUNTERS: &str = "COUNTERS";

/// `cgroup_skb/ingress`: DNS answers.
pub const DNS_INGRESS: &str = "dns_ingress";
/// `cgroup_skb/egress`: DNS queries.
pub const DNS_EGRESS: &str = "dns_egress";
/// `tp_btf/inet_sock_set_state`: connections.
pub const TCP_STATE: &str = "tcp_state";
/// The same once more, for what the kernel leaves out the first one at.
pub const TCP_STATE_FALLBACK: &str = "tcp_state_fallback";
/// `tracepoint/sock/inet_sock_set_state`: connections where the kernel has no BTF.
pub const TCP_STATE_CLASSIC: &str = "tcp_state_classic";
/// `iter/task_file`: connections that are older than the daemon.
pub const ITER_SOCKETS: &str = "iter_sockets";

/// `[u16; MAX_DNS_PORTS]`: source ports of DNS servers; unused places are 0.
pub const DNS_PORTS: &str = "DNS_PORTS";
/// How many DNS ports can be set.
pub const MAX_DNS_PORTS: usize = 8;
/// `u32`: bytes submitted since user space was woken that wake it again.
pub const RING_WATERMARK: &str = "RING_WATERMARK";
/// [`crate::offsets::SockOffsets`]: where the fields of the kernel's socket structures are.
pub const SOCK_OFFSETS: &str = "SOCK_OFFSETS";
/// [`crate::offsets::TracepointOffsets`]: where the fields of the classic tracepoint's record are.
pub const TRACEPOINT_OFFSETS: &str = "TRACEPOINT_OFFSETS";
