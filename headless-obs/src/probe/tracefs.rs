//! The record layout of the classic tracepoint, and a mount of tracefs if there is none.

use std::fs;
use std::path::Path;
use std::thread;

use headless_obs_ebpf::offsets::TracepointOffsets;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use super::ProbeError;
use super::privilege_check::not_permitted;

/// The usual path of tracefs.
const TRACEFS: &str = "/sys/kernel/tracing";
/// The path on older systems.
const DEBUG_TRACEFS: &str = "/sys/kernel/debug/tracing";
const FORMAT: &str = "events/sock/inet_sock_set_state/format";

/// Runs `work` with tracefs at its path. If it is not mounted, `work` runs in a thread with its own mount namespace, so
/// no other process sees the mount, and it ends with the thread.
pub(super) fn with_tracefs<T: Send>(
    work: impl FnOnce() -> Result<T, ProbeError> + Send,
) -> Result<T, ProbeError> {
    if is_mounted() {
        return work();
    }
    thread::scope(|scope| {
        scope
            .spawn(|| {
                mount_privately()?;
                work()
            })
            .join()
            .unwrap_or_else(|_| Err(ProbeError::Tracefs("the thread that mounts it failed".to_owned())))
    })
}

/// Whether tracefs is at one of its usual paths.
pub fn is_mounted() -> bool {
    [TRACEFS, DEBUG_TRACEFS].iter().any(|root| Path::new(root).join(FORMAT).exists())
}

fn mount_privately() -> Result<(), ProbeError> {
    let failed = |error: rustix::io::Errno| match error {
        rustix::io::Errno::PERM => not_permitted(format!("tracefs cannot be mounted: {error}")),
        _ => ProbeError::Tracefs(error.to_string()),
    };
    // SAFETY: file descriptors stay shared: only the mount namespace (and with it the working directory) is this
    // thread's own.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(failed)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(failed)?;
    mount("tracefs", TRACEFS, "tracefs", MountFlags::empty(), None).map_err(failed)
}

/// Offsets of the fields that `tcp_state_classic` reads.
pub(super) fn offsets() -> Result<TracepointOffsets, ProbeError> {
    let root = if Path::new(TRACEFS).join(FORMAT).exists() { TRACEFS } else { DEBUG_TRACEFS };
    let path = Path::new(root).join(FORMAT);
    let format = fs::read_to_string(&path)
        .map_err(|error| ProbeError::Tracefs(format!("{}: {error}", path.display())))?;
    parse(&format).map_err(|field| ProbeError::Tracefs(format!("{}: no field {field}", path.display())))
}

/// Parses a tracefs `format`; the error is the name of a missing field.
fn parse(format: &str) -> Result<TracepointOffsets, &'static str> {
    let at = |name: &'static str| format.lines().find_map(|line| field(line, name)).ok_or(name);
    Ok(TracepointOffsets {
        skaddr: at("skaddr")?,
        oldstate: at("oldstate")?,
        newstate: at("newstate")?,
        sport: at("sport")?,
        dport: at("dport")?,
        family: at("family")?,
        protocol: at("protocol")?,
        saddr_v6: at("saddr_v6")?,
        daddr_v6: at("daddr_v6")?,
    })
}

/// The offset in a line such as `field:__u8 saddr_v6[16]; offset:40; size:16; signed:0;` if it declares `name`.
fn field(line: &str, name: &str) -> Option<u32> {
    let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
    let declared = parts.next()?.rsplit(' ').next()?;
    let declared = declared.split('[').next()?.trim_start_matches('*');
    if declared != name {
        return None;
    }
    parts.find_map(|part| part.strip_prefix("offset:"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = "name: inet_sock_set_state
ID: 1544
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;
\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;
\tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;

print fmt: \"family=%s\", REC->family
";

    #[test]
    fn reads_the_kernels_format() {
        let offsets = parse(FORMAT).expect("complete");
        assert_eq!((offsets.skaddr, offsets.oldstate, offsets.newstate), (8, 16, 20));
        assert_eq!((offsets.sport, offsets.dport, offsets.family, offsets.protocol), (24, 26, 28, 30));
        assert_eq!((offsets.saddr_v6, offsets.daddr_v6), (40, 56));
    }

    #[test]
    fn names_the_field_that_is_missing() {
        let without = FORMAT.replace("daddr_v6", "other");
        assert_eq!(parse(&without), Err("daddr_v6"));
    }
}
