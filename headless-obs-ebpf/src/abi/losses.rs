//! LOSSES: losses by the client that they are about. User space takes the entries out as it reads them.

use crate::Address;

/// The most clients and reasons between two readings.
pub const MAX_LOSSES: u32 = 1 << 10;

/// A client and the reason of its losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct LossKey {
    /// Its cgroup.
    pub cgroup: u64,
    /// Its address.
    pub client: Address,
    /// One of [`crate::counters`].
    pub reason: u32,
    /// Always 0.
    pub _pad: u32,
}
const _: () = assert!(size_of::<LossKey>() == 32);
