//! Promtool checks the documents' configurations of Prometheus, parts of configurations, and rules.
//!
//! In: the blocks of README.md and docs/, and promtool. Out: errors, each with the block's place and promtool's
//! message. Another test checks on two real nodes that a configuration finds the daemons: `tests/tests/nodes`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use docs::{Block, Check};

use crate::console::say;
use crate::tools::{self, Tool};
use crate::workspace;

/// A configuration around a part of one.
const AROUND: &str =
    "scrape_configs:\n  - job_name: headless-obs\n    static_configs: [{targets: [localhost:9464]}]\n";

/// The check.
pub(crate) fn check() -> Result<()> {
    let root = workspace::root();
    let promtool = tools::ensure(Tool::Promtool)?;
    let folder = workspace::target().join("documents");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Configurations refer to the rules by file name only.
    let rules = "headless-obs.yaml";
    fs::copy(root.join("deploy/rules").join(rules), folder.join(rules)).context("cannot copy the rules")?;
    let documents = docs::read(&root)?;
    let (mut failed, mut count) = (0, 0);
    for block in documents.iter().flat_map(|document| &document.blocks) {
        let Ok(check) = block.check() else { continue };
        let Some((what, text)) = file(&check, block) else { continue };
        count += 1;
        if let Some(error) = refusal(&promtool, &folder, what, &text)? {
            say(&block.error(&format!("promtool says: {error}")));
            failed += 1;
        }
    }
    match (failed, count) {
        (0, 1..) => Ok(()),
        (0, 0) => bail!("the documents have no configuration of Prometheus"),
        _ => bail!("promtool does not take {failed} of {count} blocks of the documents"),
    }
}

/// Promtool's subcommand, and the text of its file.
fn file(check: &Check, block: &Block) -> Option<(&'static str, String)> {
    match check {
        Check::Prometheus => Some(("config", block.text.clone())),
        Check::PartOfScrape => {
            let indented = block.text.lines().map(|line| format!("    {line}\n"));
            Some(("config", AROUND.to_owned() + &indented.collect::<String>()))
        }
        Check::Rules => Some(("rules", block.text.clone())),
        _ => None,
    }
}

/// Promtool's message if it rejects a file.
fn refusal(promtool: &Path, folder: &Path, what: &str, text: &str) -> Result<Option<String>> {
    let path = folder.join("block.yaml");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let output = Command::new(promtool).current_dir(folder).args(["check", what]).arg(&path).output();
    let output = output.with_context(|| format!("cannot start {}", promtool.display()))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    Ok((!output.status.success()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_a_configuration_around_it() {
        let text = "metric_relabel_configs:\n  - {action: drop}\n".to_owned();
        let block = Block { file: String::new(), line: 1, language: "yaml".to_owned(), text, comment: None };
        let (what, whole) = file(&block.check().unwrap(), &block).unwrap();
        assert_eq!(what, "config");
        assert!(whole.ends_with("]}]\n    metric_relabel_configs:\n      - {action: drop}\n"), "{whole}");
    }
}
