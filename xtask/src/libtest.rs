//! Parses the output of Rust's test programs.
//!
//! In: their output in pieces, with the times of arrival. Out: [`Counts`], and the duration of each test if tests run
//! one at a time. It reads complete lines only.

use std::time::Duration;

use anyhow::Result;

/// Numbers of passed and failed tests, and the names of failed ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that failed, and parts that could not run.
    pub(crate) failed: u64,
    /// The names of both.
    pub(crate) failures: Vec<String>,
    /// Tests that passed only in a second run.
    pub(crate) passed_second: Vec<String>,
}

impl Counts {
    /// One failure: a part that could not run, with the reason.
    pub(crate) fn failure(reason: String) -> Self {
        Self { failed: 1, failures: vec![reason], ..Self::default() }
    }

    /// Adds the counts of another part.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { passed, failed, failures, passed_second } = other;
        self.passed += passed;
        self.failed += failed;
        self.failures.extend(failures);
        self.passed_second.extend(passed_second);
    }

    /// Runs failed tests a second time, if there are at most `most`; `run` gets the name of one.
    pub(crate) fn with_second_run(
        mut self,
        most: usize,
        mut run: impl FnMut(&str) -> Result<Self>,
    ) -> Result<Self> {
        // A part that could not run is a failure but not a test.
        if self.failures.len() > most || self.failed != self.failures.len() as u64 {
            return Ok(self);
        }
        for name in std::mem::take(&mut self.failures) {
            let second = run(&name)?;
            if second.passed == 1 && second.failed == 0 {
                self.passed += 1;
                self.failed -= 1;
                self.passed_second.push(name);
            } else {
                self.failures.push(name);
            }
        }
        Ok(self)
    }

    /// The last line of the test task's output.
    pub(crate) fn summary(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

/// Collects counts from a stream of output.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    counts: Counts,
    line: Vec<u8>,
    /// Time of the last line of a test, or of the line before the first test.
    last: Duration,
    times: Vec<(String, Duration)>,
}

impl Reader {
    /// Takes the next piece of output, with its time of arrival since the program's start.
    pub(crate) fn push(&mut self, piece: &[u8], at: Duration) {
        for &byte in piece {
            if byte == b'\n' {
                self.end_line(at);
            } else {
                self.line.push(byte);
            }
        }
    }

    /// The counts, and for each test the time from the end of the previous test to its own: its duration, if tests run
    /// one at a time. Call it after the last piece.
    pub(crate) fn finish(mut self) -> (Counts, Vec<(String, Duration)>) {
        self.end_line(self.last);
        (self.counts, self.times)
    }

    fn end_line(&mut self, at: Duration) {
        let line = String::from_utf8_lossy(&self.line);
        if let Some(name) = ended_test(&line) {
            self.times.push((name.to_owned(), at.saturating_sub(self.last)));
            self.last = at;
        } else if line.starts_with("running ") {
            self.last = at;
        }
        if let Some((passed, failed)) = test_result(&line) {
            self.counts.passed += passed;
            self.counts.failed += failed;
        } else if let Some(name) = failed_test(&line) {
            self.counts.failures.push(name.to_owned());
        }
        self.line.clear();
    }
}

/// Passed and failed tests of a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn test_result(line: &str) -> Option<(u64, u64)> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count =
        |unit: &str| numbers.split("; ").find_map(|part| part.strip_suffix(unit)?.trim_end().parse().ok());
    Some((count("passed")?, count("failed")?))
}

/// The name in a line such as `test NAME ... ok` or `test NAME ... FAILED`.
fn ended_test(line: &str) -> Option<&str> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    matches!(result, "ok" | "FAILED").then_some(name)
}

/// The name in a line such as `test NAME ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 3 tests\ntest a::one ... ok\ntest a::two ... FAILED\ntest b ... ignored\n\
        \nfailures:\n    a::two\n\
        \ntest result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s\n\
        \nrunning 2 tests\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s";

    #[test]
    fn results_of_several_programs_add_up_however_the_output_is_cut() {
        let expected =
            Counts { passed: 3, failed: 1, failures: vec!["a::two".to_owned()], ..Counts::default() };
        for size in [1, 7, OUTPUT.len()] {
            let mut reader = Reader::default();
            OUTPUT.as_bytes().chunks(size).for_each(|piece| reader.push(piece, Duration::ZERO));
            assert_eq!(reader.finish().0, expected, "pieces of {size}");
        }
    }

    #[test]
    fn a_test_takes_the_time_since_the_one_before_it_ended() {
        let mut reader = Reader::default();
        let seconds = Duration::from_secs;
        for (at, line) in [
            (3, "running 3 tests\n"),
            (5, "test a ... ok\n"),
            (6, "what a test says\n"),
            (9, "test b::c ... FAILED\n"),
            (9, "test d ... ignored\n"),
        ] {
            reader.push(line.as_bytes(), seconds(at));
        }
        let times = reader.finish().1;
        assert_eq!(times, [("a".to_owned(), seconds(2)), ("b::c".to_owned(), seconds(4))]);
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "the test result: ok. 9 passed; 0 failed",
            "test result: ok. many passed; 0 failed",
            "test result: ok",
            "9 passed, 0 failed",
            "",
        ] {
            assert_eq!(test_result(line), None, "{line}");
        }
    }

    #[test]
    fn a_part_that_could_not_run_is_a_failure() {
        let mut counts = Counts { passed: 5, ..Counts::default() };
        counts.add(Counts::failure("no root".to_owned()));
        assert_eq!(counts.summary(), "5 passed, 1 failed");
        assert_eq!(counts.failures, ["no root"]);
    }

    fn failed(names: &[&str]) -> Counts {
        let failures: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        Counts { passed: 7, failed: failures.len() as u64, failures, ..Counts::default() }
    }

    #[test]
    fn a_test_that_fails_twice_has_failed_and_one_that_does_not_is_named() {
        let twice = |name: &str| match name {
            "a" => Ok(Counts { passed: 1, ..Counts::default() }),
            _ => Ok(Counts { failed: 1, failures: vec![name.to_owned()], ..Counts::default() }),
        };
        let counts = failed(&["a", "b"]).with_second_run(2, twice).unwrap();
        assert_eq!(counts.summary(), "8 passed, 1 failed");
        assert_eq!((counts.failures, counts.passed_second), (vec!["b".to_owned()], vec!["a".to_owned()]));
    }

    #[test]
    fn what_cannot_be_chance_is_not_run_again() {
        let never = |name: &str| -> Result<Counts> { panic!("{name} was run again") };
        let many = failed(&["a", "b", "c"]).with_second_run(2, never).unwrap();
        assert_eq!(many, failed(&["a", "b", "c"]));
        // A program that died has one more failure than failed tests.
        let died = || Counts { failed: 2, ..failed(&["a"]) };
        assert_eq!(died().with_second_run(2, never).unwrap(), died());
        // A name that matches no test must not count as a pass.
        let none = failed(&["a"]).with_second_run(2, |_| Ok(Counts::default())).unwrap();
        assert_eq!(none.summary(), "7 passed, 1 failed");
    }
}
