//! Compares the code map of ARCHITECTURE.md with the modules of the daemon and of the kernel programs.
//!
//! In: the document and the files. Out: errors. In the tables of a crate's sections, code font names modules: by their
//! path below `src`, or by its last part if a module of the same folder precedes it in the same cell. The map must have
//! all modules of the kernel programs, and the daemon's modules with a path of one or two parts. Test-only modules do
//! not count.

use std::collections::BTreeSet;

use anyhow::Result;
use docs::Document;

use super::Files;
use super::paths::expanded;

/// The document.
pub(super) const FILE: &str = "ARCHITECTURE.md";

/// The crates, and the maximum number of path parts of modules that must be in the map.
const CRATES: [(&str, usize); 2] = [("headless-obs", 2), ("headless-obs-ebpf", usize::MAX)];

/// Errors; `read` returns a file of the repository.
pub(super) fn wrong(
    document: &Document,
    files: &Files,
    read: &dyn Fn(&str) -> Result<String>,
) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (name, depth) in CRATES {
        let folder = format!("{name}/src");
        let modules: BTreeSet<String> = files.below(&folder).filter_map(module).collect();
        let mut named = BTreeSet::new();
        let (mut last, mut above) = (0, String::new());
        for span in &document.spans {
            let is_of = span.section.split([':', ' ']).next() == Some(name);
            let Some(column) = span.column.filter(|_| is_of) else { continue };
            if last != span.line {
                (last, above) = (span.line, String::new());
            }
            for text in expanded(&span.text) {
                let (whole, beside) = (text.clone(), format!("{above}{text}"));
                match [whole, beside].into_iter().find(|path| modules.contains(path)) {
                    Some(path) => {
                        above =
                            path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
                        named.insert(path);
                    }
                    None if column == 0 || is_path_of(&text, &modules) => wrong.push(format!(
                        "{FILE}:{}: `{text}` is no module of {name}: correct the name in the code map",
                        span.line
                    )),
                    None => {}
                }
            }
        }
        for path in modules.difference(&named).filter(|path| path.split('/').count() <= depth) {
            if !is_of_tests(path, &folder, files, read)? {
                wrong.push(format!("{FILE}:1: the code map lacks `{path}`, a module of {name}"));
            }
        }
    }
    Ok(wrong)
}

/// Whether a module is for tests only: the line before its declaration has `#[cfg(test)]`.
fn is_of_tests(
    path: &str,
    folder: &str,
    files: &Files,
    read: &dyn Fn(&str) -> Result<String>,
) -> Result<bool> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("lib", path));
    let declaring = [format!("{folder}/{parent}.rs"), format!("{folder}/{parent}/mod.rs")];
    let Some(declaring) = declaring.into_iter().find(|file| files.has(file)) else { return Ok(false) };
    let text = read(&declaring)?;
    let mut lines = text.lines().zip(text.lines().skip(1));
    Ok(lines.any(|(before, line)| {
        before.trim() == "#[cfg(test)]" && line.trim_end().ends_with(&format!("mod {name};"))
    }))
}

/// The module of a file or folder below `src`.
fn module(path: &str) -> Option<String> {
    let path = path.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let is_root = matches!(path, "lib" | "main" | "mod");
    let is_tests = path.split('/').any(|part| part == "tests");
    (!is_root && !is_tests).then(|| path.to_owned())
}

/// Whether a text looks like a module's path that begins with an existing module.
fn is_path_of(text: &str, modules: &BTreeSet<String>) -> bool {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '/');
    let first = text.split_once('/').map(|(first, _)| first);
    text.chars().all(is_name) && first.is_some_and(|first| modules.contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_and_the_modules_are_compared() {
        let files = Files::of(&[
            "headless-obs/src/lib.rs",
            "headless-obs/src/a.rs",
            "headless-obs/src/a/b.rs",
            "headless-obs/src/a/c/mod.rs",
            "headless-obs/src/a/c/d.rs",
            "headless-obs/src/a/tests.rs",
            "headless-obs/src/a/fixtures.rs",
            "headless-obs/src/e/mod.rs",
            "headless-obs-ebpf/src/f/g/h.rs",
        ]);
        let map = |rows: &str| {
            let text = format!("### `headless-obs`: the daemon\n\n| m | w |\n|---|---|\n{rows}\n");
            let read = |path: &str| {
                let declares = path == "headless-obs/src/a.rs";
                Ok(if declares { "mod b;\n#[cfg(test)]\npub(crate) mod fixtures;\n" } else { "" }.to_owned())
            };
            wrong(&Document::parse(FILE, &text), &files, &read).unwrap()
        };
        let kernel = "ARCHITECTURE.md:1: the code map lacks `f/g/h`, a module of headless-obs-ebpf";
        assert_eq!(map("| `a/b`, `c` | and `a` |\n| `e` | `x` |"), [kernel]);
        assert_eq!(map("| `a/{b,c}` | `a` |\n| `e` | |"), [kernel]);
        let found = map("| `a`, `z` | `a/y` |\n| `e` | |");
        let parts = ["5: `z` is no", "5: `a/y` is no", "lacks `a/b`", "lacks `a/c`", "lacks `f/g/h`"];
        assert_eq!(found.len(), parts.len(), "{found:?}");
        assert!(found.iter().zip(parts).all(|(line, part)| line.contains(part)), "{found:?}");
    }
}
