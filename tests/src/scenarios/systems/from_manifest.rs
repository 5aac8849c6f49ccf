//! Makes the pods and DNS names of a manifest, so that the lab matches the documents.
//!
//! In: YAML documents, in the format of `kubectl get -o yaml`. Out: a pod of the lab for each Pod, a DNS record for
//! each ready endpoint, and the same documents for the daemon. Each pod is alone in its subnet (/32), so that no C
//! library sorts the shuffled answers.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use lab::{Observer, Pod};
use serde_json::Value;

use super::dns_names::{records, text};
use crate::stage::{NAMESPACE, Stage, TTL};

/// Pods by name, all of the namespace `shop`.
pub(crate) struct Cast<'a> {
    pub(crate) stage: &'a Stage,
    pods: BTreeMap<String, Pod>,
}

impl<'a> Cast<'a> {
    /// Makes the pods, the DNS records and the daemon's manifests.
    pub(crate) fn new(stage: &'a Stage, manifest: &str) -> Result<Self> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(manifest).context("unreadable manifest")?;
        let mut pods = BTreeMap::new();
        for document in documents.iter().filter(|document| document["kind"] == "Pod") {
            let metadata = &document["metadata"];
            let name = text(&metadata["name"])?;
            let address = format!("{}/32", text(&document["status"]["podIP"])?);
            let mut spec = stage.spec(name, &address);
            text(&metadata["uid"])?.clone_into(&mut spec.uid);
            pods.insert(name.to_owned(), stage.node.pod(spec)?);
        }
        for (name, data) in records(&documents)? {
            stage.dns.set(&name, TTL, data)?;
        }
        fs::write(path(stage, "services.yaml")?, manifest).context("cannot write the manifest")?;
        Ok(Self { stage, pods })
    }

    /// A pod.
    pub(crate) fn pod(&self, name: &str) -> Result<&Pod> {
        self.pods.get(name).with_context(|| format!("the manifest of {NAMESPACE} has no pod {name}"))
    }

    /// The pods `NAME-0`, `NAME-1` … with their numbers.
    pub(crate) fn replicas(&self, name: &str) -> impl Iterator<Item = (usize, &Pod)> {
        (0..).map_while(move |number| Some((number, self.pods.get(&format!("{name}-{number}"))?)))
    }

    /// All servers serve from now on.
    pub(crate) fn serve(&self) -> Result<()> {
        let file = path(self.stage, "services.yaml")?;
        let manifest = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        fs::write(&file, manifest.replace("serving: false", "serving: true"))
            .with_context(|| format!("cannot write {file}"))
    }

    /// Starts the daemon on the manifest.
    pub(crate) fn observe(&self) -> Result<Observer> {
        self.stage.observe()
    }
}

/// The path of a file of this run, as text for a command line.
pub(crate) fn path(stage: &Stage, file: &str) -> Result<String> {
    Ok(stage.lab.folder().join(file).to_str().context("the lab's folder is not text")?.to_owned())
}
