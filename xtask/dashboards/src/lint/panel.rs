//! Panels: known types, units, legends, useful descriptions, and no overlaps.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{list, panels, text};

/// Grafana's built-in types that the pages use.
const TYPES: [&str; 8] =
    ["barchart", "heatmap", "stat", "state-timeline", "status-history", "table", "text", "timeseries"];

/// Grafana's names of units.
const UNITS: [&str; 11] =
    ["none", "short", "percentunit", "percent", "s", "ms", "cps", "pps", "Bps", "bytes", "dateTimeAsIso"];

/// Grafana's built-in transformations.
const TRANSFORMATIONS: [&str; 4] = ["groupingToMatrix", "joinByField", "merge", "organize"];

/// Columns of a page.
const COLUMNS: u64 = 24;

/// Minimum length of a description; a shorter one adds nothing to the title.
const SHORTEST: usize = 40;

/// Errors in the panels of a dashboard.
pub(super) fn all(dashboard: &Value, wrong: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    let mut titles = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        if !panel["id"].as_u64().is_some_and(|id| id > 0 && ids.insert(id)) {
            wrong.push(format!("{:?}: its id is missing or another panel's", text(panel, "title")));
        }
        if text(panel, "title").is_empty() || !titles.insert((text(panel, "title"), panel["type"] == "row")) {
            wrong.push(format!("{:?}: its title is empty or another panel's", text(panel, "title")));
        }
    }
    places(dashboard, wrong);
    for panel in panels(dashboard) {
        let mut found = Vec::new();
        one(panel, &mut found);
        wrong.extend(found.into_iter().map(|what| format!("{:?}: {what}", text(panel, "title"))));
    }
}

fn one(panel: &Value, wrong: &mut Vec<String>) {
    let kind = text(panel, "type");
    if !TYPES.contains(&kind) {
        wrong.push(format!(
            "no panel of type {kind:?} is known: use a type that comes with Grafana, and add it to the list"
        ));
    }
    if text(panel, "description").len() < SHORTEST {
        wrong.push("its description does not explain how to read it".to_owned());
    }
    if kind == "text" {
        return;
    }
    let defaults = &panel["fieldConfig"]["defaults"];
    let units = panel["fieldConfig"]["overrides"].as_array().into_iter().flatten();
    let units =
        units.flat_map(|field| list(&field["properties"])).filter(|property| property["id"] == "unit");
    for unit in std::iter::once(&defaults["unit"]).chain(units.map(|property| &property["value"])) {
        if !unit.as_str().is_some_and(|unit| UNITS.contains(&unit)) {
            wrong.push(format!("its unit is {unit}"));
        }
    }
    for change in list(&panel["transformations"]) {
        if !TRANSFORMATIONS.contains(&text(change, "id")) {
            wrong.push(format!("there is no transformation {}", change["id"]));
        }
    }
    if list(&panel["targets"]).is_empty() {
        wrong.push("it has no query".to_owned());
    }
    let sources = list(&panel["targets"]).iter().map(|target| &target["datasource"]);
    for source in sources.chain([&panel["datasource"]]) {
        if source["type"] != "prometheus" || source["uid"] != "${datasource}" {
            wrong.push(format!("its data source is {source} instead of the selected one"));
        }
    }
    let mut names = BTreeSet::new();
    for target in list(&panel["targets"]) {
        if text(target, "refId").is_empty() || !names.insert(text(target, "refId")) {
            wrong.push(format!("two queries are called {}", target["refId"]));
        }
        if text(target, "legendFormat").trim().is_empty() {
            wrong.push(format!("query {} has no legend", text(target, "refId")));
        }
        if (text(target, "format") == "table") != ["table", "barchart"].contains(&kind) {
            wrong.push(format!("query {} has a format that the panel cannot show", text(target, "refId")));
        }
    }
}

/// No panel may cover another, nor leave the page.
fn places(dashboard: &Value, wrong: &mut Vec<String>) {
    let mut taken = Vec::new();
    for panel in list(&dashboard["panels"]) {
        let title = text(panel, "title");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| panel["gridPos"][name].as_u64());
        let (Some(x), Some(y), Some(w @ 1..), Some(h @ 1..)) = (x, y, w, h) else {
            wrong.push(format!("{title:?}: it has no position"));
            continue;
        };
        if x + w > COLUMNS {
            wrong.push(format!("{title:?}: it is wider than the page"));
        }
        for (other, (left, top, width, height)) in &taken {
            if x < left + width && *left < x + w && y < top + height && *top < y + h {
                wrong.push(format!("{title:?}: it covers {other:?}"));
            }
        }
        taken.push((title, (x, y, w, h)));
    }
}
