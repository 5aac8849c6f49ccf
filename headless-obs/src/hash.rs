//! Hash maps of the pure core: those of the standard library with a faster hash.
//!
//! An event takes some twenty map lookups, most by an address or a few numbers. With the standard hash (SipHash), half
//! of all instructions were hashing. Others choose the addresses, names and ports, so the position of a key in a map
//! must not be predictable: foldhash has a key for each map, from the operating system's randomness.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A map. `default()` or `collect()` makes it.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, Keyed>;
/// A set. `default()` or `collect()` makes it.
pub(crate) type HashSet<T> = std::collections::HashSet<T, Keyed>;

/// The keys of one map.
#[derive(Clone, Debug)]
pub(crate) struct Keyed(SeedableRandomState);

impl Default for Keyed {
    fn default() -> Self {
        static SHARED: OnceLock<SharedSeed> = OnceLock::new();
        let shared = SHARED.get_or_init(|| SharedSeed::from_u64(random()));
        Self(SeedableRandomState::with_seed(random(), shared))
    }
}

impl BuildHasher for Keyed {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

/// The standard library takes its keys from the operating system.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_maps_have_the_same_keys() {
        let hashes: std::collections::HashSet<u64> =
            (0..100).map(|_| Keyed::default().hash_one("10.0.0.1")).collect();
        assert_eq!(hashes.len(), 100);
    }
}
