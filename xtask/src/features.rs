//! Checks that each dependency has the same features in every build, so that it is compiled once.
//!
//! In: the output of `cargo tree` for the whole workspace and for single packages. Out: an error after naming each
//! dependency that a package alone builds with other features. It skips dependencies that the whole workspace itself
//! builds in several ways, for example for build scripts, if a package uses one of these.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::console::say;
use crate::{process, target_arch};

/// Selections that are built alone: cargo's options, and the kinds of dependencies.
const SELECTIONS: [(&[&str], &str); 3] = [
    (&["--workspace"], "normal,build"),
    (&["--package", "headless-obs"], "normal,build,dev"),
    (&["--package", "headless-obs-tests"], "normal,build,dev"),
];

/// Known differences: a feature that only one program needs, through other dependencies.
const KNOWN: [(&str, &str); 1] = [
    // The parser of PromQL that checks the dashboards.
    ("indexmap", "default"),
];

/// Name and version of each dependency, with its sets of features.
type Sets = BTreeMap<String, BTreeSet<String>>;

/// The check.
pub(crate) fn check() -> Result<()> {
    let whole = sets(&["--workspace"], "normal,build,dev")?;
    let mut wrong = Vec::new();
    for (selection, edges) in SELECTIONS {
        wrong.extend(differences(&whole, &sets(selection, edges)?, &selection.join(" ")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.iter().for_each(|line| say(line));
    bail!(
        "dependencies are compiled more than once: put their features into [workspace.dependencies] of Cargo.toml"
    )
}

fn sets(selection: &[&str], edges: &str) -> Result<Sets> {
    let mut command = process::cargo();
    command.args(["tree", "--locked", "--prefix", "none", "--format", "{p} {f}", "--edges", edges]);
    command.args(["--target", target_arch::host()?.as_str()]).args(selection);
    Ok(read(&process::output(&mut command)?))
}

/// Parses `NAME VERSION [(PATH)] [FEATURES] [(*)]`, one dependency a line.
fn read(tree: &str) -> Sets {
    let mut sets = Sets::new();
    for line in tree.lines() {
        let mut words = line.split(' ').filter(|word| !word.starts_with('(') && !word.is_empty());
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let features: BTreeSet<&str> = words.next().unwrap_or_default().split(',').collect();
        let features = features.into_iter().collect::<Vec<_>>().join(",");
        sets.entry(format!("{name} {version}")).or_default().insert(features);
    }
    sets
}

/// The dependencies of a selection whose features occur nowhere in the whole workspace.
fn differences(whole: &Sets, part: &Sets, selection: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, features) in part {
        let usual = whole.get(name).cloned().unwrap_or_default();
        for set in features.difference(&usual) {
            let of = |set: &str| set.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
            let more = usual.iter().map(|usual| &of(usual) - &of(set)).min_by_key(BTreeSet::len);
            let more = more.unwrap_or_default().into_iter().collect::<Vec<_>>().join(",");
            let is_known = |(dependency, feature): &(&str, &str)| {
                name.split(' ').next() == Some(dependency) && more == *feature
            };
            if KNOWN.iter().any(is_known) {
                continue;
            }
            found.push(format!(
                "{name}: built for `{selection}` without the features {more}, and with [{set}]"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        "a v1.0.0 default,std\nb v2.0.0 x,y\nb v2.0.0 x\nc v0.1.0 (/w/c) shell (*)\nd v1.0.0 (proc-macro)\n";

    #[test]
    fn a_dependency_with_other_features_is_named() {
        let whole = read(WHOLE);
        assert_eq!(whole["d v1.0.0"], BTreeSet::from([String::new()]));
        assert_eq!(whole["c v0.1.0"], BTreeSet::from(["shell".to_owned()]));
        assert_eq!(differences(&whole, &read("a v1.0.0 std,default\nb v2.0.0 x (*)\n"), "p"), [""; 0]);
        let found = differences(&whole, &read("a v1.0.0 default\n"), "-p z");
        assert_eq!(found, ["a v1.0.0: built for `-p z` without the features std, and with [default]"]);
    }
}
