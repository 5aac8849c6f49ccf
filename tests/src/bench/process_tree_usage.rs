//! Resource usage of a tool's processes and their descendants, from /proc.

use std::fs;

use anyhow::Result;
use lab::process_usage::status;

/// Processor time and memory of some processes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a processor, in user mode and in system calls, in nanoseconds.
    pub(crate) cpu_nanos: u64,
    /// Clock ticks in user mode, and in both modes. They are too coarse for anything but their ratio.
    user_ticks: u64,
    all_ticks: u64,
    /// Resident memory, in KiB.
    resident_kib: u64,
}

impl Usage {
    /// The usage of these processes and their descendants. Ended processes count as zero.
    pub(crate) fn of(roots: &[u32]) -> Result<Self> {
        let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        let mut usage = Self::default();
        for pid in tree(roots) {
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            let Some([user, system, waited_user, waited_system]) = ticks(&stat) else { continue };
            usage.user_ticks += user + waited_user;
            usage.all_ticks += user + system + waited_user + waited_system;
            // Time of ended and reaped children appears here only.
            usage.cpu_nanos += (waited_user + waited_system) * tick;
            usage.cpu_nanos += threads(pid).map(|thread| on_cpu(pid, thread)).sum::<u64>();
            usage.resident_kib += status(pid, "VmRSS").unwrap_or(0);
        }
        Ok(usage)
    }

    /// Resident memory.
    pub(crate) fn resident_mib(&self) -> f64 {
        f64_of(self.resident_kib) / 1024.0
    }

    /// The share of user mode in the time since then; `None` if that time was too short.
    pub(crate) fn user_share_since(&self, earlier: &Self) -> Option<f64> {
        const FEWEST: u64 = 5;
        let all = self.all_ticks.saturating_sub(earlier.all_ticks);
        let user = self.user_ticks.saturating_sub(earlier.user_ticks);
        (all >= FEWEST).then(|| f64_of(user) / f64_of(all))
    }
}

/// These processes and their descendants.
pub(crate) fn tree(roots: &[u32]) -> Vec<u32> {
    let mut all = roots.to_vec();
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        next += 1;
        for thread in threads(pid) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"));
            let children = children.unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    all
}

fn threads(pid: u32) -> impl Iterator<Item = u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok())
}

/// Nanoseconds that a thread has run on a processor.
fn on_cpu(pid: u32, thread: u32) -> u64 {
    let schedule = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).unwrap_or_default();
    schedule.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// User and system ticks of a process, and of its ended children, from /proc/PID/stat.
fn ticks(stat: &str) -> Option<[u64; 4]> {
    // The name is the second field, in brackets, and may contain any character; the times are fields 14 to 17.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??, fields.next()??])
}

#[expect(clippy::cast_precision_loss, reason = "figures to be read")]
pub(crate) fn f64_of(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "1 (a ) 9 9 9) S 1 1 1 0 -1 4194560 5 6 7 8 11 12 13 14 20 0 1 0 99";
        assert_eq!(ticks(stat), Some([11, 12, 13, 14]));
        assert_eq!(ticks("1 (a) S 1"), None);
    }

    #[test]
    fn a_process_and_its_child_are_a_tree() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = std::process::id();
        let all = tree(&[own]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(all.contains(&own) && all.contains(&child.id()), "{all:?}");
        assert!(Usage::of(&[own]).unwrap().cpu_nanos > 0);
    }
}
