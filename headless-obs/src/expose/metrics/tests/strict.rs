//! A strict reader of the OpenMetrics text format, as far as counters, gauges and histograms need it.

use std::collections::{BTreeMap, HashSet};

/// A line with a value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::expose::metrics) struct Sample {
    pub(in crate::expose::metrics) name: String,
    pub(in crate::expose::metrics) labels: BTreeMap<String, String>,
    pub(in crate::expose::metrics) value: f64,
}

/// The parsed text.
pub(in crate::expose::metrics) struct Exposition {
    pub(in crate::expose::metrics) samples: Vec<Sample>,
}

impl Exposition {
    /// Panics if the text breaks a rule of the format.
    pub(in crate::expose::metrics) fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("ends with # EOF");
        let (mut samples, mut own): (Vec<Sample>, Vec<Sample>) = (Vec::new(), Vec::new());
        let (mut families, mut seen) = (HashSet::new(), HashSet::new());
        let (mut family, mut kind) = (String::new(), String::new());
        for line in body.split_terminator('\n') {
            if let Some(meta) = line.strip_prefix("# ") {
                let [word, name, rest] = meta.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                    panic!("incomplete: {line}")
                };
                match word {
                    "HELP" => {
                        finish(&kind, &family, &own);
                        samples.append(&mut own);
                        assert!(families.insert(name.to_owned()), "family twice: {name}");
                        assert!(!name.ends_with("_total"), "{name}");
                        assert!(!rest.contains('\\') && !rest.is_empty(), "{line}");
                        (family, kind) = (name.to_owned(), String::new());
                    }
                    "TYPE" => {
                        let is_known = matches!(rest, "counter" | "gauge" | "histogram");
                        assert!(name == family && kind.is_empty() && is_known, "{line}");
                        kind = rest.to_owned();
                    }
                    "UNIT" => assert!(name == family && family.ends_with(&format!("_{rest}")), "{line}"),
                    _ => panic!("unknown: {line}"),
                }
                continue;
            }
            let sample = sample(line);
            let suffix =
                sample.name.strip_prefix(&family).unwrap_or_else(|| panic!("not of {family}: {line}"));
            let allowed: &[&str] = match kind.as_str() {
                "counter" => &["_total", "_created"],
                "gauge" => &[""],
                _ => &["_bucket", "_sum", "_count", "_created"],
            };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(kind == "gauge" || sample.value >= 0.0, "{line}");
            assert!(seen.insert(format!("{} {:?}", sample.name, sample.labels)), "series twice: {line}");
            own.push(sample);
        }
        finish(&kind, &family, &own);
        samples.append(&mut own);
        Self { samples }
    }

    /// The value of the one sample with these labels.
    pub(in crate::expose::metrics) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<_> = self.of(name, labels).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        found[0].value
    }

    /// The sum of all samples with these labels.
    pub(in crate::expose::metrics) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name, labels).map(|sample| sample.value).sum()
    }

    fn of(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        let has = |sample: &Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
        };
        self.samples.iter().filter(move |sample| sample.name == name && has(sample))
    }
}

/// Rules for a family as a whole: samples of one series are adjacent, and buckets add up.
fn finish(kind: &str, family: &str, samples: &[Sample]) {
    let mut groups: Vec<(BTreeMap<String, String>, Vec<&Sample>)> = Vec::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        match groups.last_mut() {
            Some((known, group)) if *known == labels => group.push(sample),
            _ => groups.push((labels, vec![sample])),
        }
    }
    let unique: HashSet<String> = groups.iter().map(|(labels, _)| format!("{labels:?}")).collect();
    assert_eq!(unique.len(), groups.len(), "{family}: a series in two places");
    for (labels, group) in groups {
        let of = |suffix: &str| {
            group.iter().filter(|sample| sample.name == format!("{family}{suffix}")).collect::<Vec<_>>()
        };
        match kind {
            "counter" => assert_eq!((of("_total").len(), of("_created").len()), (1, 1), "{labels:?}"),
            "histogram" => {
                let buckets = of("_bucket");
                let bound = |sample: &Sample| match sample.labels["le"].as_str() {
                    "+Inf" => f64::INFINITY,
                    bound => bound.parse().unwrap(),
                };
                let ascends =
                    |pair: &[&&Sample]| bound(pair[0]) < bound(pair[1]) && pair[0].value <= pair[1].value;
                assert!(buckets.windows(2).all(ascends), "{family} {labels:?}");
                assert_eq!(bound(buckets.last().unwrap()), f64::INFINITY);
                assert_eq!(
                    [of("_sum").len(), of("_count").len(), of("_created").len()],
                    [1; 3],
                    "{labels:?}"
                );
                assert_eq!(buckets.last().unwrap().value, of("_count")[0].value, "{labels:?}");
            }
            _ => {}
        }
    }
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(name_end);
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "label twice: {line}");
            rest = match after.strip_prefix(',') {
                Some(more) => more,
                None => {
                    assert!(after.starts_with('}'), "{line}");
                    after
                }
            };
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap_or_else(|_| panic!("{line}")) }
}

/// A value up to its closing quote, and the rest.
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
