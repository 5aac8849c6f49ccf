//! A Service's endpoints, with a bar each.

use std::time::Duration;

use jiff::Timestamp;

use super::super::bars::bar;
use super::super::column_layout::{Column, shown};
use super::super::findings::state_in_words;
use super::super::fit_text::{
    between, clean, counted, fit, fit_names, length, plural, thousands, total, width,
};
use super::{Look, Paint, cell, indented, push, table, widths};
use crate::expose::snapshot::{Endpoint, Service};

/// The most rows; the rest is summed. The report must stay readable, and JSON has everything.
const ROWS: usize = 40;
const READY_FOR: &str = "READY FOR";
const MIN_BAR: usize = 4;
const MAX_BAR: usize = 48;

/// `now` adds how long each endpoint has been ready.
pub(in crate::commands) fn render(text: &mut String, service: &Service, now: Option<Timestamp>, look: Look) {
    let endpoints = &service.endpoints;
    if endpoints.is_empty() {
        text.push_str("  no endpoints: no pod is ready, or the Service's selector matches no pod\n");
        return;
    }
    let rows: Vec<EndpointLine<'_>> =
        order(service).into_iter().take(ROWS).map(|endpoint| row(service, endpoint, now)).collect();
    let all = |says: fn(&EndpointLine<'_>) -> bool| rows.iter().all(says);
    let of = |cell: for<'r> fn(&'r EndpointLine<'_>) -> &'r str| rows.iter().map(move |row| width(cell(row)));
    let widest = |cell: for<'r> fn(&'r EndpointLine<'_>) -> &'r str| of(cell).max().unwrap_or(0);
    let mut columns =
        vec![Column::name("POD", of(|row| &row.pod)), Column::word("STATE", of(|row| &row.state)).needed(1)];
    columns.extend(now.map(|_| Column::figure(READY_FOR, of(|row| &row.ready_for)).optional(0)));
    columns.extend([
        Column::figure("OPENED", of(|row| &row.opened)),
        Column::elastic("", MIN_BAR, MAX_BAR).optional(1),
        Column::figure("ACTIVE", of(|row| &row.active)).optional(2),
        Column::either("FAILED", widest(|row| &row.failed), widest(|row| &row.failed_by_kind))
            .needed(0)
            .optional_if(all(|row| row.failed.is_empty()), 0),
    ]);
    let widths = widths(&columns, look);
    let width_of = |head| {
        let mut columns = columns.iter().zip(&widths);
        columns.find_map(|(column, width)| if column.head == head { *width } else { None })
    };
    let names: Vec<_> = rows.iter().map(|row| row.pod.clone()).collect();
    let names = fit_names(&names, width_of("POD").unwrap_or(0));
    let bar_width = width_of("");
    let by_kind = width_of("FAILED") >= Some(widest(|row| &row.failed_by_kind));
    let most = endpoints.iter().map(|endpoint| endpoint.opened).max().unwrap_or(0);

    let mut table = table(look, &columns, &widths);
    for (row, name) in rows.iter().zip(names) {
        // All bars have the same width, so the columns after them are aligned.
        let columns = bar_width.unwrap_or(0);
        let bar = format!("{:columns$}", bar(row.endpoint.opened, row.endpoint.counted, most, columns));
        let mut cells = vec![cell(name, None), cell(&row.state, row.state_paint)];
        cells.extend(now.map(|_| cell(&row.ready_for, None)));
        cells.extend([
            cell(&row.opened, None),
            cell(bar, Some(row.bar_paint(service.spread.peak_to_mean, most))),
            cell(&row.active, None),
            cell(if by_kind { &row.failed_by_kind } else { &row.failed }, Some(Paint::Bad)),
        ]);
        table.add_row(shown(cells, &widths));
    }
    push(text, &table);
    rest(text, service, look);
    if bar_width.is_some() && rows.iter().any(|row| row.endpoint.opened > row.endpoint.counted) {
        let meaning = "█ in the spread  ░ not in it: by hostname, no DNS, excluded, or not ready";
        indented(text, meaning, None, look);
    }
}

/// In the given order if all fit; otherwise the busiest first and the idle before the rest.
fn order(service: &Service) -> Vec<&Endpoint> {
    let mut ordered: Vec<_> = service.endpoints.iter().collect();
    if ordered.len() > ROWS {
        ordered.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.opened));
        // A quarter of the rows is for the end of the list, where the idle endpoints are.
        let busiest = ROWS - ROWS / 4;
        ordered[busiest..].reverse();
        ordered[busiest..].sort_by_key(|endpoint| !is_idle(service, endpoint));
    }
    ordered
}

fn rest(text: &mut String, service: &Service, look: Look) {
    let hidden: Vec<_> = order(service).into_iter().skip(ROWS).collect();
    if hidden.is_empty() {
        return;
    }
    let opened = hidden.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.opened));
    let idle = hidden.iter().filter(|endpoint| is_idle(service, endpoint)).count();
    let line = format!(
        "… and {} with {}, {idle} idle; -o json lists all",
        plural(u64::try_from(hidden.len()).unwrap_or(u64::MAX), "more endpoint"),
        plural(opened, "connection"),
    );
    indented(text, &line, None, look);
}

/// Mature and without connections, while others have some.
fn is_idle(service: &Service, endpoint: &Endpoint) -> bool {
    service.idle.contains(&endpoint.pod)
}

/// Ready but not mature; if no endpoint is mature, this says nothing.
fn is_new(service: &Service, endpoint: &Endpoint) -> bool {
    endpoint.state == "ready" && !endpoint.mature && service.endpoints.iter().any(|other| other.mature)
}

/// In one unit, to save room.
fn age(time: Duration) -> String {
    let whole = length(Duration::from_secs(time.as_secs()));
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

struct EndpointLine<'a> {
    endpoint: &'a Endpoint,
    pod: String,
    state: String,
    state_paint: Option<Paint>,
    ready_for: String,
    opened: String,
    active: String,
    /// All failures in one figure; nothing without failures.
    failed: String,
    failed_by_kind: String,
}

fn row<'a>(service: &Service, endpoint: &'a Endpoint, now: Option<Timestamp>) -> EndpointLine<'a> {
    let (idle, new) = (is_idle(service, endpoint), is_new(service, endpoint));
    let state = state_in_words(endpoint);
    let remark = if idle {
        ", idle"
    } else if new {
        ", new"
    } else {
        ""
    };
    let ready_for = now.zip(endpoint.ready_since).map(|(now, since)| age(between(since, now)));
    let failed = total(&endpoint.failed);
    EndpointLine {
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
        failed: if failed == 0 { String::new() } else { thousands(failed) },
        failed_by_kind: counted(&endpoint.failed),
    }
}

impl EndpointLine<'_> {
    /// The peak is marked if there is one.
    fn bar_paint(&self, peak_to_mean: f64, most: u64) -> Paint {
        match self.endpoint.state.as_str() {
            "ready" if peak_to_mean >= 1.5 && self.endpoint.opened == most => Paint::Warn,
            "ready" => Paint::Good,
            _ => Paint::Dim,
        }
    }
}
