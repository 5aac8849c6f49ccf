//! Each case of tests/cases is a test in simulation, and each quick one in the lab. Other tests are about the player
//! itself, and about the document that shows how to write a case.
//!
//! Out: output in libtest's format. The player is the program that `cargo xtask e2e cases` runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says where; what libtest prints is printed here"
)]

mod document;
mod player;

use std::panic::catch_unwind;
use std::process::{Command, ExitCode, Stdio};

use lab::libtest;
use serde_json::Value;

const PLAYER: &str = env!("CARGO_BIN_EXE_headless-obs-cases");

/// Tests of the player and of the document.
const OTHERS: [(&str, fn()); 7] = [
    ("player::a_wrong_expectation_fails", player::a_wrong_expectation_fails),
    ("player::an_open_expectation_is_shown", player::an_open_expectation_is_shown),
    ("player::an_unknown_field_is_named", player::an_unknown_field_is_named),
    ("player::a_missing_file_is_named", player::a_missing_file_is_named),
    ("player::a_failure_in_the_lab_leaves_nothing", player::a_failure_in_the_lab_leaves_nothing),
    ("player::an_error_in_the_lab_leaves_nothing", player::an_error_in_the_lab_leaves_nothing),
    ("document::the_examples_are_cases", document::the_examples_are_cases),
];

fn main() -> ExitCode {
    let cases = cases();
    let all = cases.iter().map(String::as_str).chain(OTHERS.map(|(name, _)| name));
    libtest::run(&all.collect::<Vec<_>>(), |chosen| chosen.iter().filter(|name| !passes(name)).count())
}

/// The output of the player, and whether it succeeded.
struct Played {
    process: u32,
    output: String,
    errors: String,
    succeeded: bool,
}

/// Runs the player.
fn play(words: &[&str]) -> Played {
    let player =
        Command::new(PLAYER).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = player.id();
    let output = player.wait_with_output().unwrap();
    Played {
        process,
        output: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
        succeeded: output.status.success(),
    }
}

/// `PLACE::CASE` of each case.
fn cases() -> Vec<String> {
    let list = play(&["--list", "--quick", "--output", "json"]);
    assert!(list.succeeded, "{}", list.errors);
    let list: Vec<Value> = serde_json::from_str(&list.output).unwrap();
    list.iter()
        .map(|one| format!("{}::{}", one["place"].as_str().unwrap(), one["case"].as_str().unwrap()))
        .collect()
}

fn passes(name: &str) -> bool {
    let other = OTHERS.iter().find(|(other, _)| *other == name).map(|(_, test)| *test);
    let passed = catch_unwind(|| match other {
        Some(test) => {
            test();
            true
        }
        None => {
            let (place, case) = name.split_once("::").unwrap();
            let played = play(&["--only", place, case]);
            if !played.succeeded {
                println!("{}\n{}", played.errors, played.output);
            }
            played.succeeded
        }
    })
    .unwrap_or(false);
    libtest::report(name, passed);
    passed
}
