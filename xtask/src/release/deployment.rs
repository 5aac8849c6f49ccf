//! Chart and manifests of a release: those of `deploy/`, which name the image by the registry and by its digest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use image::{Artifact, Entry};

use super::{Files, Plan, push};
use crate::dist::Made;
use crate::{chart, workspace};

/// Folders of `deploy/` in the archive of manifests.
const FOLDERS: [&str; 6] = ["dashboards", "manifests", "monitoring", "namespaced", "rules", "seccomp"];
/// The folder whose files are one file of a release, for `kubectl apply`.
const WHOLE: &str = "manifests";
/// Helm's list of files that are not in a chart.
const IGNORED: &str = ".helmignore";

/// Adds the chart, for helm and for the registry, and the manifests; returns the chart's name and digest.
pub(super) fn add(plan: &Plan, made: &Made, files: &mut Files) -> Result<(String, String)> {
    let deploy = workspace::root().join("deploy");
    let mut manifests = BTreeMap::new();
    for folder in FOLDERS {
        read_folder(&deploy.join(folder), folder, &mut manifests)?;
    }
    let (own, released) =
        (format!("{}/headless-obs:{}", chart::registry()?, plan.version), by_digest(plan, made));
    for text in manifests.values_mut() {
        *text = text.replace(&format!("image: \"{own}\""), &format!("image: \"{released}\""));
    }
    let whole: Vec<&str> =
        manifests.iter().filter(|(path, _)| path.starts_with(WHOLE)).map(|(_, text)| text.as_str()).collect();
    let whole = whole.join("---\n");
    ensure!(whole.contains(&released), "no manifest in deploy/{WHOLE} has the image {own}");
    files.add_text(&plan.file(".yaml"), &whole)?;
    files.add(&plan.file("-manifests.tar.gz"), &archive(plan, manifests)?)?;
    add_chart(plan, made, &deploy.join("chart"), files)
}

/// The image by its digest.
fn by_digest(plan: &Plan, made: &Made) -> String {
    format!("{}@{}", plan.image(), made.digest)
}

fn add_chart(plan: &Plan, made: &Made, folder: &Path, files: &mut Files) -> Result<(String, String)> {
    let mut sources = BTreeMap::new();
    read_folder(folder, "headless-obs", &mut sources)?;
    sources.remove(&format!("headless-obs/{IGNORED}"));
    let values = sources.get_mut("headless-obs/values.yaml").context("the chart has no values.yaml")?;
    *values = with_image(values, &plan.image(), &made.digest)?;
    let description = sources.get("headless-obs/Chart.yaml").context("the chart has no Chart.yaml")?;
    let description: serde_json::Value = serde_saphyr::from_str(description).context("in Chart.yaml")?;
    let packed = archive(plan, sources)?;
    files.add(&plan.file("-chart.tgz"), &packed)?;
    let artifact = Artifact {
        name: format!("{}:{}", plan.chart(), plan.version),
        config: ("application/vnd.cncf.helm.config.v1+json", serde_json::to_vec(&description)?),
        layer: ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", packed),
        annotations: made.labels.clone(),
    };
    let mut out = Vec::new();
    let digest = artifact.write(&mut out)?;
    files.add(&plan.file(push::CHART), &out)?;
    Ok((plan.chart(), digest))
}

/// The chart's values with the image of a release.
fn with_image(values: &str, repository: &str, digest: &str) -> Result<String> {
    let mut lines: Vec<String> = values.lines().map(str::to_owned).collect();
    for (key, value) in [("repository", repository), ("digest", digest)] {
        let start = format!("  {key}: ");
        let mut found = lines.iter_mut().filter(|line| line.starts_with(&start));
        let (Some(line), None) = (found.next(), found.next()) else {
            bail!("values.yaml does not have exactly one line `{start}…`");
        };
        *line = format!("{start}{value}");
    }
    Ok(lines.join("\n") + "\n")
}

fn archive(plan: &Plan, sources: BTreeMap<String, String>) -> Result<Vec<u8>> {
    let entries = sources.into_iter().map(|(path, text)| (path, Entry::File(text.into_bytes()))).collect();
    image::tar_gz(&entries, plan.commit.time)
}

/// Reads the texts of a folder, under their paths below `name`.
fn read_folder(folder: &Path, name: &str, found: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            read_folder(&path, &name, found)?;
        } else {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.insert(name, text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_values_name_the_image_by_registry_and_digest() {
        let values = fs::read_to_string(workspace::root().join("deploy/chart/values.yaml")).unwrap();
        let made = with_image(&values, "r.example/x/headless-obs", "sha256:12").unwrap();
        assert!(made.contains("\n  repository: r.example/x/headless-obs\n"), "{made}");
        assert!(made.contains("\n  digest: sha256:12\n"), "{made}");
        assert_eq!(made.lines().count(), values.lines().count());
        assert!(with_image("image:\n  repository: a\n", "b", "c").is_err(), "there is no digest");
    }
}
