//! Counts losses, in all and for the client that each is about.

use aya_ebpf::bindings::BPF_NOEXIST;
use headless_obs_ebpf::Address;
use headless_obs_ebpf::losses::LossKey;

use crate::atomic::{add, count};
use crate::maps::LOSSES;

/// Adds one to the counter with this number (one of `headless_obs_ebpf::counters`), and to the client's. The total comes
/// first, so it is never less than the sum over clients. If LOSSES has no room, only the total has the loss.
#[inline(always)]
pub(crate) fn count_loss(number: u32, cgroup: u64, client: Address) {
    count(number);
    let key = LossKey { cgroup, client, reason: number, _pad: 0 };
    match LOSSES.get_ptr_mut(key) {
        // SAFETY: a live, 8-byte aligned value of the map.
        Some(value) => unsafe { add(value, 1) },
        // Another CPU may be faster; then only the total has this loss.
        None => _ = LOSSES.insert(key, 1, u64::from(BPF_NOEXIST)),
    }
}
