//! A Service's endpoints, a bar each.

use std::fmt::Write;

use comfy_table::CellAlignment::{Left, Right};

use super::super::bars::bar;
use super::super::text::{clean, counted, fit, fit_middle, plural, thousands, total, width};
use super::{Look, Paint, cell, push, table};
use crate::expose::snapshot::{Endpoint, Service};

/// More rows are summed up: the report must stay readable, JSON has everything.
const ROWS: usize = 40;
const MIN_BAR: usize = 10;
const MAX_BAR: usize = 48;

pub(super) fn render(text: &mut String, service: &Service, look: Look) {
    let endpoints = &service.endpoints;
    if endpoints.is_empty() {
        text.push_str("  no endpoint: there is no ready pod, or its selector matches none\n");
        return;
    }
    let busy = endpoints.iter().any(|endpoint| endpoint.counted > 0);
    let mut rows: Vec<Row<'_>> =
        order(endpoints).into_iter().take(ROWS).map(|endpoint| row(endpoint, busy, look)).collect();
    let widest = |rows: &[Row<'_>], of: for<'r> fn(&'r Row<'_>) -> &'r str, head: &str| {
        rows.iter().map(|row| width(of(row))).chain([head.len()]).max().unwrap_or(0)
    };
    // Six columns with two blanks before each; names come first, the bar takes what is left.
    let others = 12
        + widest(&rows, |r| &r.state, "STATE")
        + widest(&rows, |r| &r.opened, "OPENED")
        + widest(&rows, |r| &r.active, "ACTIVE")
        + widest(&rows, |r| &r.failed, "FAILED");
    let left = look.width.saturating_sub(others);
    for row in &mut rows {
        row.pod = fit_middle(&row.pod, left.saturating_sub(MIN_BAR).max(8));
    }
    let bar_width = left.saturating_sub(widest(&rows, |r| &r.pod, "POD")).clamp(4, MAX_BAR);
    let most = endpoints.iter().map(|endpoint| endpoint.opened).max().unwrap_or(0);

    let heads =
        [("POD", Left), ("STATE", Left), ("OPENED", Right), ("", Left), ("ACTIVE", Right), ("FAILED", Left)];
    let mut table = table(look, &heads);
    for row in &rows {
        // All bars are padded to one width, so the columns after them stay where they are.
        let bar = format!("{:bar_width$}", bar(row.endpoint.opened, row.endpoint.counted, most, bar_width));
        table.add_row([
            cell(&row.pod, None),
            cell(&row.state, row.state_paint),
            cell(&row.opened, None),
            cell(bar, Some(row.bar_paint(service.spread.peak_to_mean, most))),
            cell(&row.active, None),
            cell(&row.failed, Some(Paint::Bad)),
        ]);
    }
    push(text, &table);
    rest(text, endpoints, busy);
    if rows.iter().any(|row| row.endpoint.opened > row.endpoint.counted) {
        text.push_str("  █ in the spread  ░ not: by a pod's own name, without DNS, or not ready\n");
    }
}

/// As they come, unless there are more than fit: then the busiest first and the idle before the rest.
fn order(endpoints: &[Endpoint]) -> Vec<&Endpoint> {
    let mut ordered: Vec<_> = endpoints.iter().collect();
    if ordered.len() > ROWS {
        ordered.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.opened));
        // A quarter of the rows goes to the other end of the list, where the idle are.
        let busiest = ROWS - ROWS / 4;
        ordered[busiest..].reverse();
        ordered[busiest..].sort_by_key(|endpoint| !is_idle(endpoint, true));
    }
    ordered
}

fn rest(text: &mut String, endpoints: &[Endpoint], busy: bool) {
    let hidden: Vec<_> = order(endpoints).into_iter().skip(ROWS).collect();
    if hidden.is_empty() {
        return;
    }
    let opened = hidden.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.opened));
    let idle = hidden.iter().filter(|endpoint| is_idle(endpoint, busy)).count();
    let _infallible = writeln!(
        text,
        "  … and {} with {}, {idle} idle; -o json lists all",
        plural(u64::try_from(hidden.len()).unwrap_or(u64::MAX), "more endpoint"),
        plural(opened, "connection"),
    );
}

/// Ready and passed over while others are used.
fn is_idle(endpoint: &Endpoint, busy: bool) -> bool {
    busy && endpoint.state == "ready" && endpoint.opened == 0 && endpoint.active == 0
}

struct Row<'a> {
    endpoint: &'a Endpoint,
    pod: String,
    state: String,
    state_paint: Option<Paint>,
    opened: String,
    active: String,
    failed: String,
}

fn row(endpoint: &Endpoint, busy: bool, look: Look) -> Row<'_> {
    let idle = is_idle(endpoint, busy);
    let state = clean(&endpoint.state).replace('_', " ");
    let mut failed = counted(&endpoint.failed);
    if width(&failed) > look.width / 4 {
        failed = format!("{} of {} kinds", thousands(total(&endpoint.failed)), endpoint.failed.len());
    }
    Row {
        endpoint,
        pod: clean(&endpoint.pod),
        state: fit(&if idle { format!("{state}, idle") } else { state }, 14),
        state_paint: match endpoint.state.as_str() {
            "ready" if idle => Some(Paint::Warn),
            "ready" => Some(Paint::Good),
            _ => Some(Paint::Dim),
        },
        opened: thousands(endpoint.opened),
        active: thousands(endpoint.active),
        failed,
    }
}

impl Row<'_> {
    /// The peak stands out where it is one.
    fn bar_paint(&self, peak_to_mean: f64, most: u64) -> Paint {
        match self.endpoint.state.as_str() {
            "ready" if peak_to_mean >= 1.5 && self.endpoint.opened == most => Paint::Warn,
            "ready" => Paint::Good,
            _ => Paint::Dim,
        }
    }
}
