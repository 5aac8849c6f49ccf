//! The chart renders rules and dashboards exactly as in `deploy/rules` and `deploy/dashboards`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Shared;
use crate::render::{chart, only, rendered};

/// The files of a folder of `deploy/` with an extension: name → text.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(chart().join("..").join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let chosen = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let files: BTreeMap<_, _> =
        chosen.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect();
    assert!(!files.is_empty(), "nothing in deploy/{folder}");
    files
}

/// The groups of the rendered PrometheusRule.
fn groups(shared: &Shared, without: &[&str]) -> Vec<Value> {
    let values = json!({"prometheusRule": {"enabled": true, "without": without}});
    let objects = rendered(shared, &[&values.to_string()]).unwrap();
    only(&objects, "PrometheusRule").unwrap()["spec"]["groups"].as_array().unwrap().clone()
}

pub(crate) fn rules_are_those_of_the_file(shared: &Shared) {
    let mut wanted = Vec::new();
    for text in files("rules", "yaml").values() {
        let file: Value = serde_saphyr::from_str(text).unwrap();
        wanted.extend(file["groups"].as_array().unwrap().clone());
    }
    assert_eq!(groups(shared, &[]), wanted);
}

pub(crate) fn an_alert_may_be_left_out(shared: &Shared) {
    let alerts = |groups: &[Value]| -> Vec<String> {
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        rules.filter_map(|rule| rule["alert"].as_str().map(str::to_owned)).collect()
    };
    let all = alerts(&groups(shared, &[]));
    let left_out = "HeadlessClientPinned";
    let wanted: Vec<_> = all.iter().filter(|alert| *alert != left_out).cloned().collect();
    assert_eq!(wanted.len() + 1, all.len(), "{all:?}");
    assert_eq!(alerts(&groups(shared, &[left_out])), wanted);
    // A group without rules must not be rendered.
    let every: Vec<&str> = all.iter().map(String::as_str).collect();
    let rest = groups(shared, &every);
    assert!(
        !rest.is_empty() && rest.iter().all(|group| group["rules"][0]["record"].is_string()),
        "{rest:#?}"
    );
}

pub(crate) fn dashboards_are_whole(shared: &Shared) {
    let objects = rendered(shared, &[r#"{"dashboards": {"enabled": true}}"#]).unwrap();
    let mut found = BTreeMap::new();
    for object in objects.iter().filter(|object| object["kind"] == "ConfigMap") {
        assert_eq!(object["metadata"]["labels"]["grafana_dashboard"], "1");
        let data: BTreeMap<String, String> = serde_json::from_value(object["data"].clone()).unwrap();
        found.extend(data);
    }
    assert_eq!(found, files("dashboards", "json"));
}
