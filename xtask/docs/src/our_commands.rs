//! The command lines of our own programs in the documents.
//!
//! In: documents. Out: arguments for the daemon's command line and for xtask's. Blocks have complete commands; spans in
//! the text may have placeholders in capitals, and may omit required arguments.

use crate::shell::{self, Command};
use crate::{Check, Document};

/// The file name that kubectl expects for the daemon's program.
const PLUGIN: &str = "kubectl-headless_obs";

/// A command line's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// For the daemon's program; the first one is its name.
    Daemon(Vec<String>),
    /// For `cargo xtask`; the first one is `cargo xtask`.
    Task(Vec<String>),
}

/// A command line and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `file:line`.
    pub place: String,
    /// The words.
    pub words: Words,
    /// Whether it is a span in the text.
    pub is_span: bool,
}

/// All command lines of ours.
///
/// # Errors
/// A block cannot be parsed as shell.
pub fn lines(documents: &[Document]) -> Result<Vec<Line>, String> {
    let mut found = Vec::new();
    for document in documents {
        for block in document.blocks.iter().filter(|block| block.check() == Ok(Check::Commands)) {
            for command in shell::commands(&block.text).map_err(|error| block.error(&error))? {
                let place = format!("{}:{}", block.file, block.line + 1 + command.line);
                let lines = of(&command.words).into_iter();
                found.extend(lines.map(|words| Line { place: place.clone(), words, is_span: false }));
            }
        }
        for span in &document.spans {
            let begins = ["headless-obs ", "cargo xtask ", "kubectl headless-obs "];
            if begins.iter().any(|begin| span.text.starts_with(begin)) {
                let place = format!("{}:{}", document.name, span.line);
                let commands = shell::commands(&span.text).map_err(|error| format!("{place}: {error}"))?;
                let words = commands.iter().flat_map(|Command { words, .. }| of(&without_brackets(words)));
                found.extend(words.map(|words| Line { place: place.clone(), words, is_span: true }));
            }
        }
    }
    Ok(found)
}

/// The arguments without brackets around optional parts, and without `…`.
fn without_brackets(words: &[String]) -> Vec<String> {
    let bare = words.iter().map(|word| word.trim_matches(['[', ']', '…']).to_owned());
    bare.filter(|word| !word.is_empty()).collect()
}

/// The command lines of our programs in a command.
fn of(words: &[String]) -> Vec<Words> {
    let rest = |from: usize| words.get(from..).unwrap_or_default();
    let named = |name: &str, words: &[String]| [&[name.to_owned()], words].concat();
    let daemon = |from: usize| Words::Daemon(named("headless-obs", rest(from)));
    let is_daemon = |word: &str| word.rsplit('/').next() == Some("headless-obs");
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cargo", "xtask", "run", ..] => {
            vec![Words::Task(named("cargo xtask", rest(2))), daemon(3)]
        }
        ["cargo", "xtask", ..] => vec![Words::Task(named("cargo xtask", rest(2)))],
        ["kubectl", "headless-obs", ..] => vec![Words::Daemon(named(PLUGIN, rest(2)))],
        ["kubectl", ..] => {
            let start = words.iter().position(|word| word == "--").map(|dashes| dashes + 1);
            let start = start.filter(|start| words.get(*start).is_some_and(|word| is_daemon(word)));
            start.map(|start| daemon(start + 1)).into_iter().collect()
        }
        [first, ..] if is_daemon(first) => vec![daemon(1)],
        _ => Vec::new(),
    }
}

/// Whether a word is a placeholder, which is in capitals.
#[must_use]
pub fn is_placeholder(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_uppercase()) && !word.contains(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let lines = lines(&[Document::parse("docs/a.md", text)]).unwrap();
        let shown = lines.into_iter().map(|line| match line.words {
            Words::Daemon(words) => format!("{} daemon {}", line.place, words.join("_")),
            Words::Task(words) => format!("{} task {}", line.place, words.join("_")),
        });
        shown.collect()
    }

    #[test]
    fn commands_of_ours_are_found_in_blocks() {
        let text = "```sh\nsudo headless-obs top | cat\nls\ncargo xtask run report\nkubectl headless-obs top\n\
                    kubectl -n x exec ds/y -- /headless-obs doctor\nkubectl exec y -- ls\n```\n";
        let expected = [
            "docs/a.md:2 daemon headless-obs_top",
            "docs/a.md:4 task cargo xtask_run_report",
            "docs/a.md:4 daemon headless-obs_report",
            "docs/a.md:5 daemon kubectl-headless_obs_top",
            "docs/a.md:6 daemon headless-obs_doctor",
        ];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn commands_of_ours_are_found_in_the_text() {
        let text =
            "`headless-obs explain NAMESPACE/SERVICE`, `cargo xtask fuzz [TARGET]`, `headless-obs.yaml`";
        let expected = [
            "docs/a.md:1 daemon headless-obs_explain_NAMESPACE/SERVICE",
            "docs/a.md:1 task cargo xtask_fuzz_TARGET",
        ];
        assert_eq!(found(text), expected);
        assert!(is_placeholder("NAMESPACE/SERVICE") && !is_placeholder("shop/A") && !is_placeholder("9464"));
    }
}
