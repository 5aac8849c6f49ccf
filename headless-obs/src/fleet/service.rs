//! Merges the data of several nodes about one Service.

use std::collections::BTreeMap;

use super::client;
use super::endpoint::Rows;
use super::spread::{self, RowFigures};
use super::sums::{add, add_counts, add_histogram, add_rows};
use crate::expose::snapshot::{Client, ClientEndpoint, Dns, Service, ServiceIntent, Zones};
use crate::spread::ratio;
use crate::verdict;

/// A client of one snapshot.
type Seen = (usize, Client);

/// Merges the snapshots of one Service, which cover this number of seconds.
pub(super) fn merge(mut services: Vec<Service>, seconds: f64) -> Service {
    let rows = Rows::of(&mut services);
    let mut merged = Service::default();
    // If one node excludes a client and another does not, these are two clients, and only one of them counts.
    let mut clients: BTreeMap<(String, String, Option<String>), Vec<Seen>> = BTreeMap::new();
    let mut answers: Option<Dns> = None;
    for (number, service) in services.into_iter().enumerate() {
        (merged.namespace, merged.name) = (service.namespace, service.name);
        merged.publishes_not_ready |= service.publishes_not_ready;
        merged.intent = one_of(merged.intent, service.intent);
        merged.distribution = merged.distribution.or(service.distribution);
        add_counts(&mut merged.stale, service.stale);
        merged.history.add(&service.history);
        add_rows(
            &mut merged.other_names,
            service.other_names,
            |a, b| a.key() == b.key(),
            |sum, more| {
                add(&mut sum.answers, more.answers);
                add_rows(&mut sum.addresses, more.addresses, |a, b| a == b, |_, _| ());
            },
        );
        match &mut answers {
            Some(sum) => dns(sum, service.dns),
            none => *none = Some(service.dns),
        }
        for client in service.clients {
            let key = (client.namespace.clone(), client.workload.clone(), client.excluded.clone());
            clients.entry(key).or_default().push((number, client));
        }
    }
    merged.other_names.sort_by(|a, b| a.key().cmp(&b.key()));
    merged.dns = answers.unwrap_or_default();
    merged.dns.completeness = completeness(&merged.dns);
    merged.clients = clients.into_values().map(|seen| client::merge(seen, &rows)).collect();
    merged.endpoints = rows.endpoints;
    merged.zones = Zones::sum(merged.clients.iter().map(|client| &client.zones));
    figure(&mut merged, seconds);
    merged
}

/// The annotations of a Service; a node may not have seen the latest of them.
fn one_of(one: ServiceIntent, other: ServiceIntent) -> ServiceIntent {
    let words = |intent: &ServiceIntent| (intent.expect.clone(), intent.ignore, intent.ports.clone());
    if words(&other) > words(&one) { other } else { one }
}

/// Computes every figure of spread again, from the rows of endpoints and clients.
pub(crate) fn figure(service: &mut Service, seconds: f64) {
    for client in &mut service.clients {
        client::figure(client, &service.endpoints);
    }
    service.idle = if service.intent.allows_idle() {
        Vec::new()
    } else {
        verdict::idle::idle(&service.endpoints, &service.clients, &service.dns)
    };
    let counting = || service.clients.iter().filter(|client| client.excluded.is_none());
    let is_own = |place: usize| {
        let mut rows = counting().filter_map(|client| client.endpoints.get(place)).peekable();
        rows.peek().is_some() && rows.all(ClientEndpoint::is_self)
    };
    let others = service.endpoints.iter().enumerate().filter(|(place, row)| row.mature && !is_own(*place));
    let mature: Vec<RowFigures> = others.map(|(_, row)| RowFigures::from(row)).collect();
    [service.spread, service.selections, service.open, service.bytes, service.segments] = spread::of(&mature);
    let per_second = if seconds > 0.0 { service.spread.connections as f64 / seconds } else { 0.0 };
    service.waste = (service.spread.peak_to_mean - 1.0).max(0.0) * per_second;
}

fn completeness(dns: &Dns) -> f64 {
    if dns.listable == 0 { 1.0 } else { ratio(dns.listed, dns.listable) }
}

fn dns(sum: &mut Dns, more: Dns) {
    add(&mut sum.answers, more.answers);
    add(&mut sum.truncated, more.truncated);
    add(&mut sum.listed, more.listed);
    add(&mut sum.listable, more.listable);
    add_counts(&mut sum.rcodes, more.rcodes);
    add_counts(&mut sum.transports, more.transports);
    add(&mut sum.truncated_used, more.truncated_used);
    add_counts(&mut sum.first_records, more.first_records);
    add(&mut sum.removed_answered, more.removed_answered);
    add(&mut sum.incomplete, more.incomplete);
    add(&mut sum.denied, more.denied);
    add_histogram(&mut sum.ratio, more.ratio);
    add_histogram(&mut sum.latency, more.latency);
}
