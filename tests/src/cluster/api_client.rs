//! The harness's client of the API server: objects are JSON, paths are those of the API.
//!
//! In: a kubeconfig. Out: blocking calls with a limit each. An error has the server's message.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::cluster::async_runtime::Runtime;
use crate::cluster::wait::until;

/// Time limit of a call.
const LIMIT: Duration = Duration::from_secs(20);

/// Resources without a namespace.
const GLOBAL: [&str; 5] =
    ["ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace", "Node"];

/// An API client.
#[derive(Clone)]
pub struct Api {
    runtime: Runtime,
    client: Client,
}

impl Api {
    /// A client for a kubeconfig. It connects at its first call.
    pub(crate) fn new(runtime: &Runtime, kubeconfig: &Path) -> Result<Self> {
        let config = Kubeconfig::read_from(kubeconfig)
            .with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        let client = runtime.wait(async {
            let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
            Ok(Client::try_from(config)?)
        })?;
        Ok(Self { runtime: runtime.clone(), client })
    }

    /// Sends any request; returns the body.
    pub fn request(&self, method: &str, path: &str, content: &str, body: &Value) -> Result<Value> {
        let call = || format!("{method} {path}");
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content)
            .body(body)
            .with_context(call)?;
        self.runtime.wait(async {
            let text = timeout(LIMIT, self.client.request_text(request)).await;
            let text = text.with_context(|| format!("{}: no answer within {LIMIT:?}", call()))?;
            // Health checks answer with plain text.
            Ok(serde_json::from_str(&text.with_context(call)?).unwrap_or_default())
        })
    }

    /// Gets an object or list.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.request("GET", path, "application/json", &Value::Null)
    }

    /// Gets an object, or `None` if it does not exist.
    pub fn find(&self, path: &str) -> Result<Option<Value>> {
        absent_is_none(self.get(path))
    }

    /// Gets the objects of a list.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        match self.get(path)?["items"].take() {
            Value::Array(items) => Ok(items),
            _ => bail!("the API server's response to {path} is not a list"),
        }
    }

    /// Posts an object to a list or a subresource.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.request("POST", path, "application/json", object)
    }

    /// Changes an object by a merge patch.
    pub fn patch(&self, path: &str, change: &Value) -> Result<Value> {
        self.request("PATCH", path, "application/merge-patch+json", change)
    }

    /// Deletes an object, or all objects of a list; it is no error if none exists. A `grace` of 0 seconds deletes by
    /// force; without `grace` the object's own grace period applies.
    pub fn delete(&self, path: &str, grace: Option<u32>) -> Result<()> {
        let mut options =
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(seconds) = grace {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        absent_is_none(self.request("DELETE", path, "application/json", &options)).map(drop)
    }

    /// Creates or updates the objects of these YAML documents by server-side apply. The server rejects unknown fields.
    pub fn apply(&self, documents: &str) -> Result<()> {
        self.apply_in("default", documents).map(drop)
    }

    /// The same in a namespace, for objects without one; returns the objects.
    pub(crate) fn apply_in(&self, namespace: &str, documents: &str) -> Result<Vec<Value>> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(documents).context("unreadable YAML")?;
        documents.iter().map(|object| self.apply_object(namespace, object)).collect()
    }

    fn apply_object(&self, namespace: &str, object: &Value) -> Result<Value> {
        let name = object["metadata"]["name"].as_str().context("an object without a name")?;
        let path = format!(
            "{}/{name}?fieldManager=lab&force=true&fieldValidation=Strict",
            list_of(namespace, object)?
        );
        self.request("PATCH", &path, "application/apply-patch+yaml", object)
    }

    /// The HTTP status of a request.
    pub fn status(&self, method: &str, path: &str, body: &Value) -> Result<u16> {
        match self.request(method, path, "application/json", body) {
            Ok(_) => Ok(200),
            Err(error) => refusal(&error).context(error),
        }
    }

    /// Waits until `wanted` is true for an object; returns it.
    pub fn when(&self, path: &str, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        let found = until(patience, &format!("{path} as wanted"), || {
            last = self.find(path)?.unwrap_or_default();
            Ok(wanted(&last).then(|| last.clone()))
        });
        found.with_context(|| format!("the last state of the object was {last:#}"))
    }
}

/// The path of the list for an object.
pub(crate) fn list_of(namespace: &str, object: &Value) -> Result<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let version = text(&object["apiVersion"]).context("an object without an apiVersion")?;
    let kind = text(&object["kind"]).context("an object without a kind")?;
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let lower = kind.to_lowercase();
    let plural = match lower.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if lower.ends_with('s') => lower,
        None => format!("{lower}s"),
    };
    if GLOBAL.contains(&kind.as_str()) {
        return Ok(format!("{root}/{plural}"));
    }
    let namespace = text(&object["metadata"]["namespace"]).unwrap_or_else(|| namespace.to_owned());
    Ok(format!("{root}/namespaces/{namespace}/{plural}"))
}

fn refusal(error: &anyhow::Error) -> Option<u16> {
    match error.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn absent_is_none(result: Result<Value>) -> Result<Option<Value>> {
    match result {
        Err(error) if refusal(&error) == Some(404) => Ok(None),
        other => other.map(Some),
    }
}
