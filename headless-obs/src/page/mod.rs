//! The page: a snapshot in, one HTML file out that needs nothing beside itself. Pure.
//!
//! Invariants: names are escaped wherever they stand, for HTML by the templates and against direction marks and the like
//! by `words::clean`; no script, nothing is fetched, and [`POLICY`] forbids both; the page of any snapshot stays below
//! some MiB, and what is folded is counted; no figure is told by its colour alone.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::expose::snapshot::Snapshot;
use crate::words::findings::{by_waste, nodes};
use crate::words::{Paint, between, full_name, length, plural};

mod clients;
mod endpoints;
mod happened;
mod matrix;
mod overview;
mod quality;
mod scale;
mod service;
mod verdicts;

/// What the page may do: have its own style, and nothing else.
pub const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// Services shown with everything; more are in the overview only.
const SERVICES: usize = 20;

const STYLE: &str = include_str!("style.css");

/// Where the page is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// From a file: nothing leads out of it.
    File,
    /// From a daemon: it leads to what else that serves.
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
                // Without it a browser asks the daemon for one.
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
    let seconds = length(between(snapshot.from, snapshot.to));
    let services = plural(snapshot.services.len().try_into().unwrap_or(u64::MAX), "headless Service");
    html! {
        header {
            h1 { (title) }
            p class="dim" {
                (services) ", observed for " (seconds) " until "
                time datetime=(snapshot.to) { (snapshot.to.strftime("%F %T UTC")) }
                @if place == Place::Daemon { span class="live" { " · " a href="/" { "Reload" } } }
            }
            (quality::headline(snapshot))
            @if place == Place::Daemon {
                nav aria-label="Other pages" class="dim" {
                    a href="/metrics" { "/metrics" } " for Prometheus · "
                    a href="/api/v1/snapshot" { "/api/v1/snapshot" } " as JSON · "
                    a href="/readyz" { "/readyz" } " · " a href="/healthz" { "/healthz" }
                }
            }
        }
    }
}

/// The class of what is painted so.
fn class(paint: Paint) -> &'static str {
    match paint {
        Paint::Good => "good",
        Paint::Warn => "warn",
        Paint::Bad => "bad",
        Paint::Dim => "dim",
        Paint::Bold => "",
    }
}

/// A sign beside the colour, so that it is not the only one.
fn sign(paint: Paint) -> &'static str {
    match paint {
        Paint::Good => "✓ ",
        Paint::Warn => "! ",
        Paint::Bad => "✗ ",
        Paint::Dim | Paint::Bold => "",
    }
}

/// A word that stands out.
fn badge(text: &str, paint: Paint) -> Markup {
    html! { span class={ "badge " (class(paint)) } { (sign(paint)) (text) } }
}

/// A table that is scrolled by itself where it is wider than the screen.
fn wide(name: &str, table: &Markup) -> Markup {
    html! { div class="wide" role="region" aria-label=(name) tabindex="0" { (table) } }
}

/// `namespace/name` of a Service or a client.
fn name(namespace: &str, name: &str) -> String {
    full_name(namespace, name)
}

/// A moment; its day only where that is another one than that of the snapshot.
fn moment(at: Timestamp, snapshot: Timestamp) -> Markup {
    let is_today = at.strftime("%F").to_string() == snapshot.strftime("%F").to_string();
    let text = at.strftime(if is_today { "%T" } else { "%F %T" }).to_string();
    html! { time datetime=(at) { (text) } }
}

/// A figure with two places; without connections there is none.
fn figure(value: f64) -> String {
    format!("{value:.2}")
}

#[cfg(test)]
mod tests;
