//! Checks whether this machine can run the kernel tests, and names a remedy if it cannot.
//!
//! In: /proc and /sys. Out: a list of missing requirements; if it is empty, the tests can be tried.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::sudo;

/// Capabilities that the tests need and that a container's root often lacks: number and name.
const CAPABILITIES: [(u32, &str); 4] =
    [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];

/// The requirements of the kernel tests.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// The kernel has the bpf() system call.
    bpf: bool,
    /// The kernel has BTF, the description of its own types.
    btf: bool,
    /// The kernel has cgroup version 2.
    cgroup2: bool,
    /// The user is root or can become root by sudo.
    root: bool,
    /// The capabilities root would have here, as a bit set.
    capabilities: u64,
}

/// One line for each missing requirement.
pub(crate) fn missing() -> Result<Vec<String>> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc; is it mounted?")?;
    let root = sudo::is_root()?;
    // sudo restores all capabilities in the bounding set.
    let set = if root { "CapEff" } else { "CapBnd" };
    let facts = Facts {
        bpf: Path::new("/proc/sys/kernel/unprivileged_bpf_disabled").exists(),
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        cgroup2: fs::read_to_string("/proc/filesystems").is_ok_and(|names| names.contains("cgroup2")),
        root: root || sudo::on_path("sudo"),
        capabilities: capabilities(&status, set).context("/proc/self/status names no capabilities")?,
    };
    Ok(facts.missing())
}

impl Facts {
    fn missing(&self) -> Vec<String> {
        let Self { bpf, btf, cgroup2, root, capabilities } = *self;
        let mut missing = Vec::new();
        if !root {
            missing.push("not root, and sudo is not installed: run the task as root".to_owned());
        }
        let lost: Vec<&str> = CAPABILITIES
            .iter()
            .filter(|(number, _)| capabilities & (1 << number) == 0)
            .map(|(_, name)| *name)
            .collect();
        if !lost.is_empty() {
            let lost = lost.join(", ");
            missing.push(format!(
                "root lacks {lost} here: run outside the container, or make the container privileged"
            ));
        }
        if !bpf {
            missing.push("the kernel has no bpf(): boot one with CONFIG_BPF_SYSCALL".to_owned());
        }
        if !btf {
            missing.push("no /sys/kernel/btf/vmlinux: boot a kernel with CONFIG_DEBUG_INFO_BTF".to_owned());
        }
        if !cgroup2 {
            missing.push(
                "the kernel has no cgroup2: boot one with CONFIG_CGROUPS and CONFIG_CGROUP_BPF".to_owned(),
            );
        }
        missing
    }
}

fn capabilities(status: &str, set: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Facts = Facts { bpf: true, btf: true, cgroup2: true, root: true, capabilities: u64::MAX };

    #[test]
    fn a_capable_machine_misses_nothing() {
        assert_eq!(GOOD.missing(), Vec::<String>::new());
    }

    #[test]
    fn each_missing_thing_is_named() {
        for (facts, named) in [
            (Facts { root: false, ..GOOD }, "sudo"),
            (Facts { bpf: false, ..GOOD }, "CONFIG_BPF_SYSCALL"),
            (Facts { btf: false, ..GOOD }, "/sys/kernel/btf/vmlinux"),
            (Facts { cgroup2: false, ..GOOD }, "cgroup2"),
            (Facts { capabilities: !(1 << 39), ..GOOD }, "CAP_BPF"),
        ] {
            let missing = facts.missing();
            assert_eq!(missing.len(), 1, "{missing:?}");
            assert!(missing[0].contains(named), "{missing:?}");
        }
        // Docker's default capabilities of root.
        let docker = Facts { capabilities: 0xa804_25fb, ..GOOD }.missing();
        assert!(docker[0].contains("CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF"), "{docker:?}");
    }

    #[test]
    fn capability_sets_are_read_from_the_status() {
        let status = "Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\n";
        assert_eq!(capabilities(status, "CapEff"), Some(0x1ff_ffff_ffff));
        assert_eq!(capabilities(status, "CapBnd"), None);
    }
}
