//! Follows the traces of running daemons, and merges their lines.
//!
//! In: addresses of daemons, or a cluster. Out: a reader of lines with the names of their nodes. Invariant: it is an error if
//! no daemon answers at the start, and none later.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::Followed;
use crate::cli::observe::ObserveArgs;
use crate::cli::remote::DaemonArgs;
use crate::commands::snapshot_source::request_path::of_trace;
use crate::commands::snapshot_source::{SourceError, daemon_pods};
use crate::config::Kubernetes;
use crate::config::remote::{Credentials, Origin};
use crate::config::values::DaemonUrl;
use crate::expose::trace_filter::TraceFilter;
use crate::sources::kubernetes::pod_proxy::Daemons;
use crate::trace_channel::{OWN_LINES, Reader, channel};

mod cluster;
mod follower;

use cluster::Cluster;
use follower::{Follower, Opened, Source};

/// The daemons to follow.
pub(super) enum Sources {
    Urls(Vec<DaemonUrl>, Credentials),
    Cluster { options: Kubernetes, daemons: Daemons, credentials: Credentials },
}

/// The tasks that follow; they end when this is dropped.
pub(super) struct Following(JoinSet<anyhow::Error>);

impl Following {
    /// Returns if following is in vain.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        loop {
            match self.0.join_next().await {
                Some(Ok(error)) => return error,
                Some(Err(error)) if error.is_panic() => {
                    return anyhow::Error::new(error).context("following crashed; please report this");
                }
                Some(Err(_cancelled)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

impl Sources {
    /// The daemons that are given, if any are.
    pub(super) fn of(args: DaemonArgs, observe: &ObserveArgs) -> anyhow::Result<Option<Self>> {
        let credentials = args.credentials();
        if args.fleet {
            let daemons = daemon_pods(&args);
            return Ok(Some(Self::Cluster { options: observe.cluster(), daemons, credentials }));
        }
        let url = |origin| match origin {
            Origin::Daemon(url) => Ok(url),
            Origin::File(_) => Err(SourceError::NoDaemon(origin.to_string())),
        };
        let urls = args.from.into_iter().map(url).collect::<Result<Vec<_>, _>>()?;
        Ok((!urls.is_empty()).then_some(Self::Urls(urls, credentials)))
    }

    /// Whether lines need the names of nodes.
    pub(super) fn are_several(&self) -> bool {
        match self {
            Self::Urls(urls, _) => urls.len() > 1,
            Self::Cluster { .. } => true,
        }
    }

    /// Begins to follow. An error if none of them can be.
    pub(super) async fn follow(self, filter: &TraceFilter) -> anyhow::Result<(Reader<Followed>, Following)> {
        let (tap, reader) = channel(OWN_LINES);
        let (request, mut following) = (of_trace(filter), JoinSet::new());
        match self {
            Self::Urls(urls, credentials) => {
                let followers = urls.into_iter().map(|url| {
                    let path = url.beside(&request);
                    let source = Source::Url(url, credentials.clone());
                    Follower { source, path, tap: tap.clone(), seen: Arc::default() }
                });
                for (follower, first) in opened(followers.collect()).await? {
                    following.spawn(follower.run(first));
                }
            }
            Self::Cluster { options, daemons, credentials } => {
                let path = format!("/api/v1/{request}");
                let mut cluster = Cluster::open(&options, daemons, &credentials, path, tap).await?;
                let pods = cluster.list().await?;
                let followers = pods.into_iter().map(|pod| cluster.follower(pod)).collect();
                for (follower, first) in opened(followers).await? {
                    cluster.spawn(follower, first);
                }
                following.spawn(cluster.run());
            }
        }
        Ok((reader, Following(following)))
    }
}

/// The first response of each. An error if there is none at all.
async fn opened(followers: Vec<Follower>) -> Result<Vec<(Follower, Opened)>, SourceError> {
    let opened = join_all(followers.into_iter().map(async |follower| {
        let first = follower.open().await;
        (follower, first)
    }));
    let mut opened = opened.await;
    if opened.iter().any(|(_, first)| first.is_ok()) {
        return Ok(opened);
    }
    let mut reasons = Vec::new();
    let is_one = opened.len() == 1;
    for (follower, first) in opened.drain(..) {
        if let Err(error) = first {
            if is_one {
                return Err(error);
            }
            reasons.push(format!("{}: {error}", follower.source.name()));
        }
    }
    Err(SourceError::AllMissing(reasons.join("; ")))
}

#[cfg(test)]
mod tests;
