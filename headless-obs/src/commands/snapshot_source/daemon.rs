//! Requests to one daemon over HTTP or HTTPS.

use std::io;
use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{SourceError, TIMEOUT, request_path, tls};
use crate::commands::fit_text::{clean, fit};
use crate::commands::snapshot_file::{LARGEST, NotRead, decode, decode_all, decode_connections};
use crate::commands::token_file;
use crate::config::remote::Credentials;
use crate::config::values::{DaemonUrl, Last};
use crate::expose::connection_list::{ConnectionList, ConnectionQuery};
use crate::expose::snapshot::Snapshot;

/// The most bytes of an error.
const LONGEST_REASON: usize = 64 << 10;

/// Takes a daemon's snapshot.
pub(super) async fn snapshot(
    url: &DaemonUrl,
    credentials: &Credentials,
    last: Last,
) -> Result<Snapshot, SourceError> {
    parse(url, &fetch(url, credentials, format!("{}?last={last}", url.path)).await?, decode)
}

/// Takes its snapshots over several stretches, the one that was asked for at last.
pub(super) async fn stretches(
    url: &DaemonUrl,
    credentials: &Credentials,
    last: Last,
) -> Result<Vec<Snapshot>, SourceError> {
    parse(url, &fetch(url, credentials, format!("{}s?last={last}", url.path)).await?, decode_all)
}

/// Lists its open connections.
pub(super) async fn connections(
    url: &DaemonUrl,
    credentials: &Credentials,
    query: &ConnectionQuery,
) -> Result<ConnectionList, SourceError> {
    let path = url.beside(&request_path::of_connections(query));
    parse(url, &fetch(url, credentials, path).await?, decode_connections)
}

async fn fetch(url: &DaemonUrl, credentials: &Credentials, path: String) -> Result<Bytes, SourceError> {
    let answer = async {
        let response = respond(url, credentials, path).await?;
        whole(url, response, LARGEST).await
    };
    let answer = tokio::time::timeout(TIMEOUT, answer).await;
    answer.unwrap_or_else(|_elapsed| Err(SourceError::Timeout(url.clone())))
}

/// The head of a response without an error; its body may go on for ever.
pub(in crate::commands) async fn respond(
    url: &DaemonUrl,
    credentials: &Credentials,
    path: String,
) -> Result<Response<Incoming>, SourceError> {
    let token = match &credentials.token_file {
        Some(file) => Some(token(file, "Bearer ").await?),
        None => None,
    };
    let stream =
        TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => SourceError::Refused(url.clone()),
            _ => SourceError::Connect(url.clone(), error),
        })?;
    let mut request = Request::get(path)
        .header(header::HOST, url.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, token);
    }
    let request =
        request.body(Empty::new()).map_err(|error| SourceError::Http(url.clone(), error.to_string()))?;
    let response = if url.is_tls {
        exchange(url, tls::connect(url, credentials, stream).await?, request).await?
    } else {
        exchange(url, stream, request).await?
    };
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response);
    }
    let body = whole(url, response, LONGEST_REASON).await?;
    let text = fit(&clean(String::from_utf8_lossy(&body).trim()), 200);
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SourceError::Token(url.clone(), status, text),
        status => SourceError::Status(url.clone(), status, text),
    })
}

/// The token in a file, as the value of a header.
pub(in crate::commands) async fn token(file: &Path, scheme: &str) -> Result<HeaderValue, SourceError> {
    let read = token_file::read(file, scheme).await;
    read.map_err(|error| SourceError::CredentialsFile("the token", file.to_owned(), error))
}

async fn exchange(
    url: &DaemonUrl,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, SourceError> {
    let http = |error: &dyn std::error::Error| SourceError::Http(url.clone(), error.to_string());
    let (mut sender, connection) =
        http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(|error| http(&error))?;
    // It ends with the response, or when nobody reads that any more.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|error| http(&error))
}

/// The whole body of a response.
async fn whole(url: &DaemonUrl, response: Response<Incoming>, most: usize) -> Result<Bytes, SourceError> {
    let body = Limited::new(response.into_body(), most).collect().await;
    Ok(body.map_err(|error| SourceError::Http(url.clone(), error.to_string()))?.to_bytes())
}

fn parse<T>(
    url: &DaemonUrl,
    body: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, NotRead>,
) -> Result<T, SourceError> {
    decode(body).map_err(|error| match error {
        NotRead::NoSnapshot(error) => SourceError::NoSnapshot(url.clone(), error.to_string()),
        NotRead::Schema(schema) => SourceError::Schema(url.clone(), schema),
    })
}
