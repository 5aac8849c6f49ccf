//! Output in libtest's format, for test programs with their own harness.
//!
//! In: the names of all tests; command-line arguments: parts of names, `--exact` or `--list`. Other options of libtest
//! have no effect. Out: text on standard output, and the exit code.

#![expect(clippy::print_stdout, reason = "a test program's output is its interface")]

use std::env;
use std::process::ExitCode;

/// Runs the tests that the command line selects. `run` gets their names in the order of `names`, prints each result
/// with [`report`], and returns the number of failures. It is not called without tests.
pub fn run<'a>(names: &[&'a str], run: impl FnOnce(&[&'a str]) -> usize) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| {
        let fits =
            |filter: &&String| if has("--exact") { name == **filter } else { name.contains(filter.as_str()) };
        filters.is_empty() || filters.iter().any(fits)
    };
    let chosen: Vec<&str> = names.iter().copied().filter(|name| wanted(name)).collect();
    if has("--list") {
        chosen.iter().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let failed = if chosen.is_empty() { 0 } else { run(&chosen) };
    let (passed, out) = (chosen.len() - failed, names.len() - chosen.len());
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {out} filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the result of one test.
pub fn report(name: &str, has_passed: bool) {
    println!("test {name} ... {}", if has_passed { "ok" } else { "FAILED" });
}
