//! Compares values of the recording rules with values computed from the servers' counts.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::TruthRow;
use lab::prometheus::{Prometheus, Sample};

use crate::services::{Matrix, matrix};

/// The time that the last scrape may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);
/// `increase` extrapolates to the edges of its window: by up to two of thirty scrapes.
const EXTRAPOLATION: [f64; 2] = [1.0, 1.08];
/// The extrapolation differs between nodes.
const TOLERANCE: f64 = 0.03;

/// Values computed from the connections to each of n endpoints.
fn figures(counts: &[f64]) -> BTreeMap<&'static str, f64> {
    let n = counts.len() as f64;
    let sum: f64 = counts.iter().sum();
    let mean = sum / n;
    let squares: f64 = counts.iter().map(|count| (count - mean).powi(2)).sum();
    let cv = (squares / n).sqrt() / mean;
    let dispersion = sum * cv.powi(2) / (n - 1.0);
    let free = 2.0 / (9.0 * (n - 1.0));
    let used = counts.iter().filter(|count| **count > 0.0).count() as f64;
    BTreeMap::from([
        ("connections:count_pods", n),
        ("connections_opened:increase10m", sum),
        ("connections:coverage", used / n),
        ("connections:peak_to_mean", counts.iter().copied().fold(0.0, f64::max) / mean),
        ("connections:cv", cv),
        ("connections:jain", 1.0 / (1.0 + cv.powi(2))),
        ("connections:dispersion", dispersion),
        ("selections:z", (dispersion.cbrt() - 1.0 + free) / free.sqrt()),
        ("endpoints:idle", n - used),
    ])
}

/// Compares the values of one Service over a window. In that window its clients made the connections between two
/// truths, one for each look-up.
pub(crate) fn agree(prometheus: &Prometheus, service: &str, before: &[TruthRow], after: &[TruthRow]) {
    let before = matrix(before);
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for (cell, accepted) in matrix(after) {
        let made = accepted - before.get(&cell).copied().unwrap_or(0);
        *counts.entry(cell.1).or_default() += made as f64;
    }
    counts.retain(|pod, _| pod.starts_with(&format!("{service}-")));
    assert_eq!(counts.len(), 5, "a batch reaches all endpoints: {counts:?}");
    let [least, most] =
        EXTRAPOLATION.map(|factor| figures(&counts.values().map(|count| count * factor).collect::<Vec<_>>()));
    for (name, least) in least {
        let query = format!(r#"namespace_service:headless_{name}{{cluster="lab", service="{service}"}}"#);
        let got = prometheus.query(&query).unwrap();
        assert_eq!(got.len(), 1, "{query}: {got:?}");
        let (got, most) = (got[0].value, most[name]);
        let slack = TOLERANCE * least.abs().max(1.0);
        assert!(
            least - slack <= got && got <= most + slack,
            "{query} is {got}, not between {least} and {most}: {counts:?}"
        );
    }
}

/// Compares the counters exactly: all Services, clients and nodes.
pub(crate) fn totals_agree(prometheus: &Prometheus, truth: &Matrix) {
    let query = r#"sum by (client_workload, pod) (headless_connections_opened_total{cluster="lab"}) > 0"#;
    let truth: BTreeMap<(String, String), f64> =
        truth.iter().map(|(cell, accepted)| (cell.clone(), *accepted as f64)).collect();
    let cell = |sample: &Sample| {
        ((sample.label("client_workload").to_owned(), sample.label("pod").to_owned()), sample.value)
    };
    let done = prometheus
        .query_when(PATIENCE, query, |samples| samples.iter().map(cell).collect::<BTreeMap<_, _>>() == truth);
    done.unwrap_or_else(|error| panic!("the servers accepted {truth:#?}; {error:#}"));
}
