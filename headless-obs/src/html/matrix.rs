//! A matrix of clients and endpoints: connections opened, and their share of the client's.

use maud::{Markup, html};

use super::scale::{chosen, level};
use super::{name, wide};
use crate::expose::snapshot::{Client, Service};
use crate::messages::{clean, percent, plural, thousands};

/// The most of each; the rest is summed.
const CLIENTS: usize = 24;
const PODS: usize = 16;
/// Shades of a cell.
const SHADES: u64 = 4;

pub(super) fn render(service: &Service) -> Markup {
    let mut ranked: Vec<&Client> = service.clients.iter().collect();
    ranked.sort_by_key(|client| std::cmp::Reverse(client.opened));
    let (shown, folded) = ranked.split_at(ranked.len().min(CLIENTS));
    let pods = chosen(&service.endpoints, PODS);
    let hidden = service.endpoints.len() - pods.len();
    let all = |place: usize| service.endpoints.get(place).map_or(0, |endpoint| endpoint.opened);
    let everything =
        service.endpoints.iter().fold(0_u64, |sum, endpoint| sum.saturating_add(endpoint.opened));
    let title = "Clients and endpoints";
    let columns = Columns { pods: &pods, hidden };
    let table = html! {
        table class="matrix" {
            caption { "Opened connections, and their share of the client's connections." }
            thead {
                tr {
                    th scope="col" { "Client" }
                    @for place in &pods {
                        th scope="col" class="pod" { (service.endpoints.get(*place).map(|e| clean(&e.pod)).unwrap_or_default()) }
                    }
                    @if hidden > 0 { th scope="col" class="pod folded" { (plural(count(hidden), "other")) } }
                    th scope="col" class="pod" { "All" }
                }
            }
            tbody {
                @for client in shown {
                    (columns.row(
                        &name(&client.namespace, &client.workload),
                        |place| client.endpoints.get(place).map_or(0, |part| part.opened),
                        client.opened,
                    ))
                }
                @if !folded.is_empty() {
                    (columns.row(
                        &plural(count(folded.len()), "other client"),
                        |place| folded.iter().filter_map(|c| c.endpoints.get(place)).fold(0, |sum, part| sum.saturating_add(part.opened)),
                        folded.iter().fold(0, |sum, client| sum.saturating_add(client.opened)),
                    ))
                }
            }
            tfoot { (columns.row("All", all, everything)) }
        }
    };
    html! {
        h3 { (title) }
        (wide(title, &table))
    }
}

struct Columns<'a> {
    pods: &'a [usize],
    hidden: usize,
}

impl Columns<'_> {
    fn row(&self, name: &str, opened: impl Fn(usize) -> u64, sum: u64) -> Markup {
        let counts: Vec<u64> = self.pods.iter().map(|place| opened(*place)).collect();
        let others = counts.iter().fold(sum, |rest, count| rest.saturating_sub(*count));
        html! {
            tr {
                th scope="row" class="name" { (name) }
                @for count in counts { (cell(count, sum)) }
                @if self.hidden > 0 { (cell(others, sum)) }
                td class="n" { (thousands(sum)) }
            }
        }
    }
}

fn cell(count: u64, sum: u64) -> Markup {
    let share = if sum > 0 { count as f64 / sum as f64 } else { 0.0 };
    html! {
        td class=(format!("m{}", level(count, sum, SHADES))) {
            (thousands(count))
            @if count > 0 { " " small { (percent(share)) } }
        }
    }
}

fn count(number: usize) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
