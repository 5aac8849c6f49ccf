//! `cargo xtask dashboards`: Grafana's dashboards, made from the pages here.
//!
//! In: `pages`, one file for each dashboard. Out: `deploy/dashboards/NAME.json`. Their order and every id follow from the
//! pages alone, so that the same pages give the same bytes. `--check` writes nothing: it fails where a file differs, or
//! where `lint` finds something wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::console::say;
use crate::workspace;

mod grafana;
mod lint;
mod model;
mod pages;
mod panels;
mod promql;
mod variables;

/// What to do with the dashboards.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Write nothing; fail if a file is not what it should be
    #[arg(long)]
    check: bool,
}

/// The task.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.check {
        check()?;
        say("the dashboards are up to date");
    } else {
        let folder = folder();
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, dashboard) in made() {
            let path = folder.join(&name);
            fs::write(&path, text(&dashboard)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
            say(&format!("wrote {}", path.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// That the files are what the pages say, and that there is nothing wrong with them.
pub(crate) fn check() -> Result<()> {
    let folder = folder();
    let mut wrong = Vec::new();
    let made = made();
    for (name, dashboard) in &made {
        let path = folder.join(name);
        let there = fs::read_to_string(&path).unwrap_or_default();
        // As JSON: the order of names within an object is nobody's business.
        if serde_json::from_str(&there).ok().as_ref() != Some(dashboard) {
            wrong.push(format!("{} is out of date: run `cargo xtask dashboards`", path.display()));
        }
    }
    for name in others(&folder, &made)? {
        wrong.push(format!("{} belongs to no page: remove it", folder.join(name).display()));
    }
    let root = workspace::root();
    wrong.extend(lint::all(&made, &lint::Known::read(&root)?));
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

/// Files of dashboards that no page makes.
fn others(folder: &Path, made: &[(String, Value)]) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name.ends_with(".json") && !made.iter().any(|(own, _)| own == name)).collect())
}

fn text(dashboard: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(dashboard).context("a dashboard is no JSON")? + "\n")
}

fn folder() -> PathBuf {
    workspace::root().join("deploy/dashboards")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
