//! Runs every query of every dashboard in Prometheus, with Grafana's variables filled in. Each must return data with
//! the labels that the panel shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use lab::prometheus::{Prometheus, Sample};
use serde_json::Value;

use crate::market::Market;
use crate::{rules, target};

/// The time that it may take until every panel has data.
const PATIENCE: Duration = Duration::from_secs(240);
/// The dashboards' time range.
const SHOWN: Duration = Duration::from_secs(60);

/// Values of Grafana's variables: everything is selected, or one value if only one is possible.
const VARIABLES: [(&str, &str); 9] = [
    ("$__rate_interval", "10s"),
    ("$__range", "60s"),
    ("$cluster", ".*"),
    ("$namespace", ".*"),
    ("$service", "orders"),
    ("$client_namespace", ".*"),
    ("$client", ".*"),
    ("$node", ".*"),
    ("$before", "5s"),
];

/// A query of a panel or a variable.
struct Asked {
    /// Dashboard, panel and query.
    place: String,
    query: String,
    /// Whether it is an instant query; else it covers the time range.
    now: bool,
    /// Labels that at least one series must have.
    labels: BTreeSet<String>,
}

#[test]
fn every_query_of_every_panel_returns_data() {
    let asked = asked();
    assert!(asked.len() > 100, "only {} queries", asked.len());
    let mut market = Market::open();
    let targets = [target(&market.observer, "lab", "n1")];
    let prometheus = Prometheus::start(&market.lab, &targets, &rules()).unwrap();
    let any = |result: &[Sample]| !result.is_empty();
    prometheus.query_when(PATIENCE, "headless_connections_opened_total > 10", any).unwrap();
    market.grow();
    prometheus.query_when(PATIENCE, "headless_endpoint_first_connection_seconds_count > 0", any).unwrap();
    market.shrink();
    market.confuse();

    let end = Instant::now() + PATIENCE;
    let mut missing: Vec<&Asked> = asked.iter().collect();
    let mut reasons = Vec::new();
    while !missing.is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_secs(1));
        reasons.clear();
        missing.retain(|asked| match asked.wrong(&prometheus) {
            Some(reason) => {
                reasons.push(format!("{}: {reason}\n    {}", asked.place, asked.query));
                true
            }
            None => false,
        });
    }
    assert!(missing.is_empty(), "{} queries:\n{}", missing.len(), reasons.join("\n"));
}

impl Asked {
    fn wrong(&self, prometheus: &Prometheus) -> Option<String> {
        let result = match self.now {
            true => prometheus.query(&self.query),
            false => prometheus.query_range(&self.query, SHOWN),
        };
        let series = match result {
            Ok(series) => series,
            Err(error) => return Some(format!("{error:#}")),
        };
        if series.iter().all(|series| series.value.is_nan()) {
            return Some(format!("no data in {} series", series.len()));
        }
        let has = |label: &str| series.iter().any(|series| !series.label(label).is_empty());
        let unknown: Vec<&String> = self.labels.iter().filter(|label| !has(label)).collect();
        (!unknown.is_empty()).then(|| format!("no series has {unknown:?}"))
    }
}

/// The shipped dashboards.
fn files() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/dashboards");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    files
}

/// All queries of the dashboards.
fn asked() -> Vec<Asked> {
    let mut all = Vec::new();
    for path in files() {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let dashboard: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let (selector, label) = query
                .strip_prefix("label_values(")
                .unwrap()
                .strip_suffix(')')
                .unwrap()
                .rsplit_once(", ")
                .unwrap();
            all.push(Asked {
                place: format!("{file}, variable {}", variable["name"]),
                query: chosen(&format!("group by ({label}) ({selector})")),
                now: false,
                labels: [label.to_owned()].into(),
            });
        }
        for panel in dashboard["panels"].as_array().unwrap() {
            let columns = columns(panel);
            for target in panel["targets"].as_array().into_iter().flatten() {
                let legend = target["legendFormat"].as_str().unwrap();
                let parts =
                    legend.split("{{").skip(1).map(|part| part.split("}}").next().unwrap().to_owned());
                all.push(Asked {
                    place: format!("{file}, {}, {}", panel["title"], target["refId"]),
                    query: chosen(target["expr"].as_str().unwrap()),
                    now: target["instant"] == true,
                    labels: columns.iter().cloned().chain(parts).collect(),
                });
            }
        }
    }
    all
}

/// The labels that a table or a bar chart shows.
fn columns(panel: &Value) -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    for transformation in panel["transformations"].as_array().into_iter().flatten() {
        let options = &transformation["options"];
        let renamed =
            options["renameByName"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let crossed = ["rowField", "columnField"].iter().filter_map(|field| options[field].as_str());
        columns.extend(renamed.chain(crossed).filter(|name| !name.starts_with("Value")).map(str::to_owned));
    }
    columns.extend(panel["options"]["xField"].as_str().map(str::to_owned));
    columns
}

/// The query with the variables filled in.
fn chosen(query: &str) -> String {
    // A longer name comes before one that is its prefix.
    let mut variables = VARIABLES;
    variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let query = variables.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    assert!(!query.contains('$'), "a variable is not known: {query}");
    query
}
