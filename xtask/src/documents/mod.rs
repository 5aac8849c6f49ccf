//! Checks that everything named in the documents exists: links, anchors, paths, modules, options, values; and that a
//! test checks each code block.
//!
//! In: the documents and the files of the repository. Out: an error after printing each problem as `file:line: what is
//! wrong`. Tests check the content of code blocks; they select blocks by [`docs::Check`].

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use docs::Document;

use crate::console::say;
use crate::workspace;

mod code_map;
mod commands;
mod links;
mod paths;
pub(crate) mod prometheus;
mod samples;
mod scrape;
#[cfg(test)]
mod tasks;
mod values;

/// The check.
pub(crate) fn check() -> Result<()> {
    let root = workspace::root();
    let documents = docs::read(&root)?;
    let files = Files::read(&root)?;
    let read =
        |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    let values = values::Values::parse(&read(values::SCHEMA)?)?;
    let mut wrong = blocks(&documents);
    wrong.extend(links::wrong(&documents, &files));
    wrong.extend(paths::wrong(&documents, &files));
    wrong.extend(values::wrong(&documents, &values));
    wrong.extend(commands::wrong(&documents, &files, &values, &read)?);
    wrong.extend(samples::wrong(&documents, &read));
    wrong.extend(scrape::wrong(&documents, &commands::manifests(&read)?));
    let map = documents.iter().find(|document| document.name == code_map::FILE);
    wrong.extend(code_map::wrong(map.context("there is no ARCHITECTURE.md")?, &files, &read)?);
    wrong.sort();
    wrong.dedup();
    wrong.iter().for_each(|line| say(line));
    match wrong.len() {
        0 => Ok(()),
        1 => bail!("the documents have a mistake"),
        count => bail!("the documents have {count} mistakes"),
    }
}

/// Blocks of README.md and docs/ without a check.
fn blocks(documents: &[Document]) -> Vec<String> {
    let whole = documents.iter().filter(|document| document.is_checked_whole());
    whole.flat_map(|document| &document.blocks).filter_map(|block| block.check().err()).collect()
}

/// The files and folders of the repository, without hidden ones and build directories.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeSet<String>);

impl Files {
    fn read(root: &Path) -> Result<Self> {
        let mut found = BTreeSet::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let list = root.join(&folder);
            for entry in fs::read_dir(&list).with_context(|| format!("cannot list {}", list.display()))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_folder = entry.file_type()?.is_dir();
                if name == "target" || (name.starts_with('.') && name != ".ci") {
                    continue;
                }
                let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                if is_folder {
                    folders.push(path.clone());
                }
                found.insert(path);
            }
        }
        Ok(Self(found))
    }

    /// Whether this file or folder exists; the path is from the root.
    fn has(&self, path: &str) -> bool {
        self.0.contains(path.trim_end_matches('/'))
    }

    /// Whether the path of a file or folder equals this or ends with it.
    fn has_end(&self, end: &str) -> bool {
        let end = end.trim_end_matches('/');
        self.has(end)
            || self.0.iter().any(|path| path.strip_suffix(end).is_some_and(|rest| rest.ends_with('/')))
    }

    /// All files and folders below a folder, without the folder's own path.
    fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |path| path.strip_prefix(folder)?.strip_prefix('/'))
    }

    /// The names at the root.
    fn top(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|path| !path.contains('/'))
    }

    #[cfg(test)]
    fn of(paths: &[&str]) -> Self {
        let mut found = BTreeSet::new();
        for path in paths {
            found.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
            found.insert((*path).to_owned());
        }
        Self(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_nothing_checks_is_named() {
        let text = "```rust\n```\n\n<!-- not checked: a sketch -->\n```\n```\n";
        let documents = ["docs/a.md", "ARCHITECTURE.md"].map(|name| Document::parse(name, text));
        let wrong = blocks(&documents);
        assert!(wrong.len() == 1 && wrong[0].starts_with("docs/a.md:1: no test checks"), "{wrong:?}");
    }

    #[test]
    fn files_are_found_by_the_end_of_their_path() {
        let files = Files::of(&["a/src/b.rs", "c.md"]);
        assert!(files.has("a/src/") && files.has_end("src/b.rs") && files.has_end("c.md"));
        assert!(!files.has_end("rc/b.rs") && !files.has("src/b.rs"));
        assert_eq!(files.below("a").collect::<Vec<_>>(), ["src", "src/b.rs"]);
        assert_eq!(files.top().collect::<Vec<_>>(), ["a", "c.md"]);
    }
}
