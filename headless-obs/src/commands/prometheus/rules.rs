//! Compares the queries with the recording rules: both must compute the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::build::COUNTED;
use super::queries::{Query, Scope};
use crate::cli::LOOK_BACK;

const RULES: &str = include_str!("../../../../deploy/rules/headless-obs.yaml");
const RESOLUTION: &str = r#"resolution=~"service|srv""#;

/// A query, its rule, labels that only the query groups by, and matchers that only the rule has, because the report
/// applies them later.
const ALIKE: [(Query, &str, &str, &str); 11] = [
    (
        Query::Opened,
        "namespace_service_pod_client:headless_connections_opened:increase10m",
        ", resolution",
        RESOLUTION,
    ),
    (Query::Selections, "namespace_service_pod_client:headless_selections:increase10m", "", ""),
    (Query::Failures, "namespace_service_pod_client:headless_connect_failures:increase10m", "", ""),
    (
        Query::Active,
        "namespace_service_pod:headless_connections_active:sum",
        ", client_namespace, client_workload",
        "",
    ),
    (Query::ReadySince, "namespace_service_pod:headless_endpoint_mature:bool", ", zone", ""),
    (Query::Stale, "namespace_service_client:headless_stale_connections:increase10m", "", r#"kind!="grace""#),
    (
        Query::TruncatedUsed,
        "namespace_service:headless_dns_truncated_used:ratio10m",
        ", client_namespace, client_workload",
        "",
    ),
    (Query::Incomplete, "namespace_service:headless_dns_incomplete_responses:ratio10m", "", ""),
    (Query::RatioCount, "namespace_service:headless_dns_incomplete_responses:ratio10m", "", ""),
    (Query::RatioCount, "namespace_service:headless_dns_answer_endpoints_ratio:mean10m", "", ""),
    (Query::RatioSum, "namespace_service:headless_dns_answer_endpoints_ratio:mean10m", "", ""),
];

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    record: String,
    expr: String,
}

fn rules() -> BTreeMap<String, String> {
    let file: File = serde_saphyr::from_str(RULES).unwrap();
    file.groups.into_iter().flat_map(|group| group.rules).map(|rule| (rule.record, rule.expr)).collect()
}

/// Removes differences of form; a report is of one cluster.
fn plain(expression: &str) -> String {
    expression.replace("by (cluster, ", "by (").replace("[10m]", "[600s]").split_whitespace().collect()
}

#[test]
fn what_the_rules_record_is_asked_alike() {
    let rules = rules();
    let scope = Scope { selector: r#"job="headless-obs""#.to_owned(), window: LOOK_BACK };
    for (query, record, finer, matcher) in ALIKE {
        let mut text = query.text(&scope);
        if !finer.is_empty() {
            assert!(text.contains(&format!("{finer}) (")), "{text}");
            text = text.replace(&format!("{finer}) ("), ") (");
        }
        if !matcher.is_empty() {
            text = text.replacen(&scope.selector, &format!("{}, {matcher}", scope.selector), 1);
        }
        let rule = plain(rules.get(record).unwrap_or_else(|| panic!("there is no {record}")));
        let text = plain(&text);
        assert!(rule.contains(&text), "{query:?} is not as in {record}:\n{text}\n{rule}");
    }
}

#[test]
fn what_the_rules_leave_out_and_how_long_they_wait_is_the_same() {
    let rules = rules();
    let counted = RESOLUTION.trim_start_matches(r#"resolution=~""#).trim_end_matches('"');
    assert_eq!(counted.split('|').collect::<Vec<_>>(), COUNTED);
    // An endpoint counts when it has been ready for longer than a window, and the window is that of a report.
    let mature = plain(&rules["namespace_service_pod:headless_endpoint_mature:bool"]);
    let after = crate::engine::Config::default().mature_after;
    assert!(mature.starts_with("time()-min"), "{mature}");
    assert!(mature.ends_with(&format!(">bool{}", after.as_secs())), "{mature}");
    assert_eq!((after, LOOK_BACK), (Duration::from_secs(600), Duration::from_secs(600)));
}
