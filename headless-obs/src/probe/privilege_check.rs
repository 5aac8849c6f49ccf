//! Checks the rights of this process, as far as they matter here.
//!
//! In: /proc of this process and of the first one. Out: missing capabilities, whether processes of others are visible,
//! and whether process ids are the kernel's.

use std::fs;
use std::path::Path;

use super::ProbeError;

/// The capabilities for loading and attaching, by number; CAP_SYS_ADMIN stands for the first two.
const NEEDED: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN")];
const CAP_SYS_ADMIN: u32 = 21;

/// The missing capabilities, from the text of /proc/PID/status; `None` if it names none.
pub fn missing_capabilities(status: &str) -> Option<Vec<&'static str>> {
    let held = capabilities_in(status, "CapEff:")?;
    let has = |number: u32| held & (1 << number) != 0;
    let is_missing =
        |&&(number, name): &&(u32, &str)| !(has(number) || name != "CAP_NET_ADMIN" && has(CAP_SYS_ADMIN));
    Some(NEEDED.iter().filter(is_missing).map(|(_, name)| *name).collect())
}

/// A set of capabilities from the text of /proc/PID/status, by the name of its line.
pub(super) fn capabilities_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The error for a refusal of the kernel, with a possible reason.
pub(super) fn not_permitted(why: String) -> ProbeError {
    // Without /proc, the rest of the message must be enough.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing_capabilities(&status).unwrap_or_default().join(", ");
    ProbeError::NotPermitted { why, missing }
}

/// Whether this is a container that sees only its own processes, so that the kernel lists no other sockets. A machine
/// that is itself a container, such as a node of kind, has its first process in a cgroup of its own.
pub fn sees_only_own_processes() -> bool {
    let cgroup = |process: &str| fs::read(format!("/proc/{process}/cgroup")).ok();
    !is_in_initial_pid_namespace() && cgroup("1") == cgroup("self")
}

/// Whether this process is in the initial PID namespace. In others, the process ids of records differ from those of
/// /proc.
pub fn is_in_initial_pid_namespace() -> bool {
    /// That namespace, by its fixed number.
    const FIRST: &str = "pid:[4026531836]";
    !fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace != Path::new(FIRST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(held: u64, expected: &[&str]) {
        let status = format!("Name:\tx\nCapEff:\t{held:016x}\nCapBnd:\t0\n");
        assert_eq!(missing_capabilities(&status).unwrap(), expected);
    }

    #[test]
    fn capabilities() {
        check(u64::MAX, &[]);
        check(1 << 39 | 1 << 38 | 1 << 12, &[]);
        check(1 << 21 | 1 << 12, &[]);
        check(1 << 21, &["CAP_NET_ADMIN"]);
        check(1 << 39 | 1 << 12, &["CAP_PERFMON"]);
        check(0, &["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(missing_capabilities(""), None);
    }
}
