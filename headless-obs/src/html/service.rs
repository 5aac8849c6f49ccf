//! One Service with all details: key figures, verdicts, endpoints over time, matrix, DNS.

use maud::{Markup, html};

use super::{class, clients, endpoints, figure, matrix, name, timeline, verdicts, zones};
use crate::expose::snapshot::{Counts, Service, Snapshot};
use crate::messages::other_names::other_names;
use crate::messages::{Paint, capital, clean, counted, percent, thousands, total};

/// An empty cell.
const NONE: &str = "–";

pub(super) fn render(snapshot: &Snapshot, service: &Service, number: usize) -> Markup {
    let id = format!("s{number}");
    html! {
        section id=(id) aria-labelledby={ (id) "-name" } {
            h2 id={ (id) "-name" } { (name(&service.namespace, &service.name)) }
            (figures(service))
            (dns(service))
            @for (line, is_missed) in other_names(service) {
                p class=(class(if is_missed { Paint::Warn } else { Paint::Dim })) { (capital(&line)) "." }
            }
            @if !service.clients.is_empty() { (verdicts::render(snapshot, service)) }
            (endpoints::render(snapshot, service))
            @if !service.clients.is_empty() {
                (matrix::render(service))
                (clients::render(service))
                (zones::render(service))
            }
            (timeline::render(snapshot, service))
        }
    }
}

/// One figure: its name, its value, and a value to compare with.
fn item(what: &str, value: &str, beside: &str, paint: Paint) -> Markup {
    html! {
        div {
            dt { (what) }
            dd class=(class(paint)) {
                (value)
                @if !beside.is_empty() { " " small { (beside) } }
            }
        }
    }
}

fn figures(service: &Service) -> Markup {
    let spread = &service.spread;
    let is_uneven = spread.peak_to_mean >= 1.5 && spread.endpoints > 1;
    let paint = |is_bad: bool| if is_bad { Paint::Warn } else { Paint::Bold };
    let known = |text: String| if spread.connections > 0 { text } else { NONE.to_owned() };
    let chance = |text: String| if spread.connections > 0 { text } else { String::new() };
    let stale: Counts =
        service.stale.iter().filter(|(kind, _)| *kind != "grace").map(|(k, v)| (k.clone(), *v)).collect();
    html! {
        dl aria-label="Spread" {
            (item("Connections by its name", &thousands(spread.connections),
                &format!("over {} endpoints", thousands(spread.endpoints)), Paint::Bold))
            (item("Coverage", &known(percent(spread.coverage)),
                &chance(format!("by chance {}", percent(spread.expected_coverage))), Paint::Bold))
            (item("Peak to mean", &known(figure(spread.peak_to_mean)),
                &chance(format!("by chance {:.2}", spread.expected_peak_to_mean)), paint(is_uneven)))
            (item("CV", &known(figure(spread.cv)), &chance(format!("corrected for chance {:.2}", spread.cv_corrected)), Paint::Bold))
            (item("Jain", &known(figure(spread.jain)), "", Paint::Bold))
            (item("z", &spread.z.map_or(NONE.to_owned(), |z| format!("{z:.1}")), "", Paint::Bold))
            (item("Waste", &format!("{:.1}", service.waste), "connections/s", Paint::Bold))
            (item("Idle", &thousands(service.idle.len().try_into().unwrap_or(u64::MAX)), "endpoints",
                paint(!service.idle.is_empty())))
            (item("Stale", &thousands(total(&stale)), &counted(&stale), paint(total(&stale) > 0)))
        }
    }
}

fn dns(service: &Service) -> Markup {
    let dns = &service.dns;
    let paint = |count: u64| if count > 0 { Paint::Warn } else { Paint::Bold };
    let mut others = dns.rcodes.clone();
    others.remove("noerror");
    let number = |what: &str, count: u64, beside: &str| item(what, &thousands(count), beside, paint(count));
    html! {
        dl aria-label="DNS answers" {
            (item("DNS answers", &thousands(dns.answers), &clean(&counted(&dns.transports)), Paint::Bold))
            @if dns.answers > 0 {
                (item("Ready endpoints listed", &percent(dns.completeness), "", paint(u64::from(dns.completeness < 1.0))))
            }
            (number("Truncated", dns.truncated, &format!("used by {} connections", thousands(dns.truncated_used))))
            (number("Lacking a ready endpoint", dns.incomplete, ""))
            (number("Listing one that left", dns.removed_answered, ""))
            (number("Denied", dns.denied, ""))
            (item("Other responses", &thousands(total(&others)), &counted(&others), Paint::Bold))
        }
    }
}
