//! Follows the daemons of a cluster: they come and go.
//!
//! In: where the daemons are, by the API server. Out: the lines of all. Invariant: the daemons that are known are followed,
//! whatever the API server says later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::super::Followed;
use super::follower::{Follower, Opened, Seen, Source};
use crate::commands::snapshot_source::{SourceError, TIMEOUT, daemon};
use crate::config::Kubernetes;
use crate::config::remote::Credentials;
use crate::sources::kubernetes::pod_proxy::{DaemonPod, Daemons, PodProxy};
use crate::trace_channel::Tap;

/// The time between two lists of the daemons.
const LISTED_EVERY: Duration = Duration::from_secs(15);
/// Nodes without a daemon that are remembered.
const MOST_NODES: usize = 10_000;

/// The daemons of a cluster: they come and go.
pub(super) struct Cluster {
    proxy: PodProxy,
    wanted: Daemons,
    token: Option<HeaderValue>,
    path: String,
    tap: Tap<Followed>,
    /// By node; a pod that takes the place of another one goes on with what is known.
    seen: BTreeMap<String, Arc<Mutex<Option<Seen>>>>,
    followed: BTreeMap<String, (DaemonPod, AbortHandle)>,
    tasks: JoinSet<anyhow::Error>,
}

impl Cluster {
    pub(super) async fn open(
        options: &Kubernetes,
        wanted: Daemons,
        credentials: &Credentials,
        path: String,
        tap: Tap<Followed>,
    ) -> Result<Self, SourceError> {
        let token = match &credentials.token_file {
            Some(file) => Some(daemon::token(file, "").await?),
            None => None,
        };
        let proxy =
            timeout(TIMEOUT, PodProxy::open(options)).await.map_err(|_elapsed| SourceError::NoList)??;
        Ok(Self {
            proxy,
            wanted,
            token,
            path,
            tap,
            seen: BTreeMap::new(),
            followed: BTreeMap::new(),
            tasks: JoinSet::new(),
        })
    }

    /// The pods that are there. An error if there are none.
    pub(super) async fn list(&self) -> Result<Vec<DaemonPod>, SourceError> {
        let listed = timeout(TIMEOUT, self.proxy.list(&self.wanted)).await;
        let listed = listed.map_err(|_elapsed| SourceError::NoList)??;
        if listed.daemons.is_empty() {
            return Err(SourceError::NoDaemons {
                url: self.proxy.url().to_owned(),
                daemons: self.wanted.clone(),
                others: listed.others,
            });
        }
        Ok(listed.daemons)
    }

    pub(super) fn follower(&mut self, pod: DaemonPod) -> Follower {
        let seen = Arc::clone(self.seen.entry(pod.node.clone()).or_default());
        let source = Source::Pod(self.proxy.clone(), pod, self.token.clone());
        Follower { source, path: self.path.clone(), tap: self.tap.clone(), seen }
    }

    pub(super) fn spawn(&mut self, follower: Follower, first: Opened) {
        if let Source::Pod(_, pod, _) = &follower.source {
            let (name, pod) = (pod.name(), pod.clone());
            let handle = self.tasks.spawn(follower.run(first));
            self.followed.insert(name, (pod, handle));
        }
    }

    /// Follows the pods that come, and no longer those that go. Returns when nobody reads any more.
    pub(super) async fn run(mut self) -> anyhow::Error {
        loop {
            tokio::select! {
                () = sleep(LISTED_EVERY) => {}
                Some(Ok(error)) = self.tasks.join_next() => return error,
            }
            // Those that are known are followed, whatever the API server says.
            let Ok(pods) = self.list().await else { continue };
            let is_same = |pod: &DaemonPod| pods.contains(pod);
            self.followed.retain(|_, (pod, handle)| {
                let is_there = is_same(pod);
                if !is_there {
                    handle.abort();
                }
                is_there
            });
            if self.seen.len() > MOST_NODES {
                self.seen.retain(|node, _| pods.iter().any(|pod| pod.node == *node));
            }
            for pod in pods {
                if !self.followed.contains_key(&pod.name()) {
                    let follower = self.follower(pod);
                    let first = follower.open().await;
                    self.spawn(follower, first);
                }
            }
        }
    }
}
