//! Options of the daemon about pushes of its metrics.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::otlp::{Otlp, OtlpUrl};
use crate::config::remote::Header;
use crate::config::values::interval;

/// Pushes by OTLP.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "OpenTelemetry")]
pub struct OtlpArgs {
    /// Push the metrics by OTLP over HTTP to this receiver, such as http://collector:4318, in addition to serving them;
    /// without a path, to /v1/metrics
    #[arg(long, value_name = "URL")]
    otlp: Option<OtlpUrl>,
    /// With --otlp: time between two pushes
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "30s")]
    otlp_interval: Duration,
    /// With --otlp: add this header to each push, such as 'X-Scope-OrgID: shop'; can be given several times
    #[arg(long = "otlp-header", value_name = "HEADER", requires = "otlp")]
    otlp_headers: Vec<Header>,
    /// With --otlp: send the bearer token in this file, which is read again for each push
    #[arg(long, value_name = "FILE", requires = "otlp")]
    otlp_token_file: Option<PathBuf>,
    /// With --otlp https://…: trust the authorities whose certificates are in this file [default: those that this machine
    /// trusts]
    #[arg(long, value_name = "FILE", requires = "otlp")]
    otlp_ca_file: Option<PathBuf>,
}

impl OtlpArgs {
    /// The receiver, if there is one.
    #[must_use]
    pub fn receiver(&self) -> Option<Otlp> {
        Some(Otlp {
            url: self.otlp.clone()?,
            every: self.otlp_interval,
            headers: self.otlp_headers.clone(),
            token_file: self.otlp_token_file.clone(),
            ca_file: self.otlp_ca_file.clone(),
        })
    }
}
