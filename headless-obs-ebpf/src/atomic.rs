//! Atomic additions to COUNTERS and to totals in maps.

use core::arch::asm;

use crate::maps::COUNTERS;

/// Adds one to the counter with this number (one of `headless_obs_ebpf::counters`).
#[inline(always)]
pub(crate) fn count(number: u32) {
    if let Some(value) = COUNTERS.get_ptr_mut(number) {
        // SAFETY: `value` points at a live, 8-byte aligned u64 of the map.
        unsafe { add(value, 1) };
    }
}

/// Adds to a number in a map. It is atomic because other CPUs, and a soft interrupt on this one, add to it as well. It
/// uses the plain atomic add of the first BPF instruction set; the one that returns the old value needs Linux 5.12.
///
/// # Safety
/// `value` points at a live, 8-byte aligned u64 in a map value.
#[inline(always)]
pub(crate) unsafe fn add(value: *mut u64, amount: u64) {
    // SAFETY: by this function's contract; the instruction touches nothing else.
    unsafe {
        asm!("lock *(u64 *)({value} + 0) += {amount}", value = in(reg) value, amount = in(reg) amount);
    }
}
