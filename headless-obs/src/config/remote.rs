//! The selected remote source, validated.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};

use super::values::DaemonUrl;

/// The place of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A daemon.
    Daemon(DaemonUrl),
    /// A file; `-` is standard input.
    File(PathBuf),
}

impl FromStr for Origin {
    type Err = String;

    /// A value is a file if it begins with `/`, `./` or `../`, or ends with `.json`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
        let is_file = text == "-" || is_path || (text.ends_with(".json") && !text.contains("://"));
        if is_file { Ok(Self::File(text.into())) } else { text.parse().map(Self::Daemon) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon(url) if url.is_tls => write!(f, "https://{}", url.authority()),
            Self::Daemon(url) => f.write_str(&url.authority()),
            Self::File(path) if path.as_os_str() == "-" => f.write_str("standard input"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The trust in a daemon, and the token that it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Certificates of the authorities that are trusted; those of this machine without it.
    pub ca_file: Option<PathBuf>,
    /// The name in its certificate, if that is not the URL's host.
    pub server_name: Option<String>,
    /// The file of a bearer token.
    pub token_file: Option<PathBuf>,
}

/// The words for errors in the URL of a server that is no daemon.
pub(super) struct ServerUrl {
    /// The server.
    pub(super) what: &'static str,
    /// A right URL.
    pub(super) example: &'static str,
    /// The option for credentials.
    pub(super) header: &'static str,
}

impl ServerUrl {
    /// The URL with its scheme, which is `http` without one.
    pub(super) fn checked(&self, text: &str) -> Result<String, String> {
        let Self { what, example, header } = self;
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = full.parse().map_err(|error| format!("{error}; write a URL such as {example}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(format!("this is no address of {what}; write a URL such as {example}"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(format!("the URL must not contain a user name or password; use {header}"));
        }
        if uri.query().is_some() {
            return Err(format!("the URL must not contain a query; write a URL such as {example}"));
        }
        Ok(full)
    }
}

/// The Prometheus server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusUrl {
    /// Its URL, with a path if it does not serve at the root, without a slash at the end.
    base: String,
}

impl FromStr for PrometheusUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let subject = ServerUrl {
            what: "a Prometheus",
            example: "http://prometheus.monitoring:9090",
            header: "--prometheus-header",
        };
        let full = subject.checked(text)?;
        let base = full.trim_end_matches('/');
        Ok(Self { base: base.strip_suffix("/api/v1").unwrap_or(base).to_owned() })
    }
}

impl PrometheusUrl {
    /// The URL of queries.
    #[must_use]
    pub fn query(&self) -> String {
        format!("{}/api/v1/query", self.base)
    }
}

impl fmt::Display for PrometheusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// A request header. Its value is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Header(pub HeaderName, pub HeaderValue);

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.0)
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "write the header as 'NAME: VALUE'".to_owned();
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        let name = name.trim().parse().map_err(|_error| wrong())?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_error| wrong())?;
        value.set_sensitive(true);
        Ok(Self(name, value))
    }
}

/// Label matchers, as in `cluster="eu"`; each query includes them unchanged.
pub fn matchers(text: &str) -> Result<String, String> {
    let text = text.trim().trim_start_matches('{').trim_end_matches('}').trim().trim_end_matches(',');
    if text.is_empty() || !text.contains('=') || text.contains(['{', '}', '\n']) {
        return Err("write label matchers, such as 'cluster=\"eu\"'".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_path_is_a_file() {
        for file in ["-", "a.json", "/tmp/a", "./a", "../a.json", "dir/b.json"] {
            assert_eq!(file.parse(), Ok(Origin::File(file.into())));
        }
        for daemon in ["node1", "http://node1/x.json", "10.0.0.1:9464", "node1:9464/x", "https://a"] {
            assert!(matches!(daemon.parse(), Ok(Origin::Daemon(_))), "{daemon}");
        }
        assert!("ftp://a".parse::<Origin>().is_err());
    }

    #[test]
    fn a_prometheus_may_be_below_a_path() {
        let query = |text: &str| text.parse::<PrometheusUrl>().map(|url| url.query());
        assert_eq!(query("prom:9090").unwrap(), "http://prom:9090/api/v1/query");
        assert_eq!(query("https://x/prometheus/").unwrap(), "https://x/prometheus/api/v1/query");
        assert_eq!(query("http://x/api/v1").unwrap(), "http://x/api/v1/query");
        for wrong in ["", "ftp://x", "http://", "http://u:p@x", "http://x?y=z"] {
            assert!(query(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headers_are_secrets_and_matchers_are_matchers() {
        let header: Header = "Authorization: Bearer secret".parse().unwrap();
        assert_eq!((header.0.as_str(), header.1.to_str().unwrap()), ("authorization", "Bearer secret"));
        assert_eq!(format!("{header:?}"), "authorization: …");
        assert!("Authorization".parse::<Header>().is_err() && "a b: c".parse::<Header>().is_err());
        assert_eq!(matchers("{cluster=\"eu\",}").unwrap(), "cluster=\"eu\"");
        assert!(matchers("").is_err() && matchers("eu").is_err() && matchers("a=\"}\"").is_err());
    }
}
