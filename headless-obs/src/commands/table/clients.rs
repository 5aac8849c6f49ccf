//! A Service's clients: the spread of each, the cause, and the resolution of its connections. Excluded clients are
//! dimmed, with the reason.

use std::fmt::Write;

use super::super::bars;
use super::super::column_layout::{Column, shown};
use super::super::findings::{causes, is_in_trouble, verdict_paint};
use super::super::fit_text::{clean, counted, fit, fit_names, full_name, percent, plural, thousands, width};
use super::{Look, Paint, cell, indented, push, table, widths};
use crate::expose::snapshot::{Cause, Client, Service};

/// The most rows; the rest is summed.
const ROWS: usize = 20;
/// The least and the greatest width of a column with one bar for each pod.
const MIN_PODS: usize = 8;
const MAX_PODS: usize = 40;

pub(in crate::commands) fn render(text: &mut String, service: &Service, look: Look) {
    if service.clients.is_empty() {
        return;
    }
    let mut clients: Vec<_> = service.clients.iter().collect();
    clients.sort_by_key(|client| std::cmp::Reverse((client.opened, client.active)));
    let rows = &clients[..clients.len().min(ROWS)];
    let names: Vec<_> = rows.iter().map(|client| full_name(&client.namespace, &client.workload)).collect();
    let of = |cell: fn(&Client) -> String| rows.iter().map(move |client| width(&cell(client)));
    let nothing_failed = rows.iter().all(|client| client.failed == 0);
    let columns = [
        Column::name("CLIENT", names.iter().map(|name| width(name))),
        pods_column(rows),
        Column::figure("OPENED", of(|client| thousands(client.opened))),
        Column::figure("COVERAGE", of(|client| percent(client.coverage))).optional(4),
        Column::figure("ACTIVE", of(|client| thousands(client.active))).optional(3),
        Column::figure("FAILED", of(|client| thousands(client.failed)))
            .needed(0)
            .optional_if(nothing_failed, 1),
        Column::word("VERDICT", of(|client| verdict(client).0)).needed(1),
        // If there is no room for the column, unusual values get a line of their own.
        Column::word("RESOLVED BY", of(resolved)).optional(0),
    ];
    let widths = widths(&columns, look);
    let shown_names = fit_names(&names, widths[0].unwrap_or(0));

    text.push('\n');
    let mut table = table(look, &columns, &widths);
    for (client, name) in rows.iter().zip(shown_names) {
        let aside = client.excluded.is_some().then_some(Paint::Dim);
        let (verdict, verdict_paint) = verdict(client);
        let narrow = service.spread.endpoints > 1 && client.coverage < 0.5 && client.opened > 1;
        let cells = [
            cell(name, aside),
            cell(per_pod(client, widths[1].unwrap_or(0)), aside.or(Some(Paint::Good))),
            cell(thousands(client.opened), aside),
            cell(percent(client.coverage), aside.or(narrow.then_some(Paint::Warn))),
            cell(thousands(client.active), aside),
            cell(thousands(client.failed), aside.or((client.failed > 0).then_some(Paint::Bad))),
            cell(verdict, Some(verdict_paint)),
            cell(resolved(client), aside),
        ];
        table.add_row(shown(cells, &widths));
    }
    push(text, &table);
    let has_room = widths.last().is_some_and(Option::is_some);
    for (client, name) in rows.iter().zip(names) {
        let resolved = resolved(client);
        if !has_room && !["", "service"].contains(&resolved.as_str()) {
            indented(text, &format!("{name} resolved by {resolved}"), None, look);
        }
    }
    if let Some(hidden) = clients.get(ROWS..).filter(|hidden| !hidden.is_empty()) {
        let opened = hidden.iter().fold(0_u64, |sum, client| sum.saturating_add(client.opened));
        let line = format!(
            "… and {} with {}; -o json lists all",
            plural(u64::try_from(hidden.len()).unwrap_or(u64::MAX), "more client"),
            plural(opened, "connection"),
        );
        indented(text, &line, None, look);
    }
}

/// The verdict, or in parentheses the reason for none.
pub(in crate::commands) fn verdict(client: &Client) -> (String, Paint) {
    if let Some(reason) = &client.excluded {
        return (format!("excluded: {}", fit(&clean(reason), 10)), Paint::Dim);
    }
    match (&client.verdict, &client.withheld) {
        (Some(verdict), _) => {
            let needed = verdict.needed.filter(|_| verdict.cause == Cause::TooFew);
            let needed = needed.map(|needed| format!(" ({} more)", thousands(needed))).unwrap_or_default();
            (causes(verdict) + &needed, verdict_paint(verdict.cause, verdict.confidence))
        }
        (None, Some(reason)) => {
            let paint = if is_in_trouble(reason) { Paint::Warn } else { Paint::Dim };
            (format!("({})", fit(&clean(reason), 16)), paint)
        }
        (None, None) => ("-".to_owned(), Paint::Dim),
    }
}

/// The column of [`per_pod`].
pub(in crate::commands) fn pods_column(clients: &[&Client]) -> Column {
    let pods = clients.iter().map(|client| client.endpoints.len()).max().unwrap_or(0).min(MAX_PODS);
    Column::elastic("PODS", pods.min(MIN_PODS), pods).optional(2)
}

/// A bar per pod, in the order of the endpoints above; `+n` for those that do not fit.
pub(in crate::commands) fn per_pod(client: &Client, columns: usize) -> String {
    let opened = || client.endpoints.iter().map(|endpoint| endpoint.opened);
    let most = opened().max().unwrap_or(0);
    if client.endpoints.len() <= columns {
        return bars::columns(opened(), most);
    }
    let more = |shown: usize| format!(" +{}", client.endpoints.len() - shown);
    let shown = columns.saturating_sub(more(0).len());
    bars::columns(opened().take(shown), most) + &more(shown)
}

/// The resolutions, without a count if all connections have the same. Reconciled connections are marked, because their
/// attribution is less certain.
fn resolved(client: &Client) -> String {
    let all = client.resolution.iter().find(|(_, count)| **count == client.opened && client.opened > 0);
    let is_one = client.resolution.values().filter(|count| **count > 0).count() == 1;
    let mut text = match all.filter(|_| is_one) {
        Some((kind, _)) => clean(kind),
        None => counted(&client.resolution),
    };
    if client.reconciled > 0 {
        let _infallible = write!(text, " ({} reconciled)", thousands(client.reconciled));
    }
    text
}
