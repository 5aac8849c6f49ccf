//! Drops capabilities after the programs are attached, so that an attacker who takes over the process has fewer rights.
//!
//! In: this thread's capabilities, and maps to try them on. Out: the dropped and the remaining capabilities.
//!
//! Invariants: the kernel keeps capabilities per thread, and no thread can drop another's. So every thread except the
//! one that loads the programs drops its own at its start ([`drop_helper_capabilities`]). A dropped capability cannot
//! be regained, not even by starting another program.

use std::fs;
use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::Maps;
use super::privilege_check::capabilities_in;

/// Permits reading of files of other users, such as manifests in a home directory. Without it, root may not read them.
const READ: CapabilitySet = CapabilitySet::DAC_READ_SEARCH;
/// The capabilities for attaching: three that are always needed, and those for fallbacks.
const ATTACHING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_RESOURCE);

/// The result.
#[derive(Debug)]
pub struct DroppedCapabilities {
    /// The dropped capabilities, as text.
    pub dropped: String,
    /// The remaining capabilities, as text.
    pub kept: String,
}

/// Drops everything that a helper thread never needs, which is all except reading files.
///
/// # Errors
/// The kernel refuses; [`drop_capabilities`] finds such threads.
pub fn drop_helper_capabilities() -> io::Result<()> {
    let held = capabilities(None)?;
    leave(held, held.permitted & READ)
}

/// Drops everything that is not needed after everything is attached. It keeps the right to read files of other users,
/// if the source reads files, and any right that the kernel requires for open maps.
///
/// # Errors
/// The kernel refuses, or a thread still has a capability that it must not have.
pub fn drop_capabilities(maps: &Maps, reads_files: bool) -> io::Result<DroppedCapabilities> {
    let held = capabilities(None)?;
    let reading = if reads_files { held.permitted & READ } else { CapabilitySet::empty() };
    let kept = reading | for_maps(held, reading, maps)?;
    leave(held, kept)?;
    let mut others = CapabilitySet::empty();
    for task in fs::read_dir("/proc/self/task")? {
        // A thread that has ended has none.
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        others |= CapabilitySet::from_bits_retain(capabilities_in(&status, "CapPrm:").unwrap_or_default());
    }
    let left = others.difference(kept | READ);
    if !left.is_empty() {
        return Err(io::Error::other(format!("a thread still has {}", names(left))));
    }
    Ok(DroppedCapabilities { dropped: names(held.permitted.difference(kept)), kept: names(kept) })
}

/// The right that the kernel requires to read and write open maps. From Linux 5.19 on it is none. Before, it is the
/// right to use BPF, unless everybody has it. Distributions backport such changes, so this function tries it.
fn for_maps(held: CapabilitySets, without: CapabilitySet, maps: &Maps) -> rustix::io::Result<CapabilitySet> {
    set_capabilities(None, CapabilitySets { effective: without, ..held })?;
    if is_asked_for() && maps.can_be_read() {
        return Ok(CapabilitySet::empty());
    }
    let bpf = held.permitted & CapabilitySet::BPF;
    Ok(if bpf.is_empty() { held.permitted & CapabilitySet::SYS_ADMIN } else { bpf })
}

/// Whether the kernel refuses BPF to processes without capabilities. Only then does a successful try prove anything,
/// because an administrator may change the setting later.
fn is_asked_for() -> bool {
    fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").is_ok_and(|value| value.trim() != "0")
}

/// Limits this thread, and programs that it starts, to `kept`.
fn leave(held: CapabilitySets, kept: CapabilitySet) -> io::Result<()> {
    // Programs of root get the capabilities of the bounding set. To narrow it takes a capability that a container may
    // not have; `no_new_privs` takes none.
    if held.permitted.contains(CapabilitySet::SETPCAP) {
        let setting = CapabilitySets { effective: CapabilitySet::SETPCAP, ..held };
        set_capabilities(None, setting)?;
        for capability in (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number)) {
            match remove_capability_from_bounding_set(capability) {
                // The kernel knows no further capability.
                Err(rustix::io::Errno::INVAL) => break,
                result => result?,
            }
        }
    }
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: held.inheritable & kept };
    Ok(set_capabilities(None, sets)?)
}

/// Capabilities as text. If there are many, those for attaching by name, and the number of the others.
fn names(set: CapabilitySet) -> String {
    const MANY: usize = 8;
    let all: Vec<_> = set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    if all.is_empty() {
        return "none".to_owned();
    }
    if all.len() < MANY {
        return all.join(", ");
    }
    let named: Vec<_> = (set & ATTACHING).iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    format!("{} and {} others", named.join(", "), all.len() - named.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_in_words() {
        assert_eq!(names(CapabilitySet::empty()), "none");
        assert_eq!(names(CapabilitySet::BPF | CapabilitySet::NET_ADMIN), "CAP_NET_ADMIN, CAP_BPF");
        assert_eq!(
            names(CapabilitySet::from_bits_retain((1 << 41) - 1)),
            "CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, CAP_PERFMON, CAP_BPF and 36 others"
        );
    }
}
