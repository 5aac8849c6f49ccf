//! The engine's state as a [`Snapshot`].

use std::collections::{BTreeMap, HashMap};

use headless_obs_ebpf::flow::reason;
use jiff::Timestamp;

use super::Engine;
use super::answers::{AnswerCounts, RCODES, Transport};
use crate::attribution::{Resolution, Stale};
use crate::client::WorkloadId;
use crate::dns::message::Reject;
use crate::expose::snapshot::{
    Client, ClientEndpoint, Counts, Dns, Endpoint, MapFill, Quality, SCHEMA, Service, Snapshot, TopologyState,
};
use crate::ledger::{Cell, CellKey, POSITIONS};
use crate::spread::{self, ratio};
use crate::time::Time;
use crate::topology::{EndpointId, ServiceId, ServiceState, State};

/// What the kernel side knows of itself, and the moment of the snapshot.
#[derive(Clone, Debug)]
pub struct KernelState {
    /// Name of the node.
    pub node: String,
    /// When observation began.
    pub from: Timestamp,
    /// Now.
    pub to: Timestamp,
    /// The topology's source; the engine itself knows whether it is synced.
    pub topology: TopologyState,
    /// Counters by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// Map → entries and capacity.
    pub maps: BTreeMap<&'static str, (u64, u64)>,
    /// Probe → hook.
    pub hooks: BTreeMap<String, String>,
    /// Ring records that could not be read.
    pub unknown_records: u64,
}

/// Kernel counters that are no losses.
const NO_LOSS: [&str; 2] = ["dns_not_answer", "boring"];

type Cells<'a> = Vec<(&'a CellKey, &'a Cell)>;

impl Engine {
    /// Everything the observer knows.
    pub fn snapshot(&self, kernel: &KernelState) -> Snapshot {
        let mut by_service: HashMap<ServiceId, Cells<'_>> = HashMap::new();
        for (key, cell) in self.accounts.ledger.cells() {
            by_service.entry(key.endpoint.service).or_default().push((key, cell));
        }
        let mut services: Vec<_> = self
            .topology
            .services()
            .map(|state| self.service(state, by_service.get(&state.id()).map_or(&[], Vec::as_slice)))
            .collect();
        services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Snapshot {
            schema: SCHEMA.to_owned(),
            node: kernel.node.clone(),
            from: kernel.from,
            to: kernel.to,
            mature_after_seconds: 0.0,
            quality: self.quality(kernel),
            services,
        }
    }

    fn quality(&self, kernel: &KernelState) -> Quality {
        let cells = || self.accounts.ledger.cells();
        let opened: u64 = cells().map(|(_, cell)| cell.opened).sum();
        let late: u64 = cells().map(|(_, cell)| cell.late).sum();
        let no_dns =
            cells().filter(|(key, _)| key.resolution == Resolution::None).map(|(_, cell)| cell.opened).sum();
        let mut unattributed = Counts::from([("no_dns".to_owned(), no_dns)]);
        unattributed.extend(self.tally.unattributed().map(|(reason, count)| (reason.to_owned(), count)));
        let boring = kernel.counters.get("boring").copied().unwrap_or(0);
        let mut excluded = Counts::from([("boring".to_owned(), boring)]);
        excluded.extend(self.tally.excluded().map(|(reason, count)| (reason.to_owned(), count)));
        Quality {
            events_lost: self.losses(kernel),
            dns_rejected: nonzero(
                Reject::ALL
                    .iter()
                    .zip(self.dns_rejected)
                    .map(|(reject, count)| (reject.as_str().to_owned(), count))
                    .collect(),
            ),
            late,
            late_share: ratio(late, opened),
            unattributed,
            excluded,
            probes: kernel.hooks.clone(),
            maps: kernel
                .maps
                .iter()
                .map(|(name, (entries, capacity))| {
                    ((*name).to_owned(), MapFill { entries: *entries, capacity: *capacity })
                })
                .collect(),
            topology: TopologyState { synced: self.synced(), ..kernel.topology.clone() },
        }
    }

    /// Everything that was lost, by reason: in the kernel, and by the engine's own bounds.
    fn losses(&self, kernel: &KernelState) -> Counts {
        let in_kernel = kernel.counters.iter().filter(|(name, _)| !NO_LOSS.contains(name));
        let mut losses: Counts = in_kernel.map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let topology = self.topology.counters();
        let clients = self.clients.counters();
        let own = [
            ("record_unknown", kernel.unknown_records),
            ("evidence_evicted", self.evidence.evicted()),
            ("clients_evicted", clients.scopes_evicted + clients.cgroups_evicted),
            ("clients_full", clients.workloads_full),
            ("clients_folded", self.accounts.ledger.folded()),
            ("topology_full", topology.services_full + topology.endpoints_full + topology.pods_full),
            (
                "topology_evicted",
                topology.removed_evicted + topology.history_evicted + topology.addresses_evicted,
            ),
            ("learner_full", self.learner.as_ref().map_or(0, |learner| learner.counters().total())),
        ];
        losses.extend(own.map(|(name, count)| (name.to_owned(), count)));
        losses.extend(self.streams.stats().losses().map(|(name, count)| (name.to_owned(), count)));
        losses
    }

    fn service(&self, state: &ServiceState, cells: &[(&CellKey, &Cell)]) -> Service {
        let mut by_endpoint: HashMap<EndpointId, Cells<'_>> = HashMap::new();
        let mut by_client: HashMap<Option<WorkloadId>, Cells<'_>> = HashMap::new();
        for (key, cell) in cells {
            by_endpoint.entry(key.endpoint.endpoint).or_default().push((key, cell));
            by_client.entry(key.client).or_default().push((key, cell));
        }
        let mut shown: Vec<_> = state
            .endpoints()
            .filter(|endpoint| {
                endpoint.state() != State::Removed || by_endpoint.contains_key(&endpoint.id().endpoint)
            })
            .collect();
        shown.sort_by_cached_key(|endpoint| (natural(&endpoint.label()), endpoint.state() == State::Removed));

        let endpoints: Vec<_> = shown
            .iter()
            .map(|endpoint| {
                let cells = by_endpoint.get(&endpoint.id().endpoint).map_or(&[][..], Vec::as_slice);
                let sum = |figure: fn(&Cell) -> u64| cells.iter().map(|(_, cell)| figure(cell)).sum();
                Endpoint {
                    pod: endpoint.label().to_string(),
                    addresses: endpoint.addresses().map(|address| address.to_string()).collect(),
                    state: endpoint.state().name().to_owned(),
                    ready_since: endpoint.ready_since().map(|time| self.wall(time)),
                    opened: sum(|cell| cell.opened),
                    counted: counted(cells),
                    failed: failures(cells),
                    superseded: sum(|cell| cell.superseded),
                    active: sum(Cell::active),
                    closed: sum(|cell| cell.closed),
                    bytes_sent: sum(|cell| cell.bytes_sent),
                    bytes_received: sum(|cell| cell.bytes_received),
                    ..Endpoint::default()
                }
            })
            .collect();
        let order: Vec<(EndpointId, &Endpoint)> =
            shown.iter().zip(&endpoints).map(|(endpoint, row)| (endpoint.id().endpoint, row)).collect();
        let mut clients: Vec<_> =
            by_client.into_iter().map(|(client, cells)| self.client(client, &cells, &order)).collect();
        clients.sort_by(|a, b| (&a.namespace, &a.workload).cmp(&(&b.namespace, &b.workload)));
        let ready: Vec<u64> = endpoints.iter().filter(|row| is_ready(row)).map(|row| row.counted).collect();
        let key = state.key();
        Service {
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            spread: spread::of(&ready),
            stale: stale(cells),
            dns: dns(&self.answers.of(state.id())),
            clients,
            endpoints,
            ..Service::default()
        }
    }

    fn client(
        &self,
        client: Option<WorkloadId>,
        cells: &[(&CellKey, &Cell)],
        order: &[(EndpointId, &Endpoint)],
    ) -> Client {
        let name = client.and_then(|id| self.clients.workload(id));
        let (namespace, workload) = name.map_or(("", FOLDED_NAME), |name| (&*name.namespace, &*name.name));
        let mut by_endpoint: HashMap<EndpointId, Cells<'_>> = HashMap::new();
        for (key, cell) in cells {
            by_endpoint.entry(key.endpoint.endpoint).or_default().push((key, cell));
        }
        let endpoints: Vec<_> = order
            .iter()
            .map(|(id, row)| {
                let pod = row.pod.clone();
                let Some(own) = by_endpoint.get(id) else {
                    return ClientEndpoint { pod, ..ClientEndpoint::default() };
                };
                ClientEndpoint {
                    pod,
                    opened: own.iter().map(|(_, cell)| cell.opened).sum(),
                    counted: counted(own),
                    failed: own.iter().map(|(_, cell)| cell.failures()).sum(),
                    active: own.iter().map(|(_, cell)| cell.active()).sum(),
                    resolution: resolutions(own),
                    reasons: nonzero(failures(own)),
                    ..ClientEndpoint::default()
                }
            })
            .collect();
        let ready = || order.iter().zip(&endpoints).filter(|((_, row), _)| is_ready(row));
        let reached = ready().filter(|(_, own)| own.counted > 0).count();
        Client {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            resolution: resolutions(cells),
            opened: cells.iter().map(|(_, cell)| cell.opened).sum(),
            failed: cells.iter().map(|(_, cell)| cell.failures()).sum(),
            active: cells.iter().map(|(_, cell)| cell.active()).sum(),
            late: cells.iter().map(|(_, cell)| cell.late).sum(),
            coverage: ratio(reached as u64, ready().count() as u64),
            answer_index: answer_index(cells),
            endpoints,
            ..Client::default()
        }
    }

    /// A moment on the wall clock.
    pub(super) fn wall(&self, time: Time) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(time.0) + self.wall_offset).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Stands for the clients that the ledger had no room for.
const FOLDED_NAME: &str = "~other";

fn is_ready(row: &Endpoint) -> bool {
    row.state == State::Ready.name()
}

/// Connections that count in the spread.
fn counted(cells: &[(&CellKey, &Cell)]) -> u64 {
    cells.iter().filter(|(key, _)| key.resolution.counts()).map(|(_, cell)| cell.opened).sum()
}

/// Connections by what they were resolved by.
fn resolutions(cells: &[(&CellKey, &Cell)]) -> Counts {
    let mut resolutions = Counts::new();
    for (key, cell) in cells {
        let count = if key.resolution == Resolution::Preexisting { cell.preexisting } else { cell.opened };
        *resolutions.entry(key.resolution.as_str().to_owned()).or_default() += count;
    }
    nonzero(resolutions)
}

fn nonzero(mut counts: Counts) -> Counts {
    counts.retain(|_, count| *count > 0);
    counts
}

fn failures(cells: &[(&CellKey, &Cell)]) -> Counts {
    reason::NAMES
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let count = cells.iter().filter_map(|(_, cell)| cell.failed.get(place)).sum();
            ((*name).to_owned(), count)
        })
        .collect()
}

fn stale(cells: &[(&CellKey, &Cell)]) -> Counts {
    Stale::ALL
        .iter()
        .enumerate()
        .map(|(place, kind)| {
            let count = cells.iter().filter_map(|(_, cell)| cell.stale.get(place)).sum();
            (kind.as_str().to_owned(), count)
        })
        .collect()
}

/// Places of the chosen addresses in the answers, of the connections that count.
fn answer_index(cells: &[(&CellKey, &Cell)]) -> Counts {
    let mut index = Counts::new();
    for (_, cell) in cells.iter().filter(|(key, _)| key.resolution.counts()) {
        for (place, count) in cell.positions.iter().enumerate().filter(|(_, count)| **count > 0) {
            let place = if place < POSITIONS { place.to_string() } else { format!("{POSITIONS}+") };
            *index.entry(place).or_default() += count;
        }
    }
    index
}

fn dns(counts: &AnswerCounts) -> Dns {
    Dns {
        answers: counts.answers,
        truncated: counts.truncated,
        completeness: counts.completeness(),
        rcodes: RCODES.iter().zip(counts.rcodes).map(|(name, count)| ((*name).to_owned(), count)).collect(),
        transports: [Transport::Udp, Transport::Tcp]
            .iter()
            .zip(counts.transports)
            .map(|(transport, count)| (transport.as_str().to_owned(), count))
            .collect(),
        ..Dns::default()
    }
}

/// Sorts `pod-2` before `pod-10`, and addresses by number: text and numbers in turn.
fn natural(label: &str) -> Vec<(String, u128)> {
    let mut parts = Vec::new();
    let mut rest = label;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(end);
        parts.push((text.to_owned(), number.parse().unwrap_or(u128::MAX)));
        rest = tail;
    }
    parts
}
