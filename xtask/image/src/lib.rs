//! Container images, and other parts of a release, as tar files, written without a container engine.
//!
//! In: an [`Image`] with its name, its command and its files; or the same image for several architectures; or an
//! [`Artifact`]. Out: an archive for `ctr images import`, `docker load`, `podman load` and `skopeo`. It is an OCI image layout that also has
//! the `manifest.json` which Docker needs unless it keeps images in containerd. The same image gives the same bytes:
//! entries are sorted, times are zero, and root owns everything.

#![deny(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

mod archive;
mod artifact;

pub use archive::{Entry, tar_gz};
pub use artifact::Artifact;

/// An image of one layer.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Its full name: registry, repository and tag.
    pub name: String,
    /// Go's name of its processor, which is also that of container tools.
    pub architecture: String,
    /// Its command.
    pub entrypoint: Vec<String>,
    /// Path in the image → entry. Parent folders are created.
    pub entries: BTreeMap<String, Entry>,
    /// `org.opencontainers.image.…` and others.
    pub labels: BTreeMap<String, String>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl Image {
    /// Writes the archive; returns the digest of the image's manifest, which identifies it in registries.
    ///
    /// # Errors
    /// Writing failed, or a path cannot be in an archive.
    pub fn write(&self, out: impl Write) -> Result<String> {
        let mut files = BTreeMap::new();
        let made = self.make(&mut files)?;
        finish(files, &self.name, &made.descriptor, &[made.for_docker(&self.name)], out)?;
        Ok(digest(&made.manifest))
    }

    /// Adds its parts to the archive's files.
    fn make(&self, files: &mut BTreeMap<String, Entry>) -> Result<Made> {
        let tree = archive::tar(&self.entries, 0)?;
        let layer = archive::gzip(&tree)?;
        let config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Labels": self.labels, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tree)]},
            "history": [{"created_by": "headless-obs"}],
        });
        let config = serde_json::to_vec(&config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
            "annotations": self.labels,
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let mut entry = descriptor(MANIFEST, &manifest);
        entry["platform"] = json!({"architecture": self.architecture, "os": "linux"});
        let made = Made {
            descriptor: entry,
            manifest: manifest.clone(),
            config: blob(&config),
            layer: blob(&layer),
        };
        files.extend([config, layer, manifest].map(|bytes| (blob(&bytes), Entry::File(bytes))));
        Ok(made)
    }
}

/// The parts of one image in the archive.
struct Made {
    descriptor: Value,
    manifest: Vec<u8>,
    /// Paths.
    config: String,
    layer: String,
}

impl Made {
    fn for_docker(&self, name: &str) -> Value {
        json!({"Config": self.config, "RepoTags": [name], "Layers": [self.layer]})
    }
}

/// Writes one archive with the same image for several architectures; returns the digest of the index, from which each
/// machine takes its own image. Docker's own store has no index: there they are several images, whose tags end in the
/// architecture.
///
/// # Errors
/// There is no image, the names differ, writing failed, or a path cannot be in an archive.
pub fn write_all(images: &[Image], out: impl Write) -> Result<String> {
    let name = &images.first().context("an archive needs an image")?.name;
    ensure!(
        images.iter().all(|image| image.name == *name),
        "these are not the same image: they have several names"
    );
    let mut files = BTreeMap::new();
    let made = images.iter().map(|image| image.make(&mut files)).collect::<Result<Vec<_>>>()?;
    let manifests: Vec<&Value> = made.iter().map(|made| &made.descriptor).collect();
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": manifests,
        "annotations": images[0].labels,
    }))?;
    let for_docker: Vec<Value> = images
        .iter()
        .zip(&made)
        .map(|(image, made)| made.for_docker(&format!("{name}-{}", image.architecture)))
        .collect();
    let (entry, id) = (descriptor(INDEX, &index), digest(&index));
    files.insert(blob(&index), Entry::File(index));
    finish(files, name, &entry, &for_docker, out)?;
    Ok(id)
}

/// Writes the files, the index for the name, and Docker's list if it would have an entry.
fn finish(
    mut files: BTreeMap<String, Entry>,
    name: &str,
    descriptor: &Value,
    for_docker: &[Value],
    mut out: impl Write,
) -> Result<()> {
    let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let mut entry = descriptor.clone();
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag, NAME: name});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]});
    let mut own = vec![("oci-layout", json!({"imageLayoutVersion": "1.0.0"})), ("index.json", index)];
    if !for_docker.is_empty() {
        own.push(("manifest.json", json!(for_docker)));
    }
    for (path, value) in own {
        files.insert(path.to_owned(), Entry::File(serde_json::to_vec(&value)?));
    }
    out.write_all(&archive::tar(&files, 0)?).and_then(|()| out.flush()).context("cannot write the image")
}

/// The key of the name in an archive's index: containerd, Docker and the task that pushes take it from there.
pub const NAME: &str = "io.containerd.image.name";

/// Go's name of this machine's processor, which is also that of container tools.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `sha256:…`
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hash(bytes))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", hash(bytes))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

#[cfg(test)]
mod tests;
