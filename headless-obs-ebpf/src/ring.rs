//! Handing records to user space without waking it for each: a wake-up costs ten times what the rest of a record does.
//!
//! User space is woken by the first record in [`WAKE_PERIOD`], and by every record once the ring fills up. It reads
//! again one period after it was woken, so what came in between is not left lying.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::maps::ring_buf::RingBufEntry;
use headless_obs_ebpf::record::WAKE_PERIOD;

use crate::maps::{EVENTS, RING_WATERMARK, WOKEN};

/// `bpf_ringbuf_query`: bytes not read yet.
const AVAILABLE: u64 = 0;

/// Submits a record that was made at `time`.
#[inline(always)]
pub(crate) fn submit<T>(entry: RingBufEntry<T>, time: u64) {
    entry.submit(u64::from(wake(time)));
}

/// Whether to wake user space, as a flag. Two CPUs may both decide to: once too often does no harm.
#[inline(always)]
fn wake(time: u64) -> u32 {
    let Some(woken) = WOKEN.get_ptr_mut(0) else { return BPF_RB_FORCE_WAKEUP };
    // SAFETY: a live, aligned value of the map; a lost update means one wake-up more.
    let last = unsafe { woken.read_volatile() };
    if time.wrapping_sub(last) < WAKE_PERIOD && EVENTS.query(AVAILABLE) < u64::from(RING_WATERMARK.load()) {
        return BPF_RB_NO_WAKEUP;
    }
    // SAFETY: as above.
    unsafe { woken.write_volatile(time) };
    BPF_RB_FORCE_WAKEUP
}
