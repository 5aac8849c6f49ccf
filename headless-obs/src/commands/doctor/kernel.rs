//! The checks of the kernel, by the content of its files. Pure.

use std::io::ErrorKind;

use crate::config::TcpHook;
use crate::expose::doctor_check::Check;
use crate::probe::{CgroupView, missing_capabilities};

/// Types of the running kernel.
pub(super) const BTF: &str = "/sys/kernel/btf/vmlinux";
/// The description of the classic tracepoint, if tracefs is mounted.
pub(super) const FORMATS: [&str; 2] = [
    "/sys/kernel/tracing/events/sock/inet_sock_set_state/format",
    "/sys/kernel/debug/tracing/events/sock/inet_sock_set_state/format",
];
/// The oldest supported kernel.
const OLDEST: (u32, u32) = (5, 10);

/// Capabilities in effect, from /proc/self/status.
pub(super) fn privileges(status: &str) -> Check {
    let name = "privileges";
    let Some(missing) = missing_capabilities(status) else {
        return Check::warn(name, "cannot read /proc/self/status", "mount /proc");
    };
    if missing.is_empty() {
        return Check::ok(name, "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN");
    }
    let missing = missing.join(", ");
    Check::fail(
        name,
        format!("missing: {missing}"),
        "run headless-obs with sudo, or in a container with these capabilities added",
    )
}

/// Release, as `uname -r` prints it.
pub(super) fn version(release: &str) -> Check {
    match parse_version(release) {
        Some(version) if version < OLDEST => {
            let found = format!("{release}, older than {}.{}", OLDEST.0, OLDEST.1);
            Check::fail(
                "kernel",
                found,
                "use a newer kernel, such as that of Debian 11, Ubuntu 22.04 or later",
            )
        }
        Some(_) => Check::ok("kernel", release),
        None => Check::warn(
            "kernel",
            format!("{release}: the version is unknown"),
            "headless-obs needs Linux 5.10 or newer",
        ),
    }
}

/// Major and minor version.
pub(super) fn parse_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether the kernel's types can be read.
pub(super) fn btf(opened: Result<(), ErrorKind>, hook: TcpHook) -> Check {
    let found = match opened {
        Ok(()) => return Check::ok("BTF", BTF),
        Err(ErrorKind::NotFound) => format!("no {BTF}"),
        Err(error) => format!("{BTF}: {error}"),
    };
    let remedy = "use a kernel with CONFIG_DEBUG_INFO_BTF=y, as distributions have since 2021";
    match hook {
        TcpHook::TpBtf => Check::fail("BTF", found, format!("{remedy}, or remove --tcp-hook tp_btf")),
        _ => Check::warn(
            "BTF",
            found,
            format!(
                "{remedy}; until then headless-obs uses the classic tracepoint, which does not show why a connection failed"
            ),
        ),
    }
}

/// The classic tracepoint, as a fallback.
pub(super) fn tracepoint(readable: bool, filesystems: &str, hook: TcpHook) -> Check {
    let name = "tracefs";
    if readable {
        return Check::ok(name, "mounted");
    }
    if has_filesystem(filesystems, "tracefs") {
        return Check::ok(name, "not mounted, but headless-obs can mount it");
    }
    let (found, remedy) = ("the kernel has no tracefs", "use a kernel with CONFIG_FTRACE=y");
    match hook {
        TcpHook::Tracepoint => Check::fail(name, found, format!("{remedy}, or remove --tcp-hook tracepoint")),
        _ => Check::warn(name, found, format!("{remedy}; headless-obs needs it only on kernels without BTF")),
    }
}

/// Kernel lockdown: the strictest mode keeps BPF from reading sockets.
pub(super) fn lockdown(modes: &str) -> Check {
    let name = "lockdown";
    if modes.contains("[confidentiality]") {
        return Check::fail(
            name,
            "confidentiality: the kernel does not let BPF read sockets",
            "start the kernel with lockdown=integrity, or without lockdown",
        );
    }
    Check::ok(name, if modes.contains("[integrity]") { "integrity, which BPF permits" } else { "none" })
}

/// The cgroup2 hierarchy, from the mount table. `view` is the widest view, if any, and whether it shows only the
/// container of this process.
pub(super) fn cgroup(view: Option<(&CgroupView, bool)>, mounts: &str, filesystems: &str) -> Check {
    let name = "cgroup2";
    match view {
        Some((view, true)) => Check::fail(
            name,
            format!("{} shows only this container", view.point.display()),
            "mount the node's /sys/fs/cgroup into this container, for example at /host/sys/fs/cgroup",
        ),
        Some((view, false)) if mounts.contains(" - cgroup ") => {
            Check::ok(name, format!("{}, together with version 1", view.point.display()))
        }
        Some((view, false)) => Check::ok(name, view.point.display().to_string()),
        None if has_filesystem(filesystems, "cgroup2") => Check::warn(
            name,
            "not mounted; headless-obs mounts it privately while it observes",
            "headless-obs can name host-network clients only by process; to change that, boot with \
             systemd.unified_cgroup_hierarchy=1",
        ),
        None => Check::fail(
            name,
            "none: the kernel does not have it",
            "use a kernel with CONFIG_CGROUPS=y and CONFIG_CGROUP_BPF=y",
        ),
    }
}

fn has_filesystem(filesystems: &str, name: &str) -> bool {
    filesystems.lines().any(|line| line.split_whitespace().last() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::doctor_check::Status::{self, Fail, Ok, Warn};

    const SYSTEMS: &str = "nodev\ttracefs\nnodev\tcgroup2\n\text4\n";

    #[track_caller]
    fn check(check: Check, status: Status, found: &str) {
        assert!(check.status == status && check.found.contains(found), "{check:?}");
        assert_eq!(check.remedy.is_none(), status == Ok, "{check:?}");
    }

    #[test]
    fn capabilities() {
        let status = |mask: u64| privileges(&format!("Name:\tx\nCapEff:\t{mask:016x}\nCapBnd:\t0\n"));
        check(status(u64::MAX), Ok, "CAP_BPF");
        check(status(1 << 21), Fail, "missing: CAP_NET_ADMIN");
        check(status(0), Fail, "missing: CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN");
        check(privileges(""), Warn, "/proc");
    }

    #[test]
    fn versions() {
        check(version("6.18.44"), Ok, "6.18.44");
        check(version("5.10.0-30-cloud-amd64"), Ok, "");
        check(version("5.4.0-150-generic"), Fail, "older than 5.10");
        check(version("4.19"), Fail, "older");
        check(version("unknown"), Warn, "");
    }

    #[test]
    fn hooks() {
        check(btf(Result::Ok(()), TcpHook::Auto), Ok, "vmlinux");
        check(btf(Err(ErrorKind::NotFound), TcpHook::Auto), Warn, "no /sys");
        check(btf(Err(ErrorKind::PermissionDenied), TcpHook::TpBtf), Fail, "permission denied");
        check(tracepoint(true, "", TcpHook::Tracepoint), Ok, "mounted");
        check(tracepoint(false, SYSTEMS, TcpHook::Auto), Ok, "can mount it");
        check(tracepoint(false, "", TcpHook::Auto), Warn, "no tracefs");
        check(tracepoint(false, "", TcpHook::Tracepoint), Fail, "no tracefs");
        check(lockdown(""), Ok, "none");
        check(lockdown("none [integrity] confidentiality"), Ok, "integrity");
        check(lockdown("none integrity [confidentiality]"), Fail, "read sockets");
    }

    #[test]
    fn cgroups() {
        let view = CgroupView { point: "/sys/fs/cgroup".into(), above: 0 };
        check(cgroup(Some((&view, false)), "", SYSTEMS), Ok, "/sys/fs/cgroup");
        let v1 = "32 29 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        check(cgroup(Some((&view, false)), v1, SYSTEMS), Ok, "/sys/fs/cgroup, together with version 1");
        check(cgroup(Some((&view, true)), "", SYSTEMS), Fail, "only this container");
        check(cgroup(None, "", SYSTEMS), Warn, "privately");
        check(cgroup(None, "", ""), Fail, "none");
    }
}
