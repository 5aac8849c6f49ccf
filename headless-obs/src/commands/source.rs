//! Where a snapshot comes from: the engine of this process, or a daemon over HTTP.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::text::{clean, fit};
use crate::config::values::DaemonUrl;
use crate::expose::snapshot::{SCHEMA, Snapshot};
use crate::handle::{EngineHandle, Gone};

/// For everything from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A snapshot of 10,000 endpoints and many clients has a few MiB.
pub(super) const LARGEST: usize = 256 * 1024 * 1024;

/// Where a snapshot comes from.
#[derive(Clone, Debug)]
pub(super) enum SnapshotSource {
    /// The engine of this process.
    Engine(EngineHandle),
    /// A daemon.
    Daemon(DaemonUrl),
}

impl SnapshotSource {
    /// Takes a snapshot.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, SourceError> {
        match self {
            Self::Engine(engine) => Ok(engine.snapshot().await?),
            Self::Daemon(url) => {
                let answer = tokio::time::timeout(TIMEOUT, fetch(url)).await;
                answer.unwrap_or_else(|_elapsed| Err(SourceError::Timeout(url.clone())))
            }
        }
    }
}

/// There is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// The engine of this process has stopped.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// Nobody listens.
    #[error(
        "{0} refused the connection: is `headless-obs run` listening there? It listens on 127.0.0.1:9464 \
             of its own machine unless --listen says otherwise"
    )]
    Refused(DaemonUrl),
    /// No way there.
    #[error("cannot connect to {0}: {1}; check host and port")]
    Connect(DaemonUrl, io::Error),
    /// No answer, or not all of it.
    #[error("{0} did not answer within {seconds} s; its /healthz says whether it is alive", seconds = TIMEOUT.as_secs())]
    Timeout(DaemonUrl),
    /// The connection broke, or it does not speak HTTP.
    #[error("{0} does not answer as an HTTP server: {1}; is it another program?")]
    Http(DaemonUrl, String),
    /// It answers something else.
    #[error("{0} answers {1}: {2}")]
    Status(DaemonUrl, StatusCode, String),
    /// It answers, but with no snapshot.
    #[error("{0} answers with no snapshot: {1}; is it another program?")]
    NoSnapshot(DaemonUrl, String),
    /// A snapshot of another version.
    #[error(
        "{0} answers with schema {1:?}, this program reads {SCHEMA:?}: use the same version on both sides"
    )]
    Schema(DaemonUrl, String),
}

async fn fetch(url: &DaemonUrl) -> Result<Snapshot, SourceError> {
    let http = |error: &dyn std::error::Error| SourceError::Http(url.clone(), error.to_string());
    let stream =
        TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => SourceError::Refused(url.clone()),
            _ => SourceError::Connect(url.clone(), error),
        })?;
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(|error| http(&error))?;
    let request = Request::get(&url.path)
        .header(header::HOST, url.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| http(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| http(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        Ok::<_, SourceError>((status, body.map_err(|error| http(error.as_ref()))?.to_bytes()))
    };
    // The connection does the work of the exchange: both run until the exchange has its answer.
    let mut exchange = std::pin::pin!(exchange);
    let (status, body) = tokio::select! {
        answer = &mut exchange => answer?,
        _closed = connection => exchange.await?,
    };
    if status != StatusCode::OK {
        let text = fit(&clean(String::from_utf8_lossy(&body).trim()), 200);
        return Err(SourceError::Status(url.clone(), status, text));
    }
    parse(url, &body)
}

fn parse(url: &DaemonUrl, body: &[u8]) -> Result<Snapshot, SourceError> {
    decode(body).map_err(|error| match error {
        NotRead::NoSnapshot(error) => SourceError::NoSnapshot(url.clone(), error.to_string()),
        NotRead::Schema(schema) => SourceError::Schema(url.clone(), schema),
    })
}

/// Bytes that cannot be read as a snapshot.
#[derive(Debug)]
pub(super) enum NotRead {
    /// They are something else.
    NoSnapshot(serde_json::Error),
    /// They are of another version; its name is clean.
    Schema(String),
}

/// A snapshot from its JSON.
pub(super) fn decode(json: &[u8]) -> Result<Snapshot, NotRead> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let head: Head = serde_json::from_slice(json).map_err(NotRead::NoSnapshot)?;
    if head.schema != SCHEMA {
        return Err(NotRead::Schema(fit(&clean(&head.schema), 60)));
    }
    serde_json::from_slice(json).map_err(NotRead::NoSnapshot)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::expose::sample;
    use crate::handle::{Readiness, fake};
    use crate::server::{Server, routes::routes};

    fn source(address: std::net::SocketAddr) -> SnapshotSource {
        SnapshotSource::Daemon(address.to_string().parse().unwrap())
    }

    #[tokio::test]
    async fn a_daemon_gives_what_its_engine_gives() {
        let engine = fake::engine(sample::snapshot(), Vec::new());
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = server.address();
        let routes = routes(engine.clone(), Readiness::waiting_for([]));
        tokio::spawn(server.serve(routes, std::future::pending()));
        assert_eq!(source(address).snapshot().await.unwrap(), sample::snapshot());
        assert_eq!(SnapshotSource::Engine(engine).snapshot().await.unwrap(), sample::snapshot());
    }

    /// The error for a server that answers every connection with these bytes.
    async fn answered(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = stream.read(&mut [0; 4_096]).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        });
        let error = source(address).snapshot().await.unwrap_err();
        serving.await.unwrap();
        error.to_string()
    }

    #[tokio::test]
    async fn errors_say_what_to_do() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = source(unused).snapshot().await.unwrap_err().to_string();
        assert!(error.contains("is `headless-obs run` listening there?"), "{error}");
        for (bytes, hint) in [
            (&b"SSH-2.0-x\r\n"[..], "another program"),
            (b"", "another program"),
            (
                b"HTTP/1.1 503 X\r\ncontent-length: 10\r\n\r\nstopp\x1b[ed\n",
                "503 Service Unavailable: stopp\u{fffd}[ed",
            ),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "no snapshot"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"schema\": \"other/9\"}", "no snapshot"),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"schema\": \"other/9\"}",
                "same version on both sides",
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n{\"schema\": \"headless-obs/v1\"}",
                "missing field",
            ),
        ] {
            let error = answered(bytes).await;
            assert!(error.contains(hint), "{hint}: {error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = source(listener.local_addr().unwrap()).snapshot().await.unwrap_err().to_string();
        assert!(error.contains("did not answer within 10 s"), "{error}");
    }
}
