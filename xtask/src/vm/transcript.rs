//! What a guest said on its serial console.
//!
//! In: the console's lines, as they come; those of the guest's own begin with `@@`, the others are the kernel's and the
//! test programs'. Out: a [`Transcript`]. A guest that did not come to its end is told from one that did.

use std::collections::VecDeque;

use serde_json::Value;

use crate::libtest::{Counts, Reader};

/// How many lines are kept to show how it ended.
const LAST: usize = 40;

/// What came of one guest.
#[derive(Default)]
pub(super) struct Transcript {
    /// `uname -r`
    pub(super) release: String,
    /// What `headless-obs doctor` found.
    pub(super) doctor: Value,
    /// The kernel's lockdown, the chosen one in brackets.
    pub(super) lockdown: String,
    /// Test programs' results, together.
    pub(super) counts: Counts,
    /// Whether it came to its end.
    pub(super) done: bool,
    /// Its last lines.
    pub(super) last: VecDeque<String>,
    /// The test program that runs, with what it has said.
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
                reader.push(line.as_bytes());
                reader.push(b"\n");
            }
            return;
        };
        match word {
            "release" => rest.clone_into(&mut self.release),
            "lockdown" => rest.clone_into(&mut self.lockdown),
            "doctor" => self.doctor = serde_json::from_str(rest).unwrap_or_default(),
            "fault:" => self.counts.add(Counts::failure(rest.to_owned())),
            "program" => self.running = Some((rest.to_owned(), Reader::default())),
            "end" => self.end(rest.rsplit_once(' ').map_or("", |(_, code)| code)),
            "done" => self.done = true,
            _ => {}
        }
    }

    /// The result: what did not come to its end is a failure.
    pub(super) fn finish(mut self, why: Option<&str>) -> Self {
        self.end("none");
        if !self.done {
            let why = why.unwrap_or("the machine went off");
            self.counts.add(Counts::failure(format!("not to the end: {why}")));
        }
        self
    }

    /// The end of a test program, with its exit code.
    fn end(&mut self, code: &str) {
        let Some((name, reader)) = self.running.take() else { return };
        let counts = reader.finish();
        let died = code != "0" && counts.failed == 0;
        self.counts.add(counts);
        if died {
            self.counts.add(Counts::failure(format!("{name} ended with exit code {code}")));
        }
    }

    /// What `doctor` found under a name.
    pub(super) fn found(&self, check: &str) -> Option<&str> {
        self.doctor["checks"].as_array()?.iter().find(|found| found["name"] == check)?["found"].as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "[    0.0] Linux\r\n@@ release 6.1.0-1\r\n@@ lockdown none [integrity]\r\n\
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
        assert_eq!((all.release.as_str(), all.lockdown.as_str()), ("6.1.0-1", "none [integrity]"));
        assert_eq!((all.found("BTF"), all.found("kernel")), (Some("/sys"), None));
        let expected = Counts { passed: 3, failed: 1, failures: vec!["b::c".to_owned()] };
        assert_eq!(all.counts, expected);
    }

    #[test]
    fn what_does_not_come_to_its_end_has_failed() {
        let all = read(CONSOLE).finish(Some("silent"));
        assert_eq!(all.counts.failures, ["b::c", "not to the end: silent"]);
        assert_eq!(all.last.back().unwrap(), "@@ end node 101");
        let hung = read(CONSOLE.split_once("test result: FAILED").unwrap().0).finish(Some("silent"));
        assert_eq!(
            hung.counts.failures,
            ["b::c", "node ended with exit code none", "not to the end: silent"]
        );
        let died = read("@@ program lab\nmemory\n@@ end lab 137\n@@ done\n").finish(None);
        assert_eq!(died.counts.failures, ["lab ended with exit code 137"]);
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
