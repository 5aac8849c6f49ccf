//! Evidence for a daemon's verdict from Prometheus' figures. No metric has the daemon's own evidence. Pure.

use crate::commands::fit_text::{counted, percent, plural, thousands, total};
use crate::expose::snapshot::{Cause, Client, ClientEndpoint, Counts, Service, Spread};
use crate::verdict;

/// Lines, the strongest first; none if the cause leaves no trace in these figures.
pub(super) fn of(cause: Cause, service: &Service, client: &Client) -> Vec<String> {
    let own = match cause {
        Cause::StaleCache | Cause::IpReused | Cause::DialsNotReady => return stale(client),
        Cause::PortMismatch => return ports(client),
        Cause::FailingEndpoint | Cause::GivesUpEarly | Cause::CannotConnect => return failing(client),
        Cause::DnsStale => [stale(client), dns(service)].concat(),
        Cause::TruncatedAnswer => truncated(client),
        Cause::AnswerOrder | Cause::AddressSort => {
            place(client, "0", "took the first address of their answer")
        }
        Cause::ClientCap => place(client, "3+", "took the fourth address of their answer or a later one"),
        _ => Vec::new(),
    };
    [own, spread(service, client)].concat()
}

/// The spread, and the busiest endpoint's share: of opened connections, otherwise of open ones.
fn spread(service: &Service, client: &Client) -> Vec<String> {
    let of_opened: (&Spread, &str, fn(&ClientEndpoint) -> u64) =
        (&client.spread, "connections", |own| own.counted);
    let of_open: (&Spread, &str, fn(&ClientEndpoint) -> u64) =
        (&client.open, "open connections", |own| own.counted_active);
    let (spread, what, count) = if client.spread.connections > 0 { of_opened } else { of_open };
    if spread.connections == 0 {
        return Vec::new();
    }
    let mature = service.endpoints.iter().zip(&client.endpoints).filter(|(endpoint, _)| endpoint.mature);
    let peak = mature.map(|(_, own)| (count(own), &own.pod)).max_by_key(|(count, _)| *count);
    let peak = peak.map(|(count, pod)| {
        let share = percent(count as f64 / spread.connections as f64);
        format!("The busiest endpoint is {pod} with {} ({share}).", plural(count, "connection"))
    });
    [verdict::figures(spread, what)].into_iter().chain(peak).collect()
}

fn stale(client: &Client) -> Vec<String> {
    let mut kinds: Counts = client.stale_kinds.clone();
    kinds.remove("grace");
    let stale = total(&kinds);
    let share = part(stale, attempts(client.endpoints.iter()), "connections and attempts");
    let line = || format!("{share} went to addresses that were no ready endpoint: {}.", counted(&kinds));
    (stale > 0).then(line).into_iter().collect()
}

fn dns(service: &Service) -> Vec<String> {
    let dns = &service.dns;
    let left = (dns.removed_answered > 0).then(|| {
        let listed = part(dns.removed_answered, dns.answers, "answers for the Service");
        format!("{listed} listed an endpoint that had left.")
    });
    let lacking = (dns.incomplete > 0).then(|| {
        let lacked = part(dns.incomplete, dns.answers, "answers for the Service");
        let listed = percent(dns.completeness);
        format!("{lacked} lacked an endpoint that had long been ready; on average, answers list {listed} of the ready ones.")
    });
    left.into_iter().chain(lacking).collect()
}

fn ports(client: &Client) -> Vec<String> {
    let at = |port: u16, count| {
        format!("{} went to port {port}, which the endpoint does not have.", plural(count, "attempt"))
    };
    client.other_ports.iter().map(|other| at(other.port, other.connections)).collect()
}

/// The endpoint with the largest share of failures.
fn failing(client: &Client) -> Vec<String> {
    let share = |own: &&ClientEndpoint| own.failed as f64 / attempts([*own]).max(1) as f64;
    let worst = client.endpoints.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
    let Some(worst) = worst.filter(|own| own.failed > 0) else { return Vec::new() };
    let others = || client.endpoints.iter().filter(|own| own.pod != worst.pod);
    let failed = others().map(|own| own.failed).fold(0, u64::saturating_add);
    let here = part(worst.failed, attempts([worst]), "connections and attempts");
    let there = part(failed, attempts(others()), "at the others");
    vec![format!("{here} failed at {} ({}), {there}.", worst.pod, counted(&worst.reasons))]
}

fn truncated(client: &Client) -> Vec<String> {
    let answers = &client.answers;
    let cut = part(answers.truncated, answers.count, "answers");
    let used = plural(answers.truncated_used, "connection");
    let line = || format!("{cut} were truncated; {used} used one.");
    (answers.truncated > 0).then(line).into_iter().collect()
}

/// The number of connections that used a position of their answer.
fn place(client: &Client, place: &str, what: &str) -> Vec<String> {
    let of = total(&client.answer_position);
    let taken = client.answer_position.get(place).copied().unwrap_or(0);
    (of > 0).then(|| format!("{} {what}.", part(taken, of, "connections"))).into_iter().collect()
}

/// Established and failed connections; `reset` was established first.
fn attempts<'a>(rows: impl IntoIterator<Item = &'a ClientEndpoint>) -> u64 {
    let of_row = |own: &ClientEndpoint| {
        let reset = own.reasons.get("reset").copied().unwrap_or(0);
        own.opened.saturating_add(own.failed.saturating_sub(reset))
    };
    rows.into_iter().map(of_row).fold(0, u64::saturating_add)
}

/// `12 of 300 connections (4%)`.
fn part(count: u64, of: u64, what: &str) -> String {
    let share = percent(count as f64 / of.max(1) as f64);
    format!("{} of {} {what} ({share})", thousands(count), thousands(of))
}
