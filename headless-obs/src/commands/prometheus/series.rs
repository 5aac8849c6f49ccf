//! The result of a query: series with their labels. Pure.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::queries::Query;

/// One series of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl Series {
    /// A label; empty if it is missing.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The value as a count. `increase` does not return integers.
    pub(super) fn count(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the value is checked to be in range")]
        if self.value >= 0.5 && self.value < 9e15 { self.value.round() as u64 } else { 0 }
    }
}

/// All results.
#[derive(Debug, Default)]
pub(super) struct Answers(HashMap<Query, Vec<Series>>);

impl Answers {
    pub(super) fn insert(&mut self, query: Query, series: Vec<Series>) {
        self.0.insert(query, series);
    }

    pub(super) fn of(&self, query: Query) -> &[Series] {
        self.0.get(&query).map_or(&[], Vec::as_slice)
    }
}

/// The reason why a response is not usable.
#[derive(Debug)]
pub(super) enum NotRead {
    /// Prometheus returned an error.
    Refused(String),
    /// It is not a response of Prometheus.
    Other(String),
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// The series of a response; values that are not numbers are left out.
pub(super) fn decode(json: &[u8]) -> Result<Vec<Series>, NotRead> {
    let answer: Answer = serde_json::from_slice(json).map_err(|error| NotRead::Other(error.to_string()))?;
    match (answer.status.as_str(), answer.data) {
        ("success", Some(data)) => Ok(data
            .result
            .into_iter()
            .filter_map(|row| {
                let value: f64 = row.value.1.parse().ok()?;
                value.is_finite().then_some(Series { labels: row.metric, value })
            })
            .collect()),
        ("error", _) => Err(NotRead::Refused(answer.error)),
        (status, _) => Err(NotRead::Other(format!("its status is {status:?}"))),
    }
}
