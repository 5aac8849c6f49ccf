//! The exposition is valid whatever the snapshot holds, and says exactly what the snapshot says.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::expose::sample::{self, client, endpoint, part};
use crate::expose::snapshot::Refusal;

#[test]
fn exposition_of_the_sample() {
    let text = openmetrics(Arc::new(sample::snapshot())).unwrap();
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let revision = option_env!("HEADLESS_OBS_REVISION").unwrap_or("unknown");
    let text = text.replace(&format!("revision=\"{revision}\""), "revision=\"REVISION\"");
    crate::testing::golden("metrics.txt", &text);
    Exposition::parse(&text);
}

#[test]
fn hostile_names_leave_it_valid_and_whole() {
    let hostile = "a\"b\\c\nd{e}=\"f\",g 1 # EOF\r\u{1b}[31m\u{202e}é";
    let mut snapshot = sample::snapshot();
    snapshot.services[0].name = hostile.into();
    snapshot.services[0].clients[0].workload = hostile.into();
    snapshot.services[0].endpoints[0].pod = hostile.into();
    snapshot.quality.events_lost.insert(hostile.into(), 7);
    let samples = Exposition::parse(&openmetrics(Arc::new(snapshot)).unwrap()).samples;
    let lost = samples.iter().find(|(name, labels, _)| {
        name == "headless_observer_events_lost_total" && labels["reason"] == hostile
    });
    assert_eq!(lost.map(|(_, _, value)| value.as_str()), Some("7"));
}

#[test]
fn a_pod_that_came_back_under_its_name_is_one_series() {
    let mut snapshot = sample::snapshot();
    snapshot.services[0].endpoints = vec![
        endpoint("db-0", "removed", 5, 0),
        endpoint("db-0", "ready", 7, 2),
        endpoint("db-0", "removed", 1, 0),
    ];
    snapshot.services[0].clients = vec![client("web", 1.0, vec![part("db-0", 5, 0), part("db-0", 7, 2)])];
    let exposition = Exposition::parse(&openmetrics(Arc::new(snapshot)).unwrap());
    let value = |name: &str| {
        let mut of_pod = exposition
            .samples
            .iter()
            .filter(|(n, labels, _)| n == name && labels.get("pod").is_some_and(|pod| pod == "db-0"));
        let (_, _, value) = of_pod.next().unwrap();
        value.clone()
    };
    assert_eq!(value("headless_connections_opened_total"), "12");
    assert_eq!(value("headless_endpoint_ready"), "1");
}

#[test]
fn a_topology_out_of_touch_and_what_is_refused() {
    let mut snapshot = sample::snapshot();
    snapshot.quality.topology.stale_since = Some(sample::at(-90));
    let refusal = |namespace: &str| Refusal {
        verb: "watch".into(),
        resource: "pods".into(),
        namespace: namespace.into(),
        lost: "names".into(),
    };
    snapshot.quality.topology.refused = vec![refusal("bank"), refusal("shop")];
    let samples = Exposition::parse(&openmetrics(Arc::new(snapshot)).unwrap()).samples;
    let of = |name: &str| {
        let of = samples.iter().filter(|(n, _, _)| n == name);
        of.map(|(_, labels, value)| (labels.clone(), value.clone())).collect::<Vec<_>>()
    };
    assert_eq!(of("headless_observer_topology_stale_seconds")[0].1, "120");
    let refused = of("headless_observer_topology_refused");
    assert_eq!(refused.len(), 2);
    assert_eq!((refused[1].0["namespace"].as_str(), refused[1].1.as_str()), ("shop", "1"));
}

#[test]
fn plain_text_names_counters_as_their_samples() {
    let text = plain(Arc::new(sample::snapshot())).unwrap();
    assert!(text.contains("# TYPE headless_connections_opened_total counter\n"));
    assert!(text.contains("# HELP headless_connection_bytes_total Bytes that clients"));
    assert!(text.contains("# TYPE headless_connections_active gauge\n"));
    assert!(!text.contains("# EOF") && !text.contains("# UNIT") && !text.contains("_total_total"));
    let values = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(values(&text), values(&openmetrics(Arc::new(sample::snapshot())).unwrap()));
}

/// The table of docs/metrics.md: name, type and labels of each metric, in the order of [`METRICS`].
#[test]
fn the_documentation_lists_exactly_these_metrics() {
    let document = include_str!("../../../../docs/metrics.md");
    let listed: Vec<[String; 3]> = document
        .lines()
        .filter(|line| line.starts_with("| `headless_"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            [cells[1].clone(), cells[2].clone(), cells[3].clone()]
        })
        .collect();
    let expected: Vec<[String; 3]> = METRICS
        .iter()
        .map(|metric| {
            let (suffix, kind) = match metric.kind {
                Kind::Counter => ("_total", "counter"),
                Kind::Gauge => ("", "gauge"),
            };
            [metric.family() + suffix, kind.to_owned(), metric.labels.join(", ")]
        })
        .collect();
    assert_eq!(listed, expected, "bring docs/metrics.md up to date");
}

/// A strict reader of the OpenMetrics text format, as far as counters and gauges need it.
struct Exposition {
    samples: Vec<(String, HashMap<String, String>, String)>,
}

impl Exposition {
    /// Panics where the text breaks a rule of the format.
    fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
        let mut samples = Vec::new();
        let mut families = HashSet::new();
        let mut seen = HashSet::new();
        let (mut family, mut kind) = (String::new(), String::new());
        for line in body.split_terminator('\n') {
            if let Some(meta) = line.strip_prefix("# ") {
                let [word, name, rest] = meta.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                    panic!("incomplete: {line}")
                };
                match word {
                    "HELP" => {
                        assert!(families.insert(name.to_owned()), "family twice: {name}");
                        assert!(!name.ends_with("_total"), "{name}");
                        assert!(!rest.contains('\\') && !rest.is_empty(), "{line}");
                        family = name.to_owned();
                        kind.clear();
                    }
                    "TYPE" => {
                        assert!(
                            name == family && kind.is_empty() && matches!(rest, "counter" | "gauge"),
                            "{line}"
                        );
                        kind = rest.to_owned();
                    }
                    "UNIT" => assert!(name == family && family.ends_with(&format!("_{rest}")), "{line}"),
                    _ => panic!("unknown: {line}"),
                }
                continue;
            }
            let (name, labels, value) = sample(line);
            let expected = if kind == "counter" { format!("{family}_total") } else { family.clone() };
            assert_eq!(name, expected, "{line}");
            assert!(value.parse::<u64>().is_ok(), "{line}");
            let mut key: Vec<_> = labels.clone().into_iter().collect();
            key.sort();
            assert!(seen.insert((name.clone(), key)), "series twice: {line}");
            samples.push((name, labels, value));
        }
        Self { samples }
    }
}

/// `name{label="value",…} value`
fn sample(line: &str) -> (String, HashMap<String, String>, String) {
    let name_end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(name_end);
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
    let mut labels = HashMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "label twice: {line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    (name.to_owned(), labels, value.to_owned())
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().expect("an escaped character").1 {
                'n' => value.push('\n'),
                escaped @ ('"' | '\\') => value.push(escaped),
                other => panic!("unknown escape {other:?}"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}")
}
