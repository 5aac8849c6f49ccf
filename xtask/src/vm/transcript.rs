//! Parses a guest's output on its serial console.
//!
//! In: the console's lines as they arrive. The guest's own lines begin with `@@`; the others belong to the kernel and
//! the test programs. Out: a [`Transcript`], which shows whether the guest reached its end.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::libtest::{Counts, Reader};

/// Number of last lines to keep.
const LAST: usize = 40;

/// The results of one guest.
#[derive(Default)]
pub(super) struct Transcript {
    /// The output of `headless-obs doctor`.
    pub(super) doctor: Value,
    /// The kernel's lockdown modes, the active one in brackets.
    pub(super) lockdown: String,
    /// The number of mounted cgroup hierarchies, by type: ` 14 cgroup 1 cgroup2`.
    pub(super) cgroups: String,
    /// The sum of the test programs' results.
    pub(super) counts: Counts,
    /// Whether its first program has printed anything.
    pub(super) has_begun: bool,
    /// Whether the guest reached its end.
    pub(super) done: bool,
    /// Whether a test program died.
    pub(super) died: bool,
    /// Its last lines.
    pub(super) last: VecDeque<String>,
    /// The running test program, with its output.
    pub(super) running: Option<(String, Reader)>,
}

impl Transcript {
    /// Takes the next line.
    pub(super) fn push(&mut self, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']);
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        let Some((word, rest)) =
            line.strip_prefix("@@ ").map(|line| line.split_once(' ').unwrap_or((line, "")))
        else {
            if let Some((_, reader)) = &mut self.running {
                // Durations of tests do not matter there.
                reader.push(line.as_bytes(), Duration::ZERO);
                reader.push(b"\n", Duration::ZERO);
            }
            return;
        };
        self.has_begun = true;
        match word {
            "lockdown" => rest.clone_into(&mut self.lockdown),
            "cgroups" => rest.clone_into(&mut self.cgroups),
            "doctor" => self.doctor(rest),
            "fault:" => self.counts.add(Counts::failure(rest.to_owned())),
            "program" => self.running = Some((rest.to_owned(), Reader::default())),
            "end" => self.end(rest.rsplit_once(' ').map_or("", |(_, code)| code)),
            "done" => self.done = true,
            _ => {}
        }
    }

    /// The result; an incomplete run is a failure.
    pub(super) fn finish(mut self, why: Option<&str>) -> Self {
        self.end("none");
        if !self.done {
            let why = why.unwrap_or("the machine switched off");
            self.counts.add(Counts::failure(format!("the run did not finish: {why}")));
        }
        self
    }

    /// Whether all tests have run, so that a test without failure has passed.
    pub(super) fn is_complete(&self) -> bool {
        self.done && !self.died
    }

    fn doctor(&mut self, said: &str) {
        match serde_json::from_str(said) {
            Ok(found) => self.doctor = found,
            Err(_) => self.counts.add(Counts::failure(format!("`doctor` gave no JSON but: {said}"))),
        }
    }

    /// Handles the end of a test program, with its exit code.
    fn end(&mut self, code: &str) {
        let Some((name, reader)) = self.running.take() else { return };
        let (mut counts, _times) = reader.finish();
        // A test program with failures prints a summary and exits with 101.
        let died = !(code == "0" || code == "101" && counts.failed > 0);
        // The summary is missing if the program died, so failures are counted from their lines.
        counts.failed = counts.failed.max(u64::try_from(counts.failures.len()).unwrap_or(u64::MAX));
        self.counts.add(counts);
        if died {
            self.died = true;
            self.counts.add(Counts::failure(format!("{name} ended with exit code {code}")));
        }
    }

    /// The result of one of `doctor`'s checks.
    pub(super) fn found(&self, check: &str) -> Option<&str> {
        self.doctor["checks"].as_array()?.iter().find(|found| found["name"] == check)?["found"].as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "[    0.0] Linux\r\n@@ cgroups  1 cgroup2 \r\n@@ lockdown none [integrity]\r\n\
        @@ doctor {\"checks\": [{\"name\": \"BTF\", \"found\": \"/sys\"}]}\r\n\
        @@ program kernel\r\ntest a ... ok\r\n\
        test result: ok. 1 passed; 0 failed; 0 ignored\r\n@@ end kernel 0\r\n\
        @@ program node\r\ntest b::c ... FAILED\r\n\
        test result: FAILED. 2 passed; 1 failed; 0 ignored\r\n@@ end node 101\r\n";

    fn read(text: &str) -> Transcript {
        let mut transcript = Transcript::default();
        text.split_inclusive('\n').for_each(|line| transcript.push(line));
        transcript
    }

    #[test]
    fn results_and_facts_are_found_between_other_lines() {
        let all = read(&format!("{CONSOLE}@@ done\r\n")).finish(None);
        assert_eq!((all.cgroups.as_str(), all.lockdown.as_str()), (" 1 cgroup2 ", "none [integrity]"));
        assert_eq!((all.found("BTF"), all.found("kernel")), (Some("/sys"), None));
        let expected =
            Counts { passed: 3, failed: 1, failures: vec!["b::c".to_owned()], ..Counts::default() };
        assert_eq!(all.counts, expected);
        assert!(all.is_complete());
    }

    #[test]
    fn what_does_not_come_to_its_end_has_failed() {
        let all = read(CONSOLE).finish(Some("silent"));
        assert_eq!(all.counts.failures, ["b::c", "the run did not finish: silent"]);
        assert_eq!(all.last.back().unwrap(), "@@ end node 101");
        let hung = read(CONSOLE.split_once("test result: FAILED").unwrap().0).finish(Some("silent"));
        assert_eq!(
            hung.counts.failures,
            ["b::c", "node ended with exit code none", "the run did not finish: silent"]
        );
        assert_eq!((hung.counts.failed, hung.is_complete()), (3, false));
        let died = read("@@ program lab\ntest a ... FAILED\n@@ end lab 137\n@@ done\n").finish(None);
        assert_eq!(died.counts.failures, ["a", "lab ended with exit code 137"]);
        assert_eq!((died.counts.failed, died.is_complete()), (2, false));
        assert!(died.has_begun && !read("[ 1.1] Oops: int3\n").has_begun);
        let mute = read("@@ doctor no permission\n@@ done\n").finish(None);
        assert_eq!(mute.counts.failures, ["`doctor` gave no JSON but: no permission"]);
        let fault = read("@@ fault: no bridge\n@@ done\n").finish(None);
        assert_eq!(fault.counts.failures, ["no bridge"]);
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let all = read(&text);
        assert_eq!((all.last.len(), all.last[0].as_str()), (LAST, "line 60"));
    }
}
