//! COUNTERS: what the kernel side dropped, by stage and reason, and what it handled.

/// DNS payloads handed to user space.
pub const DNS_SENT: u32 = 0;
/// DNS payload lost: the ring was full.
pub const DNS_RING_FULL: u32 = 1;
/// DNS payload lost: the packet could not be read.
pub const DNS_COPY_FAILED: u32 = 2;
/// DNS payload shortened: larger than a record.
pub const DNS_CUT: u32 = 3;
/// Packet from a DNS port that is no DNS answer (a question, too short, headers not understood).
pub const DNS_NOT_ANSWER: u32 = 4;
/// Connection records handed to user space.
pub const TCP_SENT: u32 = 5;
/// Connection record lost: the ring was full. Totals are not affected.
pub const TCP_RING_FULL: u32 = 6;
/// Connection not tracked: TRACKED was full. It is missing from the totals.
pub const TRACKED_FULL: u32 = 7;
/// Change not counted: FLOWS was full. It is missing from the totals.
pub const FLOWS_FULL: u32 = 8;
/// Connection to a destination in BORING, passed over on purpose.
pub const BORING_SKIPPED: u32 = 9;
/// Socket passed over: neither IPv4 nor IPv6.
pub const FAMILY_UNKNOWN: u32 = 10;
/// How many counters there are.
pub const COUNT: u32 = 11;
