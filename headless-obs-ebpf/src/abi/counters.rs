//! COUNTERS: losses and refusals of the kernel side, by stage and reason.

/// DNS payload lost: the ring was full.
pub const DNS_RING_FULL: u32 = 0;
/// DNS payload lost: the packet could not be read.
pub const DNS_COPY_FAILED: u32 = 1;
/// DNS payload truncated: larger than the records of one packet.
pub const DNS_TRUNCATED: u32 = 2;
/// Packet from a DNS port that is not a DNS response (a query, too short, headers not understood).
pub const DNS_NOT_ANSWER: u32 = 3;
/// Connection record lost: the ring was full. Totals are not affected.
pub const TCP_RING_FULL: u32 = 4;
/// Connection not counted: CONNECTIONS was full. It is missing from the totals.
pub const CONNECTIONS_FULL: u32 = 5;
/// Change not counted: FLOWS was full. It is missing from the totals.
pub const FLOWS_FULL: u32 = 6;
/// Connection to a destination in IGNORED_DESTS.
pub const IGNORED: u32 = 7;
/// DNS payload refused: its socket sent no query.
pub const DNS_UNSOLICITED: u32 = 8;
/// DNS response refused: its socket sent this query to another server.
pub const DNS_OTHER_SERVER: u32 = 9;
/// The number of counters.
pub const COUNT: u32 = 10;
/// Names in the order of the numbers, as in metrics and JSON.
pub const NAMES: [&str; COUNT as usize] = [
    "dns_ring_full",
    "dns_copy_failed",
    "dns_cut",
    "dns_not_answer",
    "ring_full",
    "connections_full",
    "flows_full",
    "ignored",
    "dns_unsolicited",
    "dns_other_server",
];
