//! All Services, by waste.

use maud::{Markup, html};

use super::{SERVICES, badge, figure, name, wide};
use crate::expose::snapshot::{Service, Snapshot};
use crate::messages::findings::{in_words, is_doubtful, verdict_paint, wrong_clients};
use crate::messages::{Paint, between, percent, plural, thousands};

/// The most rows; the rest is summed.
const ROWS: usize = 200;

pub(super) fn render(snapshot: &Snapshot, services: &[&Service]) -> Markup {
    let shown = services.get(..ROWS).unwrap_or(services);
    let folded = services.len() - shown.len();
    let seconds = between(snapshot.from, snapshot.to).as_secs_f64();
    let table = html! {
        table class="services" {
            thead {
                tr {
                    th scope="col" { "Service" }
                    th scope="col" class="n" { "Waste" }
                    th scope="col" class="n" { "Ready" }
                    th scope="col" class="n" { "Connections" }
                    th scope="col" class="n" { "per second" }
                    th scope="col" class="n" { "Coverage" }
                    th scope="col" class="n" { "Peak/mean" }
                    th scope="col" class="n" { abbr title="distance from random choice, in standard deviations" { "z" } }
                    th scope="col" class="n" { "Idle" }
                    th scope="col" class="n" { "Stale" }
                    th scope="col" { "Verdict" }
                }
            }
            tbody { @for (number, service) in shown.iter().enumerate() { (row(service, number, seconds)) } }
        }
    };
    html! {
        section aria-labelledby="overview" {
            h2 id="overview" { "Services by waste" }
            p class="dim" {
                "Waste is (peak/mean − 1) × connections a second: the capacity that stays unused if every pod is sized for \
                 the load of the busiest one."
            }
            @if services.is_empty() {
                p { "No headless Service was seen. `headless-obs report` lists possible reasons." }
            } @else {
                (wide("Services by waste", &table))
            }
            @if folded > 0 {
                p class="folded" { "… and " (plural(count(folded), "more Service")) " with less waste." }
            }
        }
    }
}

fn row(service: &Service, number: usize, seconds: f64) -> Markup {
    let spread = &service.spread;
    let opened = service.endpoints.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.opened));
    let ready = service.endpoints.iter().filter(|endpoint| endpoint.state == "ready").count();
    let rate = if seconds > 0.0 { opened as f64 / seconds } else { 0.0 };
    let stale = service.stale.iter().filter(|(kind, _)| *kind != "grace");
    let stale = stale.fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let title = name(&service.namespace, &service.name);
    let of_spread = |text: String| if spread.connections > 0 { text } else { "–".to_owned() };
    html! {
        tr {
            th scope="row" class="name" {
                @if number < SERVICES { a href={ "#s" (number) } { (title) } } @else { (title) }
            }
            td class="n" { (format!("{:.1}", service.waste)) }
            td class="n" { (thousands(count(ready))) }
            td class="n opened" { (thousands(opened)) }
            td class="n" { (format!("{rate:.1}")) }
            td class="n" { (of_spread(percent(spread.coverage))) }
            td class="n" { (of_spread(figure(spread.peak_to_mean))) }
            td class="n" { (spread.z.map_or("–".to_owned(), |z| format!("{z:.1}"))) }
            td class="n" { (thousands(count(service.idle.len()))) }
            td class="n" { (thousands(stale)) }
            td { (verdict(service)) }
        }
    }
}

/// The most important verdict of its clients.
fn verdict(service: &Service) -> Markup {
    let wrong = wrong_clients(service);
    if let Some((client, verdict, _)) = wrong.first() {
        let others = if wrong.len() > 1 { format!(" and {} more", wrong.len() - 1) } else { String::new() };
        return html! {
            (badge(verdict.cause.as_str(), verdict_paint(verdict.cause, verdict.confidence)))
            " " span title=(in_words(verdict.cause)) { (name(&client.namespace, &client.workload)) } (others)
        };
    }
    let counted = || service.clients.iter().filter(|client| client.excluded.is_none());
    if counted().filter_map(|client| client.withheld.as_deref()).any(is_doubtful) {
        return badge("no verdict", Paint::Warn);
    }
    match counted().filter_map(|client| client.verdict.as_ref()).map(|verdict| verdict.cause).min() {
        Some(cause) => badge(cause.as_str(), verdict_paint(cause, crate::expose::snapshot::Confidence::High)),
        None => html! { span class="dim" { "–" } },
    }
}

fn count(number: usize) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
