//! The formats of an exposition, and the choice by an `Accept` header.

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' protobuf messages, one after another: the only format with native histograms.
    Protobuf,
    /// OpenMetrics text.
    OpenMetrics,
    /// The older Prometheus text.
    Plain,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The preferred format; [`Plain`](Self::Plain), which every scraper can read, if there is no preference.
    pub fn wanted(accept: &str) -> Self {
        let mut best = (0.0, Self::Plain);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<(String, &str)> = parts
                .filter_map(|part| part.split_once('='))
                .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
                .collect();
            let of = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
            let is = |name: &str, wanted: &[&str]| of(name).is_none_or(|value| wanted.contains(&value));
            let format = match kind.as_str() {
                "application/vnd.google.protobuf"
                    if is("proto", &["io.prometheus.client.MetricFamily"])
                        && is("encoding", &["delimited"]) =>
                {
                    Self::Protobuf
                }
                "application/openmetrics-text" if is("version", &["1.0.0", "0.0.1"]) => Self::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Self::Plain,
                _ => continue,
            };
            let quality = of("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
            // Of two with the same preference, the first.
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scrapers_ask_for() {
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6";
        let open = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5";
        let rest =
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            (format!("{protobuf},{open},{rest}"), Format::Protobuf),
            (format!("{open},{rest},{protobuf}"), Format::Protobuf),
            (format!("{open},{rest}"), Format::OpenMetrics),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain".into(), Format::Plain),
            ("application/openmetrics-text; q=0, text/plain".into(), Format::Plain),
            ("application/openmetrics-text; version=2.0.0, text/plain;q=0.1".into(), Format::Plain),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"".into(), Format::OpenMetrics),
            (protobuf.replace("delimited", "text"), Format::Plain),
            (protobuf.replace("MetricFamily", "Other"), Format::Plain),
            ("text/html,*/*".into(), Format::Plain),
            ("text/html".into(), Format::Plain),
            (";;q=,,=;q=x".into(), Format::Plain),
            (String::new(), Format::Plain),
        ] {
            assert_eq!(Format::wanted(&accept), expected, "{accept}");
        }
    }
}
