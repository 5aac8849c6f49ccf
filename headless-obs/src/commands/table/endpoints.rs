//! A Service's endpoints, a bar each.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::CellAlignment::{Left, Right};

use super::super::bars::bar;
use jiff::Timestamp;

use super::super::text::{between, clean, counted, fit, fit_middle, length, plural, thousands, total, width};
use super::{Look, Paint, cell, push, table};
use crate::expose::snapshot::{Endpoint, Service};

/// More rows are summed up: the report must stay readable, JSON has everything.
const ROWS: usize = 40;
const READY_FOR: &str = "READY FOR";
const MIN_BAR: usize = 10;
const MAX_BAR: usize = 48;

/// `now` adds how long each endpoint has been ready.
pub(in crate::commands) fn render(text: &mut String, service: &Service, now: Option<Timestamp>, look: Look) {
    let endpoints = &service.endpoints;
    if endpoints.is_empty() {
        text.push_str("  no endpoints: no pod is ready, or the Service's selector matches no pod\n");
        return;
    }
    let mut rows: Vec<Row<'_>> =
        order(service).into_iter().take(ROWS).map(|endpoint| row(service, endpoint, now, look)).collect();
    let widest = |rows: &[Row<'_>], of: for<'r> fn(&'r Row<'_>) -> &'r str, head: &str| {
        rows.iter().map(|row| width(of(row))).chain([head.len()]).max().unwrap_or(0)
    };
    // Six columns with two blanks before each; names come first, the bar takes what is left.
    let ready_for = widest(&rows, |r| &r.ready_for, READY_FOR);
    let others = 12
        + if now.is_some() { ready_for + 2 } else { 0 }
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

    let mut heads = vec![("POD", Left), ("STATE", Left)];
    heads.extend(now.map(|_| (READY_FOR, Right)));
    heads.extend([("OPENED", Right), ("", Left), ("ACTIVE", Right), ("FAILED", Left)]);
    let mut table = table(look, &heads);
    for row in &rows {
        // All bars are padded to one width, so the columns after them stay where they are.
        let bar = format!("{:bar_width$}", bar(row.endpoint.opened, row.endpoint.counted, most, bar_width));
        let mut cells = vec![cell(&row.pod, None), cell(&row.state, row.state_paint)];
        cells.extend(now.map(|_| cell(&row.ready_for, None)));
        cells.extend([
            cell(&row.opened, None),
            cell(bar, Some(row.bar_paint(service.spread.peak_to_mean, most))),
            cell(&row.active, None),
            cell(&row.failed, Some(Paint::Bad)),
        ]);
        table.add_row(cells);
    }
    push(text, &table);
    rest(text, service);
    if rows.iter().any(|row| row.endpoint.opened > row.endpoint.counted) {
        text.push_str("  █ in the spread  ░ not in it: by hostname, no DNS, excluded, or not ready\n");
    }
}

/// As they come, unless there are more than fit: then the busiest first and the idle before the rest.
fn order(service: &Service) -> Vec<&Endpoint> {
    let mut ordered: Vec<_> = service.endpoints.iter().collect();
    if ordered.len() > ROWS {
        ordered.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.opened));
        // A quarter of the rows goes to the other end of the list, where the idle are.
        let busiest = ROWS - ROWS / 4;
        ordered[busiest..].reverse();
        ordered[busiest..].sort_by_key(|endpoint| !is_idle(service, endpoint));
    }
    ordered
}

fn rest(text: &mut String, service: &Service) {
    let hidden: Vec<_> = order(service).into_iter().skip(ROWS).collect();
    if hidden.is_empty() {
        return;
    }
    let opened = hidden.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.opened));
    let idle = hidden.iter().filter(|endpoint| is_idle(service, endpoint)).count();
    let _infallible = writeln!(
        text,
        "  … and {} with {}, {idle} idle; -o json lists all",
        plural(u64::try_from(hidden.len()).unwrap_or(u64::MAX), "more endpoint"),
        plural(opened, "connection"),
    );
}

/// Ready for long enough, and passed over while others are used.
fn is_idle(service: &Service, endpoint: &Endpoint) -> bool {
    service.idle.contains(&endpoint.pod)
}

/// Ready, but not for long enough to count; where none counts it says nothing about any.
fn is_new(service: &Service, endpoint: &Endpoint) -> bool {
    endpoint.state == "ready" && !endpoint.mature && service.endpoints.iter().any(|other| other.mature)
}

/// In one unit; more would only take room.
fn age(time: Duration) -> String {
    let whole = length(Duration::from_secs(time.as_secs()));
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

struct Row<'a> {
    endpoint: &'a Endpoint,
    pod: String,
    state: String,
    state_paint: Option<Paint>,
    ready_for: String,
    opened: String,
    active: String,
    failed: String,
}

fn row<'a>(service: &Service, endpoint: &'a Endpoint, now: Option<Timestamp>, look: Look) -> Row<'a> {
    let (idle, new) = (is_idle(service, endpoint), is_new(service, endpoint));
    let state = clean(&endpoint.state).replace('_', " ");
    let remark = if idle {
        ", idle"
    } else if new {
        ", new"
    } else {
        ""
    };
    let ready_for = now.zip(endpoint.ready_since).map(|(now, since)| age(between(since, now)));
    let mut failed = counted(&endpoint.failed);
    if width(&failed) > look.width / 4 {
        failed = format!("{} of {} kinds", thousands(total(&endpoint.failed)), endpoint.failed.len());
    }
    Row {
        endpoint,
        pod: clean(&endpoint.pod),
        state: fit(&(state + remark), 14),
        state_paint: match endpoint.state.as_str() {
            "ready" if idle => Some(Paint::Warn),
            "ready" => Some(Paint::Good),
            _ => Some(Paint::Dim),
        },
        ready_for: ready_for.unwrap_or_default(),
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
