//! The threads that drive a cluster's gates and API clients.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime as Tokio};

/// Blocking callers run futures on it; the threads end with its last clone.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Owned>);

struct Owned(Option<Tokio>);

impl Runtime {
    pub(crate) fn new() -> Result<Self> {
        let tokio =
            Builder::new_multi_thread().worker_threads(2).thread_name("lab-cluster").enable_all().build();
        Ok(Self(Arc::new(Owned(Some(tokio.context("cannot start the cluster's threads")?)))))
    }

    pub(crate) fn handle(&self) -> Result<&Handle> {
        self.0.0.as_ref().map(Tokio::handle).context("the cluster's threads have ended")
    }

    /// Waits for `work`. Do not call it from these threads.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.handle()?.block_on(work)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(tokio) = self.0.take() {
            tokio.shutdown_background();
        }
    }
}
