//! The kernel programs of a tool: which programs its processes hold, on which hooks, and their run times.
//!
//! In: process ids, and /proc/PID/fdinfo, which describes each descriptor of a program or link. So the benchmark needs
//! to know nothing about a tool, and ignores other programs on the same machine.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use anyhow::{Context, Result};
use aya::programs::loaded_programs;
use aya::sys::{Stats, enable_stats};

/// `BPF_PROG_TYPE_CGROUP_SKB`.
const CGROUP_SKB: &str = "8";

/// The hook to which a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hook {
    /// `cgroup_skb/ingress`.
    Ingress,
    /// `cgroup_skb/egress`.
    Egress,
    /// `inet_sock_set_state`.
    TcpState,
}

/// The programs and hooks of some processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Ids of programs.
    pub(crate) programs: BTreeSet<u32>,
    /// Hooks that the baseline knows.
    pub(crate) hooks: BTreeSet<Hook>,
}

impl Held {
    /// The hooks of a daemon that could not be started.
    pub(crate) fn usual() -> BTreeSet<Hook> {
        BTreeSet::from([Hook::Ingress, Hook::TcpState])
    }

    /// The programs and hooks of these processes. An ended process has none.
    pub(crate) fn by(pids: &[u32]) -> Self {
        let mut held = Self::default();
        for pid in pids {
            let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
            files.filter_map(|file| fs::read_to_string(file.path()).ok()).for_each(|text| held.add(&text));
        }
        held
    }

    /// Adds the program or hook of a descriptor.
    fn add(&mut self, fdinfo: &str) {
        let Some(id) = value(fdinfo, "prog_id").and_then(|id| id.parse().ok()) else { return };
        self.programs.insert(id);
        let hook = match (value(fdinfo, "link_type"), value(fdinfo, "attach_type")) {
            (Some("cgroup"), Some("0")) => Some(Hook::Ingress),
            (Some("cgroup"), Some("1")) => Some(Hook::Egress),
            (Some("raw_tracepoint"), _) if value(fdinfo, "tp_name") == Some("inet_sock_set_state") => {
                Some(Hook::TcpState)
            }
            _ => None,
        };
        self.hooks.extend(hook);
    }
}

/// Run times of programs. The kernel measures them while the result of [`timing`] is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) nanos: u64,
    /// The part of these nanoseconds that went to packets.
    pub(crate) packet_nanos: u64,
    /// Packets, once for each program that saw one.
    pub(crate) packets: u64,
}

impl Time {
    /// The totals of these programs.
    pub(crate) fn of(programs: &BTreeSet<u32>) -> Result<Self> {
        let mut time = Self::default();
        for info in loaded_programs() {
            // A program that was unloaded just now belonged to no running tool.
            let Ok(info) = info else { continue };
            if !programs.contains(&info.id()) {
                continue;
            }
            let program = info.fd().context("a BPF program was unloaded during its measurement")?;
            let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
            time.add(&fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?);
        }
        Ok(time)
    }

    /// The increase since then.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            nanos: self.nanos.saturating_sub(earlier.nanos),
            packet_nanos: self.packet_nanos.saturating_sub(earlier.packet_nanos),
            packets: self.packets.saturating_sub(earlier.packets),
        }
    }

    fn add(&mut self, fdinfo: &str) {
        let number = |name| value(fdinfo, name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        self.nanos += number("run_time_ns");
        if value(fdinfo, "prog_type") == Some(CGROUP_SKB) {
            self.packet_nanos += number("run_time_ns");
            self.packets += number("run_cnt");
        }
    }
}

/// Makes the kernel time its programs until this is dropped or the process ends.
pub(crate) fn timing() -> Result<OwnedFd> {
    enable_stats(Stats::RunTime).context("the kernel cannot measure the run time of BPF programs")
}

/// Whether the kernel has freed the programs.
pub(crate) fn are_gone(programs: &BTreeSet<u32>) -> bool {
    !loaded_programs().flatten().any(|info| programs.contains(&info.id()))
}

fn value<'a>(fdinfo: &'a str, name: &str) -> Option<&'a str> {
    fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_links_tell_the_hooks_and_those_of_programs_the_ids() {
        let mut held = Held::default();
        for fdinfo in [
            "pos:\t0\nflags:\t02000002\n",
            "prog_type:\t26\nprog_id:\t7\nrun_time_ns:\t0\n",
            "link_type:\traw_tracepoint\nlink_id:\t1\nprog_id:\t7\ntp_name:\tinet_sock_set_state\n",
            "link_type:\tcgroup\nlink_id:\t2\nprog_id:\t8\ncgroup_id:\t1\nattach_type:\t0\n",
            "link_type:\tcgroup\nlink_id:\t3\nprog_id:\t9\ncgroup_id:\t1\nattach_type:\t1\n",
            "link_type:\tcgroup\nlink_id:\t4\nprog_id:\t10\ncgroup_id:\t1\nattach_type:\t10\n",
            "link_type:\traw_tracepoint\nlink_id:\t5\nprog_id:\t11\ntp_name:\tsched_switch\n",
        ] {
            held.add(fdinfo);
        }
        assert_eq!(held.programs, (7..=11).collect());
        assert_eq!(held.hooks, [Hook::Ingress, Hook::Egress, Hook::TcpState].into_iter().collect());
    }

    #[test]
    fn packets_are_those_of_cgroup_programs_alone() {
        let mut time = Time::default();
        time.add("prog_type:\t26\nrun_time_ns:\t1000\nrun_cnt:\t10\n");
        time.add("prog_type:\t8\nrun_time_ns:\t300\nrun_cnt:\t4\n");
        assert_eq!(time, Time { nanos: 1300, packet_nanos: 300, packets: 4 });
        let earlier = Time { nanos: 300, packet_nanos: 100, packets: 1 };
        assert_eq!(time.since(&earlier), Time { nanos: 1000, packet_nanos: 200, packets: 3 });
    }
}
