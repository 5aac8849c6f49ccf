//! The archives of image and chart, and their way to a registry.
//!
//! In: OCI image layouts as tar files, which hold the name under which each goes to the registry. Out: the same bytes
//! there. The registry must report the digest that the archive has. Accounts are those of `docker login`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::console::say;
use crate::process;
use crate::tools::{self, Tool};

/// The ends of the archives' names.
pub(super) const IMAGE: &str = "-image.tar";
pub(super) const CHART: &str = "-chart.tar";

/// Publishes image and chart of a release in this folder.
pub(super) fn all(folder: &Path) -> Result<()> {
    for end in [IMAGE, CHART] {
        let archive = archive(folder, end)?;
        let layout = Layout::unpack(&archive)?;
        say(&format!("published {}", layout.push()?));
    }
    Ok(())
}

/// The one file whose name has this end.
pub(super) fn archive(folder: &Path, end: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    match (found.pop(), found.pop()) {
        (Some(path), None) => Ok(path),
        _ => bail!("{} does not have exactly one file …{end}", folder.display()),
    }
}

/// An unpacked archive; dropping it removes it.
pub(super) struct Layout {
    folder: PathBuf,
    /// Name with tag.
    pub(super) name: String,
    pub(super) digest: String,
}

impl Layout {
    /// Unpacks an archive beside it, and verifies each blob.
    pub(super) fn unpack(archive: &Path) -> Result<Self> {
        let folder = archive.with_extension("layout");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut layout = Self { folder, name: String::new(), digest: String::new() };
        process::run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&layout.folder))?;
        let index: Value = serde_json::from_slice(&layout.read("index.json")?)?;
        let entry = &index["manifests"][0];
        layout.name =
            entry["annotations"][image::NAME].as_str().context("the archive has no name")?.to_owned();
        layout.digest = layout.follow(entry)?;
        Ok(layout)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(path);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Verifies a descriptor's blob, and all that it refers to; returns its digest.
    fn follow(&self, descriptor: &Value) -> Result<String> {
        let digest = descriptor["digest"].as_str().context("a descriptor has no digest")?;
        let bytes = self.read(&format!("blobs/{}", digest.replace(':', "/")))?;
        ensure!(image::digest(&bytes) == digest, "the blob {digest} has other bytes");
        ensure!(descriptor["size"] == bytes.len(), "the blob {digest} has another size");
        let kind = descriptor["mediaType"].as_str().unwrap_or_default();
        if kind.contains("image.index") || kind.contains("image.manifest") {
            let value: Value = serde_json::from_slice(&bytes)?;
            let lists = ["manifests", "layers"].into_iter().filter_map(|list| value[list].as_array());
            for part in lists.flatten().chain(value.get("config")) {
                self.follow(part)?;
            }
        }
        Ok(digest.to_owned())
    }

    /// Pushes it; returns its name with the digest that the registry reports.
    fn push(&self) -> Result<String> {
        let crane = tools::ensure(Tool::Crane)?;
        process::output(Command::new(&crane).arg("push").arg(&self.folder).arg(&self.name))
            .with_context(|| format!("cannot push {}: `docker login` to its registry first", self.name))?;
        let there = process::output(Command::new(&crane).args(["digest", &self.name]))?;
        let there = there.trim();
        ensure!(there == self.digest, "the registry has {there} as {}, not {}", self.name, self.digest);
        Ok(format!("{}@{there}", self.name))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use image::Artifact;

    use super::*;

    #[test]
    fn a_changed_blob_is_found_before_it_is_pushed() {
        let folder = std::env::temp_dir().join(format!("xtask-release-push-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let artifact = Artifact {
            name: "localhost/charts/a:1".to_owned(),
            config: ("application/x.config", b"{}".to_vec()),
            layer: ("application/x.file", b"content".to_vec()),
            ..Artifact::default()
        };
        let mut out = Vec::new();
        let digest = artifact.write(&mut out).unwrap();
        let path = folder.join("a-chart.tar");
        fs::write(&path, &out).unwrap();
        assert_eq!(archive(&folder, CHART).unwrap(), path);
        let unpacked = Layout::unpack(&path).map(|layout| (layout.name.clone(), layout.digest.clone()));
        let place = out.windows(7).position(|bytes| bytes == b"content").unwrap();
        out[place] = b'C';
        fs::write(&path, &out).unwrap();
        let changed = Layout::unpack(&path).map(|layout| layout.digest.clone());
        let left = fs::read_dir(&folder).unwrap().count();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(unpacked.unwrap(), ("localhost/charts/a:1".to_owned(), digest));
        assert!(changed.unwrap_err().to_string().contains("other bytes"));
        assert_eq!(left, 1, "the unpacked archives are gone");
    }
}
