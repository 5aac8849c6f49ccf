//! A process's use of resources, from /proc.

use std::fs;

use anyhow::{Context as _, Result};

/// A value of /proc/PID/status: `VmRSS` and the like in KiB, or `Threads`.
pub fn status(pid: u32, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} has ended"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("/proc/{pid}/status has no number {key}"))
}

/// Resident memory.
pub fn resident_mib(pid: u32) -> Result<f64> {
    Ok(f64::from(u32::try_from(status(pid, "VmRSS")?)?) / 1024.0)
}

/// Processor time of all threads of a process, in steps of 10 ms. Ended threads count too.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} has ended"))?;
    // The name is the second field, in brackets, and may contain any character; user and system time are fields 14 and
    // 15.
    let (_, fields) = stat.rsplit_once(')').context("unreadable /proc/PID/stat")?;
    let ticks: f64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / f64::from(u32::try_from(rustix::param::clock_ticks_per_second())?))
}
