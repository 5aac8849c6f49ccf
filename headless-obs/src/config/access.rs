//! Access to what the daemon serves: the files of its certificate, and the interface of what reviews tokens.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

/// The path that an account must have the right to get, whichever path it asks for. All of them show the same, and every
/// account of a cluster has the right to get `/api/*`, where the API server lists its groups.
pub const PATH: &str = "/metrics";
/// Another header for the token. The API server takes `Authorization` away when it passes a request on to a pod.
pub const TOKEN_HEADER: &str = "x-headless-obs-token";

/// The judgement on a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Its account may read.
    Allowed,
    /// The cluster does not know the token.
    Unknown,
    /// This user may not.
    Forbidden(String),
}

/// Reviews a token; an error says why there is no judgement.
pub type Reviewer = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Judgement, String>> + Send + Sync>;

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and those that lead to its authority, in PEM.
    pub chain: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}
