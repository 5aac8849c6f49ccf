//! Merges one client workload, whose pods are spread over several nodes.

use super::endpoint::Rows;
use super::load;
use super::spread::{self, RowFigures};
use super::sums::{add, add_counts, add_histogram, add_rows, earliest, least};
use crate::expose::snapshot::{
    AnswerAge, Client, ClientAnswers, ClientEndpoint, Endpoint, OpenConnections, OtherPods, OtherPort,
    PortCounts, SelectionPattern, StaleTarget, Zones,
};
use crate::spread::ratio;
use crate::worst_pods::{SHOWN, worst};

/// Merges a client; each part comes with the number of its snapshot.
pub(super) fn merge(seen: Vec<(usize, Client)>, rows: &Rows) -> Client {
    let mut aligned = seen.into_iter().map(|(snapshot, client)| align(client, snapshot, rows));
    let mut merged = aligned.next().unwrap_or_default();
    for client in aligned {
        absorb(&mut merged, client);
    }
    let pods = std::mem::take(&mut merged.by_pod);
    (merged.by_pod, merged.other_pods) = worst(pods, SHOWN, merged.other_pods);
    merged.stale.sort_by(|a, b| (&a.pod, &a.kind).cmp(&(&b.pod, &b.kind)));
    merged.other_ports.sort_by_key(|port| port.port);
    merged.responses.sort_by(|a, b| {
        (&a.rcode, a.truncated, &a.transport, &a.qtype).cmp(&(&b.rcode, b.truncated, &b.transport, &b.qtype))
    });
    merged
}

/// Says of each pod on which node it is, unless that is said already.
pub(super) fn name_node(clients: &mut [Client], node: &str) {
    for pod in clients.iter_mut().flat_map(|client| &mut client.by_pod) {
        pod.node.get_or_insert_with(|| node.to_owned());
    }
}

/// Computes its spread from its rows, which are in the order of the endpoints.
pub(super) fn figure(client: &mut Client, endpoints: &[Endpoint]) {
    let mature = endpoints
        .iter()
        .zip(&client.endpoints)
        .filter(|(endpoint, own)| endpoint.mature && own.is_option(client.by_part));
    let mature: Vec<&ClientEndpoint> = mature.map(|(_, own)| own).collect();
    let reached = mature.iter().filter(|own| own.counted > 0).count();
    client.coverage = ratio(reached as u64, mature.len() as u64);
    let figures: Vec<RowFigures> = mature.into_iter().map(RowFigures::from).collect();
    [client.spread, client.selections, client.open, client.bytes, client.segments] = spread::of(&figures);
}

/// The client with one row for each endpoint of the fleet. A reason for no verdict stays if it is about the node.
fn align(mut client: Client, snapshot: usize, rows: &Rows) -> Client {
    let zero = |pod: &String| ClientEndpoint { pod: pod.clone(), ..ClientEndpoint::default() };
    let mut all: Vec<_> = rows.endpoints.iter().map(|endpoint| zero(&endpoint.pod)).collect();
    for (row, own) in std::mem::take(&mut client.endpoints).into_iter().enumerate() {
        let place = rows.place(snapshot, row, &own.pod);
        if let Some(sum) = place.and_then(|place| all.get_mut(place)) {
            endpoint(sum, own);
        }
    }
    client.endpoints = all;
    client.verdict = None;
    client.withheld.take_if(|reason| !matches!(reason.as_str(), "losses" | "not_in_sync"));
    client
}

fn absorb(sum: &mut Client, more: Client) {
    let last = |client: &Client| client.endpoints.iter().filter_map(|own| own.last_connection).max();
    if (last(&more), &more.program) > (last(sum), &sum.program) {
        sum.program = more.program.or(sum.program.take());
    }
    sum.withheld = sum.withheld.take().zip(more.withheld).map(|(one, other)| one.min(other));
    add_counts(&mut sum.resolution, more.resolution);
    let by_name = |way: &str| sum.resolution.get(way).is_some_and(|count| *count > 0);
    sum.by_part = (sum.by_part || more.by_part) && !by_name("service") && !by_name("srv");
    add(&mut sum.opened, more.opened);
    sum.opened_since_failure =
        since_failure((sum.failed, sum.opened_since_failure), (more.failed, more.opened_since_failure));
    add(&mut sum.failed, more.failed);
    add(&mut sum.active, more.active);
    add(&mut sum.reconciled, more.reconciled);
    add_counts(&mut sum.losses, more.losses);
    add(&mut sum.not_endpoint, more.not_endpoint);
    sum.usable_answers =
        sum.usable_answers.zip(more.usable_answers).map(|(one, other)| one.saturating_add(other));
    add_counts(&mut sum.answer_position, more.answer_position);
    // The pods of a workload may say something on one node alone; then not all of them do.
    if sum.intent != more.intent {
        let both = [sum.intent.take(), more.intent].into_iter().flatten();
        let of_service = both.filter(|intent| intent.said_by == "service");
        sum.intent = of_service.max_by(|one, other| one.expect.cmp(&other.expect));
    }
    sum.grpc |= more.grpc;
    sum.zones = Zones::sum([&sum.zones, &more.zones]);
    add(&mut sum.pods, more.pods);
    for (own, more) in sum.endpoints.iter_mut().zip(more.endpoints) {
        endpoint(own, more);
    }
    answers(&mut sum.answers, more.answers);
    choice(&mut sum.selection_pattern, &more.selection_pattern);
    answer_age(&mut sum.answer_age, more.answer_age);
    held(&mut sum.open_connections, &more.open_connections);
    add_rows(&mut sum.stale, more.stale, |a, b| a.pod == b.pod && a.kind == b.kind, stale);
    add_rows(&mut sum.other_ports, more.other_ports, |a, b| a.port == b.port, other_port);
    add_rows(
        &mut sum.responses,
        more.responses,
        |a, b| {
            (&a.rcode, a.truncated, &a.transport, &a.qtype) == (&b.rcode, b.truncated, &b.transport, &b.qtype)
        },
        |sum, more| add(&mut sum.count, more.count),
    );
    sum.since = earliest(sum.since, more.since);
    add_counts(&mut sum.stale_kinds, more.stale_kinds);
    add_histogram(&mut sum.convergence, more.convergence);
    load::absorb_ends(&mut sum.ends, more.ends);
    sum.by_pod.extend(more.by_pod);
    let OtherPods { pods, opened, failed, active } = more.other_pods;
    add(&mut sum.other_pods.pods, pods);
    add(&mut sum.other_pods.opened, opened);
    add(&mut sum.other_pods.failed, failed);
    add(&mut sum.other_pods.active, active);
}

/// Successes since the last failure, of two nodes, each with its failures: of the node whose failures are less certain to
/// be over.
fn since_failure((failed, opened): (u64, u64), (more_failed, more_opened): (u64, u64)) -> u64 {
    match (failed > 0, more_failed > 0) {
        (false, false) => opened.saturating_add(more_opened),
        (true, false) => opened,
        (false, true) => more_opened,
        (true, true) => opened.min(more_opened),
    }
}

fn endpoint(sum: &mut ClientEndpoint, more: ClientEndpoint) {
    sum.opened_since_failure =
        since_failure((sum.failed, sum.opened_since_failure), (more.failed, more.opened_since_failure));
    add(&mut sum.opened, more.opened);
    add(&mut sum.counted, more.counted);
    add(&mut sum.failed, more.failed);
    add(&mut sum.turned_away, more.turned_away);
    add(&mut sum.active, more.active);
    add(&mut sum.selections, more.selections);
    sum.expected += more.expected;
    sum.offered |= more.offered;
    add(&mut sum.counted_active, more.counted_active);
    add(&mut sum.counted_bytes, more.counted_bytes);
    add(&mut sum.counted_segments, more.counted_segments);
    add(&mut sum.bytes, more.bytes);
    add(&mut sum.answered_pods, more.answered_pods);
    add(&mut sum.unaware_pods, more.unaware_pods);
    add(&mut sum.brief, more.brief);
    add(&mut sum.lasting, more.lasting);
    add(&mut sum.own_pods, more.own_pods);
    sum.last_answered = sum.last_answered.max(more.last_answered);
    sum.first_connection = earliest(sum.first_connection, more.first_connection);
    sum.last_connection = sum.last_connection.max(more.last_connection);
    sum.converged_seconds = sum.converged_seconds.into_iter().chain(more.converged_seconds).reduce(f64::min);
    sum.drained_seconds = sum.drained_seconds.into_iter().chain(more.drained_seconds).reduce(f64::max);
    add_counts(&mut sum.resolution, more.resolution);
    add_counts(&mut sum.reasons, more.reasons);
    add(&mut sum.bytes_sent, more.bytes_sent);
    add(&mut sum.bytes_received, more.bytes_received);
    sum.carried.add(more.carried);
    add(&mut sum.syns_retransmitted, more.syns_retransmitted);
    add_rows(
        &mut sum.ports,
        more.ports,
        |a, b| a.port == b.port,
        |sum: &mut PortCounts, more| {
            add_counts(&mut sum.opened, more.opened);
            add_counts(&mut sum.failed, more.failed);
        },
    );
    sum.ports.sort_by_key(|port| port.port);
    load::absorb(&mut sum.load, &more.load);
    load::absorb_times(&mut sum.connect_times, more.connect_times);
    load::absorb_times(&mut sum.round_trips, more.round_trips);
    sum.readings.add(&more.readings);
}

fn answers(sum: &mut ClientAnswers, more: ClientAnswers) {
    add(&mut sum.count, more.count);
    add(&mut sum.truncated, more.truncated);
    add(&mut sum.truncated_used, more.truncated_used);
    sum.smallest = least(sum.smallest, more.smallest);
    sum.largest = sum.largest.max(more.largest);
    sum.ttl_seconds = sum.ttl_seconds.max(more.ttl_seconds);
    sum.first = earliest(sum.first, more.first);
    if (more.last, more.last_ttl_seconds) > (sum.last, sum.last_ttl_seconds) {
        sum.last_ttl_seconds = more.last_ttl_seconds;
    }
    sum.last = sum.last.max(more.last);
    sum.last_of_oldest = earliest(sum.last_of_oldest, more.last_of_oldest);
    let seconds = |one: &ClientAnswers, intervals| one.interval_seconds.unwrap_or(0.0) * intervals as f64;
    let all = seconds(sum, sum.intervals) + seconds(&more, more.intervals);
    add(&mut sum.intervals, more.intervals);
    sum.interval_seconds = (sum.intervals > 0).then(|| all / sum.intervals as f64);
    add_counts(&mut sum.first_records, more.first_records);
}

fn choice(sum: &mut SelectionPattern, more: &SelectionPattern) {
    add(&mut sum.selections, more.selections);
    add(&mut sum.first, more.first);
    sum.first_by_chance += more.first_by_chance;
    add(&mut sum.nearest_candidates, more.nearest_candidates);
    add(&mut sum.nearest, more.nearest);
    sum.nearest_by_chance += more.nearest_by_chance;
    add(&mut sum.with_known_position, more.with_known_position);
    sum.max_position = sum.max_position.max(more.max_position);
    sum.smallest_answer = least(sum.smallest_answer, more.smallest_answer);
    sum.max_endpoints = sum.max_endpoints.max(more.max_endpoints);
    add(&mut sum.pods, more.pods);
    add(&mut sum.pods_on_one, more.pods_on_one);
    sum.max_connects_per_answer = sum.max_connects_per_answer.max(more.max_connects_per_answer);
}

fn answer_age(sum: &mut AnswerAge, more: AnswerAge) {
    add(&mut sum.within_ttl, more.within_ttl);
    add(&mut sum.past_ttl, more.past_ttl);
    sum.max_seconds = sum.max_seconds.max(more.max_seconds);
    add_counts(&mut sum.buckets, more.buckets);
    add_histogram(&mut sum.histogram, more.histogram);
}

fn held(sum: &mut OpenConnections, more: &OpenConnections) {
    sum.seconds = match (sum.pods_on_one, more.pods_on_one) {
        (0, _) => more.seconds,
        (_, 0) => sum.seconds,
        _ => sum.seconds.min(more.seconds),
    };
    add(&mut sum.pods, more.pods);
    add(&mut sum.pods_on_one, more.pods_on_one);
}

fn stale(sum: &mut StaleTarget, more: StaleTarget) {
    add(&mut sum.connections, more.connections);
    add(&mut sum.answered_after, more.answered_after);
    add(&mut sum.past_ttl, more.past_ttl);
    add(&mut sum.unresolved, more.unresolved);
    sum.seconds = sum.seconds.max(more.seconds);
    sum.current_owner = sum.current_owner.take().max(more.current_owner);
}

fn other_port(sum: &mut OtherPort, more: OtherPort) {
    add(&mut sum.connections, more.connections);
    add(&mut sum.opened, more.opened);
    add(&mut sum.failed, more.failed);
    sum.of_service |= more.of_service;
    sum.use_port = sum.use_port.filter(|port| Some(*port) == more.use_port);
}
