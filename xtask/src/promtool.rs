//! Checks the rules for Prometheus: promtool accepts them, their unit tests pass, and all are documented.
//!
//! In: `deploy/rules`, docs/alerts.md and `docs/runbooks`. Out: an error after printing the problems.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::console::say;
use crate::tools::{self, Tool};
use crate::{process, workspace};

/// The rules, below the repository's root.
const RULES: &str = "deploy/rules/headless-obs.yaml";
/// Their unit tests, one file for each alert.
const TESTS: &str = "deploy/rules/tests";
/// The meaning of each alert, and the remedy.
const RUNBOOKS: &str = "docs/runbooks";
/// The list of alerts and recording rules.
const LIST: &str = "docs/alerts.md";

/// The check.
pub(crate) fn check() -> Result<()> {
    let root = workspace::root();
    let read =
        |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    let faults =
        faults(&read(RULES)?, &read(LIST)?, &names(&root.join(TESTS))?, &names(&root.join(RUNBOOKS))?);
    if !faults.is_empty() {
        faults.iter().for_each(|fault| say(fault));
        bail!("{RULES}, its tests, its runbooks and {LIST} do not agree; see the lines above");
    }
    let promtool = tools::ensure(Tool::Promtool)?;
    process::run(Command::new(&promtool).current_dir(&root).args([
        "check",
        "rules",
        "--lint=all",
        "--lint-fatal",
        RULES,
    ]))?;
    let mut tests = Command::new(&promtool);
    tests.current_dir(&root).args(["test", "rules"]);
    process::run(tests.args(names(&root.join(TESTS))?.iter().map(|name| format!("{TESTS}/{name}.yaml"))))
}

/// Names of a folder's files without extensions, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let stem = |entry: fs::DirEntry| entry.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(stem).collect();
    names.sort();
    Ok(names)
}

/// Missing and superfluous documents and tests.
fn faults(rules: &str, list: &str, tests: &[String], runbooks: &[String]) -> Vec<String> {
    let alerts: Vec<&str> = named(rules, "- alert: ").collect();
    let links: Vec<&str> = named(rules, "runbook_url: ").collect();
    let mut faults = Vec::new();
    for &alert in &alerts {
        let has = |names: &[String]| names.iter().any(|name| name == alert);
        let link = format!("{RUNBOOKS}/{alert}.md");
        let checks = [
            (has(tests), format!("{alert} has no unit test {TESTS}/{alert}.yaml")),
            (has(runbooks), format!("{alert} has no runbook {link}")),
            (links.contains(&link.as_str()), format!("{alert} does not link to its runbook {link}")),
            (list.contains(&format!("(runbooks/{alert}.md)")), format!("{LIST} does not link to {alert}")),
        ];
        faults.extend(checks.into_iter().filter(|(fine, _)| !fine).map(|(_, fault)| fault));
    }
    let unlisted = named(rules, "- record: ").filter(|record| !list.contains(&format!("`{record}`")));
    faults.extend(unlisted.map(|record| format!("{LIST} does not list `{record}`")));
    let is_recorded =
        |name: &String| named(rules, "- record: ").any(|rule| rule.split(':').any(|part| part == name));
    let strays = |names: &[String]| -> Vec<String> {
        names.iter().filter(|name| !alerts.contains(&name.as_str())).cloned().collect()
    };
    let tests = strays(tests).into_iter().filter(|name| !is_recorded(name));
    faults.extend(tests.map(|name| format!("{TESTS}/{name} belongs to no alert and to no recorded metric")));
    faults.extend(strays(runbooks).iter().map(|name| format!("{RUNBOOKS}/{name} belongs to no alert")));
    faults
}

/// The values of a key, line by line.
fn named<'a>(rules: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    rules.lines().filter_map(move |line| line.trim_start().strip_prefix(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "  - record: a:b:sum\n  - alert: Down\n    runbook_url: docs/runbooks/Down.md\n";

    #[test]
    fn what_agrees_has_no_faults() {
        let names = ["Down".to_owned()];
        let list = "`a:b:sum` [Down](runbooks/Down.md)";
        assert_eq!(faults(RULES, list, &names, &names), [""; 0]);
        let tests = ["Down", "b", "c"].map(str::to_owned);
        let [fault] = <[String; 1]>::try_from(faults(RULES, list, &tests, &names)).unwrap();
        assert!(fault.contains("tests/c"), "{fault}");
    }

    #[test]
    fn whatever_is_missing_or_left_over_is_named() {
        let faults = faults(&RULES.replace("/Down.md", "/Up.md"), "", &["Up".to_owned()], &[]);
        let expected =
            ["no unit test", "no runbook", "does not link to its", "not link to Down", "a:b:sum", "tests/Up"];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault}");
        }
    }
}
