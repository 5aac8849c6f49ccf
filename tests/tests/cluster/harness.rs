//! Runs the tests with one lab and one cluster for all, and ends both. For every test program that has a `Shared`.
//!
//! In: the tests, and on the command line parts of names, `--exact` or `--list`; other options of libtest change
//! nothing here. Out: what libtest prints.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

pub(crate) use crate::shared::Shared;

/// A test and its name.
pub(crate) type Test = (&'static str, fn(&Shared));

/// A list of tests by their paths; a test function that is in no list is reported by the compiler.
macro_rules! tests {
    ($($($part:ident)::+),* $(,)?) => {
        [$((concat!($("::", stringify!($part)),+), $($part)::+ as fn(&$crate::harness::Shared))),*]
    };
}
pub(crate) use tests;

/// Runs those that the command line asks for.
pub(crate) fn run(tests: &[Test]) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| {
        let fits =
            |filter: &&String| if has("--exact") { name == **filter } else { name.contains(filter.as_str()) };
        filters.is_empty() || filters.iter().any(fits)
    };
    let named = tests.iter().map(|&(name, test)| (name.trim_start_matches("::"), test));
    let chosen: Vec<Test> = named.filter(|(name, _)| wanted(name)).collect();
    if has("--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let failed = if chosen.is_empty() { 0 } else { run_all(&chosen) };
    let (passed, out) = (chosen.len() - failed, tests.len() - chosen.len());
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {out} filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many failed.
fn run_all(tests: &[Test]) -> usize {
    let shared = catch_unwind(Shared::start);
    let run = |(name, test): &&Test| {
        let shared = shared.as_ref();
        let passed = shared.is_ok_and(|shared| catch_unwind(AssertUnwindSafe(|| test(shared))).is_ok());
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        !passed
    };
    tests.iter().filter(run).count()
}
