//! Files that a registry keeps beside images, such as a chart.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use serde_json::json;

use crate::{Entry, MANIFEST, blob, descriptor, digest, finish};

/// One file and its description.
#[derive(Clone, Debug, Default)]
pub struct Artifact {
    /// Its full name: registry, repository and tag.
    pub name: String,
    /// The description, and its media type.
    pub config: (&'static str, Vec<u8>),
    /// The file, and its media type.
    pub layer: (&'static str, Vec<u8>),
    /// `org.opencontainers.image.…` and others.
    pub annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// Writes an OCI image layout as a tar file; returns the digest of the manifest, which identifies it in registries.
    ///
    /// # Errors
    /// Writing failed.
    pub fn write(&self, out: impl Write) -> Result<String> {
        let ((config_type, config), (layer_type, layer)) = (&self.config, &self.layer);
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(config_type, config),
            "layers": [descriptor(layer_type, layer)],
            "annotations": self.annotations,
        }))?;
        let files = [config, layer, &manifest].map(|bytes| (blob(bytes), Entry::File(bytes.clone())));
        finish(BTreeMap::from(files), &self.name, &descriptor(MANIFEST, &manifest), &[], out)?;
        Ok(digest(&manifest))
    }
}
