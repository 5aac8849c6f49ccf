//! Requests to several daemons at the same time, and the merge of their answers.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::{SourceError, TIMEOUT, daemon, request_path};
use crate::commands::fit_text::{clean, fit};
use crate::commands::snapshot_file::{self, LARGEST, NotRead, decode_all, decode_connections};
use crate::config::Kubernetes;
use crate::config::remote::{Credentials, Origin};
use crate::config::values::Last;
use crate::expose::connection_list::{ConnectionList, ConnectionQuery};
use crate::expose::snapshot::{NodeStatus, Snapshot};
use crate::fleet::{connection_list, merge};
use crate::sources::kubernetes::pod_proxy::{Daemons, Listed, PodProxy};

/// The number of those that run at the same time.
const AT_ONCE: usize = 16;
/// Time limit for all responses together.
const IN_ALL: Duration = Duration::from_secs(60);

/// The answer of one source, or a missing node and the reason.
type Answer<T> = Result<T, Box<(String, SourceError)>>;

/// Merges all sources. A file that is not a snapshot is an error. The result names daemons that do not respond, if at
/// least one does.
pub(super) async fn origins(
    origins: &[Origin],
    credentials: &Credentials,
    last: Last,
) -> Result<Snapshot, SourceError> {
    if let [Origin::Daemon(url)] = origins {
        return daemon::snapshot(url, credentials, last).await;
    }
    let answers = all(origins.iter().cloned().map(|origin| {
        let credentials = credentials.clone();
        (origin.to_string(), async move {
            match origin {
                Origin::Daemon(url) => daemon::stretches(&url, &credentials, last).await,
                Origin::File(path) => Ok(vec![file(path).await?]),
            }
        })
    }));
    together(answers.await)
}

/// Merges all daemons of a cluster.
pub(super) async fn cluster(
    options: &Kubernetes,
    wanted: &Daemons,
    token_file: Option<&Path>,
    last: Last,
) -> Result<Snapshot, SourceError> {
    let path = format!("/api/v1/snapshots?last={last}");
    together(of_each_pod(options, wanted, token_file, path, decode_all).await?)
}

/// Lists the open connections of all sources.
pub(super) async fn connections(
    origins: &[Origin],
    credentials: &Credentials,
    query: &ConnectionQuery,
) -> Result<ConnectionList, SourceError> {
    if let [Origin::Daemon(url)] = origins {
        return daemon::connections(url, credentials, query).await;
    }
    let answers = all(origins.iter().cloned().map(|origin| {
        let (credentials, query) = (credentials.clone(), query.clone());
        (origin.to_string(), async move {
            match origin {
                Origin::Daemon(url) => daemon::connections(&url, &credentials, &query).await,
                Origin::File(_) => Err(SourceError::NoDaemon(origin.to_string())),
            }
        })
    }));
    listed(answers.await, query)
}

/// Lists the open connections of all daemons of a cluster.
pub(super) async fn connections_of_cluster(
    options: &Kubernetes,
    wanted: &Daemons,
    token_file: Option<&Path>,
    query: &ConnectionQuery,
) -> Result<ConnectionList, SourceError> {
    let path = format!("/api/v1/{}", request_path::of_connections(query));
    listed(of_each_pod(options, wanted, token_file, path, decode_connections).await?, query)
}

/// Asks each daemon of a cluster for a document.
async fn of_each_pod<T: Send + 'static>(
    options: &Kubernetes,
    wanted: &Daemons,
    token_file: Option<&Path>,
    path: String,
    decode: fn(&[u8]) -> Result<T, NotRead>,
) -> Result<Vec<Answer<T>>, SourceError> {
    let token = match token_file {
        Some(file) => Some(daemon::token(file, "").await?),
        None => None,
    };
    let listed = timeout(TIMEOUT, async {
        let daemons = PodProxy::open(options).await?;
        let found = daemons.list(wanted).await?;
        Ok::<_, SourceError>((daemons, found))
    });
    let (daemons, Listed { daemons: found, others }) =
        listed.await.map_err(|_elapsed| SourceError::NoList)??;
    if found.is_empty() {
        return Err(SourceError::NoDaemons {
            url: daemons.url().to_owned(),
            daemons: wanted.clone(),
            others,
        });
    }
    let answers = all(found.into_iter().map(|daemon| {
        let (daemons, token, path) = (daemons.clone(), token.clone(), path.clone());
        (daemon.node.clone(), async move {
            match &daemon.trouble {
                Some(trouble) => Err(SourceError::NotRunning(trouble.clone())),
                None => Ok(decode(&daemons.get(&daemon, &path, token, LARGEST).await?)?),
            }
        })
    }));
    Ok(answers.await)
}

async fn file(path: PathBuf) -> Result<Snapshot, SourceError> {
    let read = tokio::task::spawn_blocking(move || snapshot_file::read(&path)).await;
    let read = read.map_err(|error| SourceError::File(error.to_string()))?;
    read.map_err(|error| SourceError::File(format!("{error:#}")))
}

/// Merges the snapshots, and lists the missing nodes.
fn together(answers: Vec<Answer<Vec<Snapshot>>>) -> Result<Snapshot, SourceError> {
    let (snapshots, missing) = answered(answers)?;
    Ok(merge(snapshots, missing)?)
}

/// Merges the lists, and lists the missing nodes.
fn listed(
    answers: Vec<Answer<ConnectionList>>,
    query: &ConnectionQuery,
) -> Result<ConnectionList, SourceError> {
    let (lists, missing) = answered(answers)?;
    Ok(connection_list::merge(lists, missing, query)?)
}

/// The answers that there are, and the missing nodes. An error if there is none.
fn answered<T>(answers: Vec<Answer<T>>) -> Result<(Vec<T>, Vec<NodeStatus>), SourceError> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(answer) => found.push(answer),
            Err(absent) if absent.1.is_final() => return Err(absent.1),
            Err(absent) => missing.push(*absent),
        }
    }
    if found.is_empty() {
        let why: Vec<String> = missing.iter().map(|(node, error)| format!("{node}: {error}")).collect();
        return Err(SourceError::AllMissing(why.join("; ")));
    }
    let part = |(node, error): (String, SourceError)| {
        NodeStatus::missing(node, fit(&clean(&error.to_string()), 300))
    };
    Ok((found, missing.into_iter().map(part).collect()))
}

/// Runs these tasks, several at a time; returns their results in order. A task that takes too long is cancelled.
async fn all<T, F>(asks: impl Iterator<Item = (String, F)>) -> Vec<Answer<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, SourceError>> + Send + 'static,
{
    let (free, end) = (Arc::new(Semaphore::new(AT_ONCE)), Instant::now() + IN_ALL);
    let mut running = JoinSet::new();
    for (number, (name, ask)) in asks.enumerate() {
        let free = Arc::clone(&free);
        running.spawn(async move {
            let answer = timeout_at(end, async {
                let _permit = free.acquire().await;
                timeout(TIMEOUT, ask).await.unwrap_or(Err(SourceError::Silent))
            });
            let answer = answer.await.unwrap_or(Err(SourceError::Silent));
            (number, answer.map_err(|error| Box::new((name, error))))
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(answer) = running.join_next().await {
        answers.extend(answer);
    }
    answers.into_values().collect()
}
