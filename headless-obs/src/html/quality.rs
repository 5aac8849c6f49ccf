//! The quality of the snapshot.

use maud::{Markup, html};

use super::{class, sign};
use crate::expose::snapshot::Snapshot;
use crate::messages::quality::lines;
use crate::messages::{Paint, clean, thousands};

/// The most lines; only a forged snapshot has more.
const LINES: usize = 200;

/// The notes that a reader needs first.
pub(super) fn headline(snapshot: &Snapshot) -> Markup {
    let lines = lines(snapshot);
    html! {
        @for (paint, line) in lines.iter().filter(|(paint, _)| *paint != Paint::Dim).take(LINES) {
            p class=(class(*paint)) { (sign(*paint)) (line) }
        }
    }
}

pub(super) fn render(snapshot: &Snapshot) -> Markup {
    let text = lines(snapshot);
    html! {
        section aria-labelledby="quality" {
            h2 id="quality" { "Quality of the data" }
            ul class="plain" {
                @for (paint, line) in text.iter().take(LINES) {
                    li class=(class(*paint)) { (sign(*paint)) (line) }
                }
            }
            table {
                caption { "Kernel maps" }
                thead {
                    tr {
                        th scope="col" { "Map" }
                        th scope="col" class="n" { "Entries" }
                        th scope="col" class="n" { "Capacity" }
                    }
                }
                tbody {
                    @for (map, fill) in snapshot.quality.maps.iter().take(LINES) {
                        tr {
                            th scope="row" { (clean(map)) }
                            td class="n" { (thousands(fill.entries)) }
                            td class="n" { (thousands(fill.capacity)) }
                        }
                    }
                }
            }
        }
    }
}
