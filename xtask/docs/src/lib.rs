//! The content of the repository's documents, for tests that compare it with the programs.
//!
//! In: the text of a Markdown file. Out: a [`Document`]: its code blocks, code spans, links and anchors, each with its
//! line; [`shell`] extracts the commands of a block. Invariant: each block of README.md and docs/ has one [`Check`], or
//! [`Block::check`] returns advice. Only [`read`] does IO.

#![deny(unsafe_code)]

use std::path::Path;
use std::{fs, io};

mod block;
mod document;
pub mod options;
pub mod our_commands;
pub mod shell;

pub use block::{Block, Check};
pub use document::{Document, Link, Span};

/// The documents outside of `docs/`.
const TOP: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// Reads all documents of the repository, sorted by name.
///
/// # Errors
/// A file cannot be read.
pub fn read(root: &Path) -> io::Result<Vec<Document>> {
    let mut names: Vec<String> = TOP.map(str::to_owned).into();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else if name.ends_with(".md") {
                names.push(name);
            }
        }
    }
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let text = fs::read_to_string(root.join(&name))
                .map_err(|error| io::Error::new(error.kind(), format!("cannot read {name}: {error}")))?;
            Ok(Document::parse(&name, &text))
        })
        .collect()
}
