//! Submits records without a wake-up of user space for each one: a wake-up costs ten times as much as the rest of a
//! record.
//!
//! The first record in [`WAKE_PERIOD`] wakes user space, and so does a quantity of bytes that fills a good part of the
//! ring. User space reads again one period after a wake-up, so the records in between do not wait for longer.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::maps::ring_buf::RingBufEntry;
use headless_obs_ebpf::ring_record::WAKE_PERIOD;

use crate::maps::{LAST_WAKEUP, RING_WATERMARK, Wakeup};

/// Submits a record that was made at `time`.
#[inline(always)]
pub(crate) fn submit<T>(entry: RingBufEntry<T>, time: u64) {
    entry.submit(u64::from(wake(time, size_of::<T>())));
}

/// Whether to wake user space, as a flag. Two CPUs may both decide to, which does no harm. One CPU may miss the other's
/// bytes; then the next record or the end of the period wakes user space.
#[inline(always)]
fn wake(time: u64, size: usize) -> u32 {
    let Some(woken) = LAST_WAKEUP.get_ptr_mut(0) else { return BPF_RB_FORCE_WAKEUP };
    // SAFETY: a live, aligned value of the map.
    let last = unsafe { woken.read_volatile() };
    let bytes = last.bytes + size as u64;
    let is_due = time.wrapping_sub(last.time) >= WAKE_PERIOD || bytes >= u64::from(RING_WATERMARK.load());
    let (next, flag) = if is_due {
        (Wakeup { time, bytes: 0 }, BPF_RB_FORCE_WAKEUP)
    } else {
        (Wakeup { time: last.time, bytes }, BPF_RB_NO_WAKEUP)
    };
    // SAFETY: as above.
    unsafe { woken.write_volatile(next) };
    flag
}
