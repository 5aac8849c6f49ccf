//! The Rust files of the workspace as a module tree, as cargo and rustc see it.
//!
//! In: the workspace. Out: [`Tree`]: each file with its module path, and files without one. It starts at cargo's
//! targets and follows every `mod name;`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::rust_imports::{self, Module, Source};

/// The first file of a crate.
#[derive(Debug)]
pub(crate) struct Root {
    /// The file.
    pub(crate) file: PathBuf,
    /// The package, if the crate is its library.
    pub(crate) library_of: Option<String>,
}

/// A file that is part of a crate.
#[derive(Debug)]
pub(crate) struct File {
    /// The path below the workspace's root.
    pub(crate) name: String,
    /// The package, if it is part of its library.
    pub(crate) library_of: Option<String>,
    /// The module path from the crate's root; empty for the root itself.
    pub(crate) module: Vec<String>,
    /// The text.
    pub(crate) text: String,
    /// Its references.
    pub(crate) source: Source,
}

/// All Rust files.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Files that belong to a crate. A file of several crates occurs several times.
    pub(crate) files: Vec<File>,
    /// Errors in the tree: file, line and message.
    pub(crate) broken: Vec<(String, usize, String)>,
}

/// The crates that `cargo metadata` lists.
pub(crate) fn roots(metadata: &str) -> Result<Vec<Root>> {
    let metadata: Value = serde_json::from_str(metadata).context("cargo metadata printed no JSON")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut roots = Vec::new();
    for package in list(&metadata["packages"]) {
        for target in list(&package["targets"]) {
            let Some(file) = target["src_path"].as_str() else { continue };
            let is_library = list(&target["kind"]).iter().any(|kind| kind == "lib");
            let library_of = package["name"].as_str().filter(|_| is_library).map(str::to_owned);
            roots.push(Root { file: file.into(), library_of });
        }
    }
    Ok(roots)
}

/// Reads all files below the folder `workspace`.
pub(crate) fn read(workspace: &Path, roots: Vec<Root>) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut reached = BTreeSet::new();
    let name_of = |file: &Path| file.strip_prefix(workspace).unwrap_or(file).display().to_string();
    for Root { file, library_of } in roots {
        let mut waiting = vec![(file, Vec::new())];
        while let Some((file, module)) = waiting.pop() {
            let name = name_of(&file);
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
            reached.insert(file.clone());
            let source = match rust_imports::read(&text, &module) {
                Ok(source) => source,
                Err((line, error)) => {
                    tree.broken.push((name, line, error));
                    continue;
                }
            };
            for declared in &source.modules {
                match file_of(&file, &module, declared) {
                    Some(path) => waiting.push((path, declared.path.clone())),
                    None => {
                        let what = format!("no file for `mod {}`", declared.path.join("::"));
                        tree.broken.push((name.clone(), declared.line, what));
                    }
                }
            }
            tree.files.push(File { name, library_of: library_of.clone(), module, text, source });
        }
    }
    for file in rust_files(workspace)?.difference(&reached) {
        tree.broken.push((
            name_of(file),
            1,
            "no `mod` refers to this file, so nothing compiles it".to_owned(),
        ));
    }
    Ok(tree)
}

/// The file of a module that is declared in `file`, which is the module `parent`.
fn file_of(file: &Path, parent: &[String], declared: &Module) -> Option<PathBuf> {
    let folder = file.parent()?;
    if let Some(path) = &declared.file {
        return Some(folder.join(path)).filter(|path| path.is_file());
    }
    let owns_folder = parent.is_empty() || file.ends_with("mod.rs");
    let mut path = if owns_folder { folder.to_path_buf() } else { file.with_extension("") };
    path.extend(declared.path.get(parent.len()..)?);
    [path.with_extension("rs"), path.join("mod.rs")].into_iter().find(|path| path.is_file())
}

/// The Rust files below a folder, without build directories and hidden folders.
fn rust_files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with these files, read from the crate roots among them.
    fn check(files: &[(&str, &str)], roots: &[&str], modules: &[&str], broken: &[(&str, usize)]) {
        let folder =
            std::env::temp_dir().join(format!("xtask-tree-{}-{}", std::process::id(), files[0].0.len()));
        for (name, text) in files {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let roots = roots.iter().map(|root| Root { file: folder.join(root), library_of: None }).collect();
        let tree = read(&folder, roots);
        fs::remove_dir_all(&folder).unwrap();
        let tree = tree.unwrap();
        let mut found: Vec<_> =
            tree.files.iter().map(|f| format!("{} {}", f.name, f.module.join("::"))).collect();
        found.sort();
        assert_eq!(found, modules);
        assert_eq!(
            tree.broken.iter().map(|(name, line, _)| (name.as_str(), *line)).collect::<Vec<_>>(),
            broken
        );
    }

    #[test]
    fn modules_are_found_where_rustc_finds_them() {
        check(
            &[
                ("src/lib.rs", "mod a; mod b; mod inline { mod c; } #[path = \"odd.rs\"] mod d;"),
                ("src/a.rs", "mod x;"),
                ("src/a/x.rs", ""),
                ("src/b/mod.rs", "mod y;"),
                ("src/b/y.rs", ""),
                ("src/inline/c.rs", ""),
                ("src/odd.rs", ""),
                ("target/build.rs", ""),
            ],
            &["src/lib.rs"],
            &[
                "src/a.rs a",
                "src/a/x.rs a::x",
                "src/b/mod.rs b",
                "src/b/y.rs b::y",
                "src/inline/c.rs inline::c",
                "src/lib.rs ",
                "src/odd.rs d",
            ],
            &[],
        );
    }

    #[test]
    fn a_test_that_no_mod_leads_to_is_found() {
        check(
            &[("tests/node.rs", "mod dns;\n"), ("tests/dns.rs", ""), ("tests/node/tcp.rs", "")],
            &["tests/node.rs"],
            &["tests/dns.rs dns", "tests/node.rs "],
            &[("tests/node/tcp.rs", 1)],
        );
    }

    #[test]
    fn a_module_without_a_file_and_a_file_that_does_not_parse_are_found() {
        check(
            &[("lib.rs", "mod good;\n\nmod gone;\n"), ("good.rs", "fn f() {\n(]\n}")],
            &["lib.rs"],
            &["lib.rs "],
            &[("lib.rs", 3), ("good.rs", 2)],
        );
    }

    #[test]
    fn cargos_targets_are_the_roots() {
        let metadata = r#"{"packages":[{"name":"p","targets":[
            {"kind":["lib"],"src_path":"/w/p/src/lib.rs"},{"kind":["test"],"src_path":"/w/p/tests/t.rs"}]}]}"#;
        let roots = roots(metadata).unwrap();
        assert_eq!(roots[0].library_of.as_deref(), Some("p"));
        assert_eq!((roots[1].file.as_path(), &roots[1].library_of), (Path::new("/w/p/tests/t.rs"), &None));
    }
}
