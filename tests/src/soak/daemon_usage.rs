//! A daemon's use of resources over time, and whether it grows.

use std::fmt;
use std::fs;

use anyhow::{Context as _, Result};
use lab::Observer;
use lab::process_usage::status;

/// The measured resources, each with the maximum by which the median of the last third may exceed that of the first.
///
/// Memory: the daemon remembers replaced pods for an hour. Maps: it forgets idle flows and ignored destinations after ten
/// minutes; FLOWS has room for 32,768, IGNORED_DESTS for 16,384.
/// Threads: those that read files stay for a while after they have finished.
const BOUNDS: [(&str, u64); 7] = [
    ("resident memory, KiB", 2_048),
    ("memory of its own, KiB", 2_048),
    ("descriptors", 2),
    ("threads", 2),
    ("entries of FLOWS", 256),
    ("entries of CONNECTIONS", 64),
    ("entries of IGNORED_DESTS", 256),
];
/// The first tenth of the samples is the warm-up, and is left out.
const WARM_UP: usize = 10;

/// One sample of everything in [`BOUNDS`].
type Sample = [u64; BOUNDS.len()];

/// Samples of the daemon over time.
#[derive(Default)]
pub(crate) struct Vitals {
    samples: Vec<Sample>,
}

impl Vitals {
    /// Takes a sample.
    pub(crate) fn sample(&mut self, observer: &Observer) -> Result<()> {
        let pid = observer.pid();
        let snapshot = observer.snapshot()?;
        let entries = |map: &str| {
            let found = snapshot["quality"]["maps"][map]["entries"].as_u64();
            found.with_context(|| format!("the snapshot has no number of entries of {map}"))
        };
        self.samples.push([
            status(pid, "VmRSS")?,
            status(pid, "RssAnon")?,
            u64::try_from(fs::read_dir(format!("/proc/{pid}/fd"))?.count())?,
            status(pid, "Threads")?,
            entries("FLOWS")?,
            entries("CONNECTIONS")?,
            entries("IGNORED_DESTS")?,
        ]);
        Ok(())
    }

    /// A summary of the last sample.
    pub(crate) fn last(&self) -> String {
        let last = self.samples.last().copied().unwrap_or_default();
        format!("{} MiB, {} descriptors, {} flows", last[0] / 1024, last[2], last[4])
    }

    /// The first and the last third, to compare.
    pub(crate) fn growth(&self) -> Growth {
        let steady = self.samples.get(self.samples.len().div_ceil(WARM_UP)..).unwrap_or_default();
        let third = (steady.len() / 3).max(1).min(steady.len());
        let middle = |samples: &[Sample], what: usize| {
            let mut values: Vec<u64> =
                samples.iter().filter_map(|sample| sample.get(what).copied()).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0)
        };
        let (first, last) = (&steady[..third], &steady[steady.len() - third..]);
        Growth { rows: std::array::from_fn(|what| (middle(first, what), middle(last, what))) }
    }
}

/// First and last third of each resource.
pub(crate) struct Growth {
    rows: [(u64, u64); BOUNDS.len()],
}

impl Growth {
    /// Whether all growth is within the bounds.
    pub(crate) fn is_small(&self) -> bool {
        self.rows.iter().zip(BOUNDS).all(|(&(first, last), (_, most))| last <= first + most)
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | first third | last third | may grow by |")?;
        writeln!(f, "|---|---|---|---|")?;
        for (&(first, last), (what, most)) in self.rows.iter().zip(BOUNDS) {
            let verdict = if last <= first + most { "" } else { ": GROWS" };
            writeln!(f, "| {what} | {first} | {last} | {most}{verdict} |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(of: impl Fn(u64) -> u64) -> Growth {
        Vitals { samples: (0..100).map(|at| [of(at), 0, 0, 0, 0, 0, 0]).collect() }.growth()
    }

    #[test]
    fn what_grows_is_told_from_what_is_large_while_it_warms_up() {
        assert!(growth(|at| if at < 8 { 90_000 } else { 20_000 }).is_small());
        assert!(growth(|at| 20_000 + at * 30).is_small());
        let leak = growth(|at| 20_000 + at * 60);
        assert!(!leak.is_small() && leak.to_string().contains("GROWS"));
    }
}
