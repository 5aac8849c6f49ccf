//! The verdicts, with evidence and fix.

use maud::{Markup, html};

use super::{badge, class, name};
use crate::expose::snapshot::{Client, Service, Snapshot, Verdict};
use crate::messages::client_pods::pods_in_words;
use crate::messages::ends::ends_in_words;
use crate::messages::findings::{
    alternatives_in_words, causes, idle_in_words, idle_reasons, in_words, verdict_paint, wrong_clients,
};
use crate::messages::since::since_in_words;
use crate::messages::{clean, plural};
use crate::verdict::doc_link;

/// The most verdicts; further ones are only in the table of clients.
const CARDS: usize = 12;
/// The most lines of evidence; only a forged snapshot has more.
const LINES: usize = 20;

pub(super) fn render(snapshot: &Snapshot, service: &Service) -> Markup {
    let wrong = wrong_clients(service);
    let folded = wrong.len().saturating_sub(CARDS);
    html! {
        h3 { "Verdicts" }
        @if let Some(idle) = idle_in_words(service) {
            p class="warn" { "! " (idle) "." }
            ul { @for line in idle_reasons(service) { li { (line) } } }
        }
        @if wrong.is_empty() {
            p class="dim" { "No client needs a change." }
        } @else {
            div class="cards" {
                @for (client, verdict, concerned) in wrong.iter().take(CARDS) { (card(snapshot, client, verdict, *concerned)) }
            }
        }
        @if folded > 0 {
            p class="folded" { "… and " (plural(folded.try_into().unwrap_or(u64::MAX), "more client")) " with a verdict." }
        }
    }
}

fn card(snapshot: &Snapshot, client: &Client, verdict: &Verdict, concerned: u64) -> Markup {
    let paint = verdict_paint(verdict.cause, verdict.confidence);
    html! {
        article class=(class(paint)) {
            h4 { (name(&client.namespace, &client.workload)) " " (badge(&causes(verdict), paint)) }
            p { "It " (in_words(verdict.cause)) "." }
            p class="dim" { (verdict.confidence.as_str()) " confidence, " (plural(concerned, "connection")) }
            ul {
                @for line in verdict.evidence.iter().take(LINES) { li { (clean(line)) } }
                @for line in alternatives_in_words(verdict) { li { (line) } }
            }
            @for line in pods_in_words(client, snapshot.to) { p class="pod" { (line) } }
            @if let Some(ends) = ends_in_words(client) { p { (ends) } }
            @if let Some(since) = since_in_words(verdict, snapshot) { p { (since) } }
            @if let Some(fix) = &verdict.fix {
                p { strong { "Fix: " } (clean(fix)) " " span class="dim" { "(" (doc_link(verdict.cause)) ")" } }
            }
        }
    }
}
