//! Checks the workflows in `.github`: actionlint, and that they contain no logic of their own.
//!
//! In: the files. Out: an error. Each command is a task of this program, `.ci/run`, or a program that talks to the
//! service on which the workflow runs.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tools::{self, Tool};
use crate::{process, workspace};

/// The check.
pub(crate) fn check() -> Result<()> {
    let files: Vec<_> = files()?.into_iter().map(|(name, _)| name).collect();
    process::run(
        Command::new(tools::ensure(Tool::Actionlint)?)
            .current_dir(workspace::root())
            .arg("-no-color")
            .args(files),
    )
}

/// Path and text of each workflow.
fn files() -> Result<Vec<(String, String)>> {
    let folder = workspace::root().join(".github/workflows");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| {
            let name = format!(".github/workflows/{}", entry?.file_name().to_string_lossy());
            let text = fs::read_to_string(workspace::root().join(&name))?;
            Ok((name, text))
        })
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use docs::shell;
    use serde_json::Value;

    use super::*;
    use crate::Task;

    /// Programs that need the service, its accounts or its identity, so that no test runs them.
    const OF_THE_SERVICE: [&str; 6] = ["cosign", "docker", "echo", "gh", "xargs", ".ci/run"];

    /// The words of each command.
    fn commands() -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (name, text) in files().unwrap() {
            let workflow: Value = serde_saphyr::from_str(&text).unwrap();
            for job in workflow["jobs"].as_object().unwrap().values() {
                for step in job["steps"].as_array().into_iter().flatten() {
                    assert!(step["if"].is_null(), "{name} has logic: {step}");
                    let Some(run) = step["run"].as_str() else { continue };
                    assert!(!run.trim().contains('\n'), "{name} has a script, not a command: {run}");
                    found.extend(shell::commands(run).unwrap().into_iter().map(|command| command.words));
                }
            }
        }
        found
    }

    #[test]
    fn each_step_is_one_command_that_exists_here() {
        let mut tasks = 0;
        for words in commands() {
            if words.starts_with(&["cargo".to_owned(), "xtask".to_owned()]) {
                Task::try_parse_from(&words[1..]).unwrap_or_else(|error| panic!("{words:?}: {error}"));
                tasks += 1;
            } else {
                assert!(OF_THE_SERVICE.contains(&words[0].as_str()), "{words:?}");
            }
        }
        assert_eq!(tasks, 2, "the release is made, and published");
    }
}
