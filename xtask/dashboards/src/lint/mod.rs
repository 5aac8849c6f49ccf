//! Checks of every dashboard, on the JSON that Grafana reads and not on the pages.
//!
//! In: file names and JSON, the metrics that exist, the document. Out: one line for each error, with file and panel.
//! Pure, apart from [`Known::read`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

mod document;
mod known;
mod panel;
mod queries;
mod query;
#[cfg(test)]
mod tests;
mod variables;

pub(super) use document::document;
pub(super) use known::Known;
pub(super) use queries::documents;

/// The oldest schema version that is allowed: that of Grafana 10.3.
const SCHEMA: u64 = 39;

/// All errors in these dashboards.
pub(super) fn all(dashboards: &[(String, Value)], known: &Known) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut uids = BTreeMap::new();
    for (file, dashboard) in dashboards {
        if let Some(other) = uids.insert(text(dashboard, "uid"), file) {
            wrong.push(format!("{file}: has the uid of {other}"));
        }
    }
    let uids: BTreeSet<&str> = uids.into_keys().collect();
    for (file, dashboard) in dashboards {
        let mut found = Vec::new();
        model(dashboard, &mut found);
        panel::all(dashboard, &mut found);
        query::all(dashboard, known, &mut found);
        variables::all(dashboard, known, &uids, &mut found);
        wrong.extend(found.into_iter().map(|what| format!("{file}: {what}")));
    }
    wrong
}

/// Properties that Grafana needs to load the file, and users to keep their links.
fn model(dashboard: &Value, wrong: &mut Vec<String>) {
    if dashboard["schemaVersion"].as_u64().is_none_or(|version| version < SCHEMA) {
        wrong.push(format!("schemaVersion is below {SCHEMA}"));
    }
    if !dashboard["id"].is_null() {
        wrong.push("id is set, but an id is valid in one Grafana only".to_owned());
    }
    for field in ["uid", "title", "description"] {
        if text(dashboard, field).is_empty() {
            wrong.push(format!("no {field}"));
        }
    }
    let uid = text(dashboard, "uid");
    if uid.len() > 40 || !uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        wrong.push(format!("uid {uid:?} is not short and plain"));
    }
    if list(&dashboard["tags"]).is_empty() {
        wrong.push("no tags".to_owned());
    }
    if list(&dashboard["links"]).is_empty() {
        wrong.push("no links to the other dashboards".to_owned());
    }
}

/// All panels apart from headings.
pub(super) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}
