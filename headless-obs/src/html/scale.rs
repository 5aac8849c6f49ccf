//! Scales: levels of a count, positions on the time axis, and the selection of rows.

use jiff::{SignedDuration, Timestamp};

use crate::expose::snapshot::{Endpoint, History, Snapshot};

/// Levels of the heat map.
pub(super) const HEATS: u64 = 6;
/// Units of the time axis.
pub(super) const LINE: f64 = 560.0;

/// The level of a count: 0 for none, `levels` for the most.
pub(super) fn level(count: u64, most: u64, levels: u64) -> u64 {
    let scaled = (u128::from(count) * u128::from(levels)).div_ceil(u128::from(most.max(1)));
    u64::try_from(scaled).unwrap_or(levels).min(levels)
}

/// The smallest and largest count of each level that occurs.
pub(super) fn levels(most: u64, levels: u64) -> Vec<(u64, u64, u64)> {
    let greatest =
        |level: u64| u64::try_from(u128::from(most) * u128::from(level) / u128::from(levels)).unwrap_or(most);
    (1..=levels)
        .map(|level| (level, greatest(level - 1) + 1, greatest(level)))
        .filter(|(_, least, greatest)| least <= greatest)
        .collect()
}

/// A time axis: that of the snapshot, extended to the length of the history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Axis {
    pub(super) fn new(snapshot: &Snapshot, history: &History) -> Self {
        let end = if history.is_empty() { snapshot.to } else { history.begin(history.len()) };
        let from = if history.is_empty() { snapshot.from } else { snapshot.from.min(history.from) };
        Self { from, to: snapshot.to.max(end) }
    }

    /// The position of a moment; a moment outside is at the nearer end.
    pub(super) fn place(&self, at: Timestamp) -> f64 {
        let whole = self.to.duration_since(self.from).as_secs_f64();
        let part = at.duration_since(self.from).as_secs_f64();
        if whole > 0.0 { (part / whole).clamp(0.0, 1.0) * LINE } else { 0.0 }
    }

    /// Round moments for labels, about five.
    pub(super) fn ticks(&self) -> Vec<Timestamp> {
        const STEPS: [i64; 17] =
            [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];
        let whole = self.to.duration_since(self.from).as_secs().max(1);
        let days = (whole / 86_400 / 5 + 1).saturating_mul(86_400);
        let step = STEPS.into_iter().find(|step| whole / step <= 6).unwrap_or(days);
        let first = self.from.as_second().div_euclid(step) * step;
        (0..8)
            .filter_map(|tick| Timestamp::from_second(first + tick * step).ok())
            .filter(|at| (self.from..=self.to).contains(at))
            .collect()
    }

    /// The text of a label.
    pub(super) fn label(&self, at: Timestamp) -> String {
        let whole = self.to.duration_since(self.from);
        let format = if whole > SignedDuration::from_hours(48) { "%m-%d %H:%M" } else { "%H:%M:%S" };
        at.strftime(format).to_string()
    }
}

/// The positions of the endpoints to show if there is room for this number: the busiest, and some without connections.
pub(super) fn chosen(endpoints: &[Endpoint], room: usize) -> Vec<usize> {
    let mut ranked: Vec<usize> = (0..endpoints.len()).collect();
    if ranked.len() > room {
        let opened = |place: &usize| endpoints.get(*place).map_or(0, |endpoint| endpoint.opened);
        ranked.sort_by_key(|place| std::cmp::Reverse(opened(place)));
        let silent = ranked.iter().filter(|place| opened(place) == 0).count().min(room / 4);
        let first_silent = ranked.iter().position(|place| opened(place) == 0).unwrap_or(ranked.len());
        let busy = first_silent.min(room - silent);
        let idle: Vec<usize> = ranked.iter().skip(first_silent).take(room - busy).copied().collect();
        ranked.truncate(busy);
        ranked.extend(idle);
        ranked.sort_unstable();
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::{self, at, endpoint};

    #[test]
    fn levels_cover_all_counts_once() {
        for most in [1, 2, 5, 6, 7, 100] {
            let levels = levels(most, HEATS);
            for count in 1..=most {
                let within: Vec<_> = levels
                    .iter()
                    .filter(|(_, least, greatest)| (least..=greatest).contains(&&count))
                    .collect();
                assert_eq!(within.len(), 1, "{count} of {most}: {levels:?}");
                assert_eq!(within[0].0, level(count, most, HEATS), "{count} of {most}");
            }
        }
        assert_eq!([level(0, 9, HEATS), level(0, 0, HEATS), level(u64::MAX, u64::MAX, HEATS)], [0, 0, HEATS]);
    }

    #[test]
    fn moments_are_placed_by_time() {
        let axis = Axis::new(&test_fixtures::snapshot(), &History::default());
        assert_eq!(
            [-9, 0, 15, 30, 99].map(|seconds| axis.place(at(seconds))),
            [0.0, 0.0, 280.0, 560.0, 560.0]
        );
        assert_eq!(axis.ticks(), [0, 5, 10, 15, 20, 25, 30].map(at));
        assert_eq!(axis.label(at(5)), "00:00:05");
        for hours in [1, 24, 24 * 30, 24 * 4_000] {
            let ticks = Axis { from: at(7), to: at(7 + hours * 3_600) }.ticks();
            assert!((3..=7).contains(&ticks.len()), "{hours}: {ticks:?}");
        }
    }

    #[test]
    fn the_busiest_and_some_silent_ones_are_chosen() {
        let endpoints: Vec<_> =
            (0..100).map(|n| endpoint(&format!("pod-{n}"), "ready", if n < 50 { 0 } else { n }, 0)).collect();
        let chosen = chosen(&endpoints, 8);
        assert_eq!(chosen, [0, 1, 94, 95, 96, 97, 98, 99]);
        assert_eq!(super::chosen(&endpoints[..4], 8), [0, 1, 2, 3]);
        assert_eq!(super::chosen(&endpoints[..50], 8).len(), 8, "all silent");
        assert_eq!(super::chosen(&endpoints[50..], 8).len(), 8, "none silent");
    }
}
