//! Container images as tar files, written without a container engine.
//!
//! In: an [`Image`]: what it is called, what it runs, what is in it. Out: an archive that `ctr images import`,
//! `docker load`, `podman load` and `skopeo` take: an OCI image layout, and beside it the `manifest.json` that Docker
//! before 25 looks for. The same image gives the same bytes: entries are sorted, times are zero, everything is root's.

#![deny(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

mod archive;

pub use archive::Entry;

/// An image of one layer.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Its name in full: registry, repository and tag.
    pub name: String,
    /// What it runs.
    pub entrypoint: Vec<String>,
    /// Path in the image → what is there. Folders on the way are made.
    pub entries: BTreeMap<String, Entry>,
    /// `org.opencontainers.image.…` and others.
    pub labels: BTreeMap<String, String>,
}

impl Image {
    /// Writes the archive; gives the digest of the image's manifest, by which registries know it.
    ///
    /// # Errors
    /// Writing failed, or a path cannot be in an archive.
    pub fn write(&self, mut out: impl Write) -> Result<String> {
        let tree = archive::tar(&self.entries)?;
        let layer = compressed(&tree)?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": self.entrypoint, "Labels": self.labels, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tree)]},
            "history": [{"created_by": "headless-obs"}],
        });
        let config = serde_json::to_vec(&config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
            "annotations": self.labels,
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let files = [
            ("oci-layout".to_owned(), serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}))?),
            ("index.json".to_owned(), serde_json::to_vec(&self.index(&manifest))?),
            ("manifest.json".to_owned(), serde_json::to_vec(&self.for_docker(&config, &layer))?),
            (blob(&config), config),
            (blob(&layer), layer),
            (blob(&manifest), manifest.clone()),
        ];
        let files = files.into_iter().map(|(path, bytes)| (path, Entry::File(bytes))).collect();
        out.write_all(&archive::tar(&files)?).and_then(|()| out.flush()).context("cannot write the image")?;
        Ok(digest(&manifest))
    }

    fn index(&self, manifest: &[u8]) -> Value {
        let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
        entry["platform"] = json!({"architecture": architecture(), "os": "linux"});
        // The second is what containerd and Docker name the image by.
        entry["annotations"] =
            json!({"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": self.name});
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        })
    }

    fn for_docker(&self, config: &[u8], layer: &[u8]) -> Value {
        json!([{"Config": blob(config), "RepoTags": [self.name], "Layers": [blob(layer)]}])
    }
}

/// What Go calls this machine's processor, and so all of the container world.
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

fn compressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(bytes).context("cannot compress the layer")?;
    gzip.finish().context("cannot compress the layer")
}

#[cfg(test)]
mod tests;
