//! The kinds of panels that the pages use, each with the defaults that suit it.

use serde_json::{Value, json};

use super::model::{Format, Panel};

fn legend(calculations: &[&str]) -> Value {
    json!({"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": calculations})
}

/// A number, with its recent history behind it.
pub(super) fn stat(title: &'static str, description: &'static str) -> Panel {
    let reduce = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
    Panel::new("stat", title, description, Format::Series)
        .size(4, 4)
        .option("reduceOptions", reduce)
        .option("colorMode", json!("value"))
        .option("graphMode", json!("area"))
        .option("textMode", json!("auto"))
        .option("justifyMode", json!("auto"))
        .option("orientation", json!("auto"))
        .colours("text", &[])
}

/// Lines over time.
pub(super) fn lines(title: &'static str, description: &'static str) -> Panel {
    Panel::new("timeseries", title, description, Format::Series)
        .option("legend", legend(&["lastNotNull"]))
        .option("tooltip", json!({"mode": "multi", "sort": "desc"}))
        .default("min", json!(0))
        .default("color", json!({"mode": "palette-classic"}))
        .custom("drawStyle", json!("line"))
        .custom("lineWidth", json!(1))
        .custom("fillOpacity", json!(0))
        .custom("showPoints", json!("never"))
        .custom("spanNulls", json!(false))
        .custom("stacking", json!({"mode": "none", "group": "A"}))
}

/// Areas over time, one on top of the other.
pub(super) fn stacked(title: &'static str, description: &'static str) -> Panel {
    lines(title, description)
        .custom("fillOpacity", json!(40))
        .custom("stacking", json!({"mode": "normal", "group": "A"}))
}

/// Shares of the whole over time.
pub(super) fn shares(title: &'static str, description: &'static str) -> Panel {
    lines(title, description)
        .custom("fillOpacity", json!(60))
        .custom("stacking", json!({"mode": "percent", "group": "A"}))
}

/// A table of the present values.
pub(super) fn table(title: &'static str, description: &'static str) -> Panel {
    Panel::new("table", title, description, Format::Table)
        .size(24, 9)
        .option("showHeader", json!(true))
        .option("cellHeight", json!("sm"))
        .option("footer", json!({"show": false, "reducer": ["sum"], "countRows": false, "fields": ""}))
        .custom("align", json!("auto"))
        .custom("filterable", json!(true))
        .custom("cellOptions", json!({"type": "auto"}))
        .colours("text", &[])
}

/// Cells over time, one row for each series.
pub(super) fn history(title: &'static str, description: &'static str) -> Panel {
    let mut panel = Panel::new("status-history", title, description, Format::Series)
        .size(24, 10)
        .option("showValue", json!("never"))
        .option("rowHeight", json!(0.9))
        .option("legend", legend(&[]))
        .option("tooltip", json!({"mode": "single", "sort": "none"}))
        .custom("fillOpacity", json!(90))
        .custom("lineWidth", json!(0));
    // Grafana draws no more cells than this.
    panel.points = Some(100);
    panel
}

/// States over time, one row for each series; `states` are value, text and colour.
pub(super) fn timeline(
    title: &'static str,
    description: &'static str,
    states: &[(i64, &str, &str)],
) -> Panel {
    let states: serde_json::Map<String, Value> = states
        .iter()
        .enumerate()
        .map(|(index, (value, text, colour))| {
            (value.to_string(), json!({"index": index, "text": text, "color": colour}))
        })
        .collect();
    Panel::new("state-timeline", title, description, Format::Series)
        .size(24, 9)
        .option("mergeValues", json!(true))
        .option("showValue", json!("never"))
        .option("alignValue", json!("left"))
        .option("rowHeight", json!(0.8))
        .option("legend", legend(&[]))
        .option("tooltip", json!({"mode": "single", "sort": "none"}))
        .default("mappings", json!([{"type": "value", "options": states}]))
        .custom("fillOpacity", json!(80))
        .custom("lineWidth", json!(0))
        .colours("text", &[])
}

/// One bar for each value of a label.
pub(super) fn bars(title: &'static str, description: &'static str, label: &str) -> Panel {
    Panel::new("barchart", title, description, Format::Table)
        .option("xField", json!(label))
        .option("orientation", json!("horizontal"))
        .option("stacking", json!("none"))
        .option("showValue", json!("auto"))
        .option("barWidth", json!(0.8))
        .option(
            "legend",
            json!({"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []}),
        )
        .option("tooltip", json!({"mode": "single", "sort": "none"}))
        .custom("fillOpacity", json!(70))
        .default("min", json!(0))
        .default("color", json!({"mode": "palette-classic"}))
        .transform("organize", json!({"excludeByName": {"Time": true}}))
}

/// The buckets of a histogram over time; `unit` is that of the measured values.
pub(super) fn heatmap(title: &'static str, description: &'static str, unit: &str) -> Panel {
    let colour =
        json!({"mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "steps": 64, "reverse": false});
    Panel::new("heatmap", title, description, Format::Buckets)
        .option("calculate", json!(false))
        .option("color", colour)
        .option("cellGap", json!(1))
        .option("filterValues", json!({"le": 1e-9}))
        .option("rowsFrame", json!({"layout": "auto"}))
        .option("showValue", json!("never"))
        .option("legend", json!({"show": true}))
        .option("tooltip", json!({"mode": "single", "yHistogram": true, "showColorScale": true}))
        .option("yAxis", json!({"axisPlacement": "left", "unit": unit, "reverse": false}))
}

/// Text in Markdown.
pub(super) fn text(title: &'static str, words: &'static str) -> Panel {
    Panel::new("text", title, words, Format::Series)
        .size(24, 4)
        .option("mode", json!("markdown"))
        .option("content", json!(words))
}
