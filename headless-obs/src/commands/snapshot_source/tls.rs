//! TLS to a daemon: the authorities that are trusted, and why a certificate is not.
//!
//! In: a connection, and the options about its certificate. Out: the encrypted connection, or an error that names the
//! option that helps. Invariant: a certificate is always checked.

use std::io;
use std::sync::Arc;

use hyper::Uri;
use kube::client::ConfigExt;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::SourceError;
use crate::commands::http_client::authorities;
use crate::config::remote::Credentials;
use crate::config::values::DaemonUrl;

/// Shakes hands.
pub(super) async fn connect(
    url: &DaemonUrl,
    credentials: &Credentials,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, SourceError> {
    let wrong = |error: String| SourceError::Tls(url.clone(), error);
    let mut config = kube::Config::new(Uri::default());
    if let Some(file) = &credentials.ca_file {
        let unusable = |error| SourceError::CredentialsFile("the certificates", file.clone(), error);
        config.root_cert = Some(authorities(file).await.map_err(unusable)?);
    }
    let config = config
        .rustls_client_config()
        .map_err(|error| wrong(format!("{error}; --ca-file names the file of its authority")))?;
    let name = credentials.server_name.as_ref().unwrap_or(&url.host);
    let name = ServerName::try_from(name.clone()).map_err(|error| wrong(format!("{name}: {error}")))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| wrong(explain(&error)))
}

/// The reason that there is no connection, and what helps.
fn explain(error: &io::Error) -> String {
    let known = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let help = match known {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "--ca-file names the file of its authority"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "--tls-server-name says the name in its certificate"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew its certificate, or set this machine's clock"
            }
            _other => "check its certificate",
        },
        Some(rustls::Error::InvalidMessage(_)) => "does it serve plain HTTP? Then write http://",
        _other => "is it a daemon with --tls-cert?",
    };
    format!("{error}; {help}")
}

#[cfg(test)]
mod tests;
