//! Giving up capabilities once the programs are attached: whoever takes over the process later gets what is left.
//!
//! In: this thread's capabilities, and maps to try them on. Out: what is gone and what stays.
//!
//! Invariants: the kernel keeps capabilities per thread, and nobody can take away another thread's. So only the thread
//! that loads the programs ever has them: all others give theirs up as they start ([`drop_helper_capabilities`]). What is given up
//! cannot be had back, also not by starting another program.

use std::fs;
use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::Maps;
use super::privilege_check::capabilities_in;

/// For files that belong to others, such as manifests in a home: a root without it may not read them.
const READ: CapabilitySet = CapabilitySet::DAC_READ_SEARCH;
/// What attaching takes: the three that are always needed, and what fallbacks add.
const ATTACHING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_RESOURCE);

/// What became of the capabilities.
#[derive(Debug)]
pub struct DroppedCapabilities {
    /// What is gone, in words.
    pub dropped: String,
    /// What stays, in words.
    pub kept: String,
}

/// Gives up what a thread beside the observer's own never needs: all but reading files.
///
/// # Errors
/// The kernel refuses; [`drop_capabilities`] finds such threads.
pub fn drop_helper_capabilities() -> io::Result<()> {
    let held = capabilities(None)?;
    leave(held, held.permitted & READ)
}

/// Gives up all that is not needed any more after everything is attached: everything, except reading the files of
/// others where files are read, and what the kernel wants to see for the maps.
///
/// # Errors
/// The kernel refuses, or a thread has kept what it should not have.
pub fn drop_capabilities(maps: &Maps, reads_files: bool) -> io::Result<DroppedCapabilities> {
    let held = capabilities(None)?;
    let reading = if reads_files { held.permitted & READ } else { CapabilitySet::empty() };
    let kept = reading | for_maps(held, reading, maps)?;
    leave(held, kept)?;
    let mut others = CapabilitySet::empty();
    for task in fs::read_dir("/proc/self/task")? {
        // One that has ended meanwhile has nothing.
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        others |= CapabilitySet::from_bits_retain(capabilities_in(&status, "CapPrm:").unwrap_or_default());
    }
    let left = others.difference(kept | READ);
    if !left.is_empty() {
        return Err(io::Error::other(format!("a thread still has {}", names(left))));
    }
    Ok(DroppedCapabilities { dropped: names(held.permitted.difference(kept)), kept: names(kept) })
}

/// What the kernel asks for when maps are read and written that are open already. From Linux 5.19 on nothing; before,
/// the right to use BPF at all, where that is not everybody's. Distributions bring such changes to older versions, so
/// it is tried.
fn for_maps(held: CapabilitySets, without: CapabilitySet, maps: &Maps) -> rustix::io::Result<CapabilitySet> {
    set_capabilities(None, CapabilitySets { effective: without, ..held })?;
    if is_asked_for() && maps.can_be_read() {
        return Ok(CapabilitySet::empty());
    }
    let bpf = held.permitted & CapabilitySet::BPF;
    Ok(if bpf.is_empty() { held.permitted & CapabilitySet::SYS_ADMIN } else { bpf })
}

/// Whether BPF is refused to those without capabilities: only then does trying prove anything, for an administrator
/// may refuse it later.
fn is_asked_for() -> bool {
    fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").is_ok_and(|value| value.trim() != "0")
}

/// Leaves this thread with no more than `kept`, and what it starts as well.
fn leave(held: CapabilitySets, kept: CapabilitySet) -> io::Result<()> {
    // Programs of root get what the bounding set has. Narrowing it takes a capability that a container may not give;
    // then the other way remains, which takes none.
    if held.permitted.contains(CapabilitySet::SETPCAP) {
        let setting = CapabilitySets { effective: CapabilitySet::SETPCAP, ..held };
        set_capabilities(None, setting)?;
        for capability in (0..u64::BITS).map(|number| CapabilitySet::from_bits_retain(1 << number)) {
            match remove_capability_from_bounding_set(capability) {
                // The kernel knows no more.
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

/// Capabilities in words; of many, those that attaching takes by name, and how many more.
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
