//! Generates Grafana's dashboards from the pages here. `cargo xtask dashboards` builds and runs this program.
//!
//! In: the repository's root; `pages`, one file for each dashboard. Out: `deploy/dashboards/NAME.json`. Only the pages
//! decide the order and every id, so the same pages give the same bytes. `--check` writes nothing: it fails if a file
//! differs, or if `lint` finds a mistake.
//!
//! It is a separate program, because its PromQL parser takes half a minute to build and no other task needs it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde_json::Value;

mod grafana;
mod lint;
mod model;
mod pages;
mod panels;
mod promql;
mod variables;

/// Write the dashboards, or check them.
#[derive(Parser, Debug)]
struct Options {
    /// The repository's root
    root: PathBuf,
    /// Write nothing; fail if a file is out of date
    #[arg(long)]
    check: bool,
}

fn main() -> Result<()> {
    let Options { root, check } = Options::parse();
    if check {
        return self::check(&root);
    }
    let folder = folder(&root);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, dashboard) in made() {
        let path = folder.join(&name);
        fs::write(&path, text(&dashboard)?).with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(std::io::stderr(), "wrote {}", path.display())?;
    }
    Ok(())
}

/// Compares the files with the pages, and lints them.
fn check(root: &Path) -> Result<()> {
    let folder = folder(root);
    let mut wrong = Vec::new();
    let made = made();
    for (name, dashboard) in &made {
        let path = folder.join(name);
        let there = fs::read_to_string(&path).unwrap_or_default();
        // Compared as JSON: the order of names within an object does not matter.
        if serde_json::from_str(&there).ok().as_ref() != Some(dashboard) {
            wrong.push(format!("{} is out of date: run `cargo xtask dashboards`", path.display()));
        }
    }
    for name in others(&folder, &made)? {
        wrong.push(format!("{} belongs to no page: remove it", folder.join(name).display()));
    }
    let known = lint::Known::read(root)?;
    wrong.extend(lint::all(&made, &known));
    wrong.extend(lint::documents(&docs::read(root)?, &known));
    wrong.extend(lint::document(&made, &read(&root.join("docs/dashboards.md"))?));
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(())
}

/// File names and contents.
fn made() -> Vec<(String, Value)> {
    let dashboards = pages::all().into_iter();
    dashboards.map(|(name, dashboard)| (format!("{name}.json"), grafana::json(&dashboard))).collect()
}

/// Dashboard files that belong to no page.
fn others(folder: &Path, made: &[(String, Value)]) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.ends_with(".json") && !made.iter().any(|(own, _)| own == name)).collect())
}

fn text(dashboard: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(dashboard).context("a dashboard is no JSON")? + "\n")
}

fn folder(root: &Path) -> PathBuf {
    root.join("deploy/dashboards")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
