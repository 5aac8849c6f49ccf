//! Runs the tests with one lab and one cluster, and ends both. Every test program that has a `Shared` uses it.
//!
//! In: the tests. Out: output in libtest's format.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use lab::libtest;

pub(crate) use crate::shared::Shared;

/// A test and its name.
pub(crate) type Test = (&'static str, fn(&Shared));

/// A list of tests by their paths. The compiler reports a test function that is in no list.
macro_rules! tests {
    ($($($part:ident)::+),* $(,)?) => {
        [$((concat!($("::", stringify!($part)),+), $($part)::+ as fn(&$crate::harness::Shared))),*]
    };
}
pub(crate) use tests;

/// Runs the tests that the command line selects.
pub(crate) fn run(tests: &[Test]) -> ExitCode {
    let names: Vec<&str> = tests.iter().map(|(name, _)| plain(name)).collect();
    libtest::run(&names, |chosen| {
        let shared = catch_unwind(Shared::start);
        let chosen = tests.iter().filter(|(name, _)| chosen.contains(&plain(name)));
        let fails = |(name, test): &&Test| {
            let shared = shared.as_ref();
            let passed = shared.is_ok_and(|shared| catch_unwind(AssertUnwindSafe(|| test(shared))).is_ok());
            libtest::report(plain(name), passed);
            !passed
        };
        chosen.filter(fails).count()
    })
}

/// The name in the form of the command line.
fn plain(name: &'static str) -> &'static str {
    name.trim_start_matches("::")
}
