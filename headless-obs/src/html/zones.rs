//! Traffic within and across zones: what crosses, and the matrix of zones.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::{class, wide};
use crate::expose::snapshot::{Service, ZoneSum};
use crate::messages::zones::{crossing_in_words, ignored_hints, needless_crossings};
use crate::messages::{Paint, capital, clean, percent, plural, thousands};

/// The most zones with a row and a column of their own.
const ZONES: usize = 16;
/// In place of a zone that is not known.
const UNKNOWN: &str = "not known";

/// A zone, if it is known.
type Zone<'a> = Option<&'a str>;

/// Nothing where no zone is known, or there is one alone.
pub(super) fn render(service: &Service) -> Markup {
    let Some(line) = crossing_in_words(&service.zones) else { return html! {} };
    html! {
        h3 { "Zones" }
        p { (capital(&line)) "." }
        @if let Some(line) = ignored_hints(service) { p { (line) } }
        @for line in needless_crossings(service) { p class=(class(Paint::Warn)) { "! " (line) } }
        (matrix(service))
    }
}

fn matrix(service: &Service) -> Markup {
    let rows = &service.zones.matrix;
    let sums: BTreeMap<(Zone<'_>, Zone<'_>), ZoneSum> =
        rows.iter().map(|row| ((row.from.as_deref(), row.to.as_deref()), row.sum)).collect();
    let from = side(rows.iter().map(|row| row.from.as_deref()));
    let to = side(rows.iter().map(|row| row.to.as_deref()));
    let folded = from.len().saturating_sub(ZONES) + to.len().saturating_sub(ZONES);
    let all: u64 = sums.values().fold(0, |all, sum| all.saturating_add(sum.bytes()));
    let name = |zone: Zone<'_>| zone.map_or_else(|| UNKNOWN.to_owned(), clean);
    wide(
        "Bytes by zones",
        &html! {
            table {
                caption { "Bytes from clients of a zone to endpoints of a zone, both directions" }
                thead {
                    tr {
                        th scope="col" { "Clients in" }
                        @for zone in to.iter().take(ZONES) { th scope="col" class="num" { "to " (name(*zone)) } }
                    }
                }
                tbody {
                    @for from in from.iter().take(ZONES) {
                        tr {
                            th scope="row" { (name(*from)) }
                            @for to in to.iter().take(ZONES) {
                                @let sum = sums.get(&(*from, *to)).copied().unwrap_or_default();
                                td class="num" {
                                    (thousands(sum.bytes())) " "
                                    small {
                                        @if all > 0 { (percent(sum.bytes() as f64 / all as f64)) ", " }
                                        (plural(sum.connections, "connection"))
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if folded > 0 {
                p class="folded" { "… and " (plural(folded.try_into().unwrap_or(u64::MAX), "more zone")) "." }
            }
        },
    )
}

/// The zones of one side, by name; one that is not known comes last.
fn side<'a>(zones: impl Iterator<Item = Zone<'a>>) -> Vec<Zone<'a>> {
    let mut zones: Vec<Zone<'a>> = zones.collect();
    zones.sort_unstable_by_key(|zone| (zone.is_none(), *zone));
    zones.dedup();
    zones
}
