//! Names of runs: pods that are not started again when they end, each run under a name of its own.
//!
//! In: the names of runs as they appear, each with what all runs like it have in common ([`pattern`]). Out: the name to
//! use. The first runs have their own names; from the third on, those of one pattern are one. Beyond a number of names,
//! the further ones of a namespace are one.
//!
//! Invariant: a namespace has at most nine names of runs at a time, and one for all others, whatever the names are.

use std::sync::Arc;

use super::workload_interner::WorkloadId;
use crate::hash::HashMap;

/// The most names of a namespace's runs.
const NAMES: usize = 9;
/// The number of runs of a pattern that have a name of their own.
const OWN: usize = 2;
/// The characters that Kubernetes makes the random parts of names of. No word is made of them alone.
const RANDOM: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// The name of all runs for which there is no other; no pod has it.
const OTHERS: &str = "~runs";

/// The common part of the names of one workload's runs: `*` stands for each part that a counter, a time or chance made.
pub fn pattern(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for part in name.split('-') {
        let is_made = part.bytes().any(|byte| byte.is_ascii_digit())
            || part.len() >= 5 && part.bytes().all(|byte| RANDOM.contains(&byte));
        let part = if is_made { "*" } else { part };
        if is_made && (pattern == "*" || pattern.ends_with("-*")) {
            continue;
        }
        if !pattern.is_empty() {
            pattern.push('-');
        }
        pattern.push_str(part);
    }
    pattern
}

/// The names of runs that are in use.
#[derive(Debug, Default)]
pub(super) struct RunNames(HashMap<Arc<str>, Vec<(Arc<str>, WorkloadId)>>);

impl RunNames {
    /// The name of a run that has no name so far, and whether it takes one of the places for names.
    pub(super) fn name<'a>(&self, namespace: &str, name: &'a str, pattern: &'a str) -> (&'a str, bool) {
        let known = self.0.get(namespace).map_or(&[][..], Vec::as_slice);
        let alike = known.iter().filter(|(other, _)| **other == *pattern).count();
        match alike {
            _ if known.len() >= NAMES => (OTHERS, false),
            0..OWN => (name, true),
            _ => (pattern, true),
        }
    }

    /// A run got a name.
    pub(super) fn add(&mut self, namespace: &Arc<str>, pattern: &str, id: WorkloadId) {
        self.0.entry(namespace.clone()).or_default().push((pattern.into(), id));
    }

    pub(super) fn retain(&mut self, used: impl Fn(WorkloadId) -> bool) {
        self.0.retain(|_, names| {
            names.retain(|(_, id)| used(*id));
            !names.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::workload_interner::WorkloadInterner;
    use super::*;

    /// The part of a name that differs from run to run.
    fn made(kind: usize) -> BoxedStrategy<String> {
        let shape = [
            "[bcdfghjklmnpqrstvwxz2456789]{5}",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "1[0-9]{9}",
            "2026(0[1-9]|1[0-2])[0-3][0-9]-[0-2][0-9][0-5][0-9]",
            "[1-9][0-9]{0,4}",
            // These look like words.
            "[a-z]{3,9}-[a-z]{3,9}",
            "[a-z0-9]{5}",
        ];
        shape[kind % shape.len()].boxed()
    }

    /// Words, with the made part somewhere between them, and with a task's name after it.
    fn runs() -> impl Strategy<Value = Vec<String>> {
        let words = || prop::collection::vec("[a-z]{1,8}", 0..3);
        (words(), 0..7_usize, words()).prop_flat_map(|(before, kind, after)| {
            prop::collection::vec(made(kind), 30..200).prop_map(move |made| {
                let whole = |made: String| [before.as_slice(), &[made], &after].concat().join("-");
                made.into_iter().map(whole).collect()
            })
        })
    }

    proptest! {
        #[test]
        fn runs_make_at_most_ten_names_whatever_they_are_called(pipelines in prop::collection::vec(runs(), 1..5)) {
            let mut workloads = WorkloadInterner::new(4096);
            let mut ids = BTreeSet::new();
            for round in 0..200 {
                for name in pipelines.iter().filter_map(|runs| runs.get(round)) {
                    let id = workloads.id_of_run("ci", name, &pattern(name));
                    // Nothing changes for a run that is known.
                    prop_assert_eq!(workloads.id_of_run("ci", name, &pattern(name)), id);
                    ids.insert(id);
                }
            }
            prop_assert!(ids.len() <= NAMES + 1, "{:?}", ids.iter().map(|id| workloads.get(*id)).collect::<Vec<_>>());
        }

        #[test]
        fn a_pattern_has_no_pattern(name in "[a-z0-9]{1,9}(-[a-z0-9]{1,9}){0,5}") {
            let one = pattern(&name);
            prop_assert_eq!(pattern(&one), one);
        }
    }

    #[test]
    fn parts_that_words_do_not_have_are_made() {
        for (name, expected) in [
            ("ci-build-x7k2p", "ci-build-*"),
            ("ci-bcdfg-build-pod", "ci-*-build-pod"),
            ("0f8fad5b-d9cb-469f-a165-70867728950e", "*"),
            ("load-20261130-1200-exec-7", "load-*-exec-*"),
            ("migrate", "migrate"),
            ("rhythm-sync", "rhythm-sync"),
        ] {
            assert_eq!(pattern(name), expected);
        }
    }

    #[test]
    fn few_runs_keep_their_names_and_what_is_forgotten_makes_room() {
        let mut workloads = WorkloadInterner::new(4096);
        let name_of = |workloads: &mut WorkloadInterner, name: &str| {
            let id = workloads.id_of_run("ci", name, &pattern(name));
            workloads.get(id).unwrap().name.to_string()
        };
        let given: Vec<_> = (1..=4).map(|n| name_of(&mut workloads, &format!("test-{n}"))).collect();
        assert_eq!(given, ["test-1", "test-2", "test-*", "test-*"]);
        let words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"];
        let given: Vec<_> = words.iter().map(|word| name_of(&mut workloads, word)).collect();
        assert_eq!(given[..6], words[..6]);
        assert_eq!(given[6], OTHERS);
        assert_eq!(name_of(&mut workloads, "test-5"), "test-*", "a name that is in use stays in use");
        workloads.retain(|_| false);
        assert_eq!(name_of(&mut workloads, "eta"), "eta");
    }
}
