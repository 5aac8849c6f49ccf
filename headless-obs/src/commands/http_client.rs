//! HTTP to a server that is no daemon, plain or with TLS.
//!
//! In: requests, and the authorities to trust. Out: status and body, or the reason that there is none, as text. Invariants:
//! a certificate is always checked. No body is larger than the caller allows. Connections are kept for the next request.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

type Stack = BoxCloneSyncService<Request<Full<Bytes>>, hyper::Response<hyper::body::Incoming>, BoxError>;

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub(super) struct HttpClient(Stack);

impl HttpClient {
    /// Trusts these certificates in DER; without them those that this machine trusts.
    pub(super) fn new(uri: Uri, authorities: Option<Vec<Vec<u8>>>) -> Result<Self, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let mut config = kube::Config::new(uri);
        config.root_cert = authorities;
        let tls = config.rustls_https_connector_with_connector(tcp).map_err(|error| error.to_string())?;
        let client = Client::builder(TokioExecutor::new()).build(tls);
        Ok(Self(BoxCloneSyncService::new(client.map_err(BoxError::from))))
    }

    /// Sends a request; returns status and body of the response.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        largest: usize,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut stack = self.0.clone();
        let answer = match stack.ready().await {
            Ok(stack) => stack.call(request).await,
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| cause(error.as_ref()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), largest).collect().await;
        Ok((status, body.map_err(|error| cause(error.as_ref()))?.to_bytes()))
    }
}

/// The last error of a chain, which says the most.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// The certificates in a file, in DER.
pub(super) async fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let text = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it has no certificate in PEM".to_owned()),
        Ok(found) => Ok(found.iter().map(|certificate| certificate.to_vec()).collect()),
        Err(error) => Err(error.to_string()),
    }
}
