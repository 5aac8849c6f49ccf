//! Duration of each part. Quick: a few minutes in total; full: longer phases, and the ladders.

/// Steps of a ladder: connections or exchanges a second. The last step has no limit.
pub(crate) type Steps = &'static [u32];

const STEPS: Steps = &[1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// The parts of one tool's turn in one round, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) rounds: usize,
    /// Without load.
    pub(crate) idle: u64,
    /// As many connections or exchanges as possible.
    pub(crate) flat: u64,
    /// At a given rate.
    pub(crate) paced: u64,
    /// Under load while the kernel times its programs, which adds a cost of its own.
    pub(crate) timed: u64,
    /// Bulk data and small packets; `None`: only while programs are timed.
    pub(crate) pour: Option<u64>,
    pub(crate) ladder: Option<Steps>,
}

impl Plan {
    pub(crate) fn quick() -> Self {
        Self {
            name: "quick",
            rounds: 5,
            idle: 2_000,
            flat: 600,
            paced: 800,
            timed: 300,
            pour: None,
            ladder: None,
        }
    }

    pub(crate) fn full() -> Self {
        Self {
            name: "full",
            rounds: 5,
            idle: 4_000,
            flat: 1_500,
            paced: 2_000,
            timed: 700,
            pour: Some(1_000),
            ladder: Some(STEPS),
        }
    }
}
