//! A Service's clients: how each of them spread, and what its connections were resolved by.

use std::fmt::Write;

use comfy_table::CellAlignment::{Left, Right};

use super::super::bars::columns;
use super::super::text::{counted, fit, full_name, percent, plural, thousands, width};
use super::{Look, Paint, cell, push, table};
use crate::expose::snapshot::{Client, Service};

/// More rows are summed up.
const ROWS: usize = 20;

pub(super) fn render(text: &mut String, service: &Service, look: Look) {
    if service.clients.is_empty() {
        return;
    }
    let mut clients: Vec<_> = service.clients.iter().collect();
    clients.sort_by_key(|client| std::cmp::Reverse((client.opened, client.active)));
    let shown = &clients[..clients.len().min(ROWS)];
    let name = |client: &Client| fit(&full_name(&client.namespace, &client.workload), look.width / 4);
    let pods = look.width / 5;

    let heads = [
        ("CLIENT", Left),
        ("PODS", Left),
        ("OPENED", Right),
        ("COVERAGE", Right),
        ("ACTIVE", Right),
        ("FAILED", Right),
        ("RESOLVED BY", Left),
    ];
    let widest = |of: &dyn Fn(&Client) -> usize, head: usize| {
        shown.iter().map(|client| of(client)).chain([head]).max().unwrap_or(0)
    };
    let others = widest(&|c| width(&name(c)), 6)
        + widest(&|c| width(&per_pod(c, pods)), 4)
        + widest(&|c| thousands(c.opened).len(), 6)
        + 8
        + widest(&|c| thousands(c.active).len(), 6)
        + widest(&|c| thousands(c.failed).len(), 6);
    let left = look.width.saturating_sub(others + 2 * heads.len());

    text.push('\n');
    let mut table = table(look, &heads);
    for client in shown {
        let narrow = service.spread.endpoints > 1 && client.coverage < 0.5 && client.opened > 1;
        table.add_row([
            cell(name(client), None),
            cell(per_pod(client, pods), Some(Paint::Good)),
            cell(thousands(client.opened), None),
            cell(percent(client.coverage), narrow.then_some(Paint::Warn)),
            cell(thousands(client.active), None),
            cell(thousands(client.failed), (client.failed > 0).then_some(Paint::Bad)),
            cell(fit(&resolved(client), left), None),
        ]);
    }
    push(text, &table);
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

/// What connections were resolved by; late ones are marked, their attribution is less certain.
fn resolved(client: &Client) -> String {
    let mut text = counted(&client.resolution);
    if client.late > 0 {
        let _infallible = write!(text, " ({} late)", thousands(client.late));
    }
    text
}
