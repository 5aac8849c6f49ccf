//! Queries over HTTP, plain or with TLS by this machine's certificates.

use std::path::Path;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, StatusCode};

use super::series::{self, NotRead};
use super::{PrometheusError, Series, TIMEOUT};
use crate::commands::fit_text::{clean, fit};
use crate::commands::http_client::HttpClient;
use crate::commands::snapshot_file::LARGEST;
use crate::commands::token_file;
use crate::config::remote::{Header, PrometheusUrl};

/// A connection pool to one Prometheus.
#[derive(Clone)]
pub(super) struct Http {
    url: PrometheusUrl,
    headers: Vec<Header>,
    client: HttpClient,
}

impl Http {
    pub(super) async fn new(
        url: &PrometheusUrl,
        headers: &[Header],
        token_file: Option<&Path>,
    ) -> Result<Self, PrometheusError> {
        let mut headers = headers.to_vec();
        if let Some(file) = token_file {
            let token = token_file::read(file, "Bearer ").await;
            let token = token.map_err(|error| PrometheusError::Token(file.to_owned(), error))?;
            headers.push(Header(AUTHORIZATION, token));
        }
        let unreachable =
            |error: &dyn std::fmt::Display| PrometheusError::Unreachable(url.clone(), error.to_string());
        let uri = url.query().parse().map_err(|error: hyper::http::uri::InvalidUri| unreachable(&error))?;
        let client = HttpClient::new(uri, None).map_err(|error| unreachable(&error))?;
        Ok(Self { url: url.clone(), headers, client })
    }

    /// The result of a query, as of a moment or now.
    pub(super) async fn query(&self, query: &str, at: Option<f64>) -> Result<Vec<Series>, PrometheusError> {
        let answer = tokio::time::timeout(TIMEOUT, self.ask(query, at)).await;
        let (status, body) = answer.map_err(|_elapsed| PrometheusError::Timeout(self.url.clone()))??;
        let url = || self.url.clone();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(PrometheusError::Credentials(url(), status.to_string()));
        }
        series::decode(&body).map_err(|error| match error {
            NotRead::Refused(said) => PrometheusError::Refused(url(), fit(&clean(&said), 300)),
            NotRead::Other(_) if status != StatusCode::OK => {
                PrometheusError::NotPrometheus(url(), status.to_string())
            }
            NotRead::Other(error) => PrometheusError::NotPrometheus(url(), fit(&clean(&error), 200)),
        })
    }

    async fn ask(&self, query: &str, at: Option<f64>) -> Result<(StatusCode, Bytes), PrometheusError> {
        let mut form = format!("query={}", encode(query));
        if let Some(at) = at {
            form.push_str(&format!("&time={at:.3}"));
        }
        let unreachable = |error: String| PrometheusError::Unreachable(self.url.clone(), error);
        let mut request = Request::post(self.url.query());
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        for Header(name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::from(form)).map_err(|error| unreachable(error.to_string()))?;
        self.client.send(request, LARGEST).await.map_err(unreachable)
    }
}

/// Text as a value of a form.
fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let letter = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(letter).collect()
}
