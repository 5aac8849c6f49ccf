//! Options about who is asked instead of observing: daemons, all daemons of a cluster, or Prometheus.

use std::path::PathBuf;

use clap::Args;

use super::observe::OBSERVING;
use crate::config::asked::{Header, Origin, PrometheusUrl, matchers};
use crate::config::values::namespace;

/// Who is asked; at most one of the ways.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Who is asked")]
pub struct Asked {
    /// Ask the daemon there instead of observing, or read the snapshot in a file (- is standard input); given several
    /// times, the figures of all are put together
    #[arg(long, value_name = "URL|FILE", conflicts_with_all = OBSERVING, conflicts_with_all = ["context", "mature_after"])]
    pub from: Vec<Origin>,
    /// Ask all daemons of a cluster through its API server, as kubectl would (--kubeconfig, --context), and put their
    /// figures together
    #[arg(long, conflicts_with_all = OBSERVING, conflicts_with_all = ["mature_after", "from"])]
    pub fleet: bool,
    /// With --fleet: only daemons in this namespace [default: all]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace, requires = "fleet")]
    pub fleet_namespace: Option<String>,
    /// Ask the Prometheus there, which scrapes the daemons, what they counted for as long as --for says [default: 10m]
    #[arg(long, value_name = "URL", conflicts_with_all = OBSERVING, conflicts_with_all = ["context", "from", "fleet"])]
    pub prometheus: Option<PrometheusUrl>,
    /// With --prometheus: only series with these labels, as in 'cluster="eu"'
    #[arg(long, value_name = "MATCHERS", value_parser = matchers, requires = "prometheus")]
    pub prometheus_selector: Option<String>,
    /// With --prometheus: a header of each request, as in 'X-Scope-OrgID: shop'; can be given several times
    #[arg(long = "prometheus-header", value_name = "HEADER", requires = "prometheus")]
    pub prometheus_headers: Vec<Header>,
    /// With --prometheus: a file with a bearer token
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    pub prometheus_token_file: Option<PathBuf>,
}

impl Asked {
    /// Nobody is asked.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.from.is_empty() && !self.fleet && self.prometheus.is_none()
    }
}
