//! What a process uses, from /proc.

use std::fs;

use anyhow::{Context, Result};

/// Memory and processor time of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory.
    pub(crate) resident_mib: f64,
    /// User and system, since it started.
    pub(crate) cpu_seconds: f64,
}

impl Usage {
    /// Of now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: f64 = resident
            .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
            .context("/proc tells no resident memory")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
        // The name comes second, in brackets, and may hold anything; user and system time are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').context("unreadable /proc/PID/stat")?;
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
        let per_second = f64::from(u32::try_from(rustix::param::clock_ticks_per_second())?);
        Ok(Self { resident_mib: kib / 1024.0, cpu_seconds: ticks / per_second })
    }
}
