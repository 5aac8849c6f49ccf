//! `cargo xtask chart`: generates files from other files of `deploy/`: the chart's copies of rules and dashboards,
//! because helm can read files of the chart only; and manifests for users without helm, which are the chart's output.
//!
//! In: `deploy/{chart,rules,dashboards}`. Out: files of `deploy/`. `cargo xtask check` compares them with a new result.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::console::say;
use crate::tools::{self, Tool};
use crate::{process, workspace};

/// Source folder below `deploy/`, file extension, and target folder.
const COPIES: [(&str, &str, &str); 2] =
    [("rules", "yaml", "chart/files/rules"), ("dashboards", "json", "chart/files/dashboards")];

/// The folders with manifests. Files in them that are not rendered are written by hand, and listed here.
const RENDERED: [&str; 3] = ["manifests", "namespaced", "monitoring"];
const BY_HAND: &str = "manifests/1-namespace.yaml";

/// A manifest: its file below `deploy/`, the chart's template, and the values.
type Rendering = (&'static str, &'static str, &'static [&'static str]);

/// In the order in which kubectl reads a folder's files.
const RENDERINGS: [Rendering; 8] = [
    ("manifests/2-rbac.yaml", "rbac", &[]),
    ("manifests/3-daemonset.yaml", "daemonset", &[]),
    ("manifests/4-service.yaml", "service", &[]),
    ("namespaced/rbac.yaml", "rbac", &["namespaces={shop}"]),
    ("namespaced/daemonset.yaml", "daemonset", &["namespaces={shop}"]),
    ("monitoring/podmonitor.yaml", "podmonitor", &["podMonitor.enabled=true"]),
    ("monitoring/prometheusrule.yaml", "prometheusrule", &["prometheusRule.enabled=true"]),
    ("monitoring/dashboards.yaml", "dashboards", &["dashboards.enabled=true"]),
];

/// Marks of an installation by helm.
const OF_HELM: [&str; 3] = ["# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: "];

/// The chart's values, below the repository's root. No other file of the repository decides which registry is named.
pub(crate) const VALUES: &str = "deploy/chart/values.yaml";

/// The registry in the chart's values, with the path below it.
pub(crate) fn registry() -> Result<String> {
    let path = workspace::root().join(VALUES);
    let values = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let registry = registry_in(&values).map(str::to_owned);
    registry.with_context(|| format!("{VALUES} has no image.repository that ends in /headless-obs"))
}

/// The registry in the text of the chart's values.
pub(crate) fn registry_in(values: &str) -> Option<&str> {
    values.lines().find_map(|line| line.strip_prefix("  repository: ")?.strip_suffix("/headless-obs"))
}

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    let deploy = workspace::root().join("deploy");
    // The rendered manifests contain the copies.
    write(&deploy, copies(&deploy)?)?;
    write(&deploy, renderings(&deploy)?)?;
    for name in strays(&deploy)? {
        fs::remove_file(deploy.join(&name))?;
        say(&format!("removed deploy/{name}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn write(deploy: &Path, files: BTreeMap<String, String>) -> Result<()> {
    for (name, text) in files {
        let path = deploy.join(&name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Whether all files are up to date.
pub(crate) fn check() -> Result<()> {
    let deploy = workspace::root().join("deploy");
    let mut wanted = copies(&deploy)?;
    wanted.extend(renderings(&deploy)?);
    let differs = |(name, text): (String, String)| {
        let is_same = fs::read_to_string(deploy.join(&name)).is_ok_and(|found| found == text);
        (!is_same).then_some(name)
    };
    let mut stale: Vec<String> = wanted.into_iter().filter_map(differs).collect();
    stale.extend(strays(&deploy)?);
    ensure!(
        stale.is_empty(),
        "these files in deploy/ are out of date: {}; run `cargo xtask chart`",
        stale.join(", ")
    );
    Ok(())
}

/// File → text of the copies.
fn copies(deploy: &Path) -> Result<BTreeMap<String, String>> {
    let mut copies = BTreeMap::new();
    for (from, extension, to) in COPIES {
        for path in files(&deploy.join(from))? {
            if path.extension() == Some(OsStr::new(extension)) {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                copies.insert(format!("{to}/{}", name(&path)), text);
            }
        }
    }
    Ok(copies)
}

/// File → text of the rendered manifests.
fn renderings(deploy: &Path) -> Result<BTreeMap<String, String>> {
    let helm = tools::ensure(Tool::Helm)?;
    let mut rendered = BTreeMap::new();
    for (file, template, values) in RENDERINGS {
        let mut command = Command::new(&helm);
        command.args(["template", "headless-obs", "--namespace=headless-obs"]).arg(deploy.join("chart"));
        command.arg(format!("--show-only=templates/{template}.yaml"));
        command.args(values.iter().map(|value| format!("--set={value}")));
        let text = process::output(&mut command)?;
        rendered.insert(file.to_owned(), manifest(&text, values));
    }
    Ok(rendered)
}

/// Helm's output, for a user who applies it without helm.
fn manifest(text: &str, values: &[&str]) -> String {
    let with = values.iter().map(|value| format!(" with {value}")).collect::<String>();
    let head =
        format!("# Generated by `cargo xtask chart` from deploy/chart{with}. Change the chart instead.");
    let kept = text.lines().map(str::trim_end).filter(|line| {
        let text = line.trim_start();
        !OF_HELM.iter().any(|start| text.starts_with(start))
    });
    let mut lines = vec![head.as_str()];
    for line in kept {
        // Nothing before the first document, and no empty lines between two documents.
        if line == "---" && lines.len() == 1 || line.is_empty() && lines.len() == 1 {
            continue;
        }
        while line == "---" && lines.last() == Some(&"") {
            lines.pop();
        }
        lines.push(line);
    }
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// Files in the folders of generated files that the task does not generate.
fn strays(deploy: &Path) -> Result<Vec<String>> {
    let copied = copies(deploy)?;
    let is_made = |name: &String| {
        name == BY_HAND || copied.contains_key(name) || RENDERINGS.iter().any(|(file, ..)| file == name)
    };
    let mut strays = Vec::new();
    for folder in RENDERED.into_iter().chain(COPIES.map(|(_, _, to)| to)) {
        let found = files(&deploy.join(folder))?;
        strays.extend(
            found.iter().map(|path| format!("{folder}/{}", name(path))).filter(|name| !is_made(name)),
        );
    }
    Ok(strays)
}

/// The files of a folder, if there is one.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_does_not_say_that_helm_installed_it() {
        let rendered = "---\n# Source: x/templates/a.yaml\n# Why.\nkind: A\nlabels:\n  helm.sh/chart: x-1\n  \
                        app.kubernetes.io/managed-by: Helm\n  app.kubernetes.io/name: x\n\n---\nkind: B\n";
        let expected = "# Generated by `cargo xtask chart` from deploy/chart with a=b. Change the chart instead.\n# Why.\n\
                        kind: A\nlabels:\n  app.kubernetes.io/name: x\n---\nkind: B\n";
        assert_eq!(manifest(rendered, &["a=b"]), expected);
    }

    #[test]
    fn the_chart_is_of_this_version() {
        let chart = fs::read_to_string(workspace::root().join("deploy/chart/Chart.yaml")).unwrap();
        for key in ["version", "appVersion"] {
            let line = format!("\n{key}: {}\n", env!("CARGO_PKG_VERSION"));
            assert!(chart.contains(&line), "{line}");
        }
    }
}
