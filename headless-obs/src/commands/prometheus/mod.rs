//! The fleet as seen by a Prometheus that scrapes the daemons: a snapshot from instant queries.
//!
//! In: the address, and the window. Out: a snapshot like a daemon's, over all nodes. Counts are the increases of
//! counters, by `increase`. The same code as in a daemon computes the spread from them. The verdicts are those of the
//! daemons, which rest on facts that no metric has. Fields that Prometheus cannot fill are empty.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::commands::fit_text::{clean, fit};
use crate::config::remote::{Header, PrometheusUrl};
use crate::expose::snapshot::Snapshot;

mod build;
mod evidence;
mod http;
mod queries;
#[cfg(test)]
mod rules;
mod series;
#[cfg(test)]
mod tests;
mod verdicts;

use http::Http;
use queries::{Query, Scope};
use series::Series;

/// Time limit of a query.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The address, and the selected series.
#[derive(Clone)]
pub(super) struct Prometheus {
    pub(super) url: PrometheusUrl,
    pub(super) headers: Vec<Header>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) selector: Option<String>,
    pub(super) window: Duration,
    pub(super) mature_after: Duration,
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("url", &self.url)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// The reason why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrometheusError {
    /// There is no route.
    #[error("cannot reach {0}: {1}; check the address, or use `kubectl port-forward`")]
    Unreachable(PrometheusUrl, String),
    /// There was no response in time.
    #[error("{0} did not answer within {seconds} s; if it is overloaded, try a shorter --for", seconds = TIMEOUT.as_secs())]
    Timeout(PrometheusUrl),
    /// It requires credentials.
    #[error("{0} answers {1}: give --prometheus-token-file or --prometheus-header 'Authorization: …'")]
    Credentials(PrometheusUrl, String),
    /// It responds with an error.
    #[error(
        "{0} does not answer like Prometheus: {1}; give the address whose /api/v1/query answers, with its path if any"
    )]
    NotPrometheus(PrometheusUrl, String),
    /// It rejects a query.
    #[error("{0} refuses a query: {1}")]
    Refused(PrometheusUrl, String),
    /// The token cannot be read.
    #[error("cannot read the token in {file}: {1}", file = .0.display())]
    Token(PathBuf, String),
    /// It scrapes no daemon.
    #[error(
        "{0} has no metrics of headless-obs{of}: let it scrape the daemons (docs/fleet.md)",
        of = .1.as_ref().map_or(String::new(), |selector| format!(" with {selector}"))
    )]
    NoMetrics(PrometheusUrl, Option<String>),
    /// The labels are not the daemons' own.
    #[error(
        "{0} overwrites the labels namespace and pod of the metrics (there is exported_namespace or exported_pod): \
         set honorLabels: true in the PodMonitor, or honor_labels: true in the scrape configuration"
    )]
    Overwritten(PrometheusUrl),
    /// Services of the same name would be added.
    #[error(
        "{0} has the metrics of several clusters: {names}; choose one with --prometheus-selector 'cluster=\"…\"'",
        names = .1.join(", ")
    )]
    SeveralClusters(PrometheusUrl, Vec<String>),
}

impl Prometheus {
    /// Runs all queries as of one moment of its own clock.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, PrometheusError> {
        let http = Http::new(&self.url, &self.headers, self.token_file.as_deref()).await?;
        let scope = Scope { selector: self.selector.clone().unwrap_or_default(), window: self.window };
        let to = self.check(&http, &scope).await?;
        let mut running = JoinSet::new();
        for query in Query::ALL {
            let (http, text) = (http.clone(), query.text(&scope));
            running.spawn(async move { http.query(&text, Some(to)).await.map(|series| (query, series)) });
        }
        let mut answers = series::Answers::default();
        while let Some(answer) = running.join_next().await {
            let answer =
                answer.map_err(|error| PrometheusError::Unreachable(self.url.clone(), error.to_string()))?;
            let (query, series) = answer?;
            answers.insert(query, series);
        }
        Ok(build::snapshot(&answers, to, self.window, self.mature_after))
    }

    /// Whether it has the required series. Returns its time.
    async fn check(&self, http: &Http, scope: &Scope) -> Result<f64, PrometheusError> {
        let now = http.query("vector(time())", None).await?;
        let to = now.first().map(|now| now.value).ok_or_else(|| {
            PrometheusError::NotPrometheus(self.url.clone(), "it does not know the time".to_owned())
        })?;
        let daemons = http.query(&queries::daemons(scope), Some(to)).await?;
        if daemons.is_empty() {
            return Err(PrometheusError::NoMetrics(self.url.clone(), self.selector.clone()));
        }
        let clusters: Vec<_> =
            daemons.iter().map(|series| fit(&clean(series.label("cluster")), 60)).collect();
        if clusters.len() > 1 {
            return Err(PrometheusError::SeveralClusters(self.url.clone(), clusters));
        }
        let overwritten = |series: &Series| series.value > 0.0;
        if http.query(&queries::overwritten(scope), Some(to)).await?.iter().any(overwritten) {
            return Err(PrometheusError::Overwritten(self.url.clone()));
        }
        Ok(to)
    }
}
