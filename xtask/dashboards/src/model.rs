//! The model of a page: a dashboard of rows of panels, each panel with its queries.
//!
//! In: titles, descriptions, queries, units. Out: values that `grafana` converts to Grafana's own model. The defaults
//! suit most panels, so that a page sets only what is special.

use serde_json::{Value, json};

use super::promql;
use super::variables::Variable;

/// A page.
pub(super) struct Dashboard {
    /// Stable id for links from other pages.
    pub(super) uid: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) variables: &'static [Variable],
    pub(super) rows: Vec<Row>,
}

/// Panels below a heading.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: Vec<Panel>,
}

/// A row.
pub(super) fn row(title: &'static str, panels: impl IntoIterator<Item = Panel>) -> Row {
    Row { title, panels: panels.into_iter().collect() }
}

/// Form of a query's result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    /// A time series, one line for each series.
    Series,
    /// The present values, one row for each series.
    Table,
    /// A histogram's buckets over time.
    Buckets,
}

/// A query.
pub(super) struct Query {
    pub(super) text: String,
    /// The name of a series, with `{{label}}`.
    pub(super) legend: String,
    pub(super) format: Format,
}

/// A panel.
pub(super) struct Panel {
    /// Grafana's name of its type.
    pub(super) kind: &'static str,
    pub(super) title: &'static str,
    /// A description: how to read it.
    pub(super) description: &'static str,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) queries: Vec<Query>,
    pub(super) options: Value,
    /// Settings of every field.
    pub(super) defaults: Value,
    pub(super) overrides: Vec<Value>,
    pub(super) transformations: Vec<Value>,
    /// Maximum number of points, for panels that draw each as a cell.
    pub(super) points: Option<u64>,
    format: Format,
}

impl Panel {
    pub(super) fn new(
        kind: &'static str,
        title: &'static str,
        description: &'static str,
        format: Format,
    ) -> Self {
        Self {
            kind,
            title,
            description,
            width: 12,
            height: 8,
            queries: Vec::new(),
            options: json!({}),
            defaults: json!({}),
            overrides: Vec::new(),
            transformations: Vec::new(),
            points: None,
            format,
        }
    }

    /// Adds a query, in the form that suits the panel.
    pub(super) fn query(mut self, text: &str, legend: &str) -> Self {
        let query = Query { text: promql::expand(text), legend: legend.to_owned(), format: self.format };
        self.queries.push(query);
        self
    }

    /// Width of 24 columns, height in rows of 30 pixels.
    pub(super) fn size(mut self, width: u64, height: u64) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// The unit of its numbers, by Grafana's name.
    pub(super) fn unit(self, unit: &str) -> Self {
        self.default("unit", json!(unit))
    }

    /// A setting of every field.
    pub(super) fn default(mut self, name: &str, value: Value) -> Self {
        self.defaults[name] = value;
        self
    }

    /// A drawing setting of every field.
    pub(super) fn custom(mut self, name: &str, value: Value) -> Self {
        self.defaults["custom"][name] = value;
        self
    }

    /// An option of the panel's type.
    pub(super) fn option(mut self, name: &str, value: Value) -> Self {
        self.options[name] = value;
        self
    }

    /// Colours from these values on; the first one has no lower limit.
    pub(super) fn colours(self, lowest: &str, steps: &[(f64, &str)]) -> Self {
        let first = std::iter::once(json!({"color": lowest, "value": null}));
        let steps: Vec<Value> =
            first.chain(steps.iter().map(|(from, colour)| json!({"color": colour, "value": from}))).collect();
        self.default("thresholds", json!({"mode": "absolute", "steps": steps}))
            .default("color", json!({"mode": "thresholds"}))
    }

    /// Settings of the fields with this name.
    pub(super) fn named(mut self, name: &str, settings: &[(&str, Value)]) -> Self {
        let properties: Vec<Value> =
            settings.iter().map(|(id, value)| json!({"id": id, "value": value})).collect();
        self.overrides.push(json!({"matcher": {"id": "byName", "options": name}, "properties": properties}));
        self
    }

    /// Adds a transformation of the result.
    pub(super) fn transform(mut self, id: &str, options: Value) -> Self {
        self.transformations.push(json!({"id": id, "options": options}));
        self
    }
}

/// Colour steps for a field of a table.
pub(super) fn coloured(lowest: &str, steps: &[(f64, &str)]) -> [(&'static str, Value); 2] {
    let first = std::iter::once(json!({"color": lowest, "value": null}));
    let steps: Vec<Value> =
        first.chain(steps.iter().map(|(from, colour)| json!({"color": colour, "value": from}))).collect();
    [
        ("thresholds", json!({"mode": "absolute", "steps": steps})),
        ("custom.cellOptions", json!({"type": "color-text"})),
    ]
}
