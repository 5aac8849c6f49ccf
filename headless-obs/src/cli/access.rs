//! Options of the daemon about access: encryption, and tokens.

use std::path::PathBuf;

use clap::Args;

use crate::config::access::CertificateFiles;

/// Encryption, and tokens.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Access")]
pub struct AccessArgs {
    /// Serve HTTPS with the certificate in this file, in PEM, followed by those that lead to its authority; read again
    /// when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Answer only requests with a bearer token whose account may get /metrics, as the cluster's API server says
    /// (TokenReview, SubjectAccessReview; with --kubeconfig that of another cluster); /healthz and /readyz stay open
    #[arg(long)]
    pub authorize: bool,
}

impl AccessArgs {
    /// The files of the certificate.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateFiles> {
        let (chain, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        Some(CertificateFiles { chain, key })
    }
}
