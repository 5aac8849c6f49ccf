//! Measures the phases of a task, and shows all of them in a table at the end.
//!
//! In: phases, each of which builds or runs something, and tests that ran one at a time. Out: the table's text.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Number of slowest tests in the table.
const SLOWEST: usize = 10;

/// The kind of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Compiling, and installing requirements.
    Building,
    /// Running what was built.
    Running,
}

/// The measurements.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    phases: Vec<(Work, String, Duration)>,
    tests: Vec<(String, Duration)>,
}

impl Timing {
    /// Runs a phase and measures it.
    pub(crate) fn phase<T>(&mut self, work: Work, name: impl Into<String>, run: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = run();
        self.phases.push((work, name.into(), began.elapsed()));
        done
    }

    /// Adds tests that ran one at a time, by name.
    pub(crate) fn add_tests(&mut self, tests: impl IntoIterator<Item = (String, Duration)>) {
        self.tests.extend(tests);
    }

    /// The table: phases in their order, the slowest tests, and the time spent building.
    pub(crate) fn table(mut self) -> String {
        let mut text = String::from("time       phase\n");
        for (_, name, time) in &self.phases {
            line(&mut text, *time, name);
        }
        let sum = |wanted: Option<Work>| -> Duration {
            let phases = self.phases.iter().filter(|(work, ..)| wanted.is_none_or(|wanted| wanted == *work));
            phases.map(|(_, _, time)| *time).sum()
        };
        line(&mut text, sum(None), "all phases");
        line(&mut text, sum(Some(Work::Building)), "of it building");
        self.tests.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        if !self.tests.is_empty() {
            text.push_str("\ntime       slowest tests, of those that run one at a time\n");
        }
        for (name, time) in self.tests.iter().take(SLOWEST) {
            line(&mut text, *time, name);
        }
        text
    }
}

fn line(text: &mut String, time: Duration, name: &str) {
    let seconds = time.as_secs_f64();
    // Writing into a String cannot fail.
    let _ = if seconds < 60.0 {
        writeln!(text, "{seconds:7.1} s  {name}")
    } else {
        writeln!(text, "{:2} m {:02} s  {name}", time.as_secs() / 60, time.as_secs() % 60)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_phases_sums_and_the_ten_slowest_tests() {
        let seconds = Duration::from_secs;
        let phase = |work, name: &str, time| (work, name.to_owned(), seconds(time));
        let timing = Timing {
            phases: vec![
                phase(Work::Building, "building the daemon", 125),
                phase(Work::Running, "running node", 5),
            ],
            tests: (0..12).map(|n| (format!("test-{n}"), seconds(n))).collect(),
        };
        let table = timing.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "time       phase",
                " 2 m 05 s  building the daemon",
                "    5.0 s  running node",
                " 2 m 10 s  all phases",
                " 2 m 05 s  of it building",
                "",
            ]
        );
        assert_eq!((lines[7], lines.len()), ("   11.0 s  test-11", 17));
        assert_eq!(lines[16], "    2.0 s  test-2");
    }

    #[test]
    fn a_phase_is_measured_while_it_runs() {
        let mut timing = Timing::default();
        let done = timing.phase(Work::Running, "sleep", || {
            std::thread::sleep(Duration::from_millis(20));
            7
        });
        assert!(done == 7 && timing.phases[0].2 >= Duration::from_millis(20));
    }
}
