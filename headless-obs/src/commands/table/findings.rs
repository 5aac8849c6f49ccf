//! The findings, the worst first: Services by waste, and in each the clients by connections.

use super::super::column_layout::{Column, shown};
use super::super::findings::{by_waste, causes, idle_in_words, in_words, verdict_paint, wrong_clients};
use super::super::fit_text::{clean, fit, fit_names, full_name, plural, width};
use super::{Look, Paint, cell, indented, push, sentence, table, widths};
use crate::expose::snapshot::{Service, Snapshot};

/// The most rows; the rest is summed.
const ROWS: usize = 10;
/// The least room for evidence; with less, only `explain` shows it.
const MIN_LINE: usize = 24;

struct FindingLine {
    waste: String,
    service: String,
    client: String,
    verdict: String,
    paint: Paint,
    line: String,
}

pub(super) fn render(text: &mut String, snapshot: &Snapshot, look: Look) {
    let rows: Vec<FindingLine> = by_waste(&snapshot.services).into_iter().flat_map(rows).collect();
    let Some(worst) = rows.first() else { return };
    let shown_rows = &rows[..rows.len().min(ROWS)];

    text.push('\n');
    let title = "What is wrong, by wasted capacity in connections a second:";
    sentence(text, title, Some(Paint::Bold), look);
    if !beside(text, shown_rows, look) {
        below(text, shown_rows, look);
    }
    if let Some(hidden) = rows.len().checked_sub(ROWS).filter(|hidden| *hidden > 0) {
        let hidden = plural(u64::try_from(hidden).unwrap_or(u64::MAX), "more finding");
        text.push_str(&format!("  … and {hidden}\n"));
    }
    let hint = format!("`headless-obs explain {}` shows the evidence and the fix.", worst.service);
    indented(text, &hint, Some(Paint::Dim), look);
}

/// Each client next to its Service, if no name must be cut.
fn beside(text: &mut String, rows: &[FindingLine], look: Look) -> bool {
    let columns = [
        waste(rows),
        Column::name("SERVICE", rows.iter().map(|row| width(&row.service))),
        Column::name("CLIENT", rows.iter().map(|row| width(&row.client))),
        verdicts(rows),
        evidence(rows),
    ];
    let widths = widths(&columns, look);
    let fits =
        |column, name: fn(&FindingLine) -> &str| rows.iter().all(|row| Some(width(name(row))) <= column);
    if !fits(widths[1], |row| &row.service) || !fits(widths[2], |row| &row.client) {
        return false;
    }
    let mut table = table(look, &columns, &widths);
    for (row, is_first) in rows.iter().zip(firsts(rows)) {
        let cells = [
            // It is about the Service, so it appears once.
            cell(if is_first { &row.waste } else { "" }, None),
            cell(&row.service, None),
            cell(&row.client, None),
            cell(&row.verdict, Some(row.paint)),
            cell(fit(&row.line, widths[4].unwrap_or(0)), None),
        ];
        table.add_row(shown(cells, &widths));
    }
    push(text, &table);
    true
}

/// Each Service above its clients.
fn below(text: &mut String, rows: &[FindingLine], look: Look) {
    let names: Vec<_> = rows
        .iter()
        .zip(firsts(rows))
        .flat_map(|(row, is_first)| {
            is_first.then(|| row.service.clone()).into_iter().chain([format!("  {}", row.client)])
        })
        .collect();
    let columns = [
        waste(rows),
        Column::name("SERVICE, CLIENT", names.iter().map(|name| width(name))),
        verdicts(rows),
        evidence(rows),
    ];
    let widths = widths(&columns, look);
    let mut names = fit_names(&names, widths[1].unwrap_or(0)).into_iter();
    let mut table = table(look, &columns, &widths);
    for (row, is_first) in rows.iter().zip(firsts(rows)) {
        if is_first {
            let name = names.next().unwrap_or_default();
            let cells = [cell(&row.waste, None), cell(name, None), cell("", None), cell("", None)];
            table.add_row(shown(cells, &widths));
        }
        let cells = [
            cell("", None),
            cell(names.next().unwrap_or_default(), None),
            cell(&row.verdict, Some(row.paint)),
            cell(fit(&row.line, widths[3].unwrap_or(0)), None),
        ];
        table.add_row(shown(cells, &widths));
    }
    push(text, &table);
}

/// Whether a row is the first of its Service.
fn firsts(rows: &[FindingLine]) -> impl Iterator<Item = bool> {
    let mut above = None;
    rows.iter().map(move |row| above.replace(&row.service) != Some(&row.service))
}

fn waste(rows: &[FindingLine]) -> Column {
    Column::figure("WASTE", rows.iter().map(|row| width(&row.waste))).needed(0)
}

fn verdicts(rows: &[FindingLine]) -> Column {
    Column::word("VERDICT", rows.iter().map(|row| width(&row.verdict))).needed(1)
}

fn evidence(rows: &[FindingLine]) -> Column {
    let widest = rows.iter().map(|row| width(&row.line)).max().unwrap_or(0);
    Column::elastic("", widest.min(MIN_LINE), widest).optional(0)
}

fn rows(service: &Service) -> Vec<FindingLine> {
    let row = |client: String, verdict, paint, line| FindingLine {
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
            row(client, causes(verdict), verdict_paint(verdict.cause, verdict.confidence), line)
        })
        .collect();
    rows.extend(idle_in_words(service).map(|idle| row("-".to_owned(), "idle".to_owned(), Paint::Warn, idle)));
    rows
}
