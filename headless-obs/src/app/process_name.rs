//! The names of processes, as the kernel has them now.
//!
//! In: a process id, and a moment. Out: its name, if the process is as old as that. Invariant: a process that has the id of
//! an earlier one does not give it its name.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::time::Time;

/// The kernel tells the start in hundredths of a second.
const SLACK: Duration = Duration::from_millis(20);

/// The name of a process that was there at `since`.
pub(super) fn process_name(process: u32, since: Time) -> Option<Vec<u8>> {
    let (name, started) = read(&fs::read(format!("/proc/{process}/stat")).ok()?)?;
    let ticks = Duration::from_secs(started) / u32::try_from(clock_ticks_per_second()).ok()?;
    let is_there = ticks <= Duration::from_nanos(since.0) + asleep() + SLACK;
    is_there.then_some(name)
}

/// The time that the machine has slept since its start. Starts of processes count that, and `CLOCK_MONOTONIC` does not.
fn asleep() -> Duration {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    read(ClockId::Boottime).saturating_sub(read(ClockId::Monotonic))
}

/// Name and start, in ticks since the machine's start, from a `stat`. The name may contain anything.
fn read(stat: &[u8]) -> Option<(Vec<u8>, u64)> {
    let (begin, end) = (stat.iter().position(|b| *b == b'(')?, stat.iter().rposition(|b| *b == b')')?);
    let name = stat.get(begin + 1..end)?.to_vec();
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    // The state is the third field, the start the 22nd.
    Some((name, rest.split_ascii_whitespace().nth(19)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::clock::now;
    use super::*;

    #[test]
    fn a_process_has_a_name_from_its_start_on() {
        let own = std::process::id();
        let name = fs::read(format!("/proc/{own}/comm")).unwrap();
        assert_eq!(process_name(own, now()).unwrap(), name.trim_ascii_end());
        assert_eq!(process_name(own, Time(0)), None, "it is younger than the machine");
        assert_eq!(process_name(u32::MAX, now()), None);
    }

    #[test]
    fn any_name_is_read() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        for name in ["java", "a) S (b", "(x)", ") ", ""] {
            let stat = format!("42 ({name}) {rest}\n");
            assert_eq!(read(stat.as_bytes()), Some((name.as_bytes().to_vec(), 4711)), "{name}");
        }
        for broken in ["", "42", "42 (java", "42 (java) S 1", "42 )java( S 1 2 3"] {
            assert_eq!(read(broken.as_bytes()), None, "{broken}");
        }
    }
}
