//! `cargo xtask chart`: what is made from other files of `deploy/`: the copies of rules and dashboards in the chart, which
//! helm can read nowhere else, and the manifests for those who have no helm, which are the chart's own output.
//!
//! In: `deploy/{chart,rules,dashboards}`. Out: files of `deploy/`. `cargo xtask check` compares them with what they would be.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};

use crate::console::say;
use crate::tools::{self, Tool};
use crate::{process, workspace};

/// Folders below `deploy/`, the extension of what is copied, and the folder that gets it.
const COPIES: [(&str, &str, &str); 2] =
    [("rules", "yaml", "chart/files/rules"), ("dashboards", "json", "chart/files/dashboards")];

/// The folders with manifests. What is in them and not rendered is written by hand, and named here.
const RENDERED: [&str; 3] = ["manifests", "namespaced", "monitoring"];
const BY_HAND: &str = "manifests/1-namespace.yaml";

/// A manifest: its file below `deploy/`, the chart's template, and what is set.
type Rendering = (&'static str, &'static str, &'static [&'static str]);

/// In the order in which kubectl takes a folder's files.
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

/// What says that helm has installed something.
const OF_HELM: [&str; 3] = ["# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: "];

/// The task.
pub(crate) fn run() -> Result<ExitCode> {
    let deploy = workspace::root().join("deploy");
    // The manifests are rendered with the copies.
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

/// Whether all of it is as the task would make it.
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

/// File → text of what is copied.
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

/// File → text of what is rendered.
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

/// Helm's output, as somebody who has no helm applies it.
fn manifest(text: &str, values: &[&str]) -> String {
    let with = values.iter().map(|value| format!(" with {value}")).collect::<String>();
    let head = format!("# Made by `cargo xtask chart`: what deploy/chart renders{with}. Change it there.");
    let kept = text.lines().map(str::trim_end).filter(|line| {
        let text = line.trim_start();
        !OF_HELM.iter().any(|start| text.starts_with(start))
    });
    let mut lines = vec![head.as_str()];
    for line in kept {
        // Nothing before the first document, and no empty lines between two.
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

/// Files in the folders of what is made here that are not made.
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
        let expected = "# Made by `cargo xtask chart`: what deploy/chart renders with a=b. Change it there.\n# Why.\n\
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
