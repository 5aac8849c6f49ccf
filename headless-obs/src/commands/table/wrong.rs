//! What is wrong, the worst first: Services by wasted capacity, in each the clients by connections.

use comfy_table::CellAlignment::{Left, Right};

use super::super::findings::{by_waste, idle_in_words, in_words, verdict_paint, wrong_clients};
use super::super::text::{clean, fit, fit_middle, full_name, plural, width, wrap};
use super::{Look, Paint, cell, paint, push, table};
use crate::expose::snapshot::{Service, Snapshot};

/// More rows are summed up.
const ROWS: usize = 10;

struct Row {
    waste: String,
    service: String,
    client: String,
    verdict: &'static str,
    paint: Paint,
    line: String,
}

pub(super) fn render(text: &mut String, snapshot: &Snapshot, look: Look) {
    let rows: Vec<Row> = by_waste(&snapshot.services).into_iter().flat_map(rows).collect();
    let Some(worst) = rows.first() else { return };
    let name = |name: &str| fit_middle(name, look.width / 4);
    let shown = &rows[..rows.len().min(ROWS)];
    let widest = |of: fn(&Row) -> &str, head: usize| {
        shown.iter().map(|row| width(&name(of(row)))).chain([head]).max().unwrap_or(0)
    };
    let others = widest(|row| &row.waste, 5)
        + widest(|row| &row.service, 7)
        + widest(|row| &row.client, 6)
        + widest(|row| row.verdict, 7)
        + 10;
    let left = look.width.saturating_sub(others);
    // Where a line has no room it is left to `explain`.
    let has_lines = left >= 24;
    let mut heads = vec![("WASTE", Right), ("SERVICE", Left), ("CLIENT", Left), ("VERDICT", Left)];
    heads.extend(has_lines.then_some(("", Left)));

    text.push('\n');
    text.push_str(&paint("What is wrong, by wasted capacity in connections a second:\n", Paint::Bold, look));
    let mut table = table(look, &heads);
    let mut above = None;
    for row in shown {
        // It is the Service's, so it is said once.
        let waste = if above.replace(&row.service) == Some(&row.service) { "" } else { &row.waste };
        let mut cells = vec![
            cell(waste, None),
            cell(name(&row.service), None),
            cell(name(&row.client), None),
            cell(row.verdict, Some(row.paint)),
        ];
        cells.extend(has_lines.then(|| cell(fit(&row.line, left), None)));
        table.add_row(cells);
    }
    push(text, &table);
    if let Some(hidden) = rows.len().checked_sub(ROWS).filter(|hidden| *hidden > 0) {
        let hidden = plural(u64::try_from(hidden).unwrap_or(u64::MAX), "more finding");
        text.push_str(&format!("  … and {hidden}\n"));
    }
    let hint = format!("`headless-obs explain {}` shows the evidence and the fix.", worst.service);
    for line in wrap(&hint, look.width - 2) {
        text.push_str(&format!("  {}\n", paint(&line, Paint::Dim, look)));
    }
}

fn rows(service: &Service) -> Vec<Row> {
    let row = |client: String, verdict, paint, line| Row {
        waste: format!("{:.1}", service.waste),
        service: full_name(&service.namespace, &service.name),
        client,
        verdict,
        paint,
        line,
    };
    let mut rows: Vec<_> = wrong_clients(service)
        .into_iter()
        .map(|(client, verdict, _)| {
            let line =
                verdict.evidence.first().map_or(in_words(verdict.cause).to_owned(), |line| clean(line));
            let client = full_name(&client.namespace, &client.workload);
            row(client, verdict.cause.as_str(), verdict_paint(verdict.cause, verdict.confidence), line)
        })
        .collect();
    rows.extend(idle_in_words(service).map(|idle| row("-".to_owned(), "idle", Paint::Warn, idle)));
    rows
}
