//! A Service's clients: how each of them spread, why, and what its connections were resolved by. Those that do not
//! count are dimmed, with the reason.

use std::fmt::Write;

use comfy_table::CellAlignment::{Left, Right};

use super::super::bars::columns;
use super::super::findings::verdict_paint;
use super::super::text::{clean, counted, fit, full_name, percent, plural, thousands, width};
use super::{Look, Paint, cell, indented, push, table};
use crate::expose::snapshot::{Cause, Client, Service};

/// More rows are summed up.
const ROWS: usize = 20;
const RESOLVED_BY: &str = "RESOLVED BY";

pub(in crate::commands) fn render(text: &mut String, service: &Service, look: Look) {
    if service.clients.is_empty() {
        return;
    }
    let mut clients: Vec<_> = service.clients.iter().collect();
    clients.sort_by_key(|client| std::cmp::Reverse((client.opened, client.active)));
    let shown = &clients[..clients.len().min(ROWS)];
    let name = |client: &Client| fit(&full_name(&client.namespace, &client.workload), look.width / 4);
    let pods = look.width / 5;

    let mut heads = vec![
        ("CLIENT", Left),
        ("PODS", Left),
        ("OPENED", Right),
        ("COVERAGE", Right),
        ("ACTIVE", Right),
        ("FAILED", Right),
        ("VERDICT", Left),
    ];
    let widest = |of: &dyn Fn(&Client) -> usize, head: usize| {
        shown.iter().map(|client| of(client)).chain([head]).max().unwrap_or(0)
    };
    let others = widest(&|c| width(&name(c)), 6)
        + widest(&|c| width(&per_pod(c, pods)), 4)
        + widest(&|c| thousands(c.opened).len(), 6)
        + 8
        + widest(&|c| thousands(c.active).len(), 6)
        + widest(&|c| thousands(c.failed).len(), 6)
        + widest(&|c| width(&verdict(c).0), 7);
    let left = look.width.saturating_sub(others + 2 * heads.len() + 2);
    // Where there is no room for it, what is out of the ordinary gets a line of its own.
    let has_room = left >= RESOLVED_BY.len();
    heads.extend(has_room.then_some((RESOLVED_BY, Left)));

    text.push('\n');
    let mut table = table(look, &heads);
    for client in shown {
        let aside = client.excluded.is_some().then_some(Paint::Dim);
        let (verdict, verdict_paint) = verdict(client);
        let narrow = service.spread.endpoints > 1 && client.coverage < 0.5 && client.opened > 1;
        let mut cells = vec![
            cell(name(client), aside),
            cell(per_pod(client, pods), aside.or(Some(Paint::Good))),
            cell(thousands(client.opened), aside),
            cell(percent(client.coverage), aside.or(narrow.then_some(Paint::Warn))),
            cell(thousands(client.active), aside),
            cell(thousands(client.failed), aside.or((client.failed > 0).then_some(Paint::Bad))),
            cell(verdict, Some(verdict_paint)),
        ];
        cells.extend(has_room.then(|| cell(fit(&resolved(client), left), aside)));
        table.add_row(cells);
    }
    push(text, &table);
    for client in shown.iter().filter(|client| !has_room && resolved(client) != "service") {
        indented(text, &format!("{} resolved by {}", name(client), resolved(client)), None, look);
    }
    if let Some(hidden) = clients.get(ROWS..).filter(|hidden| !hidden.is_empty()) {
        let opened = hidden.iter().fold(0_u64, |sum, client| sum.saturating_add(client.opened));
        let _infallible = writeln!(
            text,
            "  … and {} with {}; -o json lists all",
            plural(u64::try_from(hidden.len()).unwrap_or(u64::MAX), "more client"),
            plural(opened, "connection"),
        );
    }
}

/// The verdict, or in parentheses why there is none.
pub(in crate::commands) fn verdict(client: &Client) -> (String, Paint) {
    if let Some(reason) = &client.excluded {
        return (format!("excluded: {}", fit(&clean(reason), 10)), Paint::Dim);
    }
    match (&client.verdict, &client.withheld) {
        (Some(verdict), _) => {
            let needed = verdict.needed.filter(|_| verdict.cause == Cause::TooFew);
            let needed = needed.map(|needed| format!(" ({} more)", thousands(needed))).unwrap_or_default();
            (verdict.cause.as_str().to_owned() + &needed, verdict_paint(verdict.cause, verdict.confidence))
        }
        (None, Some(reason)) => (format!("({})", fit(&clean(reason), 16)), Paint::Dim),
        (None, None) => ("-".to_owned(), Paint::Dim),
    }
}

/// A column per pod, in the order of the endpoints above; `+n` where there are more than fit.
fn per_pod(client: &Client, width: usize) -> String {
    let opened = || client.endpoints.iter().map(|endpoint| endpoint.opened);
    let most = opened().max().unwrap_or(0);
    if client.endpoints.len() <= width {
        return columns(opened(), most);
    }
    let shown = width.saturating_sub(6);
    format!("{} +{}", columns(opened().take(shown), most), client.endpoints.len() - shown)
}

/// What connections were resolved by, without the count where that is all of them; late ones are marked, their
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
