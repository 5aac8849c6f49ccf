//! Values of the command line: sizes, durations, names of Services, addresses of daemons.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;

use super::{Kubernetes, Topology};
use crate::windowed::LONGEST;

/// A record of 4 KiB must fit several times.
const MIN_RING: u64 = 16 * 1024;
const MAX_RING: u64 = 1024 * 1024 * 1024;

/// Size of the ring: `64KiB`, `1MiB`, `1048576`.
pub fn ring_size(text: &str) -> Result<u32, String> {
    let bytes = bytes(text)?;
    if !(MIN_RING..=MAX_RING).contains(&bytes) {
        return Err("the size must be between 16KiB and 1GiB".to_owned());
    }
    if !bytes.is_power_of_two() {
        let above = bytes.next_power_of_two();
        return Err(format!("the size must be a power of two: {} or {} bytes", above / 2, above));
    }
    u32::try_from(bytes).map_err(|_larger| "the size must be at most 1GiB".to_owned())
}

/// The room for the past of counts: `1MiB` to `64GiB`.
pub fn window_memory(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if (1 << 20..=64 << 30).contains(&bytes) {
        Ok(bytes)
    } else {
        Err("the size must be between 1MiB and 64GiB".to_owned())
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" => Some(1024),
        "m" | "mib" => Some(1024 * 1024),
        "g" | "gib" => Some(1024 * 1024 * 1024),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    bytes.ok_or_else(|| "write a size as 64KiB, 1MiB or a number of bytes".to_owned())
}

/// A duration: `500ms`, `30s`, `5m`, `1h30m`; more than 0, at most 30 days.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    match parsed {
        Some(span) if !span.is_zero() && span <= Duration::from_secs(30 * 24 * 3_600) => Ok(span),
        Some(_) => Err("the duration must be longer than 0s and at most 30 days".to_owned()),
        None => Err("write a duration as 500ms, 30s, 5m or 1h30m".to_owned()),
    }
}

/// The stretch of time that a snapshot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// Everything since the observation began.
    All,
    /// The last part of it.
    For(Duration),
}

impl Last {
    /// The length; nothing for everything.
    #[must_use]
    pub fn length(self) -> Option<Duration> {
        match self {
            Self::All => None,
            Self::For(length) => Some(length),
        }
    }
}

impl Default for Last {
    fn default() -> Self {
        Self::For(Duration::from_secs(15 * 60))
    }
}

impl FromStr for Last {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        let length = duration(text).map_err(|error| format!("{error}; all stands for everything"))?;
        if length > LONGEST {
            return Err("a daemon remembers a day: write 24h or less, or all".to_owned());
        }
        Ok(Self::For(length))
    }
}

impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::For(length) => write!(f, "{}ms", length.as_millis()),
        }
    }
}

/// Like [`duration`], or 0: `0s`.
pub fn duration_or_none(text: &str) -> Result<Duration, String> {
    match text.parse::<jiff::SignedDuration>() {
        Ok(nothing) if nothing.is_zero() => Ok(Duration::ZERO),
        _ => duration(text),
    }
}

/// The address to listen on.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_error| {
        "write address and port: 127.0.0.1:9464 for this machine only, 0.0.0.0:9464 or [::]:9464 for all interfaces"
            .to_owned()
    })
}

/// The interval of a live view: like [`duration`], at least 100 ms.
pub fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_millis(100) => Err("the interval must be at least 100ms".to_owned()),
        interval => Ok(interval),
    }
}

impl FromStr for Topology {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("files", path)) if !path.is_empty() => Ok(Self::Files(PathBuf::from(path))),
            None if text == "dns" => Ok(Self::Dns),
            None if text == "kubernetes" => Ok(Self::Kubernetes(Kubernetes::default())),
            _ => {
                Err("give kubernetes, dns, or files:PATH with a manifest or a folder of manifests".to_owned())
            }
        }
    }
}

/// The name of a namespace.
pub fn namespace(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match text.chars().all(is_name) && (1..=63).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err("the name of a namespace consists of lower case letters, digits and dashes".to_owned()),
    }
}

/// The zone of a node, as its label `topology.kubernetes.io/zone` has it; empty where it has none.
pub fn node_zone(text: &str) -> Result<String, String> {
    let is_value = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match text.len() <= 63 && text.chars().all(is_value) {
        true => Ok(text.to_owned()),
        false => Err("the zone of a node is the value of a label, such as eu-central-1a".to_owned()),
    }
}

/// A price: a number from 0.
pub fn price(text: &str) -> Result<f64, String> {
    let price = text.parse().ok().filter(|price: &f64| price.is_finite() && *price >= 0.0);
    price.ok_or_else(|| "the price is a number without a currency, such as 0.01".to_owned())
}

/// The zone of a cluster, as names in answers are written: lower case, no final dot.
pub fn cluster_zone(text: &str) -> Result<String, String> {
    let zone = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(is_name);
    match zone.len() <= 253 && zone.split('.').all(is_label) {
        true => Ok(zone),
        false => {
            Err("the zone is what follows `svc` in the names of Services, such as cluster.local".to_owned())
        }
    }
}

/// The address of a daemon's snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonUrl {
    /// Whether it begins with `https`.
    pub is_tls: bool,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path, without a query.
    pub path: String,
}

impl FromStr for DaemonUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let example = "write a URL such as http://127.0.0.1:9464";
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = full.parse().map_err(|error| format!("{error}; {example}"))?;
        let is_tls = uri.scheme_str() == Some("https");
        if !is_tls && uri.scheme_str() != Some("http") {
            return Err(format!("a daemon serves http or https; {example}"));
        }
        let authority = uri.authority().ok_or_else(|| format!("the host is missing; {example}"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(format!("a host is needed, and no user name or password; {example}"));
        }
        if uri.query().is_some() {
            return Err(
                "the address needs no question mark and nothing after it; say --last for the stretch"
                    .to_owned(),
            );
        }
        // The parser accepts any digits for a port.
        if authority.port_u16().is_none() && authority.as_str().len() > authority.host().len() {
            return Err(format!("the port must be a number from 1 to 65535; {example}"));
        }
        let path = match uri.path() {
            "" | "/" => "/api/v1/snapshot".to_owned(),
            path => path.to_owned(),
        };
        Ok(Self { is_tls, host, port: authority.port_u16().unwrap_or(9464), path })
    }
}

impl DaemonUrl {
    /// The path of another document of the same daemon.
    #[must_use]
    pub fn beside(&self, document: &str) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{document}")
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for DaemonUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(window_memory("32MiB"), Ok(32 << 20));
        assert!(window_memory("1KiB").is_err() && window_memory("x").is_err());
        assert_eq!(ring_size("64KiB"), Ok(65_536));
        assert_eq!(ring_size("1MiB"), Ok(1_048_576));
        assert_eq!(ring_size("2m"), Ok(2_097_152));
        assert_eq!(ring_size("65536"), Ok(65_536));
        assert!(ring_size("100KiB").unwrap_err().contains("65536 or 131072"));
        for wrong in ["", "KiB", "1TiB", "-1", "4KiB", "2GiB", "99999999999999999999G", "1.5MiB"] {
            assert!(ring_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "30", "0s", "-1s", "400d", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duration_or_none("0s"), Ok(Duration::ZERO));
        assert_eq!(duration_or_none("5s"), Ok(Duration::from_secs(5)));
        assert!(duration_or_none("-1s").is_err() && duration_or_none("0").is_err());
        assert!(interval("10ms").unwrap_err().contains("100ms"));
    }

    #[test]
    fn topologies() {
        assert_eq!("dns".parse(), Ok(Topology::Dns));
        assert_eq!("files:/a:b".parse(), Ok(Topology::Files("/a:b".into())));
        assert_eq!("kubernetes".parse(), Ok(Topology::Kubernetes(Kubernetes::default())));
        for wrong in ["kubernetes:", "files:", "dns:", ""] {
            assert!(wrong.parse::<Topology>().unwrap_err().contains("files:PATH"), "{wrong}");
        }
    }

    #[test]
    fn daemons() {
        let show = |text: &str| text.parse::<DaemonUrl>().map(|url| url.to_string());
        assert_eq!(show("node1").unwrap(), "http://node1:9464/api/v1/snapshot");
        assert_eq!(show("http://[::1]:80/").unwrap(), "http://[::1]:80/api/v1/snapshot");
        assert_eq!(show("127.0.0.1:9464/x/y").unwrap(), "http://127.0.0.1:9464/x/y");
        assert_eq!(show("https://node1").unwrap(), "https://node1:9464/api/v1/snapshot");
        assert!(show("node1/x?last=1h").unwrap_err().contains("--last"));
        let beside = |text: &str| text.parse::<DaemonUrl>().map(|url| url.beside("trace"));
        assert_eq!(beside("node1").as_deref(), Ok("/api/v1/trace"));
        assert_eq!(beside("node1/behind/a/proxy/snapshot").as_deref(), Ok("/behind/a/proxy/trace"));
        for wrong in ["", "ftp://a", "http://", "http://u:p@h", "http://a b", "http://h:99999"] {
            assert!(show(wrong).is_err(), "{wrong}");
        }
    }
}
