//! The comparison as text: two lines for each Service and client, before above after. Pure.

use super::super::column_layout::{Column, shown};
use super::super::findings::verdict_paint;
use super::super::fit_text::{
    between, capital, clean, fit_names, full_name, length, percent, plural, thousands, width,
};
use super::super::table::{Look, Paint, cell, push, sentence, table, widths};
use super::compare::{Change, ClientDiff, Diff, Figures, ServiceDiff, Window};
use crate::expose::snapshot::Confidence;

pub(in crate::commands) fn render(diff: &Diff, look: Look) -> String {
    let look = look.clamped();
    let mut text = String::new();
    for (name, window) in [("Before: ", &diff.before), ("After:  ", &diff.after)] {
        sentence(&mut text, &format!("{name}{}", in_words(window)), Some(Paint::Dim), look);
    }
    for note in &diff.notes {
        sentence(&mut text, note, Some(Paint::Warn), look);
    }
    let (both, one): (Vec<_>, Vec<_>) = diff.services.iter().partition(|service| service.change.is_some());
    for service in both {
        text.push('\n');
        compared(&mut text, service, look);
    }
    text.push('\n');
    for (when, is_there) in [
        ("before", (|service| service.before.is_some()) as fn(&ServiceDiff) -> bool),
        ("after", |service| service.after.is_some()),
    ] {
        let names: Vec<_> = one
            .iter()
            .filter(|service| is_there(service))
            .map(|s| full_name(&s.namespace, &s.name))
            .collect();
        if !names.is_empty() {
            sentence(
                &mut text,
                &format!("Services only in the snapshot {when}: {}.", names.join(", ")),
                None,
                look,
            );
        }
    }
    sentence(&mut text, &sum(diff), None, look);
    text
}

fn in_words(window: &Window) -> String {
    let time = length(between(window.from, window.to));
    format!("node {}, {time} until {}", clean(&window.node), window.to.strftime("%F %T UTC"))
}

fn compared(text: &mut String, service: &ServiceDiff, look: Look) {
    let mut rows = Vec::new();
    let name = full_name(&service.namespace, &service.name);
    rows.extend(pair(name, service.before.as_ref(), service.after.as_ref(), service.change));
    for client in &service.clients {
        let ClientDiff { before, after, change, .. } = client;
        let name = format!("  {}", full_name(&client.namespace, &client.workload));
        rows.extend(pair(name, before.as_ref(), after.as_ref(), *change));
    }
    let of = |column: usize| rows.iter().map(move |row| width(&row.cells[column]));
    let outcomes = rows.iter().filter(|row| row.is_outcome).map(|row| width(&row.name)).max().unwrap_or(0);
    let columns = [
        Column::name("", rows.iter().map(|row| width(&row.name))).at_least(outcomes),
        Column::figure("OPENED", of(0)),
        Column::figure("/S", of(1)).optional(0),
        Column::figure("OPEN", of(2)).optional(1),
        Column::figure("COVERAGE", of(3)).optional(5),
        Column::figure("PEAK/MEAN", of(4)).needed(0),
        Column::figure("Z", of(5)).optional(3),
        Column::figure("IDLE", of(6)).optional(2),
        Column::figure("STALE", of(7)).optional(4),
        Column::word("VERDICT", of(8)).needed(1),
    ];
    let widths = widths(&columns, look);
    let names: Vec<_> = rows.iter().map(|row| row.name.clone()).collect();
    let names = fit_names(&names, widths[0].unwrap_or(0));
    let mut table = table(look, &columns, &widths);
    for (row, name) in rows.into_iter().zip(names) {
        let last = row.cells.len() - 1;
        let cells = row.cells.into_iter().enumerate().map(|(column, text)| {
            let paint_as = if column == last { row.verdict_paint } else { row.aside };
            cell(text, paint_as)
        });
        table.add_row(shown([cell(name, row.paint)].into_iter().chain(cells), &widths));
    }
    push(text, &table);
}

struct DiffLine {
    name: String,
    is_outcome: bool,
    paint: Option<Paint>,
    cells: Vec<String>,
    verdict_paint: Option<Paint>,
    aside: Option<Paint>,
}

/// The line for before, and the change.
fn pair(name: String, old: Option<&Figures>, new: Option<&Figures>, change: Option<Change>) -> [DiffLine; 2] {
    let indent = name.len() - name.trim_start().len();
    let (word, paint) = match change {
        Some(Change::TooFew) => ("too few", Paint::Dim),
        Some(change) => word(change),
        None if new.is_none() => ("gone", Paint::Dim),
        None if old.is_none() => ("new", Paint::Dim),
        None => ("not judged", Paint::Dim),
    };
    let becomes = format!("{:indent$}→ {word}", "");
    [row(name, None, old), DiffLine { is_outcome: true, ..row(becomes, Some(paint), new) }]
}

fn row(name: String, paint: Option<Paint>, figures: Option<&Figures>) -> DiffLine {
    let Some(figures) = figures else {
        let mut cells = vec!["-".to_owned(); 8];
        cells.push(String::new());
        return DiffLine {
            name,
            is_outcome: false,
            paint,
            cells,
            verdict_paint: None,
            aside: Some(Paint::Dim),
        };
    };
    let aside = figures.excluded.is_some().then_some(Paint::Dim);
    let (verdict, verdict_paint) = match (&figures.excluded, figures.verdict, &figures.withheld) {
        (Some(reason), _, _) => (format!("excluded: {}", clean(reason)), Some(Paint::Dim)),
        (None, Some(cause), _) => (cause.as_str().to_owned(), Some(verdict_paint(cause, Confidence::Medium))),
        (None, None, Some(reason)) => (format!("({})", clean(reason)), Some(Paint::Dim)),
        (None, None, None) => (String::new(), None),
    };
    let cells = vec![
        thousands(figures.connections),
        rate(figures.per_second),
        thousands(figures.open),
        percent(figures.coverage),
        format!("{:.2}", figures.peak_to_mean),
        figures.z.map_or("-".to_owned(), |z| format!("{z:.1}")),
        figures.idle.map_or(String::new(), thousands),
        percent(figures.stale),
        verdict,
    ];
    DiffLine { name, is_outcome: false, paint, cells, verdict_paint, aside }
}

/// Three digits are enough.
fn rate(per_second: f64) -> String {
    if per_second >= 100.0 { format!("{per_second:.0}") } else { format!("{per_second:.1}") }
}

fn word(change: Change) -> (&'static str, Paint) {
    match change {
        Change::Better => ("better", Paint::Good),
        Change::Worse => ("worse", Paint::Bad),
        Change::Same => ("same", Paint::Bold),
        Change::TooFew => ("too few selections", Paint::Dim),
        Change::Withheld => ("no verdict", Paint::Dim),
    }
}

/// `2 Services better, 1 Service same.`
fn sum(diff: &Diff) -> String {
    let parts =
        [Change::Better, Change::Worse, Change::Same, Change::TooFew, Change::Withheld].map(|change| {
            let count = diff.services.iter().filter(|service| service.change == Some(change)).count();
            let services = plural(u64::try_from(count).unwrap_or(u64::MAX), "Service");
            (count > 0).then(|| format!("{}: {services}.", capital(word(change).0)))
        });
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "No Service is in both snapshots.".to_owned() } else { parts.join(" ") }
}
