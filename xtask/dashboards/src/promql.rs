//! The short forms in the pages' queries, and their expansion.
//!
//! In: PromQL in which `{S}` selects by the dashboard's variables and `by (S)` groups by a Service. Out: plain PromQL
//! on one line. A query without short forms stays unchanged.

/// Braces that select by variables: all Services (N), one (S), a client of it (C), an observer (O).
const SELECTORS: [(&str, &str); 4] = [
    ("{N", r#"{cluster=~"$cluster",namespace=~"$namespace""#),
    ("{S", r#"{cluster=~"$cluster",namespace=~"$namespace",service=~"$service""#),
    (
        "{C",
        r#"{cluster=~"$cluster",namespace=~"$namespace",service=~"$service",client_namespace=~"$client_namespace",client_workload=~"$client""#,
    ),
    ("{O", r#"{cluster=~"$cluster",node=~"$node""#),
];

/// Groups of labels that identify the subject of a value.
const GROUPS: [(&str, &str); 2] = [
    ("(S", "(cluster, namespace, service"),
    ("(C", "(cluster, namespace, service, client_namespace, client_workload"),
];

/// The expanded query.
pub(super) fn expand(query: &str) -> String {
    let mut query = query.split_whitespace().collect::<Vec<_>>().join(" ");
    for (short, long) in SELECTORS {
        query = replace(&query, short, long, &['}', ',']);
    }
    for (short, long) in GROUPS {
        query = replace(&query, short, long, &[')', ',']);
    }
    query
}

/// Replaces the short form if one of `ends` follows it; otherwise it is the beginning of something else.
fn replace(query: &str, short: &str, long: &str, ends: &[char]) -> String {
    ends.iter()
        .fold(query.to_owned(), |query, end| query.replace(&format!("{short}{end}"), &format!("{long}{end}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_written_out() {
        assert_eq!(
            expand("sum by (S, pod)\n  (rate(a_total{N,kind!=\"grace\"}[5m]))"),
            "sum by (cluster, namespace, service, pod) \
             (rate(a_total{cluster=~\"$cluster\",namespace=~\"$namespace\",kind!=\"grace\"}[5m]))"
        );
        assert_eq!(expand("up{O}"), r#"up{cluster=~"$cluster",node=~"$node"}"#);
        assert!(expand("a{C}").ends_with(r#"client_workload=~"$client"}"#));
    }

    #[test]
    fn what_only_begins_alike_stays() {
        for query in ["sum by (Status) (a)", "a{Some=\"x\"}", "(Some)"] {
            assert_eq!(expand(query), query);
        }
    }
}
