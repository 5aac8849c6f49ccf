//! Expectations about metrics: a [`Selector`], as an expectation writes it, and the series of a scrape. Pure.
//!
//! `headless_connections_opened_total{pod="orders-0"}` stands for the sum of all series with this name and these labels.

use std::collections::BTreeMap;

use headless_obs::expose::metrics::table::METRICS;
use serde::Deserialize;
use serde_json::Value;

use crate::pattern;

/// The series with a name that have these labels, and any others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Selector {
    text: String,
    series: Series,
}

/// Name and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl TryFrom<String> for Selector {
    type Error = String;

    /// A name or a label that no series can have is an error, so `absent` is never true by a misspelling.
    fn try_from(text: String) -> Result<Self, String> {
        let series = match series(&text) {
            Some((series, "")) => series,
            _ => {
                return Err(format!(
                    "{text:?} is no series; write it as `name` or `name{{label=\"value\"}}`"
                ));
            }
        };
        let metrics: Vec<_> = METRICS.iter().filter(|metric| series.name.starts_with(metric.name)).collect();
        if metrics.is_empty() {
            return Err(format!("there is no metric {:?}", series.name));
        }
        let is_known = |label: &String| {
            label == "le" || metrics.iter().any(|metric| metric.labels.contains(&label.as_str()))
        };
        match series.labels.keys().find(|label| !is_known(label)) {
            Some(unknown) => Err(format!("{} has no label {unknown:?}", series.name)),
            None => Ok(Self { text, series }),
        }
    }
}

/// The fault of a scrape.
pub(crate) fn wrong<'a>(
    wanted: impl IntoIterator<Item = (&'a Selector, &'a Value)>,
    scrape: &str,
) -> Vec<String> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    let all: Vec<(Series, f64)> = lines.filter_map(sample).collect();
    let fault = |(selector, wanted): (&Selector, &Value)| {
        let is_meant = |(series, _): &&(Series, f64)| {
            let has = |(label, value): (&String, &String)| series.labels.get(label) == Some(value);
            series.name == selector.series.name && selector.series.labels.iter().all(has)
        };
        let values: Vec<f64> = all.iter().filter(is_meant).map(|(_, value)| *value).collect();
        let sum = values.iter().sum::<f64>();
        let text = &selector.text;
        match (wanted.as_str() == Some("absent"), values.is_empty()) {
            (true, true) => None,
            (true, false) => Some(format!("metric {text} is there: {sum}")),
            (false, true) => Some(format!("metric {text} is not there")),
            (false, false) if pattern::is_equal(wanted, &Value::from(sum)) => None,
            (false, false) => Some(format!("metric {text} is {sum} instead of {wanted}")),
        }
    };
    wanted.into_iter().filter_map(fault).collect()
}

/// A line of a scrape.
fn sample(line: &str) -> Option<(Series, f64)> {
    let (series, value) = series(line)?;
    Some((series, value.split_whitespace().next()?.parse().ok()?))
}

/// The series at the beginning of a text, and the rest.
fn series(text: &str) -> Option<(Series, &str)> {
    let end = text.find(['{', ' ']).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.trim().to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    (!name.is_empty()).then(|| (Series { name: name.to_owned(), labels }, rest.trim()))
}

/// A value up to its closing quotation mark, and the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, text.get(place + 1..)?)),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SCRAPE: &str = "# HELP headless_client_verdict 1 for it\n\
        headless_client_verdict{namespace=\"shop\",client_workload=\"we\\\"b\",cause=\"even\"} 1\n\
        headless_client_verdict{namespace=\"shop\",client_workload=\"old\",cause=\"pinned\"} 1 1790000000\n\
        headless_series_folded_total 0\n";

    fn fault(selector: &str, wanted: Value) -> Option<String> {
        let selector = Selector::try_from(selector.to_owned()).unwrap();
        wrong([(&selector, &wanted)], SCRAPE).pop()
    }

    #[test]
    fn series_are_found_by_name_and_labels_and_added() {
        assert_eq!(fault("headless_client_verdict", json!(2)), None);
        assert_eq!(fault("headless_client_verdict{cause=\"pinned\", namespace=\"shop\"}", json!(1)), None);
        assert_eq!(fault("headless_client_verdict{client_workload=\"we\\\"b\"}", json!("> 0")), None);
        assert_eq!(fault("headless_series_folded_total", json!(0)), None);
        assert_eq!(fault("headless_client_verdict{cause=\"stale\"}", json!("absent")), None);
        let there = fault("headless_client_verdict{cause=\"even\"}", json!("absent"));
        assert!(there.is_some_and(|fault| fault.ends_with("is there: 1")));
        let other = fault("headless_client_verdict{cause=\"even\"}", json!(3));
        assert!(other.is_some_and(|fault| fault.ends_with("is 1 instead of 3")));
        let missing = fault("headless_client_verdict{cause=\"stale\"}", json!(0));
        assert!(missing.is_some_and(|fault| fault.ends_with("is not there")));
    }

    #[test]
    fn a_misspelt_name_or_label_is_a_mistake() {
        for (text, what) in [
            ("headless_cleint_verdict", "there is no metric"),
            ("headless_client_verdict{case=\"even\"}", "has no label \"case\""),
            ("headless_client_verdict{cause=even}", "is no series"),
            ("headless_client_verdict{cause=\"even\"} 1", "is no series"),
        ] {
            let mistake = Selector::try_from(text.to_owned()).unwrap_err();
            assert!(mistake.contains(what), "{text}: {mistake}");
        }
    }
}
