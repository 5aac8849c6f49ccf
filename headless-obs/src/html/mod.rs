//! The page: a snapshot in, one self-contained HTML file out. Pure.
//!
//! Invariants: names are escaped everywhere, for HTML by the templates, and against direction marks by `messages::clean`.
//! There is no script, nothing is fetched, and [`POLICY`] forbids both. The page of any snapshot stays below a few MiB,
//! and the page counts what it folds. No information is in the colour alone.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::expose::snapshot::Snapshot;
use crate::messages::findings::{by_waste, nodes};
use crate::messages::since::stretch_in_words;
use crate::messages::{Paint, full_name, plural};

mod clients;
mod endpoints;
mod matrix;
mod overview;
mod quality;
mod scale;
mod service;
mod timeline;
mod verdicts;
mod zones;

/// The page's permissions: its own style, and nothing else.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// The most Services with all details; further ones are only in the overview.
const SERVICES: usize = 20;

const STYLE: &str = include_str!("style.css");

/// The way in which a reader opens the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// From a file: it has no links to the outside.
    File,
    /// From a daemon: it has links to the daemon's other paths.
    Daemon,
}

/// The whole page.
pub fn render(snapshot: &Snapshot, place: Place) -> String {
    let services = by_waste(&snapshot.services);
    let shown = services.get(..SERVICES).unwrap_or(&services);
    let title = format!("Headless Services on {}", nodes(snapshot));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                // Without it, a browser requests an icon from the daemon.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a class="skip" href="#main" { "Skip to the Services" }
                (header(snapshot, place, &title))
                main id="main" tabindex="-1" {
                    (overview::render(snapshot, &services))
                    @for (number, service) in shown.iter().enumerate() {
                        (service::render(snapshot, service, number))
                    }
                    (quality::render(snapshot))
                }
                footer {
                    p {
                        "headless-obs " (env!("CARGO_PKG_VERSION")) ". It attributes connections by the DNS answers that the \
                         clients received. Times are UTC."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn header(snapshot: &Snapshot, place: Place, title: &str) -> Markup {
    let time = stretch_in_words(snapshot);
    let services = plural(snapshot.services.len().try_into().unwrap_or(u64::MAX), "headless Service");
    html! {
        header {
            h1 { (title) }
            p class="dim" {
                (services) ", " (time) " until "
                time datetime=(snapshot.to) { (snapshot.to.strftime("%F %T UTC")) }
                @if place == Place::Daemon { span class="live" { " · " a href="/" { "Reload" } } }
            }
            (quality::headline(snapshot))
            @if place == Place::Daemon {
                nav aria-label="Other pages" class="dim" {
                    a href="/metrics" { "/metrics" } " for Prometheus · "
                    a href="/api/v1/snapshot" { "/api/v1/snapshot" } " as JSON · "
                    "the last " a href="/?last=5m" { "5 min" } ", " a href="/?last=15m" { "15 min" } ", " a href="/?last=1h" { "1 h" } ", "
                    a href="/?last=24h" { "24 h" } ", " a href="/?last=all" { "all" } " · "
                    a href="/readyz" { "/readyz" } " · " a href="/healthz" { "/healthz" }
                }
            }
        }
    }
}

/// The CSS class of a meaning.
fn class(paint: Paint) -> &'static str {
    match paint {
        Paint::Good => "good",
        Paint::Warn => "warn",
        Paint::Bad => "bad",
        Paint::Dim => "dim",
        Paint::Bold => "",
    }
}

/// A sign in addition to the colour.
fn sign(paint: Paint) -> &'static str {
    match paint {
        Paint::Good => "✓ ",
        Paint::Warn => "! ",
        Paint::Bad => "✗ ",
        Paint::Dim | Paint::Bold => "",
    }
}

/// A highlighted word.
fn badge(text: &str, paint: Paint) -> Markup {
    html! { span class={ "badge " (class(paint)) } { (sign(paint)) (text) } }
}

/// A table that scrolls by itself if it is wider than the screen.
fn wide(name: &str, table: &Markup) -> Markup {
    html! { div class="wide" role="region" aria-label=(name) tabindex="0" { (table) } }
}

/// `namespace/name` of a Service or a client.
fn name(namespace: &str, name: &str) -> String {
    full_name(namespace, name)
}

/// A moment; with the day only if it differs from that of the snapshot.
fn moment(at: Timestamp, snapshot: Timestamp) -> Markup {
    let is_today = at.strftime("%F").to_string() == snapshot.strftime("%F").to_string();
    let text = at.strftime(if is_today { "%T" } else { "%F %T" }).to_string();
    html! { time datetime=(at) { (text) } }
}

/// A figure with two decimals; nothing without connections.
fn figure(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests;
