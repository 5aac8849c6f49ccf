//! The part of docs/metrics.md that is made of the table.

use crate::expose::metrics::table::{Kind, METRICS, Metric, SUBJECTS};

const BEGIN: &str =
    "<!-- generated from the table of metrics: UPDATE_GOLDEN=1 cargo test -p headless-obs document -->\n";
const END: &str = "<!-- end of the generated tables -->\n";

/// The tables, one under each heading.
fn tables() -> String {
    let mut text = String::new();
    for metric in METRICS {
        if let Some(subject) = SUBJECTS.iter().find(|subject| subject.first == metric.name) {
            text += &format!(
                "\n### {}\n\n| Metric | Type | Unit | Labels | Series per | Meaning |\n|---|---|---|---|---|---|\n",
                subject.title
            );
        }
        text += &row(metric);
    }
    text + "\n"
}

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let unit = metric.unit.as_ref().map_or("", |unit| unit.as_str());
    let more = if metric.more.is_empty() { String::new() } else { format!(" {}", metric.more) };
    // A pipe would end the cell.
    let example = metric.example.replace('|', "\\|");
    format!(
        "| `{}` | {} | {unit} | {} | {} | {}{more}<br>`{example}` |\n",
        metric.sample(),
        metric.kind.as_str(),
        labels.join(", "),
        metric.per,
        metric.help,
    )
}

#[test]
fn the_documentation_is_up_to_date() {
    crate::testing::golden_part("../docs/metrics.md", (BEGIN, END), &tables());
}

#[test]
fn every_metric_says_what_it_is() {
    let mut subjects = SUBJECTS.iter().map(|subject| subject.first);
    assert!(subjects.all(|first| METRICS.iter().any(|metric| metric.name == first)));
    for metric in METRICS {
        let Metric { name, help, labels, per, example, more, .. } = metric;
        assert!(help.ends_with('.') && !per.is_empty(), "{name}");
        assert!(!help.contains(['\n', '\\', '|']) && !more.contains(['\n', '|']), "{name}");
        assert!(example.contains(&metric.sample()), "{name}: {example}");
        let unique: std::collections::BTreeSet<_> = labels.iter().collect();
        assert_eq!(unique.len(), labels.len(), "{name}");
        let is_histogram = matches!(metric.kind, Kind::Histogram(_));
        assert!(!(is_histogram && labels.contains(&"le")), "{name}");
    }
}
