//! Dashboards in Grafana's model, and the position of each panel on the page.
//!
//! In: a [`Dashboard`]. Out: its JSON. Panels go from left to right in their order, and continue on the next line if
//! there is no room; ids count from 1 in the same order.

use serde_json::{Value, json};

use super::model::{Dashboard, Format, Panel, Query};
use super::variables;

/// The schema version of Grafana 11; newer ones migrate it.
const SCHEMA: u64 = 39;
/// Columns of a page.
pub(super) const COLUMNS: u64 = 24;
/// A tag that all dashboards share and link to each other by.
pub(super) const TAG: &str = "headless-obs";

/// The dashboard as a file for provisioning or import.
pub(super) fn json(dashboard: &Dashboard) -> Value {
    let chosen = dashboard.variables.iter().map(|variable| variable.json());
    let variables: Vec<Value> = std::iter::once(variables::datasource()).chain(chosen).collect();
    let link = json!({
        "type": "dashboards", "tags": [TAG], "title": "headless-obs", "asDropdown": false, "icon": "external link",
        "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "", "url": "",
    });
    json!({
        "id": null,
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": true,
        // All panels show the crosshair of the pointer.
        "graphTooltip": 1,
        "timezone": "",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "links": [link],
        "annotations": {"list": []},
        "templating": {"list": variables},
        "panels": panels(dashboard),
    })
}

fn panels(dashboard: &Dashboard) -> Vec<Value> {
    let mut all = Vec::new();
    let mut top = 0;
    for row in &dashboard.rows {
        let place = json!({"x": 0, "y": top, "w": COLUMNS, "h": 1});
        all.push(json!({
            "id": all.len() + 1, "type": "row", "title": row.title, "collapsed": false, "gridPos": place,
            "panels": [],
        }));
        top += 1;
        let (mut left, mut height) = (0, 0);
        for panel in &row.panels {
            if left + panel.width > COLUMNS {
                top += height;
                (left, height) = (0, 0);
            }
            let place = json!({"x": left, "y": top, "w": panel.width, "h": panel.height});
            all.push(self::panel(panel, all.len() + 1, &place));
            left += panel.width;
            height = height.max(panel.height);
        }
        top += height;
    }
    all
}

fn panel(panel: &Panel, id: usize, place: &Value) -> Value {
    let mut json = json!({
        "id": id, "type": panel.kind, "title": panel.title, "description": panel.description, "gridPos": place,
        "options": panel.options,
    });
    if panel.queries.is_empty() {
        return json;
    }
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let names = ('A'..='Z').map(String::from);
    json["targets"] =
        panel.queries.iter().zip(names).map(|(query, name)| target(query, &name, &source)).collect();
    json["datasource"] = source;
    json["fieldConfig"] = json!({"defaults": panel.defaults, "overrides": panel.overrides});
    json["transformations"] = json!(panel.transformations);
    if let Some(points) = panel.points {
        json["maxDataPoints"] = json!(points);
    }
    json
}

fn target(query: &Query, name: &str, source: &Value) -> Value {
    let (format, instant) = match query.format {
        Format::Series => ("time_series", false),
        Format::Table => ("table", true),
        Format::Buckets => ("heatmap", false),
    };
    json!({
        "refId": name, "datasource": source, "editorMode": "code", "expr": query.text,
        "legendFormat": query.legend, "format": format, "instant": instant, "range": !instant,
    })
}
