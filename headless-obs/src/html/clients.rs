//! Clients and the answers that they received, a row each.

use maud::{Markup, html};

use super::{badge, figure, name, wide};
use crate::expose::snapshot::{Client, Counts, Service};
use crate::messages::findings::{
    causes, excluded_in_words, in_words, ranked, verdict_paint, withheld_in_words,
};
use crate::messages::unresolved::unresolved;
use crate::messages::{clean, percent, plural, thousands};

/// The most rows; the rest is summed.
const ROWS: usize = 40;
/// The most positions of an answer that are listed.
const PLACES: usize = 6;

pub(super) fn render(service: &Service) -> Markup {
    let ranked = ranked(service);
    let folded = ranked.len().saturating_sub(ROWS);
    let title = "Clients and their DNS answers";
    let table = html! {
        table class="answers" {
            thead {
                tr {
                    th scope="col" { "Client" }
                    th scope="col" { "Verdict" }
                    th scope="col" class="n" { "Opened" }
                    th scope="col" class="n" { "Failed" }
                    th scope="col" class="n" { "Open" }
                    th scope="col" class="n" { "Coverage" }
                    th scope="col" class="n" { "Peak/mean" }
                    th scope="col" class="n" { "Answers" }
                    th scope="col" class="n" { "Addresses" }
                    th scope="col" class="n" { "TTL" }
                    th scope="col" class="n" { "Lookup every" }
                    th scope="col" class="n" { "Oldest answer used" }
                    th scope="col" class="n" { "Past TTL" }
                    th scope="col" { "Position: connections" }
                }
            }
            tbody { @for client in ranked.iter().take(ROWS) { (row(client)) } }
        }
    };
    html! {
        h3 { (title) }
        (wide(title, &table))
        @for (client, line) in unresolved(service) { p class="dim" { (client) ": " (line) } }
        @if folded > 0 {
            p class="folded" { "… and " (plural(folded.try_into().unwrap_or(u64::MAX), "more client")) "." }
        }
    }
}

fn row(client: &Client) -> Markup {
    let (answers, age) = (&client.answers, &client.answer_age);
    let known = |is_known: bool, text: String| if is_known { text } else { "–".to_owned() };
    let has_spread = client.spread.connections > 0;
    let has_answers = answers.count > 0;
    let addresses = if answers.smallest == answers.largest {
        thousands(answers.largest)
    } else {
        format!("{}–{}", thousands(answers.smallest), thousands(answers.largest))
    };
    html! {
        tr {
            th scope="row" class="name" {
                (name(&client.namespace, &client.workload))
                @if let Some(program) = &client.program { " " small class="dim" { (clean(program)) } }
            }
            td { (verdict(client)) }
            td class="n" { (thousands(client.opened)) }
            td class="n" { (thousands(client.failed)) }
            td class="n" { (thousands(client.active)) }
            td class="n" { (known(has_spread, percent(client.coverage))) }
            td class="n" { (known(has_spread, figure(client.spread.peak_to_mean))) }
            td class="n" { (thousands(answers.count)) }
            td class="n" { (known(has_answers, addresses)) }
            td class="n" { (known(has_answers, format!("{} s", answers.ttl_seconds))) }
            td class="n" { (answers.interval_seconds.map_or("–".to_owned(), |every| format!("{every:.1} s"))) }
            td class="n" { (known(age.within_ttl + age.past_ttl > 0, format!("{:.1} s", age.max_seconds))) }
            td class="n" { (thousands(age.past_ttl)) }
            td class="places" { (places(&client.answer_position)) }
        }
    }
}

fn verdict(client: &Client) -> Markup {
    if let Some(reason) = &client.excluded {
        return html! { span class="dim" title=(excluded_in_words(reason)) { "excluded" } };
    }
    if let Some(verdict) = &client.verdict {
        let paint = verdict_paint(verdict.cause, verdict.confidence);
        return html! {
            span title=(in_words(verdict.cause)) { (badge(&causes(verdict), paint)) }
            @if let Some(needed) = verdict.needed { " " small class="dim" { (thousands(needed)) " more" } }
        };
    }
    let reason = client.withheld.as_deref().unwrap_or_default();
    html! { span class="dim" title=(withheld_in_words(client)) { "none: " (clean(&reason.replace('_', " "))) } }
}

/// `0: 58, 1: 56, …`, the positions in order; a line may end after a comma only.
fn places(index: &Counts) -> String {
    let number = |place: &str| place.trim_end_matches('+').parse::<u64>().unwrap_or(u64::MAX);
    let mut places: Vec<_> = index.iter().collect();
    places.sort_by_key(|(place, _)| number(place));
    let shown: Vec<_> = places
        .iter()
        .take(PLACES)
        .map(|(place, n)| format!("{}:\u{a0}{}", clean(place), thousands(**n)))
        .collect();
    let more = if places.len() > PLACES { ",\u{a0}…" } else { "" };
    if shown.is_empty() { "–".to_owned() } else { shown.join(", ") + more }
}
