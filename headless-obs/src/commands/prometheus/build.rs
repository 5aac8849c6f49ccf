//! Builds a snapshot from query results. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::queries::Query;
use super::series::{Answers, Series};
use super::verdicts;
use crate::expose::snapshot::{
    Client, ClientEndpoint, Endpoint, NodeStatus, OtherPort, Quality, Responses, SCHEMA, Service, Snapshot,
    TopologyState,
};
use crate::fleet;

/// The source of the topology.
pub(super) const SOURCE: &str = "prometheus";
/// The resolution of connections that count: the client had a choice.
pub(super) const COUNTED: [&str; 2] = ["service", "srv"];
/// Clients for which the daemons had no room have no names.
const FOLDED: &str = "~other";

/// A Service that is being built.
#[derive(Debug, Default)]
struct Draft {
    service: Service,
    endpoints: BTreeMap<String, Endpoint>,
    clients: BTreeMap<(String, String), (Client, BTreeMap<String, ClientEndpoint>)>,
}

impl Draft {
    fn endpoint(&mut self, series: &Series) -> &mut Endpoint {
        let pod = series.label("pod");
        self.endpoints.entry(pod.to_owned()).or_insert_with(|| Endpoint {
            pod: pod.to_owned(),
            // Until a daemon reports another state; the series of an endpoint end some time after it.
            state: "removed".to_owned(),
            ..Endpoint::default()
        })
    }

    fn client(&mut self, series: &Series) -> &mut (Client, BTreeMap<String, ClientEndpoint>) {
        let (namespace, name) = (series.label("client_namespace"), series.label("client_workload"));
        let name = if namespace.is_empty() && name.is_empty() { FOLDED } else { name };
        self.clients.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| {
            let client =
                Client { namespace: namespace.to_owned(), workload: name.to_owned(), ..Client::default() };
            (client, BTreeMap::new())
        })
    }

    fn edge(&mut self, series: &Series) -> &mut ClientEndpoint {
        let pod = series.label("pod");
        let (_, endpoints) = self.client(series);
        let empty = || ClientEndpoint { pod: pod.to_owned(), ..ClientEndpoint::default() };
        endpoints.entry(pod.to_owned()).or_insert_with(empty)
    }
}

type Drafts = BTreeMap<(String, String), Draft>;

fn draft<'a>(drafts: &'a mut Drafts, series: &Series) -> &'a mut Draft {
    let key = (series.label("namespace").to_owned(), series.label("service").to_owned());
    drafts.entry(key).or_insert_with_key(|(namespace, name)| Draft {
        service: Service { namespace: namespace.clone(), name: name.clone(), ..Service::default() },
        ..Draft::default()
    })
}

/// The state at `to`, over the past `window`.
pub(super) fn snapshot(answers: &Answers, to: f64, window: Duration, mature_after: Duration) -> Snapshot {
    let mut drafts = Drafts::new();
    endpoints(&mut drafts, answers, to, mature_after);
    connections(&mut drafts, answers);
    client_stats(&mut drafts, answers);
    dns(&mut drafts, answers);

    let nodes = nodes(answers, to);
    let began = nodes.iter().filter_map(|part| part.from).min();
    let looked = moment(to - window.as_secs_f64());
    let (from, to) = (began.map_or(looked, |began| began.max(looked)), moment(to));
    let seconds = to.duration_since(from).as_secs_f64();
    let said = verdicts::said(answers);
    let services = drafts.into_values().map(|draft| finish(draft, &said, seconds)).collect();
    let mut snapshot = Snapshot {
        schema: SCHEMA.to_owned(),
        node: fleet::name(&nodes),
        from: from.min(to),
        to,
        began: Some(began.unwrap_or(from).min(to)),
        observation: None,
        zone: None,
        mature_after_seconds: mature_after.as_secs_f64(),
        quality: quality(answers, &nodes),
        nodes,
        services,
        // A daemon's snapshot has this for everything that it sees; this one is built from the series of Services.
        unanswered: Vec::new(),
        unreached: Vec::new(),
    };
    verdicts::judge(&mut snapshot, &said);
    snapshot
}

/// Rows of clients next to those of endpoints, the counted connections, and the spread.
fn finish(draft: Draft, said: &verdicts::Said, seconds: f64) -> Service {
    let mut service = draft.service;
    let mut endpoints = draft.endpoints;
    for (mut client, mut rows) in draft.clients.into_values() {
        client.excluded = verdicts::excluded(said, &service, &client);
        choose(&mut client, &mut rows);
        for own in rows.values_mut() {
            let row = endpoints.entry(own.pod.clone()).or_insert_with(|| Endpoint {
                pod: own.pod.clone(),
                state: "removed".to_owned(),
                ..Endpoint::default()
            });
            for (sum, more) in [
                (&mut row.opened, own.opened),
                (&mut row.active, own.active),
                (&mut row.bytes_sent, own.bytes_sent),
                (&mut row.bytes_received, own.bytes_received),
            ] {
                *sum = sum.saturating_add(more);
            }
            for (reason, count) in &own.reasons {
                *row.failed.entry(reason.clone()).or_default() += count;
            }
            // No metric has the resolution of open connections.
            own.counted_active = own.active;
            own.bytes = own.bytes_sent.saturating_add(own.bytes_received);
            own.counted_bytes = own.bytes;
            if client.excluded.is_none() && !client.by_part {
                row.counted += own.counted;
                row.selections += own.selections;
                row.counted_active += own.counted_active;
                row.counted_bytes += own.counted_bytes;
            }
            for (resolution, count) in &own.resolution {
                *client.resolution.entry(resolution.clone()).or_default() += count;
            }
            client.opened += own.opened;
            client.failed += own.failed;
            client.active += own.active;
        }
        client.endpoints = rows.into_values().collect();
        service.clients.push(client);
    }
    service.endpoints = endpoints.into_values().collect();
    service.endpoints.sort_by_cached_key(|row| (crate::engine::natural(&row.pod), row.state == "removed"));
    for client in &mut service.clients {
        let mut own: BTreeMap<String, ClientEndpoint> =
            client.endpoints.drain(..).map(|own| (own.pod.clone(), own)).collect();
        let row = |endpoint: &Endpoint| {
            let none = || ClientEndpoint { pod: endpoint.pod.clone(), ..ClientEndpoint::default() };
            own.remove(&endpoint.pod).unwrap_or_else(none)
        };
        client.endpoints = service.endpoints.iter().map(row).collect();
    }
    fleet::figure(&mut service, seconds);
    service
}

/// Counts the connections of a client that chose among a part of the endpoints alone. No metric tells which the others of
/// the part are.
fn choose(client: &mut Client, rows: &mut BTreeMap<String, ClientEndpoint>) {
    let part = |own: &ClientEndpoint| own.resolution.get("part").copied().unwrap_or(0);
    client.by_part = rows.values().any(|own| part(own) > 0) && rows.values().all(|own| own.counted == 0);
    for own in rows.values_mut().filter(|_| client.by_part) {
        own.counted = part(own);
        own.offered = own.counted > 0;
    }
}

fn endpoints(drafts: &mut Drafts, answers: &Answers, to: f64, mature_after: Duration) {
    for series in answers.of(Query::Ready) {
        // An endpoint that is not ready may be leaving or gone; no metric tells which.
        let state = if series.value >= 0.5 { "ready" } else { "not_ready" };
        draft(drafts, series).endpoint(series).state = state.to_owned();
    }
    for series in answers.of(Query::ReadySince) {
        let row = draft(drafts, series).endpoint(series);
        if row.state != "ready" {
            continue;
        }
        let since = moment(series.value);
        row.ready_since = Some(row.ready_since.map_or(since, |known| known.min(since)));
        row.mature |= to - series.value > mature_after.as_secs_f64();
        let zone = series.label("zone");
        row.zone = (!zone.is_empty()).then(|| zone.to_owned());
    }
}

fn connections(drafts: &mut Drafts, answers: &Answers) {
    for series in answers.of(Query::Opened) {
        let (count, resolution) = (series.count(), series.label("resolution"));
        let own = draft(drafts, series).edge(series);
        own.opened += count;
        if COUNTED.contains(&resolution) {
            own.counted += count;
        }
        if count > 0 {
            own.resolution.insert(resolution.to_owned(), count);
        }
    }
    for series in answers.of(Query::Selections) {
        draft(drafts, series).edge(series).selections = series.count();
    }
    for series in answers.of(Query::Failures).iter().filter(|series| series.count() > 0) {
        let own = draft(drafts, series).edge(series);
        own.failed += series.count();
        own.reasons.insert(series.label("reason").to_owned(), series.count());
    }
    for series in answers.of(Query::Active) {
        draft(drafts, series).edge(series).active = series.count();
    }
    for series in answers.of(Query::Bytes) {
        let own = draft(drafts, series).edge(series);
        match series.label("direction") {
            "sent" => own.bytes_sent = series.count(),
            _ => own.bytes_received = series.count(),
        }
    }
}

fn client_stats(drafts: &mut Drafts, answers: &Answers) {
    for series in answers.of(Query::Stale) {
        let (kind, count) = (series.label("kind").to_owned(), series.count());
        let draft = draft(drafts, series);
        *draft.service.stale.entry(kind.clone()).or_default() += count;
        draft.client(series).0.stale_kinds.insert(kind, count);
    }
    for series in answers.of(Query::AnswerPosition).iter().filter(|series| series.count() > 0) {
        let client = &mut draft(drafts, series).client(series).0;
        client.answer_position.insert(series.label("position").to_owned(), series.count());
    }
    for series in answers.of(Query::TruncatedUsed) {
        let draft = draft(drafts, series);
        draft.service.dns.truncated_used += series.count();
        draft.client(series).0.answers.truncated_used = series.count();
    }
    for series in answers.of(Query::WrongPorts).iter().filter(|series| series.count() > 0) {
        let port = OtherPort {
            port: series.label("port").parse().unwrap_or(0),
            connections: series.count(),
            failed: series.count(),
            ..OtherPort::default()
        };
        draft(drafts, series).client(series).0.other_ports.push(port);
    }
    for series in answers.of(Query::Ttl) {
        let seconds = u32::try_from(series.count()).unwrap_or(u32::MAX);
        draft(drafts, series).client(series).0.answers.ttl_seconds = seconds;
    }
    for series in answers.of(Query::Interval) {
        draft(drafts, series).client(series).0.answers.interval_seconds = Some(series.value);
    }
}

fn dns(drafts: &mut Drafts, answers: &Answers) {
    for series in answers.of(Query::Responses).iter().filter(|series| series.count() > 0) {
        let (count, label) = (series.count(), |name| series.label(name).to_owned());
        let is_truncated = series.label("truncated") == "true";
        let draft = draft(drafts, series);
        let dns = &mut draft.service.dns;
        *dns.rcodes.entry(label("rcode")).or_default() += count;
        *dns.transports.entry(label("transport")).or_default() += count;
        if is_truncated {
            dns.truncated += count;
        }
        if series.label("rcode") == "noerror" {
            dns.answers += count;
        }
        let client = &mut draft.client(series).0;
        client.answers.count += if series.label("rcode") == "noerror" { count } else { 0 };
        client.answers.truncated += if is_truncated { count } else { 0 };
        client.responses.push(Responses {
            rcode: label("rcode"),
            truncated: is_truncated,
            transport: label("transport"),
            qtype: label("qtype"),
            count,
        });
    }
    for series in answers.of(Query::RemovedAnswered) {
        draft(drafts, series).service.dns.removed_answered = series.count();
    }
    for series in answers.of(Query::Incomplete) {
        draft(drafts, series).service.dns.incomplete = series.count();
    }
    let mut listed: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for series in answers.of(Query::RatioSum) {
        listed.insert((series.label("namespace"), series.label("service")), series.value);
    }
    for draft in drafts.values_mut() {
        draft.service.dns.completeness = 1.0;
    }
    for series in answers.of(Query::RatioCount).iter().filter(|series| series.value > 0.0) {
        let sum = listed.get(&(series.label("namespace"), series.label("service"))).copied();
        let share = sum.map_or(1.0, |sum| (sum / series.value).clamp(0.0, 1.0));
        draft(drafts, series).service.dns.completeness = share;
    }
}

/// The daemons by name, including those that are down.
fn nodes(answers: &Answers, to: f64) -> Vec<NodeStatus> {
    let mut parts: BTreeMap<String, NodeStatus> = BTreeMap::new();
    let name = |series: &Series| {
        let node = series.label("node");
        if node.is_empty() { series.label("instance").to_owned() } else { node.to_owned() }
    };
    for series in answers.of(Query::Synced) {
        let part = parts.entry(name(series)).or_default();
        part.in_sync = series.value >= 1.0;
        part.to = Some(moment(to));
    }
    for series in answers.of(Query::Started) {
        parts.entry(name(series)).or_default().from = Some(moment(series.value));
    }
    for series in answers.of(Query::Lost).iter().filter(|series| series.count() > 0) {
        let part = parts.entry(name(series)).or_default();
        part.events_lost.insert(series.label("reason").to_owned(), series.count());
    }
    for series in answers.of(Query::Up).iter().filter(|series| series.value < 1.0) {
        let part = parts.entry(name(series)).or_default();
        part.missing = Some("Prometheus cannot scrape it".to_owned());
    }
    parts
        .into_iter()
        .map(|(node, mut part)| {
            part.node = node;
            part
        })
        .collect()
}

fn quality(answers: &Answers, nodes: &[NodeStatus]) -> Quality {
    let mut quality = Quality::default();
    for series in answers.of(Query::Lost) {
        let count = series.count();
        *quality.events_lost.entry(series.label("reason").to_owned()).or_default() += count;
    }
    quality.topology = TopologyState {
        source: SOURCE.to_owned(),
        synced: nodes.iter().any(|part| part.in_sync),
        ..TopologyState::default()
    };
    quality
}

fn moment(seconds: f64) -> Timestamp {
    let since = SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
    Timestamp::UNIX_EPOCH.checked_add(since).unwrap_or(Timestamp::UNIX_EPOCH)
}
