//! The receiver of pushed metrics, validated.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;

use super::remote::{Header, ServerUrl};

/// The path of metrics in OTLP over HTTP.
const PATH: &str = "/v1/metrics";

/// Pushes to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The receiver.
    pub url: OtlpUrl,
    /// Time between two pushes.
    pub every: Duration,
    /// Headers of each push.
    pub headers: Vec<Header>,
    /// The file of a bearer token, which may change.
    pub token_file: Option<PathBuf>,
    /// Certificates of the authorities that are trusted; those of this machine without it.
    pub ca_file: Option<PathBuf>,
}

/// A receiver of OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpUrl(Uri);

impl OtlpUrl {
    /// The address of requests.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether its port is that of OTLP over gRPC, by convention.
    #[must_use]
    pub fn is_for_grpc(&self) -> bool {
        self.0.port_u16() == Some(4317)
    }
}

impl FromStr for OtlpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let subject = ServerUrl {
            what: "a receiver of OTLP over HTTP",
            example: "http://collector:4318",
            header: "--otlp-header",
        };
        let full = subject.checked(text)?;
        let uri: Uri = full.parse().map_err(|error: hyper::http::uri::InvalidUri| error.to_string())?;
        if !uri.path().is_empty() && uri.path() != "/" {
            return Ok(Self(uri));
        }
        let with_path = format!("{}{PATH}", full.trim_end_matches('/'));
        with_path.parse().map(Self).map_err(|error| error.to_string())
    }
}

impl fmt::Display for OtlpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_has_that_of_metrics() {
        let url = |text: &str| text.parse::<OtlpUrl>().map(|url| url.to_string());
        for (text, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/metrics"),
            ("collector.monitoring:4318/", "http://collector.monitoring:4318/v1/metrics"),
            ("https://x.example/otlp/v1/metrics", "https://x.example/otlp/v1/metrics"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/metrics"),
        ] {
            assert_eq!(url(text), Ok(expected.to_owned()), "{text}");
        }
        for (text, word) in [
            ("grpc://collector:4317", "no address"),
            ("http://", "write a URL"),
            ("http://user:secret@collector:4318", "--otlp-header"),
            ("http://collector:4318/?a=b", "query"),
        ] {
            let error = url(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!("http://collector:4317".parse::<OtlpUrl>().unwrap().is_for_grpc());
    }
}
