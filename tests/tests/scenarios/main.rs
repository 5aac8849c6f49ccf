//! Each quick scenario is a test. Each number of the catalogue has a scenario, another test, or a reason for none.
//!
//! Out: output in libtest's format. The scenarios are those of the program that `cargo xtask e2e scenarios` runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says where; what libtest prints is printed here"
)]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use lab::libtest;
use serde_json::Value;

const SCENARIOS: &str = env!("CARGO_BIN_EXE_headless-obs-scenarios");

/// The test of the catalogue.
const CATALOGUE: &str = "catalogue::every_number_is_shown_or_says_why_not";

fn main() -> ExitCode {
    let all = names();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    libtest::run(&names, |chosen| chosen.iter().filter(|name| !passes(name)).count())
}

/// Runs the program with these options; returns its output, and whether it succeeded.
fn ask(options: &[&str]) -> (String, bool) {
    let output = Command::new(SCENARIOS).args(options).stderr(Stdio::inherit()).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

fn names() -> Vec<String> {
    let (list, _) = ask(&["--list", "--quick", "--output", "json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let scenarios = list.iter().map(|one| format!("scenario::{}", one["scenario"].as_str().unwrap()));
    scenarios.chain([CATALOGUE.to_owned()]).collect()
}

/// Each number has a scenario or is in `ELSEWHERE`, and each test named there exists.
fn catalogue_is_whole() {
    let (list, _) = ask(&["--list", "--output", "json"]);
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    let numbers: BTreeSet<u64> = list.iter().filter_map(|one| one["number"].as_u64()).collect();
    assert_eq!(numbers, (1..=44).collect());
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..");
    for (file, test) in list.iter().filter_map(|one| Some((one["file"].as_str()?, one["test"].as_str()?))) {
        let text = fs::read_to_string(root.join(file)).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}

fn passes(name: &str) -> bool {
    let passed = catch_unwind(|| {
        if name == CATALOGUE {
            catalogue_is_whole();
            return true;
        }
        let (table, passed) = ask(&["--exact", name.strip_prefix("scenario::").unwrap()]);
        if !passed {
            println!("{table}");
        }
        passed
    })
    .unwrap_or(false);
    libtest::report(name, passed);
    passed
}
