//! The default size of kernel maps: what the node has decides, because the kernel allocates them at the start.
//!
//! In: the memory of the node, not of the container. Out: a number of entries. Sockets and processes need memory
//! themselves, so a small node has few connections.

use rustix::system::sysinfo;

/// The most entries by default: with them, all maps and the ring take less than 20 MiB.
const MOST: u32 = 1 << 15;
/// The least, which costs 2 MiB.
const LEAST: u32 = 1 << 12;
/// Memory of a node for each entry.
const BYTES_PER_ENTRY: u64 = 64 << 10;

/// Entries of the maps of flows and of open connections.
pub(super) fn entries() -> u32 {
    let node = sysinfo();
    entries_of(node.totalram.saturating_mul(u64::from(node.mem_unit)))
}

/// The same for a node with so much memory. A machine of 2 GiB has a little less, so this rounds up.
fn entries_of(memory: u64) -> u32 {
    let entries = u32::try_from(memory / BYTES_PER_ENTRY).unwrap_or(MOST);
    entries.clamp(LEAST, MOST).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_node_has_small_maps_and_a_large_one_no_larger_than_the_most() {
        const MIB: u64 = 1 << 20;
        let sizes =
            [0, 512, 990, 1_024, 1_970, 2_048, 24 * 1_024, 1 << 30].map(|size| entries_of(size * MIB));
        assert_eq!(sizes, [4_096, 8_192, 16_384, 16_384, 32_768, 32_768, 32_768, 32_768]);
        assert_eq!(entries_of(u64::MAX), MOST);
    }
}
