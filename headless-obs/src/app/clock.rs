//! The clocks of this machine: the kernel's monotonic clock, and its offset to the wall clock.

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::time::Time;

/// Now, on the clock of the ring's records.
pub(super) fn now() -> Time {
    Time(u64::try_from(monotonic()).unwrap_or(0))
}

/// Nanoseconds from that clock to the time since 1970.
pub(super) fn wall_offset() -> i128 {
    Timestamp::now().as_nanosecond() - monotonic()
}

fn monotonic() -> i128 {
    let time = clock_gettime(ClockId::Monotonic);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
