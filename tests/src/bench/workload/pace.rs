//! Repeats an action for a while, at a rate or as fast as possible, and measures each repetition.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Maximum number of times kept of one run, to limit memory.
const MOST_TIMES: usize = 1 << 20;

/// Rate and duration.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// Repetitions a second; `None`: as fast as possible.
    pub(crate) per_second: Option<u32>,
    pub(crate) millis: u64,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Successes.
    pub(crate) count: u64,
    pub(crate) failed: u64,
    /// Total time.
    pub(crate) nanos: u64,
    /// Median time of one repetition.
    pub(crate) p50: u64,
    pub(crate) p99: u64,
}

impl Done {
    /// Successes per second.
    pub(crate) fn per_second(&self) -> f64 {
        crate::process_tree_usage::f64_of(self.count)
            / (crate::process_tree_usage::f64_of(self.nanos.max(1)) / 1e9)
    }
}

impl Pace {
    /// The time at which the repetition after `done` others is due, counted from the start; `None`: at once.
    fn due(self, done: u64) -> Option<Duration> {
        let rate = u64::from(self.per_second?.max(1));
        Some(Duration::from_secs(done / rate) + Duration::from_nanos(done % rate * 1_000_000_000 / rate))
    }

    /// Runs the action. `act` returns its number of successes and the time of one; `None` means failure.
    pub(crate) fn run(self, mut act: impl FnMut() -> Result<Option<(u64, Duration)>>) -> Result<Done> {
        let length = Duration::from_millis(self.millis);
        let mut times = Vec::with_capacity(1 << 16);
        let mut done = Done::default();
        let begin = Instant::now();
        loop {
            let passed = begin.elapsed();
            match self.due(done.count + done.failed) {
                _ if passed >= length => break,
                Some(due) if due >= length => break,
                Some(due) if due > passed => thread::sleep(due - passed),
                _ => {}
            }
            match act()? {
                Some((count, time)) => {
                    done.count += count;
                    if times.len() < MOST_TIMES {
                        times.push(u64::try_from(time.as_nanos())?);
                    }
                }
                None => done.failed += 1,
            }
        }
        done.nanos = u64::try_from(begin.elapsed().as_nanos())?;
        times.sort_unstable();
        done.p50 = quantile(&times, 50);
        done.p99 = quantile(&times, 99);
        Ok(done)
    }
}

/// The smallest of the sorted values that at least `percent` of them do not exceed; 0 if there are none.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!((quantile(&values, 50), quantile(&values, 99)), (100, 198));
        assert_eq!((quantile(&[7], 50), quantile(&[7], 99), quantile(&[], 50)), (7, 7, 0));
    }

    #[test]
    fn what_is_due_does_not_drift() {
        let pace = Pace { per_second: Some(3), millis: 0 };
        assert_eq!(pace.due(0), Some(Duration::ZERO));
        assert_eq!(pace.due(1), Some(Duration::from_nanos(333_333_333)));
        assert_eq!(pace.due(3_000_000), Some(Duration::from_secs(1_000_000)));
        assert_eq!(Pace { per_second: None, millis: 0 }.due(5), None);
    }

    #[test]
    fn as_many_as_are_due_are_done_and_failures_are_told_apart() {
        let mut calls = 0;
        let act = || {
            calls += 1;
            Ok((calls % 2 == 0).then_some((1, Duration::from_nanos(calls))))
        };
        let done = Pace { per_second: Some(10), millis: 400 }.run(act).unwrap();
        assert_eq!((done.count, done.failed, done.p50, done.p99), (2, 2, 2, 4));
    }
}
