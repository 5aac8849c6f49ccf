//! Options for other sources than an observation: daemons, all daemons of a cluster, or Prometheus.

use std::path::PathBuf;

use clap::Args;

use super::observe::OBSERVING;
use crate::config::remote::{Credentials, Header, Origin, PrometheusUrl, matchers};
use crate::config::values::{Last, namespace};

/// Running daemons.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Data source")]
pub struct DaemonArgs {
    /// Read from the daemon at this URL instead of observing; except for trace, also from a snapshot in a file (- is
    /// standard input). If given several times, the answers are merged
    #[arg(long, value_name = "URL|FILE", conflicts_with_all = OBSERVING, conflicts_with_all = ["context", "mature_after"])]
    pub from: Vec<Origin>,
    /// Read from all daemons of a cluster through its API server, as kubectl does (--kubeconfig, --context), and merge
    /// their answers
    #[arg(long, conflicts_with_all = OBSERVING, conflicts_with_all = ["mature_after", "from"])]
    pub fleet: bool,
    /// With --fleet: the namespace that the daemons are in; pods elsewhere count for nothing [default: headless-obs]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace, requires = "fleet")]
    pub fleet_namespace: Option<String>,
    /// With --fleet: the ServiceAccount that the daemons run as; other pods count for nothing [default: headless-obs]
    #[arg(long, value_name = "NAME", requires = "fleet")]
    pub fleet_service_account: Option<String>,
    /// With --from https://…: trust the authorities whose certificates are in this file [default: those that this machine
    /// trusts]
    #[arg(long, value_name = "FILE", requires = "from")]
    ca_file: Option<PathBuf>,
    /// With --from https://…: the name in the daemon's certificate [default: the host of the URL]
    #[arg(long, value_name = "NAME", requires = "from")]
    tls_server_name: Option<String>,
    /// With --from or --fleet: send the bearer token in this file to the daemons. It can be used by whoever gets it: with
    /// --from give https://…
    #[arg(long, value_name = "FILE", conflicts_with_all = OBSERVING)]
    token_file: Option<PathBuf>,
}

impl DaemonArgs {
    /// The trust in a daemon, and the token that it gets.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials {
            ca_file: self.ca_file.clone(),
            server_name: self.tls_server_name.clone(),
            token_file: self.token_file.clone(),
        }
    }

    /// Whether none are given.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.from.is_empty() && !self.fleet
    }
}

/// The source; at most one of them is given.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Data source")]
pub struct RemoteArgs {
    /// Running daemons.
    #[command(flatten)]
    pub daemons: DaemonArgs,
    /// Stretch of time to look back in what a daemon remembers: 90s, 15m, 24h, or all since it began [default: 15m]
    #[arg(long, value_name = "DURATION", conflicts_with = "prometheus")]
    pub last: Option<Last>,
    /// Read from a Prometheus that scrapes the daemons, over the period given by --for [default: 10m]
    #[arg(long, value_name = "URL", conflicts_with_all = OBSERVING, conflicts_with_all = ["context", "from", "fleet", "token_file"])]
    pub prometheus: Option<PrometheusUrl>,
    /// With --prometheus: read only series with these labels, such as 'cluster="eu"'
    #[arg(long, value_name = "MATCHERS", value_parser = matchers, requires = "prometheus")]
    pub prometheus_selector: Option<String>,
    /// With --prometheus: add this header to each request, such as 'X-Scope-OrgID: shop'; can be given several times
    #[arg(long = "prometheus-header", value_name = "HEADER", requires = "prometheus")]
    pub prometheus_headers: Vec<Header>,
    /// With --prometheus: send the bearer token in this file
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    pub prometheus_token_file: Option<PathBuf>,
}

impl RemoteArgs {
    /// Whether no other source is given.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.daemons.are_none() && self.prometheus.is_none()
    }
}
