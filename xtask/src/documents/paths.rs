//! Checks that paths in code font exist.
//!
//! In: documents and files. Out: errors. A path begins with a folder of the repository or with `src/`, or is a name
//! that ends in `.rs`, `.md`, `.yaml` or `.toml`. It may omit folders at its beginning, and may contain `{a,b}` and
//! `*`. Not checked: paths below `target/`, and users' own files that a command line in a document contains.

use docs::{Check, Document};

use super::Files;

/// Extensions of file names.
const ENDS: [&str; 4] = [".rs", ".md", ".yaml", ".toml"];

/// The schema of snapshots looks like a path.
const OTHERS: [&str; 1] = ["headless-obs/v1"];

/// Paths of missing files.
pub(super) fn wrong(documents: &[Document], files: &Files) -> Vec<String> {
    let of_users: Vec<&str> = documents
        .iter()
        .flat_map(|document| &document.blocks)
        .filter(|block| block.check() == Ok(Check::Commands))
        .flat_map(|block| block.text.split_whitespace())
        .collect();
    let mut wrong = Vec::new();
    for document in documents {
        for span in &document.spans {
            for path in expanded(&span.text) {
                let is_users = of_users.iter().any(|word| word.ends_with(&path));
                if is_path(&path, files) && !exists(&path, files) && !is_users {
                    let (file, line) = (&document.name, span.line);
                    wrong.push(format!("{file}:{line}: `{path}` is the path of no file of this repository"));
                }
            }
        }
    }
    wrong
}

/// The expansions of a text with `{a,b}`.
pub(super) fn expanded(text: &str) -> Vec<String> {
    let parts = text.split_once('{').and_then(|(before, rest)| {
        let (inside, after) = rest.split_once('}')?;
        Some((before, inside, after))
    });
    let Some((before, inside, after)) = parts else { return vec![text.to_owned()] };
    inside.split(',').flat_map(|choice| expanded(&format!("{before}{}{after}", choice.trim()))).collect()
}

fn is_path(text: &str, files: &Files) -> bool {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '*' | ':' | '#');
    if text.is_empty()
        || !text.chars().all(is_plain)
        || text.starts_with(['/', '.', '-']) && !text.starts_with(".ci/")
    {
        return false;
    }
    let first = text.split('/').next().unwrap_or_default();
    if first == "target" || OTHERS.contains(&text) {
        return false;
    }
    let begins = text.contains('/') && (first == "src" || files.top().any(|top| top == first));
    begins && !text.contains("::") || ENDS.iter().any(|end| without_place(text).ends_with(end))
}

/// The path without `:LINE` and `#HEADING`.
fn without_place(path: &str) -> &str {
    path.split([':', '#']).next().unwrap_or(path)
}

fn exists(path: &str, files: &Files) -> bool {
    let path = without_place(path);
    match path.split_once('*') {
        None => files.has_end(path),
        Some((before, after)) => {
            let last = after.rsplit('*').next().unwrap_or(after);
            files.0.iter().any(|file| {
                let start = if file.starts_with(before) { Some(0) } else { file.find(&format!("/{before}")) };
                start.is_some() && file.ends_with(last)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_no_file_are_named() {
        let files = Files::of(&["x/src/a/mod.rs", "x/src/a/b.rs", "docs/c.md", "deploy/d.yaml"]);
        let right = "`x/src/a`, `src/a/b.rs`, `a/{mod,b}.rs`, `c.md`, `deploy/*.yaml`, `target/e.rs`, `x::y`, `a/b`\n\
                     `f.yaml`\n\n```sh\ncat f.yaml\n```\n";
        let wrong_text = "\n`x/src/c` `e.rs` `a/{b,c}.rs` `deploy/*.rs` `docs/c.md#x` `x/y`\n";
        let found = wrong(&[Document::parse("a.md", right)], &files);
        assert_eq!(found, [""; 0]);
        let found = wrong(&[Document::parse("a.md", wrong_text)], &files);
        let parts = ["x/src/c", "e.rs", "a/c.rs", "deploy/*.rs", "x/y"];
        assert_eq!(found.len(), parts.len(), "{found:?}");
        assert!(found.iter().zip(parts).all(|(line, part)| line.starts_with(&format!("a.md:2: `{part}`"))));
    }
}
