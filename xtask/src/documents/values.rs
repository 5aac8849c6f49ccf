//! Checks that the chart has the values that the documents name.
//!
//! In: documents and the schema of the values. Out: errors. A span names a value if it is a path of names with dots
//! that begins with an existing value, such as `tracefs.enabled`.

use anyhow::{Context as _, Result};
use docs::Document;
use serde_json::Value;

/// The schema.
pub(super) const SCHEMA: &str = "deploy/chart/values.schema.json";

/// The chart's values.
pub(super) struct Values(Value);

impl Values {
    pub(super) fn parse(schema: &str) -> Result<Self> {
        serde_json::from_str(schema).map(Self).with_context(|| format!("{SCHEMA} is no JSON"))
    }

    /// Whether the chart has this value, a path of names with dots.
    pub(super) fn has(&self, path: &str) -> bool {
        let mut part = &self.0;
        for name in path.split('.') {
            match part["properties"].as_object() {
                Some(named) => match named.get(name) {
                    Some(inner) => part = inner,
                    None => return false,
                },
                // Here any name is valid.
                None => return part["type"] == "object",
            }
        }
        true
    }
}

/// Values that the chart does not have.
pub(super) fn wrong(documents: &[Document], values: &Values) -> Vec<String> {
    let spans = documents.iter().flat_map(|document| document.spans.iter().map(move |span| (document, span)));
    spans
        .filter_map(|(document, span)| {
            let set = span.text.strip_prefix("--set ").map(|set| set.split('=').next().unwrap_or_default());
            let path = set.unwrap_or_else(|| span.text.split(": ").next().unwrap_or_default());
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            let (first, _) = path.split_once('.').filter(|_| path.chars().all(is_name))?;
            let is_file = [".yaml", ".json", ".rs"].iter().any(|end| path.ends_with(end));
            let is_wrong = (values.has(first) && !is_file || set.is_some()) && !values.has(path);
            is_wrong.then(|| format!("{}:{}: the chart has no value `{path}`", document.name, span.line))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_the_chart_does_not_have_are_named() {
        let schema = r#"{"properties": {"a": {"properties": {"b-c": {}, "d": {"type": "object"}}}}}"#;
        let values = Values::parse(schema).unwrap();
        for (path, is_there) in [("a", true), ("a.b-c", true), ("a.d.x", true), ("a.b", false), ("b", false)]
        {
            assert_eq!(values.has(path), is_there, "{path}");
        }
        let text = "`a.b-c`, `a.b: true`, `z.b`, `a.yaml`, `--set a.b-c=1`";
        let found = wrong(&[Document::parse("docs/x.md", text)], &values);
        assert_eq!(found, ["docs/x.md:1: the chart has no value `a.b`"]);
    }
}
