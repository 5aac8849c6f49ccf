//! Each check finds its error: tests use the real dashboards with one mistake.

use serde_json::{Value, json};

use super::*;
use crate::made;

const METRICS: &str = "\
| Metric | Type | Labels | Meaning |
|---|---|---|---|
| `headless_a_total` | counter | | |
| `headless_b` | gauge | | |
| `headless_c_seconds` | histogram | | |
";
const RULES: &str = "groups:\n- name: x\n  rules:\n  - record: \"a:b:c\"\n    expr: 1\n";

fn known() -> Known {
    Known::of(METRICS, RULES)
}

/// A dashboard without errors.
fn good() -> Value {
    let source = json!({"type": "prometheus", "uid": "${datasource}"});
    let target = |name: &str, query: &str| json!({"refId": name, "datasource": source, "expr": query, "legendFormat": "{{pod}}", "format": "time_series"});
    json!({
        "id": null, "uid": "x", "title": "X", "description": "What it is.", "schemaVersion": 39, "tags": ["t"],
        "links": [{}],
        "templating": {"list": [
            {"name": "datasource", "label": "S", "type": "datasource", "query": "prometheus"},
            {"name": "cluster", "label": "C", "type": "query", "datasource": source, "allValue": ".*",
             "includeAll": true, "query": {"query": "label_values(headless_b, cluster)"}},
        ]},
        "panels": [
            {"id": 1, "type": "row", "title": "Row", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 1}},
            {"id": 2, "type": "timeseries", "title": "Lines", "datasource": source,
             "description": "Each line is a pod; a high one is busy, a low one is not.",
             "gridPos": {"x": 0, "y": 1, "w": 12, "h": 8},
             "fieldConfig": {"defaults": {"unit": "cps"}, "overrides": []}, "transformations": [],
             "targets": [target("A", "sum by (pod) (rate(headless_a_total{cluster=~\"$cluster\"}[$__rate_interval]))")]},
            {"id": 3, "type": "timeseries", "title": "More", "datasource": source,
             "description": "Each line is a pod; a high one is busy, a low one is not.",
             "gridPos": {"x": 12, "y": 1, "w": 12, "h": 8},
             "fieldConfig": {"defaults": {"unit": "s"}, "overrides": []}, "transformations": [],
             "targets": [target("A", "a:b:c{cluster=~\"$cluster\"}")]},
        ],
    })
}

/// The errors after a change.
fn found(change: impl Fn(&mut Value)) -> Vec<String> {
    let mut dashboard = good();
    change(&mut dashboard);
    all(&[("x.json".to_owned(), dashboard)], &known())
}

fn finds(at: &str, value: Value, expected: &str) {
    let wrong = found(|dashboard| *dashboard.pointer_mut(at).unwrap() = value.clone());
    assert!(wrong.iter().any(|line| line.contains(expected)), "{at} = {value}: {wrong:?}");
}

fn query(text: &str, expected: &str) {
    finds("/panels/1/targets/0/expr", json!(text), expected);
}

#[test]
fn a_good_dashboard_is_left_alone() {
    assert_eq!(found(|_| ()), Vec::<String>::new());
}

#[test]
fn the_model_is_checked() {
    finds("/schemaVersion", json!(38), "schemaVersion");
    finds("/id", json!(7), "id is set");
    finds("/uid", json!("a b"), "uid");
    finds("/title", json!(""), "no title");
    finds("/links", json!([]), "no links");
    let twice = [("a.json".to_owned(), good()), ("b.json".to_owned(), good())];
    assert!(all(&twice, &known())[0].contains("uid of a.json"));
}

#[test]
fn panels_are_checked() {
    finds("/panels/1/type", json!("graph"), "no panel of type");
    finds("/panels/1/description", json!("Lines."), "how to read it");
    finds("/panels/1/fieldConfig/defaults/unit", json!(null), "unit");
    finds("/panels/1/fieldConfig/defaults/unit", json!("connections"), "unit");
    finds("/panels/1/datasource/uid", json!("prometheus-1"), "data source");
    finds("/panels/1/targets/0/datasource/uid", json!("abc"), "data source");
    finds("/panels/1/targets/0/legendFormat", json!(""), "no legend");
    finds("/panels/1/targets/0/legendFormat", json!("{{client}}"), "does not group");
    finds("/panels/1/targets/0/format", json!("table"), "cannot show");
    finds("/panels/1/targets", json!([]), "no query");
    finds("/panels/1/transformations", json!([{"id": "magic"}]), "no transformation");
    finds("/panels/1/id", json!(3), "another panel's");
    finds("/panels/1/title", json!("More"), "another panel's");
}

#[test]
fn places_are_checked() {
    finds("/panels/2/gridPos/x", json!(11), "covers \"Lines\"");
    finds("/panels/2/gridPos/y", json!(0), "covers \"Row\"");
    finds("/panels/2/gridPos/w", json!(13), "wider than the page");
    finds("/panels/2/gridPos/h", json!(0), "no position");
}

#[test]
fn queries_are_checked() {
    query("sum by (pod) (rate(headless_a_total{cluster=~\"$cluster\"}[$__rate_interval])", "no PromQL");
    query("", "no PromQL");
    query("sum by (pod) (headless_gone{cluster=~\"$cluster\"})", "no metric or rule is called headless_gone");
    query("headless_a_total / on (pod) x:y:z{cluster=~\"$cluster\"}", "no metric or rule is called x:y:z");
    query("headless_b", "not filtered");
    query("headless_b{cluster=\"$cluster\"}", "must be =~");
    query("rate(headless_a_total{cluster=~\"$cluster\"}[5m])", "use $__rate_interval");
    query("rate(headless_b{cluster=~\"$cluster\"}[$__range])", "no counter");
    query("1 + 1", "no metric");
    query("headless_c_seconds{cluster=~\"$cluster\"}", "no metric or rule is called headless_c_seconds");
    let mut wrong = Vec::new();
    query::one(
        "headless_c_seconds_bucket{cluster=~\"$cluster\"} offset 5m or up{cluster=~\"$cluster\"}",
        &known(),
        &mut wrong,
    );
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn variables_and_links_are_checked() {
    finds("/panels/1/title", json!("Lines of $service"), "$service is used and not defined");
    finds("/templating/list/1/name", json!("node"), "$node is defined and not used");
    finds("/templating/list/1/name", json!("datasource"), "two variables");
    finds("/templating/list/0/query", json!("loki"), "no valid type");
    finds(
        "/templating/list/1/query/query",
        json!("label_values(gone, cluster)"),
        "no metric or rule is called gone",
    );
    finds("/templating/list/1/query/query", json!("headless_b"), "label_values");
    finds("/templating/list/1/allValue", json!(null), "no such label");
    finds("/templating/list/1/datasource/uid", json!("abc"), "data source");
    finds(
        "/panels/1/fieldConfig/overrides",
        json!([{"properties": [{"id": "links", "value": "/d/gone?a"}]}]),
        "leads to gone",
    );
    assert_eq!(variables::names("a$b ${c:regex}${__d.e} $"), ["b", "c", "__d"]);
}

#[test]
fn the_document_names_panels_that_exist() {
    let dashboards = [("x.json".to_owned(), good())];
    assert_eq!(
        document(&dashboards, "`x.json` uid x\n| Why? | X | **Lines**, **More** |\n"),
        Vec::<String>::new()
    );
    assert_eq!(document(&dashboards, "uid x\n| Why? | X | **Gone** |\n").len(), 2);
}

#[test]
fn the_pages_are_whole() {
    // Another check compares metrics; here all are known.
    let wrong = all(&made(), &known());
    let wrong: Vec<&String> =
        wrong.iter().filter(|line| !line.contains("no metric or rule is called")).collect();
    assert_eq!(wrong, Vec::<&String>::new());
}
