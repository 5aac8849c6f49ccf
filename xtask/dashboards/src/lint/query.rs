//! Queries: valid PromQL with existing metrics, filtered by the dashboard's variables, with ranges that follow the
//! dashboard's time range.

use std::convert::Infallible;

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use super::{Known, list, panels, text};

/// Grafana's own variables for durations, each with a value that the parser accepts.
const TIMES: [(&str, &str); 4] =
    [("$__rate_interval", "61s"), ("$__range", "62s"), ("$__interval", "63s"), ("$before", "64s")];

/// The allowed ranges in a query, in seconds: those of the variables, and the window of the rules.
const RANGES: [u64; 4] = [61, 62, 63, 600];

/// Functions for counters only.
const FOR_COUNTERS: [&str; 3] = ["rate", "increase", "irate"];

/// Errors in the queries of a dashboard.
pub(super) fn all(dashboard: &Value, known: &Known, wrong: &mut Vec<String>) {
    for panel in panels(dashboard) {
        for target in list(&panel["targets"]) {
            let mut found = Vec::new();
            one(text(target, "expr"), known, &mut found);
            legend(target, &mut found);
            wrong.extend(
                found.into_iter().map(|what| {
                    format!("{:?}, query {}: {what}", text(panel, "title"), text(target, "refId"))
                }),
            );
        }
    }
}

/// Errors in one query.
pub(super) fn one(query: &str, known: &Known, wrong: &mut Vec<String>) {
    match parser::parse(&plain(query)) {
        Ok(expression) => {
            let mut reader = Reader { known, wrong, metrics: 0 };
            let Ok(_whole) = walk_expr(&mut reader, &expression);
            if reader.metrics == 0 {
                wrong.push("the query has no metric".to_owned());
            }
        }
        Err(error) => wrong.push(format!("this is no PromQL: {error}")),
    }
}

/// The query with values for the duration variables. Other variables are inside strings, which may contain anything.
pub(super) fn plain(query: &str) -> String {
    TIMES.iter().fold(query.to_owned(), |query, (name, time)| query.replace(name, time))
}

struct Reader<'a> {
    known: &'a Known,
    wrong: &'a mut Vec<String>,
    metrics: usize,
}

impl Reader<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        self.metrics += 1;
        let name = selector.name.as_deref().unwrap_or_default();
        if self.known.is_counter(name).is_none() {
            self.wrong.push(format!("no metric or rule is called {name}"));
        }
        let by_cluster = selector.matchers.matchers.iter().any(|matcher| {
            matcher.name == "cluster" && matches!(matcher.op, MatchOp::Re(_)) && matcher.value == "$cluster"
        });
        if !by_cluster {
            self.wrong.push(format!("{name} is not filtered by $cluster"));
        }
        for matcher in &selector.matchers.matchers {
            // A selection of several values is a pattern, and so is "All".
            if matcher.value.contains('$') && !matches!(matcher.op, MatchOp::Re(_)) {
                self.wrong.push(format!("{name}: the matcher of {} must be =~", matcher.name));
            }
        }
    }
}

impl ExprVisitor for Reader<'_> {
    type Error = Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
        match expression {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => {
                self.selector(&matrix.vs);
                if !RANGES.contains(&matrix.range.as_secs()) {
                    self.wrong.push(
                        "a range does not follow the dashboard's time range: use $__rate_interval".to_owned(),
                    );
                }
            }
            Expr::Call(call) if FOR_COUNTERS.contains(&call.func.name) => {
                for argument in &call.args.args {
                    let Expr::MatrixSelector(matrix) = &**argument else { continue };
                    let name = matrix.vs.name.as_deref().unwrap_or_default();
                    if self.known.is_counter(name) == Some(false) {
                        self.wrong
                            .push(format!("{} needs a counter, but {name} is no counter", call.func.name));
                    }
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

/// A legend may only name labels in the query's result.
fn legend(target: &Value, wrong: &mut Vec<String>) {
    let query = text(target, "expr");
    let Some((_, grouped)) = query.split_once("by (") else { return };
    for label in text(target, "legendFormat").split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
        let named = grouped.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        if !named.into_iter().any(|word| word == label.trim()) {
            wrong.push(format!("its legend has {label}, but the query does not group by that label"));
        }
    }
}
