//! Name and unit of each number in a table.

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) metric: &'static str,
    pub(super) label: &'static str,
    /// Factor of the displayed value.
    pub(super) factor: f64,
    pub(super) decimals: usize,
}

const fn line(metric: &'static str, label: &'static str, factor: f64, decimals: usize) -> Line {
    Line { metric, label, factor, decimals }
}

/// The table from top to bottom. The JSON output also has other numbers.
pub(super) const LINES: &[Line] = &[
    line("kernel_ns_per_connection", "kernel programs per connection, µs", 1e-3, 2),
    line("kernel_ns_per_answer", "kernel programs per DNS exchange, µs", 1e-3, 2),
    line("kernel_ns_per_tcp_packet", "a program per packet of a connection, ns", 1.0, 0),
    line("tcp_packet_over_empty_ns", "the same, over an empty program, ns", 1.0, 0),
    line("kernel_ns_per_udp_packet", "a program per packet for a UDP server, ns", 1.0, 0),
    line("udp_packet_over_empty_ns", "the same, over an empty program, ns", 1.0, 0),
    line("connect_p50_ns", "connect, median, µs", 1e-3, 1),
    line("added_connect_p50_ns", "added to connect, median, µs", 1e-3, 1),
    line("added_connect_p99_ns", "added to connect, 99 %, µs", 1e-3, 1),
    line("added_connect_p50_ns_1k", "added to connect, median, at 1,000/s, µs", 1e-3, 1),
    line("dns_p50_ns", "DNS exchange of 3 records, median, µs", 1e-3, 1),
    line("added_dns_p50_ns", "added to a DNS exchange, median, µs", 1e-3, 1),
    line("added_dns_p99_ns", "added to a DNS exchange, 99 %, µs", 1e-3, 1),
    line("connections_per_second", "connections a second, flat out", 1.0, 0),
    line("exchanges_per_second", "DNS exchanges a second, flat out", 1.0, 0),
    line("user_us_per_connection_flat", "processes, per connection, flat out, µs", 1.0, 1),
    line("user_us_per_connection_5k", "processes, per connection, at 5,000/s, µs", 1.0, 1),
    line("user_us_per_connection_1k", "processes, per connection, at 1,000/s, µs", 1.0, 1),
    line("user_us_per_answer_3", "processes, per answer of 3 records, µs", 1.0, 1),
    line("user_us_per_answer_20", "processes, per answer of 20 records, µs", 1.0, 1),
    line("user_us_per_answer_100", "processes, per answer of 100 records, µs", 1.0, 1),
    line("user_mode_share", "share of that in user mode, %", 100.0, 0),
    line("idle_cpu_percent", "processes, idle, % of one core", 1.0, 2),
    line("rss_mib", "resident memory at start, MiB", 1.0, 1),
    line("rss_mib_loaded", "the same after the load, MiB", 1.0, 1),
    line("rss_mib_10k_endpoints", "the same with 10,000 endpoints, MiB", 1.0, 1),
    line("miscounted", "connections reported wrong, %", 100.0, 3),
    line("events_lost", "records lost", 1.0, 0),
    line("tcp_gbit_per_second", "TCP in bulk, Gbit/s", 1.0, 1),
    line("udp_gbit_per_second", "UDP in packets of 1,400 bytes, Gbit/s", 1.0, 2),
    line("small_packets_per_second", "UDP packets of 64 bytes a second", 1.0, 0),
];
