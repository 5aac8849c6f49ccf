//! The figures of one client workload of a Service.

use super::aggregate::{answer_position, carried, ends, failures, nonzero, ports, resolutions, stale, times};
use super::client_pods::PodDetail;
use super::open_connections::{self, HeldRow};
use super::pods::Pods;
use super::{CellRow, Cells, Expectation, Moment, Order, Tally, Who, intents, load, spread, zones};
use crate::attribution::{StaleKind, current_pod_at};
use crate::client::WorkloadId;
use crate::engine::Engine;
use crate::engine::client_stats::{ClientCounters, ClientStats, Recovery};
use crate::expose::snapshot::{
    AnswerAge, Client, ClientAnswers, ClientEndpoint, Endpoint, EndpointLoad, Histogram, OtherPort, Readings,
    SelectionPattern, StaleTarget,
};
use crate::hash::HashMap;
use crate::ledger::{Ledger, StaleConnects};
use crate::service_resolution::Resolution;
use crate::spread::ratio;
use crate::time::Time;
use crate::topology::{self, EndpointId, ServiceState, State};

/// The name of the clients for which the ledger had no room.
const FOLDED_NAME: &str = "~other";

/// The facts about a client beside its cells.
pub(super) struct ClientFacts<'a> {
    pub(super) stats: Option<&'a ClientStats<'a>>,
    pub(super) expected: Option<&'a Expectation>,
    pub(super) held: &'a [HeldRow],
    pub(super) pods: &'a Pods,
    /// Present if each pod is of interest.
    pub(super) pod_detail: Option<&'a PodDetail>,
    /// Present if the load of single minutes is of interest.
    pub(super) ledger: Option<&'a Ledger>,
    /// The connections that count in its spread.
    pub(super) choice: spread::Choice,
}

impl Engine {
    /// Namespace and workload of a client.
    pub(super) fn client_names(&self, client: Option<WorkloadId>) -> (&str, &str) {
        let name = client.and_then(|id| self.clients.workload(id));
        name.map_or(("", FOLDED_NAME), |name| (&*name.namespace, &*name.name))
    }

    pub(super) fn client(
        &self,
        state: &ServiceState,
        who: &Who,
        cells: &[CellRow<'_>],
        &ClientFacts { stats: facts, expected, held, pods, pod_detail, ledger, choice }: &ClientFacts<'_>,
        order: &Order<'_>,
        moment: &Moment<'_>,
    ) -> Client {
        let (namespace, workload) = match who {
            Who::Workload(client) => self.client_names(*client),
            Who::Namespace(namespace) => (&**namespace, ""),
            Who::All => ("", ""),
        };
        // For many clients together, the answers that listed an endpoint say nothing, and the search takes long.
        let told = facts.zip(who.workload());
        let mut by_endpoint: HashMap<EndpointId, Cells<'_>> = HashMap::default();
        for row in cells {
            by_endpoint.entry(row.0.endpoint.endpoint).or_default().push(*row);
        }
        let of = |endpoint: &topology::Endpoint| {
            by_endpoint.get(&endpoint.id().endpoint).map_or(&[][..], Vec::as_slice)
        };
        let mut endpoints: Vec<_> = order
            .iter()
            .map(|(endpoint, row)| {
                let share = expected.and_then(|expected| expected.get(&endpoint.id().endpoint));
                let own = self.client_endpoint(state, endpoint, row, of(endpoint), told, (pods, choice));
                ClientEndpoint { expected: share.filter(|_| row.mature).copied().unwrap_or_default(), ..own }
            })
            .collect();
        let by_part = is_by_part(cells, choice);
        if by_part {
            offer_part(&mut endpoints);
        }
        if let Some(ledger) = ledger {
            load::fill(&mut endpoints, cells, order, ledger, moment);
        }
        let others: Order<'_> = order
            .iter()
            .zip(&endpoints)
            .filter(|(_, own)| own.is_option(by_part))
            .map(|(endpoint, _)| *endpoint)
            .collect();
        let none = Expectation::default();
        let figures = spread::of(cells, &others, expected.unwrap_or(&none), choice);
        let totals = facts.and_then(ClientStats::totals);
        let label =
            |endpoint: EndpointId| state.endpoint(endpoint).map(|endpoint| endpoint.label().to_string());
        let each_pod = pod_detail.zip(who.workload());
        let (by_pod, other_pods) = each_pod
            .map(|(detail, id)| self.client_pods(detail, (state.id(), id), facts, order))
            .unwrap_or_default();
        Client {
            zones: zones::of(cells, self.topology.node_zone()),
            intent: intents::of_client(state, &moment.counted.said, who.workload()),
            by_pod,
            other_pods,
            since: cells
                .iter()
                .filter_map(|(_, cell)| cell.first)
                .chain(facts.and_then(ClientStats::seen).map(|(since, _)| since))
                .min()
                .map(|time| self.wall(time)),
            newest_pod: facts.and_then(ClientStats::newest).map(|time| self.wall(time)),
            responses: totals.map_or_else(Vec::new, ClientCounters::responses),
            stale_kinds: nonzero(stale(cells)),
            convergence: totals.map_or_else(Histogram::default, |totals| totals.convergence.clone()),
            ends: ends(cells),
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            resolution: resolutions(cells),
            opened: cells.iter().map(|(_, cell)| cell.opened).sum(),
            failed: cells.iter().map(|(_, cell)| cell.failures()).sum(),
            opened_since_failure: facts.and_then(ClientStats::recovery).map_or(0, Recovery::opened),
            active: cells.iter().map(|(_, cell)| cell.active()).sum(),
            reconciled: cells.iter().map(|(_, cell)| cell.reconciled).sum(),
            usable_answers: totals.map(|totals| totals.usable),
            not_endpoint: 0,
            losses: self.losses_of(state, who, facts, moment.stretch),
            by_part,
            coverage: coverage(order, &endpoints, by_part),
            answer_position: answer_position(cells),
            excluded: moment.excluded(state.id(), who.workload()).map(str::to_owned),
            program: facts.and_then(ClientStats::program),
            grpc: facts.is_some_and(ClientStats::grpc),
            pods: facts.map_or(0, |facts| facts.scopes().count() as u64),
            spread: figures.spread,
            selections: figures.selections,
            open: figures.open,
            bytes: figures.bytes,
            segments: figures.segments,
            answers: facts
                .map_or_else(ClientAnswers::default, |facts| facts.answers(|time| self.wall(time), label)),
            selection_pattern: facts.map_or_else(SelectionPattern::default, ClientStats::choice),
            answer_age: totals.map_or_else(AnswerAge::default, ClientCounters::answer_age),
            open_connections: open_connections::of(held, moment.now),
            stale: order.iter().flat_map(|(endpoint, _)| self.stale(endpoint, of(endpoint))).collect(),
            other_ports: totals.map_or_else(Vec::new, |totals| other_ports(totals, state)),
            verdict: None,
            withheld: None,
            endpoints,
        }
    }

    fn client_endpoint(
        &self,
        state: &ServiceState,
        endpoint: &topology::Endpoint,
        row: &Endpoint,
        own: &[CellRow<'_>],
        told: Option<(&ClientStats<'_>, WorkloadId)>,
        (pods, choice): (&Pods, spread::Choice),
    ) -> ClientEndpoint {
        let facts = told.map(|(facts, _)| facts);
        let sum = |figure: fn(&Tally) -> u64| own.iter().map(|(_, cell)| figure(cell)).sum::<u64>();
        let counting = || own.iter().filter(|(key, _)| choice(key.resolution)).map(|(_, cell)| *cell);
        let last_answered: Vec<Time> = facts
            .into_iter()
            .flat_map(ClientStats::scopes)
            .filter_map(|scope| {
                let last_answered = |address| self.answer_cache.last_answered(scope, address, state.id());
                endpoint.addresses().filter_map(last_answered).max()
            })
            .collect();
        let first = own.iter().filter_map(|(_, cell)| cell.first).min();
        let last = own.iter().filter_map(|(_, cell)| cell.last).max();
        let later = endpoint.ready_since().filter(|since| state.is_later(*since, self.mature_after));
        let left = endpoint.state_since().filter(|_| endpoint.state() == State::Removed);
        let seconds = |from: Option<Time>, to: Option<Time>| {
            from.zip(to).filter(|(from, to)| to >= from).map(|(from, to)| to.since(from).as_secs_f64())
        };
        let counts = spread::InSpread::of(own.iter().copied(), choice);
        let lives = pods.lives(told.map(|(_, workload)| workload), endpoint.id());
        ClientEndpoint {
            expected: 0.0,
            offered: false,
            counted_active: counts.active,
            counted_bytes: counts.bytes,
            counted_segments: counts.segments,
            bytes_sent: sum(|cell| cell.bytes_sent),
            bytes_received: sum(|cell| cell.bytes_received),
            carried: carried(own),
            syns_retransmitted: sum(|cell| cell.syns_retransmitted),
            ports: ports(own),
            pod: row.pod.clone(),
            opened: sum(|cell| cell.opened),
            counted: counting().map(|cell| cell.opened).sum(),
            failed: sum(|cell| cell.failures()),
            turned_away: sum(|cell| cell.turned_away),
            opened_since_failure: facts
                .and_then(ClientStats::recovery)
                .map_or(0, |recovery| recovery.opened_at(endpoint.id().endpoint)),
            active: sum(Tally::active),
            selections: counting().map(|cell| cell.selections).sum(),
            bytes: sum(|cell| cell.bytes_sent + cell.bytes_received),
            answered_pods: last_answered.len() as u64,
            unaware_pods: facts.map_or(0, |facts| self.unaware(pods, endpoint, facts)),
            brief: lives.brief,
            lasting: lives.lasting,
            own_pods: told.map_or(0, |(facts, workload)| self.own(pods, endpoint, facts, workload)),
            last_answered: last_answered.iter().max().map(|time| self.wall(*time)),
            first_connection: first.map(|time| self.wall(time)),
            last_connection: last.map(|time| self.wall(time)),
            converged_seconds: seconds(later, first),
            drained_seconds: seconds(left, last),
            resolution: resolutions(own),
            reasons: nonzero(failures(own)),
            load: EndpointLoad::default(),
            connect_times: times(own.iter().map(|(_, cell)| &cell.connect_times)),
            round_trips: times(own.iter().map(|(_, cell)| &cell.round_trips)),
            readings: self.readings(own),
        }
    }

    /// The readings of the open connections of these cells.
    fn readings(&self, own: &[CellRow<'_>]) -> Readings {
        let mut sum = Readings::default();
        for (key, _) in own.iter().filter(|(_, cell)| cell.active() > 0) {
            sum.add(&self.reconciler.readings(key));
        }
        sum
    }

    /// The client's connections to this endpoint while it was not ready.
    fn stale(&self, endpoint: &topology::Endpoint, own: &[CellRow<'_>]) -> Vec<StaleTarget> {
        let kinds = StaleKind::ALL.into_iter().enumerate();
        let all = |place: usize| own.iter().map(move |(_, cell)| cell.stale(place));
        kinds
            .filter(|(place, _)| all(*place).any(|stale_connects| stale_connects.connections > 0))
            .map(|(place, kind)| {
                let sum = |figure: fn(StaleConnects) -> u64| all(place).map(figure).sum();
                let ports = || {
                    own.iter().filter(|(_, cell)| cell.stale(place).connections > 0).map(|(key, _)| key.port)
                };
                let mut owners = endpoint.addresses().flat_map(|address| {
                    ports().filter_map(move |port| current_pod_at(address, port, endpoint, &self.topology))
                });
                let now = owners.next().filter(|_| kind == StaleKind::IpReused);
                StaleTarget {
                    pod: endpoint.label().to_string(),
                    kind: kind.as_str().to_owned(),
                    connections: sum(|stale_connects| stale_connects.connections),
                    answered_after: sum(|stale_connects| stale_connects.answered_after),
                    past_ttl: sum(|stale_connects| stale_connects.past_ttl),
                    unresolved: own
                        .iter()
                        .filter(|(key, _)| key.resolution == Resolution::None)
                        .map(|(_, cell)| cell.stale(place).connections)
                        .sum(),
                    seconds: all(place)
                        .map(|stale_connects| stale_connects.longest.as_secs_f64())
                        .fold(0.0, f64::max),
                    current_owner: now.map(|key| format!("{}/{}", key.namespace, key.name)),
                }
            })
            .collect()
    }
}

/// Whether a client chose, and only by names for a part of the endpoints.
fn is_by_part(cells: &[CellRow<'_>], choice: spread::Choice) -> bool {
    let mut ways = cells
        .iter()
        .filter(|(key, cell)| choice(key.resolution) && cell.opened + cell.failures() + cell.active() > 0)
        .map(|(key, _)| key.resolution)
        .peekable();
    ways.peek().is_some() && ways.all(|way| way == Resolution::Part)
}

/// Marks the endpoints of the part: those of the answers that the client chose from. If all its choices are older than
/// the stretch, those of any answer that it received.
fn offer_part(endpoints: &mut [ClientEndpoint]) {
    let has_chosen = endpoints.iter().any(|own| own.expected > 0.0);
    for own in endpoints {
        let was_told = if has_chosen { own.expected > 0.0 } else { own.answered_pods > 0 };
        own.offered = was_told || own.counted + own.counted_active > 0;
    }
}

/// The share of mature endpoints that a client used, of those among which it could choose.
fn coverage(order: &Order<'_>, endpoints: &[ClientEndpoint], by_part: bool) -> f64 {
    let mature =
        || order.iter().zip(endpoints).filter(|((_, row), own)| row.mature && own.is_option(by_part));
    let reached = mature().filter(|(_, own)| own.counted > 0).count();
    ratio(reached as u64, mature().count() as u64)
}

/// Ports that a client used and the endpoint does not list, and the right port: the endpoint's only one, or the one with
/// the name that the port has in the Service.
fn other_ports(totals: &ClientCounters, state: &ServiceState) -> Vec<OtherPort> {
    let mut ports: Vec<OtherPort> = Vec::new();
    for wrong in &totals.wrong_ports {
        let of_service = state.ports().iter().find(|port| port.port == wrong.port);
        let use_port = state.endpoint(wrong.endpoint).and_then(|endpoint| match endpoint.ports() {
            [only] => Some(*only),
            _ => endpoint.port_named(&of_service?.name),
        });
        match ports.iter_mut().find(|known| known.port == wrong.port) {
            Some(known) => {
                known.connections += wrong.connections;
                known.opened += wrong.opened;
                known.failed += wrong.failed;
                known.use_port = known.use_port.filter(|port| Some(*port) == use_port);
            }
            None => ports.push(OtherPort {
                port: wrong.port,
                connections: wrong.connections,
                opened: wrong.opened,
                failed: wrong.failed,
                of_service: of_service.is_some(),
                use_port,
            }),
        }
    }
    // The stretch may begin between a connection and its end.
    ports.retain(|port| port.connections > 0);
    ports.iter_mut().for_each(|port| port.failed = port.failed.min(port.connections));
    ports
}
