//! The measurements below the process level: the run time of kernel programs, and the throughput of a link.

use anyhow::Result;

use crate::bpf::{Time, timing};
use crate::process_tree_usage::f64_of;
use crate::round::Turn;
use crate::stage::ORDERS;
use crate::workload::{Done, Pace};

impl Turn<'_, '_, '_> {
    /// Measures the run time of its kernel programs.
    pub(crate) fn kernel(&mut self) -> Result<()> {
        let programs = self.running.held().programs;
        if programs.is_empty() {
            return Ok(());
        }
        let _timing = timing()?;
        let pace = Pace { per_second: None, millis: self.plan.timed };
        let start = Time::of(&programs)?;
        let done = self.stage.connect(pace)?;
        let connected = Time::of(&programs)?;
        self.add(
            "kernel_ns_per_connection",
            "ns",
            f64_of(connected.since(&start).nanos) / f64_of(done.count.max(1)),
        );
        let done = self.stage.ask(ORDERS, 1, pace)?;
        let asked = Time::of(&programs)?;
        self.add(
            "kernel_ns_per_answer",
            "ns",
            f64_of(asked.since(&connected).nanos) / f64_of(done.count.max(1)),
        );
        // Packets of a connection, and packets for an unconnected server socket, which does not name the peer.
        for (metric, tcp, size) in
            [("kernel_ns_per_tcp_packet", true, 1 << 16), ("kernel_ns_per_udp_packet", false, 64)]
        {
            let before = Time::of(&programs)?;
            self.stage.pour(tcp, size, pace)?;
            let poured = Time::of(&programs)?.since(&before);
            if poured.packets > 0 {
                self.add(metric, "ns", f64_of(poured.packet_nanos) / f64_of(poured.packets));
            }
        }
        Ok(())
    }

    /// Measures bulk data and small packets that the tool does not need to see.
    pub(crate) fn throughput(&mut self, millis: u64) -> Result<()> {
        let pace = Pace { per_second: None, millis };
        let gigabits = |bytes, done: Done| f64_of(bytes) * 8.0 / f64_of(done.nanos.max(1));
        let (arrived, done) = self.stage.pour(true, 1 << 16, pace)?;
        self.add("tcp_gbit_per_second", "Gbit/s", gigabits(arrived.tcp_bytes, done));
        let (arrived, done) = self.stage.pour(false, 1_400, pace)?;
        self.add("udp_gbit_per_second", "Gbit/s", gigabits(arrived.udp_bytes, done));
        let (arrived, done) = self.stage.pour(false, 64, pace)?;
        self.add(
            "small_packets_per_second",
            "1/s",
            f64_of(arrived.packets) / (f64_of(done.nanos.max(1)) / 1e9),
        );
        Ok(())
    }
}
