//! The snapshot, schema `headless-obs/v1`: what `-o json`, /api/v1/snapshot, the tables and the metrics are
//! made of. Plain data; two snapshots of different nodes can be added up. Fields may be added; a field once
//! published keeps its name and meaning.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::client_stats::{
    AnswerAge, ClientAnswers, OpenConnections, OtherPort, PortCounts, Responses, SelectionPattern,
    StaleTarget, Unanswered,
};
pub use super::connection_history::History;
pub use super::histogram::Histogram;
pub use super::node_status::Part;
pub use super::verdict::{Cause, Confidence, Verdict};

/// The value of [`Snapshot::schema`].
pub const SCHEMA: &str = "headless-obs/v1";

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// Everything the observer knows at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the node; of several that were put together, their names or how many they are.
    pub node: String,
    /// When observation began.
    pub from: Timestamp,
    /// When the snapshot was taken.
    pub to: Timestamp,
    /// How long an endpoint must have been ready before it counts in the spread (`--mature-after`).
    #[serde(default)]
    pub mature_after_seconds: f64,
    /// The nodes that it was put together from, by name; empty where it is of one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub nodes: Vec<Part>,
    /// How much of the truth the rest shows.
    pub quality: Quality,
    /// Observed headless Services, by namespace and name.
    pub services: Vec<Service>,
    /// Clients whose questions over UDP no DNS server answered within ten seconds, whatever they asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unanswered: Vec<Unanswered>,
}

/// How much of the truth the snapshot shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// What was lost, by reason:
    /// - in the kernel: `ring_full` (detail of connections; totals are exact all the same), `connections_full`
    ///   (connections nobody saw), `flows_full` (changes that would not be noticed if their records were lost
    ///   too), `tcp_skipped` (changes nobody saw, with the classic tracepoint), `dns_ring_full`, `dns_copy_failed`, `dns_cut`;
    /// - on the way: `record_unknown`, and of DNS over TCP `tcp_gap`, `tcp_overflow`, `tcp_evicted`, `tcp_cut`,
    ///   `tcp_unsynced`, `tcp_incomplete`;
    /// - by the observer's own bounds: `answers_evicted`, `clients_evicted`, `clients_full`, `clients_folded`,
    ///   `topology_full`, `topology_evicted`, `learner_full`.
    pub events_lost: Counts,
    /// DNS payloads that could not be decoded, by reason.
    pub dns_rejected: Counts,
    /// DNS payloads that answer no question of the socket that received them, by reason: `unsolicited`, and `other_server`
    /// (it asked this question, but not the server that answers).
    #[serde(default)]
    pub dns_refused: Counts,
    /// Connections whose detail was lost and which were attributed later, with the evidence at hand.
    pub reconciled: u64,
    /// `late` as a share of all connections that were attributed, 0 to 1.
    pub reconciled_share: f64,
    /// Connections that the client's DNS answers do not explain, by reason: `no_dns` (established, and attributed
    /// by the address alone), and, failed attempts included, those that are nobody's: `ambiguous` (several
    /// Services have the address), `other_port`, `not_endpoint` (the Service that the client was told the address
    /// for does not have it).
    pub unattributed: Counts,
    /// Connections left out on purpose, by reason: `ignored` (to destinations that cannot be endpoints), and, failed
    /// attempts included, `probe` (from the node itself to pods on it, without DNS: health checks), `proxy` (made
    /// by a service mesh's proxy for others, whose own connections count), `other_node` (made on another node that shares
    /// the kernel), `observer` (made by the observer itself).
    pub excluded: Counts,
    /// Probe → the hook it runs on: `dns`, `queries`, `tcp`, `existing`; `none` where it could not be attached.
    pub probes: BTreeMap<String, String>,
    /// Kernel map → entries and capacity.
    pub maps: BTreeMap<String, MapFill>,
    /// Where Services and Pods come from.
    pub topology: TopologyState,
}

/// How full a kernel map is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFill {
    /// Entries in use.
    pub entries: u64,
    /// Room in all.
    pub capacity: u64,
}

/// Where Services and Pods come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyState {
    /// `kubernetes`, `files` or `dns`.
    pub source: String,
    /// Whether everything that exists has been seen and the source is in touch.
    pub synced: bool,
    /// Since when the source has been out of touch: the topology is what it was then. Nothing while it is in touch, or
    /// was never complete.
    #[serde(default)]
    pub stale_since: Option<Timestamp>,
    /// What the API server does not allow, and what is lost by that.
    #[serde(default)]
    pub refused: Vec<Refusal>,
    /// Requests to the API server.
    #[serde(default)]
    pub requests: u64,
    /// Bytes that the API server sent, without headers.
    #[serde(default)]
    pub received_bytes: u64,
    /// Watches that were opened again: the server ends each after some minutes, and failures do.
    #[serde(default)]
    pub watch_restarts: u64,
    /// Watches whose objects were listed again, because the server had forgotten what happened meanwhile.
    #[serde(default)]
    pub relists: u64,
    /// Objects that could not be read. Each stays as it was when it last could.
    #[serde(default)]
    pub rejected_objects: u64,
    /// When the source last told anything; with several watches, the one of them that has been silent for longest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_event: Option<Timestamp>,
}

/// Something that the API server does not allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `list` or `watch`.
    pub verb: String,
    /// `endpointslices`, `services` or `pods`.
    pub resource: String,
    /// Where; empty is everywhere.
    pub namespace: String,
    /// What is missing without it.
    pub lost: String,
}

/// A headless Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Namespace; empty outside Kubernetes.
    pub namespace: String,
    /// Name; outside Kubernetes a domain name.
    pub name: String,
    /// Every endpoint: those of now, and those that left but still have figures.
    pub endpoints: Vec<Endpoint>,
    /// Evenness of the connections opened by the Service's name, over its mature endpoints. Its `z` is that of
    /// `selections`, where these are known: one choice may open many connections.
    pub spread: Spread,
    /// Evenness of the selections: the first connection of a client process per DNS answer.
    #[serde(default)]
    pub selections: Spread,
    /// Evenness of the connections open now.
    #[serde(default)]
    pub open: Spread,
    /// Evenness of bytes, both directions, of connections that ended.
    #[serde(default)]
    pub bytes: Spread,
    /// Wasted capacity times rate: (`spread.peak_to_mean` − 1) × connections a second.
    #[serde(default)]
    pub waste: f64,
    /// Mature endpoints that nobody whose connections count has used, while others are.
    #[serde(default)]
    pub idle: Vec<String>,
    /// Connections to what was no ready endpoint when dialled: `removed`, `terminating`, `not_ready`, `ip_reused`;
    /// `grace` are those so soon after the change that client and server may not know of it yet.
    pub stale: Counts,
    /// Answers for the Service's names.
    pub dns: Dns,
    /// Client workloads, by namespace and name.
    pub clients: Vec<Client>,
    /// Connections opened over time, as in [`Endpoint::opened`]; empty without any.
    #[serde(skip_serializing_if = "History::is_empty", default)]
    pub history: History,
}

/// An endpoint of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Pod's name; the address where there is no pod.
    pub pod: String,
    /// All addresses of the pod in this Service, both families.
    pub addresses: Vec<String>,
    /// Ports that it serves the Service at; empty where any is taken.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ports: Vec<u16>,
    /// Its zone, where its source says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<String>,
    /// `ready`, `not_ready`, `terminating` or `removed`.
    pub state: String,
    /// Since when it is in this state, as far as the observer saw.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state_since: Option<Timestamp>,
    /// Since when it is ready.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready_since: Option<Timestamp>,
    /// It is ready, and has been for so long that it counts in the spread.
    #[serde(default)]
    pub mature: bool,
    /// The first answer that listed it, to any client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_answered: Option<Timestamp>,
    /// Connections established, whatever they were resolved by.
    pub opened: u64,
    /// Those of `opened` that count in the spread.
    pub counted: u64,
    /// Those of `counted`, and failed attempts, that were a client process's first by a DNS answer.
    #[serde(default)]
    pub selections: u64,
    /// What random choice would have made of `selections`, in proportion over mature endpoints: those that came later
    /// could expect less.
    #[serde(default)]
    pub expected: f64,
    /// Those of `active` that count in the spread, or are older than the observer.
    #[serde(default)]
    pub counted_active: u64,
    /// Bytes, both directions, of those of `closed` that count in the spread.
    #[serde(default)]
    pub counted_bytes: u64,
    /// Failures by reason; `reset` had been opened.
    pub failed: Counts,
    /// Attempts given up because the client's attempt over the other address family won; no failures.
    pub superseded: u64,
    /// Connections open now.
    pub active: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Bytes that clients sent, in connections that ended.
    pub bytes_sent: u64,
    /// Bytes that clients received, in connections that ended.
    pub bytes_received: u64,
}

/// Figures of evenness over n ready endpoints with x connections each, zeros included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// N: connections counted.
    pub connections: u64,
    /// n: endpoints counted.
    pub endpoints: u64,
    /// Share of endpoints with at least one connection, 0 to 1.
    pub coverage: f64,
    /// Largest x over the mean, 1 to n.
    pub peak_to_mean: f64,
    /// Standard deviation (population) over the mean, from 0.
    pub cv: f64,
    /// Jain's index, 1/n to 1.
    pub jain: f64,
    /// `cv` without the part that N random choices would show, from 0.
    #[serde(default)]
    pub cv_corrected: f64,
    /// Chi-square over its degrees of freedom: about 1 for random choice, near 0 for round robin.
    #[serde(default)]
    pub dispersion: f64,
    /// How far `dispersion` is from random choice, in standard deviations (Wilson and Hilferty); nothing without
    /// connections or with fewer than two endpoints.
    #[serde(default)]
    pub z: Option<f64>,
    /// The largest x over what that endpoint could expect of random choice: `peak_to_mean`, but that endpoints which came
    /// later could expect less. `dispersion` and `z` allow for that, too.
    #[serde(default)]
    pub peak_to_expected: f64,
    /// Gini coefficient, 0 to (n−1)/n.
    #[serde(default)]
    pub gini: f64,
    /// Entropy over its maximum, 0 to 1.
    #[serde(default)]
    pub entropy: f64,
    /// Coverage to be expected of N random choices.
    #[serde(default)]
    pub expected_coverage: f64,
    /// Peak to mean to be expected of N random choices, about.
    #[serde(default)]
    pub expected_peak_to_mean: f64,
}

/// DNS answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dns {
    /// Answers with addresses or SRV records, or cut so that none are left.
    pub answers: u64,
    /// Those with TC set.
    pub truncated: u64,
    /// Ready endpoints that answers for the Service's name listed, over those they could have listed, 0 to 1;
    /// 1 where there was no answer.
    pub completeness: f64,
    /// What `completeness` is made of: ready endpoints that answers listed.
    #[serde(default)]
    pub listed: u64,
    /// Ready endpoints that they could have listed.
    #[serde(default)]
    pub listable: u64,
    /// Answers by response code: `noerror`, `nxdomain`, `servfail`, `other`; without those for names that only search
    /// lists made.
    pub rcodes: Counts,
    /// Answers by transport: `udp`, `tcp`.
    pub transports: Counts,
    /// Connections by an answer that was truncated.
    #[serde(default)]
    pub truncated_used: u64,
    /// Endpoint → answers for the Service's name that listed it first, of those with two addresses or more.
    #[serde(default)]
    pub first_records: Counts,
    /// Answers that listed an endpoint that had left, after the grace.
    #[serde(default)]
    pub removed_answered: u64,
    /// Whole answers that lacked an endpoint that had been ready for longer than the grace.
    #[serde(default)]
    pub incomplete: u64,
    /// Answers with NXDOMAIN or without records although there were ready endpoints of the family, after the grace.
    #[serde(default)]
    pub denied: u64,
    /// Share of the ready endpoints of the asked family that each whole answer for the Service's name listed.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub ratio: Histogram,
    /// Seconds from a client's question over UDP to the answer.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub latency: Histogram,
}

/// A client workload of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Namespace; empty for a client that is no pod.
    pub namespace: String,
    /// Workload: Deployment, StatefulSet …, bare pod, or the cgroup's or process's name.
    pub workload: String,
    /// Connections opened, by what they were resolved by: `service`, `srv`, `hostname`, `none`, and open
    /// ones older than the observer as `preexisting`.
    pub resolution: Counts,
    /// Connections established.
    pub opened: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Connections open now.
    pub active: u64,
    /// Those of `opened` that were attributed late.
    pub reconciled: u64,
    /// Share of ready endpoints with at least one of this client's counted connections, 0 to 1.
    pub coverage: f64,
    /// Place of the chosen address in the answer, from 0 → connections and failed attempts that count in the
    /// spread; `32+` for all later places.
    pub answer_position: Counts,
    /// This client's figures per endpoint, zero-filled over the Service's endpoints.
    pub endpoints: Vec<ClientEndpoint>,
    /// Why its connections are left out of the Service's figures: `host`, `observer`, `option`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub excluded: Option<String>,
    /// The program that dialled last, as the kernel calls it: `java`, `node`, `nginx` …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub program: Option<String>,
    /// It asks for gRPC's service configuration.
    #[serde(default)]
    pub grpc: bool,
    /// Pods (or cgroups) of this workload that were answered or connected.
    #[serde(default)]
    pub pods: u64,
    /// As [`Service::spread`], of this client alone.
    #[serde(default)]
    pub spread: Spread,
    /// As [`Service::selections`].
    #[serde(default)]
    pub selections: Spread,
    /// As [`Service::open`].
    #[serde(default)]
    pub open: Spread,
    /// As [`Service::bytes`].
    #[serde(default)]
    pub bytes: Spread,
    /// What it was answered.
    #[serde(default)]
    pub answers: ClientAnswers,
    /// What it made of the answers.
    #[serde(default)]
    pub selection_pattern: SelectionPattern,
    /// How old the answers were that it connected by.
    #[serde(default)]
    pub answer_age: AnswerAge,
    /// Its open connections.
    #[serde(default)]
    pub open_connections: OpenConnections,
    /// What it dialled that was no ready endpoint.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stale: Vec<StaleTarget>,
    /// Ports it dialled that the endpoint does not have.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub other_ports: Vec<OtherPort>,
    /// How it spreads its connections, and why.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// Why there is no verdict: `losses`, `not_in_sync`, `started_after`, `by_hostname`, `no_dns`, `excluded`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub withheld: Option<String>,
    /// When the observer first saw it with this Service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// Answers for the Service's names that it received.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub responses: Vec<Responses>,
    /// Connections to what was no endpoint that serves, by kind, as in [`Service::stale`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub stale_kinds: Counts,
    /// Seconds from an endpoint's being ready to this client's first connection to it.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub convergence: Histogram,
}

/// A client's figures at one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientEndpoint {
    /// As in [`Endpoint::pod`].
    pub pod: String,
    /// Connections established, whatever they were resolved by.
    pub opened: u64,
    /// Those of `opened` that count in the spread.
    pub counted: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Connections open now.
    pub active: u64,
    /// As [`Endpoint::selections`].
    #[serde(default)]
    pub selections: u64,
    /// As [`Endpoint::expected`].
    #[serde(default)]
    pub expected: f64,
    /// As [`Endpoint::counted_active`].
    #[serde(default)]
    pub counted_active: u64,
    /// As [`Endpoint::counted_bytes`].
    #[serde(default)]
    pub counted_bytes: u64,
    /// Bytes in connections that ended, both directions.
    #[serde(default)]
    pub bytes: u64,
    /// Pods of this client that an answer named this endpoint to.
    #[serde(default)]
    pub answered_pods: u64,
    /// The last of these answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_answered: Option<Timestamp>,
    /// Its first connection there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_connection: Option<Timestamp>,
    /// Its last connection there, failed attempts included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_connection: Option<Timestamp>,
    /// Seconds from ready to the first connection, where the observer saw it become ready.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub converged_seconds: Option<f64>,
    /// Seconds from its removal to the last connection that was opened or tried after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drained_seconds: Option<f64>,
    /// `opened` by what the connections were resolved by, as in [`Client::resolution`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub resolution: Counts,
    /// `failed` by reason, as in [`Endpoint::failed`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub reasons: Counts,
    /// Bytes sent, in connections that ended.
    #[serde(default)]
    pub bytes_sent: u64,
    /// Bytes received, in connections that ended.
    #[serde(default)]
    pub bytes_received: u64,
    /// The same connections and failures by port.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ports: Vec<PortCounts>,
}
