//! Endpoints over time, a row each. It has a heat map of connections opened, and below it, on the same time axis, the
//! endpoint's states, the first answer that listed it, and the first connection of a client.

use std::collections::HashMap;

use jiff::Timestamp;
use maud::{Markup, html};

use super::scale::{Axis, HEATS, LINE, chosen, level, levels};
use super::wide;
use crate::expose::snapshot::{Endpoint, Service, Snapshot};
use crate::messages::findings::state_in_words;
use crate::messages::paths::{Path, paths};
use crate::messages::{clean, counted, percent, plural, thousands, total};

/// The most rows; the rest is summed.
const ROWS: usize = 32;
/// Heights of the heat map and of the line below it.
const HEAT: u32 = 13;
const HEIGHT: u32 = 22;
const MIDDLE: u32 = 18;

pub(super) fn render(snapshot: &Snapshot, service: &Service) -> Markup {
    let shown = chosen(&service.endpoints, ROWS);
    let folded = service.endpoints.len() - shown.len();
    let sum = service.endpoints.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.opened));
    let rest = shown.iter().filter_map(|place| service.endpoints.get(*place));
    let rest = rest.fold(sum, |rest, endpoint| rest.saturating_sub(endpoint.opened));
    let most = service.endpoints.iter().map(|endpoint| endpoint.opened).max().unwrap_or(0);
    let view = RowContext {
        axis: Axis::new(snapshot, &service.history),
        snapshot,
        service,
        sum,
        most,
        hottest: service.history.opened.values().flatten().copied().max().unwrap_or(0),
        firsts: firsts(service),
    };
    let title = "Endpoints over time";
    let paths = paths(service);
    let table = html! {
        table class="over" {
            thead {
                tr {
                    th scope="col" { "Endpoint" }
                    th scope="col" { "State" }
                    th scope="col" class="line" { span class="hidden" { "Over time" } (view.ticks()) }
                    th scope="col" class="n" { "Opened" }
                    th scope="col" colspan="2" { "Share" }
                    th scope="col" class="n" { "Open now" }
                    th scope="col" class="n" title="Half of the connections took so long or longer" { "Connect" }
                    th scope="col" class="n" title="Mean smoothed round-trip time of open connections" { "RTT" }
                    th scope="col" class="n" { "Failed" }
                }
            }
            tbody {
                @for (endpoint, path) in shown.iter().filter_map(|place| service.endpoints.get(*place).zip(paths.get(*place))) {
                    (view.row(endpoint, path))
                }
            }
            tfoot {
                @if folded > 0 {
                    tr class="folded" {
                        th scope="row" { "… and " (plural(count(folded), "more endpoint")) }
                        td {} td {}
                        td class="n" { (thousands(rest)) }
                        td colspan="6" {}
                    }
                }
                tr {
                    th scope="row" { "All" } td {} td {}
                    td class="n" { (thousands(sum)) }
                    td colspan="6" {}
                }
            }
        }
    };
    html! {
        h3 { (title) }
        @if service.endpoints.is_empty() { p { "This Service has no endpoints." } } @else {
            (wide(title, &table))
            (view.legend())
        }
    }
}

/// Values that all rows share.
struct RowContext<'a> {
    axis: Axis,
    snapshot: &'a Snapshot,
    service: &'a Service,
    /// Connections to all endpoints, and to the busiest.
    sum: u64,
    most: u64,
    /// The most in one bucket.
    hottest: u64,
    /// Endpoint's position → the first connection of any client.
    firsts: HashMap<&'a str, Timestamp>,
}

fn firsts(service: &Service) -> HashMap<&str, Timestamp> {
    let mut firsts = HashMap::new();
    for part in service.clients.iter().flat_map(|client| &client.endpoints) {
        if let Some(at) = part.first_connection {
            let first = firsts.entry(part.pod.as_str()).or_insert(at);
            *first = at.min(*first);
        }
    }
    firsts
}

impl RowContext<'_> {
    fn row(&self, endpoint: &Endpoint, path: &Path) -> Markup {
        let share = if self.sum > 0 { endpoint.opened as f64 / self.sum as f64 } else { 0.0 };
        let failed = total(&endpoint.failed);
        let is_idle = self.service.idle.contains(&endpoint.pod);
        let is_well = endpoint.state == "ready" && !is_idle && !endpoint.is_flapping();
        let paint = if is_well { "" } else { "warn" };
        html! {
            tr {
                th scope="row" class="name" title=(endpoint.addresses.iter().take(4).map(|text| clean(text)).collect::<Vec<_>>().join(", ")) {
                    (clean(&endpoint.pod))
                }
                td class=(paint) {
                    (state_in_words(endpoint))
                    @if is_idle { ", idle" }
                }
                td class="line" { (self.line(endpoint)) }
                td class="n opened" { (thousands(endpoint.opened)) }
                td class="n" { (percent(share)) }
                td { (self.bar(endpoint.opened)) }
                td class="n" { (thousands(endpoint.active)) }
                td class="n" { (path.connect().unwrap_or_default()) }
                td class="n" title=[path.details()] { (path.round_trip().unwrap_or_default()) }
                td class="n" {
                    @if failed > 0 { span class="warn" title=(counted(&endpoint.failed)) { (thousands(failed)) } } @else { "0" }
                }
            }
        }
    }

    /// Its share, and the mean.
    fn bar(&self, opened: u64) -> Markup {
        let scale = |count: f64| if self.most > 0 { count / self.most as f64 * 96.0 } else { 0.0 };
        let mean = self.sum as f64 / self.service.endpoints.len().max(1) as f64;
        html! {
            svg width="98" height="12" viewBox="0 0 98 12" aria-hidden="true" {
                rect class="bar" y="2" width=(format!("{:.1}", scale(opened as f64))) height="8" {}
                line class="mean" x1=(format!("{:.1}", scale(mean))) x2=(format!("{:.1}", scale(mean))) y2="12" {}
            }
        }
    }

    fn line(&self, endpoint: &Endpoint) -> Markup {
        let history = &self.service.history;
        let buckets = history.opened.get(&endpoint.pod);
        let words = self.in_words(endpoint, buckets);
        let place = |at: Timestamp| format!("{:.1}", self.axis.place(at));
        let buckets = buckets.into_iter().flatten().copied().enumerate().filter(|(_, count)| *count > 0);
        let first = self.firsts.get(endpoint.pod.as_str());
        let middle = MIDDLE;
        html! {
            svg viewBox={ "0 0 " (LINE) " " (HEIGHT) } width=(LINE) height=(HEIGHT) role="img" aria-label=(words) {
                rect class="back" width=(LINE) height=(HEAT) {}
                @for (bucket, count) in buckets {
                    @let from = self.axis.place(history.begin(bucket));
                    @let to = self.axis.place(history.begin(bucket + 1));
                    rect class={ "h" (level(count, self.hottest, HEATS)) } x=(format!("{from:.1}"))
                        width=(format!("{:.1}", (to - from - 0.6).max(0.6))) height=(HEAT) {
                        title { (self.axis.label(history.begin(bucket))) ": " (thousands(count)) }
                    }
                }
                (self.life(endpoint))
                @if let Some(at) = endpoint.first_answered {
                    path class="told" transform={ "translate(" (place(at)) "," (middle) ")" } d="M-4-3.5h8L0 3.5z" {}
                }
                @if let Some(at) = first {
                    circle class="used" cx=(place(*at)) cy=(middle) r="2.6" {}
                }
            }
        }
    }

    /// Its states over time.
    fn life(&self, endpoint: &Endpoint) -> Markup {
        let seen = [endpoint.first_answered, self.firsts.get(endpoint.pod.as_str()).copied()];
        let seen = seen.into_iter().flatten().min();
        // For an endpoint that is no longer ready, the time when it became ready is not known.
        let came = endpoint.ready_since.or(seen).unwrap_or(self.axis.from);
        let changed = endpoint.state_since.unwrap_or(self.axis.from).max(came);
        let (ready_until, then) = match endpoint.state.as_str() {
            "ready" => (self.axis.to.min(self.snapshot.to), ""),
            "removed" => (changed, "gone"),
            "terminating" => (changed, "ending"),
            _ => (if endpoint.state_since.is_some() { changed } else { came }, "not"),
        };
        let [from, until, to] = [came, ready_until, self.snapshot.to].map(|at| self.axis.place(at));
        let middle = MIDDLE;
        html! {
            @if until > from {
                line class="life" x1=(format!("{from:.1}")) x2=(format!("{until:.1}")) y1=(middle) y2=(middle) {}
            }
            @if then == "gone" {
                path class="gone" transform={ "translate(" (format!("{until:.1}")) "," (middle) ")" } d="M-3-3 3 3M3-3-3 3" {}
            } @else if !then.is_empty() {
                line class={ "life " (then) } x1=(format!("{until:.1}")) x2=(format!("{to:.1}")) y1=(middle) y2=(middle) {}
            }
        }
    }

    /// The same as text, for screen readers.
    fn in_words(&self, endpoint: &Endpoint, buckets: Option<&Vec<u64>>) -> String {
        let at = |at: Timestamp| at.strftime("%F %T").to_string();
        let mut words = format!("{}: {} opened", clean(&endpoint.pod), plural(endpoint.opened, "connection"));
        let most = buckets.into_iter().flatten().enumerate().max_by_key(|(_, count)| **count);
        if let Some((bucket, count)) = most {
            let history = &self.service.history;
            let begin = at(history.begin(bucket));
            words += &format!(", most {} in the {} s from {begin}", thousands(*count), history.step_seconds);
        }
        let state = clean(&endpoint.state.replace('_', " "));
        match (endpoint.ready_since, endpoint.state_since) {
            (Some(since), _) if endpoint.state == "ready" => words += &format!("; ready since {}", at(since)),
            (_, Some(since)) => words += &format!("; {state} since {}", at(since)),
            _ => words += &format!("; {state}"),
        }
        if let Some(first) = endpoint.first_answered {
            words += &format!("; first DNS answer {}", at(first));
        }
        if let Some(first) = self.firsts.get(endpoint.pod.as_str()) {
            words += &format!("; first connection {}", at(*first));
        }
        words
    }

    fn ticks(&self) -> Markup {
        let (from, to) = (self.axis.label(self.axis.from), self.axis.label(self.axis.to));
        html! {
            svg viewBox={ "0 0 " (LINE) " 17" } width=(LINE) height="17" role="img" aria-label={ "Time from " (from) " to " (to) } {
                @for at in self.axis.ticks() {
                    @let place = self.axis.place(at);
                    @let anchor = if place < 24.0 { "start" } else if place > LINE - 24.0 { "end" } else { "middle" };
                    line class="axis" x1=(format!("{place:.1}")) x2=(format!("{place:.1}")) y1="13" y2="17" {}
                    text x=(format!("{place:.1}")) y="10" text-anchor=(anchor) { (self.axis.label(at)) }
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        let step = self.service.history.step_seconds;
        html! {
            div class="legend" {
                @if self.hottest > 0 {
                    span { "Connections opened in " (plural(step, "second")) ":" }
                    @for (level, least, greatest) in levels(self.hottest, HEATS) {
                        span {
                            svg width="14" height="11" aria-hidden="true" { rect class={ "h" (level) } width="14" height="11" {} }
                            (thousands(least)) @if greatest > least { "–" (thousands(greatest)) }
                        }
                    }
                }
                span {
                    svg width="22" height="9" aria-hidden="true" { line class="life" x2="22" y1="4.5" y2="4.5" {} } "ready"
                }
                span {
                    svg width="22" height="9" aria-hidden="true" { line class="life ending" x2="22" y1="4.5" y2="4.5" {} } "terminating"
                }
                span {
                    svg width="22" height="9" aria-hidden="true" { line class="life not" x2="22" y1="4.5" y2="4.5" {} } "not ready"
                }
                span {
                    svg width="9" height="9" viewBox="-4.5 -4.5 9 9" aria-hidden="true" { path class="gone" d="M-3-3 3 3M3-3-3 3" {} } "removed"
                }
                span {
                    svg width="10" height="9" viewBox="-5 -4.5 10 9" aria-hidden="true" { path class="told" d="M-4-3.5h8L0 3.5z" {} }
                    "first DNS answer that lists it"
                }
                span {
                    svg width="8" height="8" viewBox="-4 -4 8 8" aria-hidden="true" { circle class="used" r="2.6" {} } "first connection"
                }
                span { "│ mean" }
            }
        }
    }
}

fn count(number: usize) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
