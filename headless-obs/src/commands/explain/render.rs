//! The explanation as text: verdicts with evidence and fix first, then the figures behind them. Pure.

use std::fmt::Write;

use super::super::findings::{
    alternatives_in_words, causes, excluded_in_words, flapping_in_words, idle_in_words, idle_reasons,
    in_words, is_doubtful, is_in_trouble, load_in_words, nodes, ranked, verdict_paint, withheld_in_words,
    wrong_clients,
};
use super::super::fit_text::{capital, clean, fit_middle, full_name, plural, thousands, width, wrap};
use super::super::table::{self, Look, Paint, clients, endpoints, paint, quality, sentence};
use crate::expose::snapshot::{Cause, Client, Service, Snapshot};
use crate::messages::client_pods::pods_in_words;
use crate::messages::ends::ends_in_words;
use crate::messages::paths::paths_in_words;
use crate::messages::since::{since_in_words, stretch_in_words};
use crate::messages::timeline::{TimelineEvent, cut, moments};
use crate::messages::zones::crossing_in_words;
use crate::verdict::doc_link;

/// The most moments; the rest is left out.
const MOMENTS: usize = 30;
/// The most clients; `-o json` has the rest.
const CLIENTS: usize = 20;

pub(in crate::commands) fn render(snapshot: &Snapshot, service: &Service, look: Look) -> String {
    let look = look.clamped();
    let mut text = String::new();
    let node = format!(
        "{}, {} until {}",
        capital(&nodes(snapshot)),
        stretch_in_words(snapshot),
        snapshot.to.strftime("%F %T UTC"),
    );
    sentence(&mut text, &node, Some(Paint::Dim), look);
    text.push('\n');
    let (line, paint_as) = headline(service);
    sentence(&mut text, &line, Some(paint_as), look);
    if let Some(idle) = idle_in_words(service) {
        sentence(&mut text, &format!("{}.", capital(&idle)), Some(Paint::Warn), look);
        for line in idle_reasons(service) {
            item(&mut text, "- ", &line, look);
        }
    }
    if let Some(flapping) = flapping_in_words(service) {
        sentence(&mut text, &format!("{flapping}."), Some(Paint::Warn), look);
    }
    for client in ranked(service).into_iter().take(CLIENTS) {
        text.push('\n');
        explain(&mut text, snapshot, client, look);
    }
    if let Some(hidden) = service.clients.len().checked_sub(CLIENTS).filter(|hidden| *hidden > 0) {
        let hidden = plural(u64::try_from(hidden).unwrap_or(u64::MAX), "more client");
        let _infallible = writeln!(text, "\n… and {hidden}; -o json has all");
    }
    text.push('\n');
    table::title(&mut text, service, look);
    endpoints::render(&mut text, service, Some(snapshot.to), look);
    clients::render(&mut text, service, look);
    table::beside(&mut text, service, look);
    text.push('\n');
    time_line(&mut text, snapshot, service, look);
    text.push('\n');
    quality::render(&mut text, snapshot, look);
    text
}

/// The most important statement, in one sentence.
fn headline(service: &Service) -> (String, Paint) {
    let name = full_name(&service.namespace, &service.name);
    if let Some((client, verdict, concerned)) = wrong_clients(service).into_iter().next() {
        let line = format!(
            "{name}: {} {} ({}, {}).",
            full_name(&client.namespace, &client.workload),
            in_words(verdict.cause),
            verdict.cause.as_str(),
            plural(concerned, "connection"),
        );
        return (line, verdict_paint(verdict.cause, verdict.confidence));
    }
    let counted = || service.clients.iter().filter(|client| client.excluded.is_none());
    let said = || counted().filter_map(|client| client.verdict.as_ref()).map(|verdict| verdict.cause);
    let without_verdict =
        |is_it: fn(&str) -> bool| counted().find(move |client| client.withheld.as_deref().is_some_and(is_it));
    if let Some(client) = without_verdict(is_in_trouble) {
        let client_name = full_name(&client.namespace, &client.workload);
        return (format!("{name}: {client_name}: {}.", withheld_in_words(client)), Paint::Warn);
    }
    let doubt = without_verdict(is_doubtful);
    if let Some(client) = doubt {
        return (
            format!("{name}: at least one client has no verdict: {}.", withheld_in_words(client)),
            Paint::Warn,
        );
    }
    let line = if said().any(|cause| cause.is_well() && cause != Cause::TooFew) {
        "nothing is wrong with how its clients spread their connections"
    } else if said().any(|cause| cause == Cause::TooFew) {
        // Clients that only hold their connections make no more selections, however long one waits.
        let selects = |client: &Client| client.spread.connections > 0;
        if counted().any(selects) {
            "too few connections for a verdict; observe longer"
        } else {
            "its clients hold their connections, and make too few new ones for a verdict"
        }
    } else if counted().any(|client| client.withheld.as_deref() == Some("no_connection")) {
        "clients received addresses by its name, and none of them connected"
    } else if service.clients.is_empty() {
        "no client connected; observe longer, for example with --for 5m"
    } else {
        "no client made a selection that a verdict could judge"
    };
    (format!("{name}: {line}."), Paint::Bold)
}

fn explain(text: &mut String, snapshot: &Snapshot, client: &Client, look: Look) {
    if let Some(reason) = &client.excluded {
        client_title(text, client, &[("excluded", Some(Paint::Dim))], look);
        item(text, "- ", &format!("Spread and verdicts exclude it: {}.", excluded_in_words(reason)), look);
        return;
    }
    let pods = pods_in_words(client, snapshot.to);
    let Some(verdict) = &client.verdict else {
        client_title(text, client, &[("no verdict", Some(Paint::Dim))], look);
        item(text, "- ", &format!("{}.", withheld_in_words(client)), look);
        pods.iter().for_each(|line| item(text, "- ", line, look));
        return;
    };
    let cause_paint = verdict_paint(verdict.cause, verdict.confidence);
    let confidence = format!(", {} confidence", verdict.confidence.as_str());
    client_title(text, client, &[(&causes(verdict), Some(cause_paint)), (&confidence, None)], look);
    item(text, "", &format!("It {}.", in_words(verdict.cause)), look);
    for line in verdict.evidence.iter().chain(&alternatives_in_words(verdict)) {
        item(text, "- ", line, look);
    }
    let carried =
        load_in_words(client).into_iter().chain(paths_in_words(client)).chain(ends_in_words(client));
    for line in carried {
        item(text, "- ", &line, look);
    }
    if let Some(line) = crossing_in_words(&client.zones) {
        item(text, "- ", &format!("{line}."), look);
    }
    // Of an even client, no pod is worse than the others.
    if verdict.cause != Cause::Even {
        pods.iter().for_each(|line| item(text, "- ", line, look));
    }
    if let Some(line) = since_in_words(verdict, snapshot) {
        item(text, "- ", &line, look);
    }
    if let Some(needed) = verdict.needed {
        item(text, "- ", &format!("A verdict needs {}.", plural(needed, "more selection")), look);
    }
    if let Some(fix) = &verdict.fix {
        item(text, "Fix: ", fix, look);
        item(text, "More: ", &doc_link(verdict.cause), look);
    }
}

/// The client's name, and what is said of it on the same line, or on the next where there is no room.
fn client_title(text: &mut String, client: &Client, said: &[(&str, Option<Paint>)], look: Look) {
    let name = fit_middle(&full_name(&client.namespace, &client.workload), look.width);
    let columns = said.iter().map(|(words, _)| width(words)).sum::<usize>();
    let between = if width(&name) + 2 + columns <= look.width { "  " } else { "\n  " };
    text.push_str(&paint(&name, Paint::Bold, look));
    text.push_str(between);
    for (words, paint_as) in said {
        text.push_str(&paint_as.map_or((*words).to_owned(), |paint_as| paint(words, paint_as, look)));
    }
    text.push('\n');
}

/// An indented paragraph with a prefix on its first line.
fn item(text: &mut String, before: &str, line: &str, look: Look) {
    for (number, line) in wrap(&clean(line), look.prose() - 2 - before.len()).iter().enumerate() {
        let _infallible = match number {
            0 => writeln!(text, "  {}{line}", paint(before, Paint::Bold, look)),
            _ => writeln!(text, "  {:indent$}{line}", "", indent = before.len()),
        };
    }
}

fn time_line(text: &mut String, snapshot: &Snapshot, service: &Service, look: Look) {
    let began = snapshot.began.unwrap_or(snapshot.from);
    let (shown, left_out) = cut(moments(snapshot.from, began, service), MOMENTS);
    let title = if left_out == 0 {
        "Timeline".to_owned()
    } else {
        let left_out = thousands(u64::try_from(left_out).unwrap_or(u64::MAX));
        format!("Timeline, without {left_out} less important events; -o json has all")
    };
    sentence(text, &title, Some(Paint::Bold), look);
    // With the date only if it is another day.
    let today = snapshot.to.strftime("%F").to_string();
    let time = |moment: &TimelineEvent| {
        let is_today = moment.at.strftime("%F").to_string() == today;
        moment.at.strftime(if is_today { "%T.%3f" } else { "%F %T" }).to_string()
    };
    let columns = shown.iter().map(|moment| time(moment).len()).max().unwrap_or(0);
    for moment in &shown {
        for (number, line) in wrap(&moment.in_words(), look.prose() - columns - 4).iter().enumerate() {
            let before = if number == 0 { time(moment) } else { String::new() };
            let _infallible =
                writeln!(text, "  {}  {line}", paint(&format!("{before:>columns$}"), Paint::Dim, look));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::test_names;
    use super::*;
    use crate::expose::test_fixtures;
    use crate::testing::golden;

    const PLAIN_80: Look = Look { width: 80, colours: false };

    fn explained(service: Service) -> String {
        let snapshot = test_fixtures::snapshot();
        render(&snapshot, &service, PLAIN_80)
    }

    #[test]
    fn an_explanation() {
        let narrow = Look { width: 60, colours: false };
        golden("explain-60.txt", &render(&test_fixtures::snapshot(), &test_fixtures::orders(), narrow));
        golden("explain-80.txt", &explained(test_fixtures::orders()));
        let look = Look { width: 120, colours: false };
        golden(
            "explain-120.txt",
            &render(&test_fixtures::snapshot(), &test_fixtures::snapshot().services[1], look),
        );
    }

    #[test]
    fn the_headline_is_the_worst_that_can_be_said() {
        let of = |change: fn(&mut Service)| {
            let mut service = test_fixtures::snapshot().services.remove(1);
            change(&mut service);
            headline(&service).0
        };
        let cause = |service: &mut Service, cause| {
            service.clients[1].verdict.as_mut().unwrap().cause = cause;
        };
        let withheld = |service: &mut Service, reason: &str| {
            service.clients[1].verdict = None;
            service.clients[1].withheld = Some(reason.into());
        };
        assert!(of(|_| {}).contains("nothing is wrong"));
        assert!(of(|service| service.clients.clear()).contains("no client connected"));
        let mut service = test_fixtures::snapshot().services.remove(1);
        cause(&mut service, Cause::Pinned);
        assert!(
            headline(&service).0.contains("shop/web keeps its connections at one endpoint"),
            "{}",
            headline(&service).0
        );
        assert!(headline(&service).0.ends_with("(pinned, 150 connections)."), "{}", headline(&service).0);
        cause(&mut service, Cause::TooFew);
        assert!(headline(&service).0.contains("too few connections for a verdict"));
        withheld(&mut service, "by_hostname");
        assert!(headline(&service).0.contains("no client made a selection"));
        withheld(&mut service, "losses");
        assert!(headline(&service).0.contains("no verdict"), "silence would be taken for health");
    }

    #[test]
    fn without_a_verdict_the_reason_is_said() {
        let mut orders = test_fixtures::orders();
        for (client, reason) in orders.clients.iter_mut().zip(["no_dns", "\u{1b}[31mnew"]) {
            client.verdict = None;
            client.withheld = Some(reason.into());
        }
        let text = explained(orders);
        assert!(text.contains("gossip") && text.contains("[31mnew") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn names_are_cut_last_at_any_width() {
        for (width, length, differ) in test_names::cases() {
            let snapshot = test_names::snapshot(length, differ);
            let service = &snapshot.services[0];
            let text = render(&snapshot, service, Look { width, colours: false });
            let case = format!("{width} columns, names of {length} that differ at the {differ:?}");
            test_names::assert_fits(&text, width, &case);
            let pods = test_names::table(&text, "POD", service.endpoints.len());
            pods.assert_names(&test_names::pod_names(service), &["READY FOR"], &case);
            for name in test_names::client_names(service) {
                assert!(text.lines().any(|line| line.split("  ").any(|part| part == name)), "{case}: {text}");
            }
        }
    }

    #[test]
    fn lines_fit_whatever_the_names_are() {
        let mut orders = test_fixtures::orders();
        let long = "a-very-long-name-\u{1b}[31m\u{202e}日本".repeat(9);
        orders.clients[0].workload = long.clone();
        orders.clients[1].verdict.as_mut().unwrap().evidence.push(long.clone());
        orders.endpoints[0].pod = long;
        let text = explained(orders);
        assert!(!text.contains(['\u{1b}', '\u{202e}']));
        for line in text.lines() {
            let columns = super::super::super::fit_text::width(line);
            assert!(columns <= 80, "{columns}: {line}");
        }
    }
}
