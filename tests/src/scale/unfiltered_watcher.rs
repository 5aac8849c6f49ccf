//! A client that watches Services, EndpointSlices and Pods without selectors, as an observer would that filters on its
//! side: it lists once, then receives every change. It discards all data; its fault proxy counts the bytes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::io::AsyncReadExt as _;
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use lab::cluster::until;
use tokio::runtime::{Builder, Runtime};

const LISTS: [&str; 3] = ["/api/v1/services", "/apis/discovery.k8s.io/v1/endpointslices", "/api/v1/pods"];

/// A watcher; dropping it ends it.
pub(crate) struct Watcher {
    listed: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Watcher {
    /// Starts to list and watch.
    pub(crate) fn start(kubeconfig: &str) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let config = Kubeconfig::read_from(Path::new(kubeconfig))?;
        let client = runtime.block_on(async {
            let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
            anyhow::Ok(Client::try_from(config)?)
        })?;
        let listed = Arc::<AtomicUsize>::default();
        for path in LISTS {
            runtime.spawn(watch(client.clone(), path, Arc::clone(&listed)));
        }
        Ok(Self { listed, _runtime: runtime })
    }

    /// Waits until all lists have been read.
    pub(crate) fn when_listed(&self, patience: Duration) -> Result<()> {
        until(patience, "lists without selectors", || {
            Ok((self.listed.load(Ordering::Relaxed) == LISTS.len()).then_some(()))
        })
    }
}

/// Lists, then reads changes for as long as the server sends them, which is longer than a measurement.
async fn watch(client: Client, path: &'static str, listed: Arc<AtomicUsize>) -> Result<()> {
    let get = |query: &str| Request::get(format!("{path}?{query}")).body(Vec::new());
    let list = client.request_text(get("resourceVersion=0")?).await?;
    let list: serde_json::Value = serde_json::from_str(&list)?;
    let version = list["metadata"]["resourceVersion"]
        .as_str()
        .context("the API server returned a list without a resourceVersion")?;
    let query = format!("watch=1&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion={version}");
    let mut changes = Box::pin(client.request_stream(get(&query)?).await?);
    listed.fetch_add(1, Ordering::Relaxed);
    let mut piece = vec![0; 65_536];
    while changes.read(&mut piece).await? > 0 {}
    Ok(())
}
