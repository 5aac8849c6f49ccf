//! Queries and metric names in the documents: each query is PromQL, and its metrics exist.
//!
//! In: the documents, the metrics that exist. Out: errors, each with `file:line`. Queries are the lines of blocks of
//! the language `promql`; names are code spans such as `headless_…` and `…:headless_…:…`.

use std::convert::Infallible;

use docs::{Check, Document};
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::Known;

/// Errors in the documents.
pub(crate) fn documents(documents: &[Document], known: &Known) -> Vec<String> {
    let mut wrong = Vec::new();
    // The changelog also has former names.
    for document in documents.iter().filter(|document| document.name != "CHANGELOG.md") {
        for block in document.blocks.iter().filter(|block| block.check() == Ok(Check::Queries)) {
            let place = |at: usize| format!("{}:{}", block.file, block.line + 1 + at);
            for (at, query) in block.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                wrong.extend(
                    query_faults(query, known).into_iter().map(|what| format!("{}: {what}", place(at))),
                );
            }
        }
        for span in &document.spans {
            let name = span.text.split(['{', '[']).next().unwrap_or_default();
            if is_metric(name) && !known.has(name) {
                wrong.push(format!("{}:{}: nothing makes the metric `{name}`", document.name, span.line));
            }
        }
    }
    wrong
}

/// Whether a text is the whole name of one of our metrics, not a pattern of several.
fn is_metric(text: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let begins = text.starts_with("headless_") || text.contains(":headless_");
    begins && text.chars().all(is_name) && !text.ends_with('_') && !NOT_METRICS.contains(&text)
}

/// Names that look like metrics: crates, and their build directories.
const NOT_METRICS: [&str; 2] = ["headless_obs", "headless_obs_ebpf"];

fn query_faults(query: &str, known: &Known) -> Vec<String> {
    match parser::parse(query) {
        Err(error) => vec![format!("it is no PromQL: {error}")],
        Ok(expression) => {
            let mut reader = Reader { known, wrong: Vec::new() };
            let Ok(_whole) = walk_expr(&mut reader, &expression);
            reader.wrong
        }
    }
}

struct Reader<'a> {
    known: &'a Known,
    wrong: Vec<String>,
}

impl Reader<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        let name = selector.name.as_deref().unwrap_or_default();
        if self.known.is_counter(name).is_none() {
            self.wrong.push(format!(
                "nothing makes the series `{name}`; those of a histogram end in _bucket, _sum, _count"
            ));
        }
    }
}

impl ExprVisitor for Reader<'_> {
    type Error = Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
        match expression {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            _ => {}
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_names_that_nothing_makes_are_found() {
        let known = Known::of(
            "| `headless_a_total` | counter |\n| `headless_h` | histogram |\n",
            "- record: x:headless_b:sum\n",
        );
        let right = "`headless_a_total`, `headless_h`, `headless_h_bucket`, `x:headless_b:sum{a=\"…\"}`, `headless_*`\n\n\
                     ```promql\nrate(headless_a_total{a=\"…\"}[1m])\nx:headless_b:sum > up\n```\n";
        assert_eq!(documents(&[Document::parse("docs/a.md", right)], &known), [""; 0]);
        let text = "`headless_c`\n\n```promql\nheadless_a_total\nsum(headless_h)\nsum(\n```\n";
        let found = documents(&[Document::parse("docs/a.md", text)], &known);
        let parts = [
            "docs/a.md:5: nothing makes the series",
            "docs/a.md:6: it is no",
            "docs/a.md:1: nothing makes the metric",
        ];
        assert_eq!(found.len(), parts.len(), "{found:?}");
        assert!(found.iter().zip(parts).all(|(line, part)| line.starts_with(part)), "{found:?}");
    }
}
