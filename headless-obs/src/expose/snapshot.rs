//! The snapshot, schema `headless-obs/v1`, from which `-o json`, /api/v1/snapshot, the tables and the metrics are made.
//! Plain data; snapshots of different nodes can be added. Fields may be added; a published field keeps its name and
//! meaning.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::carried::{Before, Carried};
pub use super::client_pods::{ClientPod, OtherPods, PodEndpoint};
pub use super::client_stats::{
    AnswerAge, ClientAnswers, OpenConnections, OtherPort, PortCounts, Responses, SelectionPattern,
    StaleTarget, Unanswered,
};
pub use super::connection_history::History;
pub use super::dns::Dns;
pub use super::ends::Ends;
pub use super::histogram::Histogram;
pub use super::intent::{ClientIntent, ServiceIntent, WrongAnnotation};
pub use super::load::{ComparedTimes, EndpointLoad, LoadDraws};
pub use super::node_status::NodeStatus;
pub use super::other_name::OtherName;
pub use super::quality::{AttemptSums, MapFill, Quality, Refusal, TopologyState};
pub use super::readings::Readings;
pub use super::spread::Spread;
pub use super::unreached::Unreached;
pub use super::verdict::{Cause, Confidence, Verdict, VerdictChange};
pub use super::zones::{ZoneSum, ZoneTraffic, Zones};

/// The value of [`Snapshot::schema`].
pub const SCHEMA: &str = "headless-obs/v1";

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// The whole state of the daemon at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the node; for a merged snapshot, the names or the number of the nodes.
    pub node: String,
    /// The zone of the node, if it is known; not in a merged snapshot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<String>,
    /// The start of the stretch of time that the counts are about. Open connections, endpoint states and the moments of
    /// last answers are of the present.
    pub from: Timestamp,
    /// The time at which the snapshot was taken.
    pub to: Timestamp,
    /// The time at which the observation began; for a merged snapshot, the last of the nodes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub began: Option<Timestamp>,
    /// The same by the clock of that moment, if the clock was set since. Together with the node, it names the
    /// observation. All other times are by the clock of `to`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observation: Option<Timestamp>,
    /// The time that an endpoint must have been ready before it counts in the spread (`--mature-after`).
    #[serde(default)]
    pub mature_after_seconds: f64,
    /// The nodes of a merged snapshot, by name; empty for a single node.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub nodes: Vec<NodeStatus>,
    /// The quality of the rest.
    pub quality: Quality,
    /// Observed headless Services, by namespace and name.
    pub services: Vec<Service>,
    /// Clients with queries over UDP that got no response within ten seconds, for any name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unanswered: Vec<Unanswered>,
    /// Clients whose attempts to addresses without a Service all fail.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unreached: Vec<Unreached>,
}

/// A headless Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Namespace; empty outside Kubernetes.
    pub namespace: String,
    /// Name; outside Kubernetes a domain name.
    pub name: String,
    /// Whether it asks for endpoints that are not ready or are shutting down (`publishNotReadyAddresses`).
    #[serde(default)]
    pub publishes_not_ready: bool,
    /// The contents of its annotations.
    #[serde(skip_serializing_if = "ServiceIntent::is_nothing", default)]
    pub intent: ServiceIntent,
    /// The endpoints that clients should prefer, in the word of the Service (`trafficDistribution`); `Auto` is that of
    /// the annotation `service.kubernetes.io/topology-mode`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub distribution: Option<String>,
    /// Every endpoint: existing ones, and those that left but still have counts.
    pub endpoints: Vec<Endpoint>,
    /// Spread of the connections opened by the Service's name, over its mature endpoints. Its `z` is that of
    /// `selections`, where these are known: one selection may open many connections.
    pub spread: Spread,
    /// Spread of the selections: the first connection of a client process per DNS answer.
    #[serde(default)]
    pub selections: Spread,
    /// Spread of the open connections.
    #[serde(default)]
    pub open: Spread,
    /// Spread of the bytes, both directions.
    #[serde(default)]
    pub bytes: Spread,
    /// Spread of the segments with data, both directions.
    #[serde(default)]
    pub segments: Spread,
    /// Waste: (`spread.peak_to_mean` − 1) × connections a second.
    #[serde(default)]
    pub waste: f64,
    /// The connections and bytes of all of its clients, by the zones of both sides.
    #[serde(skip_serializing_if = "Zones::is_unknown", default)]
    pub zones: Zones,
    /// Mature endpoints that no counted client has used, while others are used.
    #[serde(default)]
    pub idle: Vec<String>,
    /// Connections to addresses that were not a ready endpoint: `removed`, `terminating`, `not_ready`, `ip_reused`;
    /// `grace` are those so soon after the change that client and server may not know of it yet.
    pub stale: Counts,
    /// Answers for the Service's names.
    pub dns: Dns,
    /// Client workloads, by namespace and name.
    pub clients: Vec<Client>,
    /// The latest changes of the verdicts on its clients, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub changes: Vec<VerdictChange>,
    /// Names that are not its own and that clients looked up, by name and client.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub other_names: Vec<OtherName>,
    /// Connections opened over time, as in [`Endpoint::opened`]; empty without any.
    #[serde(skip_serializing_if = "History::is_empty", default)]
    pub history: History,
}

/// An endpoint of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The pod's name, or the address if there is no pod.
    pub pod: String,
    /// All addresses of the pod in this Service, both families.
    pub addresses: Vec<String>,
    /// The ports on which it serves the Service; empty for any port.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ports: Vec<u16>,
    /// Its zone, if the source reports it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zone: Option<String>,
    /// The zones whose clients should use it, by the hints of its slices.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hints: Vec<String>,
    /// `ready`, `not_ready`, `terminating` or `removed`.
    pub state: String,
    /// Since when it has had this state, as far as the daemon saw.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state_since: Option<Timestamp>,
    /// Since when it is ready.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready_since: Option<Timestamp>,
    /// Whether it is mature.
    #[serde(default)]
    pub mature: bool,
    /// The number of times that it became ready again, after it had been ready before.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub flaps: u64,
    /// The first answer that listed it, to any client.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_answered: Option<Timestamp>,
    /// Connections established, with any resolution.
    pub opened: u64,
    /// Those of `opened` that count in the spread.
    pub counted: u64,
    /// Those of `counted`, and failed attempts, that were a client process's first by a new DNS answer.
    #[serde(default)]
    pub selections: u64,
    /// The expected value of `selections` under random choice, in proportion over mature endpoints: an endpoint that
    /// came later has a smaller share.
    #[serde(default)]
    pub expected: f64,
    /// Those of `active` that count in the spread, or are older than the daemon.
    #[serde(default)]
    pub counted_active: u64,
    /// Bytes, both directions, of the connections that count in the spread.
    #[serde(default)]
    pub counted_bytes: u64,
    /// Segments with data, likewise.
    #[serde(default)]
    pub counted_segments: u64,
    /// Failures by reason; `reset` had been opened.
    pub failed: Counts,
    /// Attempts that the client abandoned because its attempt over the other address family won; not failures.
    pub superseded: u64,
    /// Connections open now.
    pub active: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Bytes that clients sent, also in connections that are open.
    pub bytes_sent: u64,
    /// Bytes that clients received, likewise.
    pub bytes_received: u64,
    /// The load of the connections beside these bytes.
    #[serde(default, skip_serializing_if = "Carried::is_nothing")]
    pub carried: Carried,
    /// The ways in which connections ended.
    #[serde(default, skip_serializing_if = "Ends::is_empty")]
    pub ends: Ends,
}

impl Endpoint {
    /// Its readiness comes and goes. A restart or two are none of that.
    #[must_use]
    pub fn is_flapping(&self) -> bool {
        self.flaps >= 3
    }
}

/// A client workload of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// Namespace; empty for a client outside of pods.
    pub namespace: String,
    /// Workload: Deployment, StatefulSet …, bare pod, or the cgroup's or process's name.
    pub workload: String,
    /// Connections opened, by resolution: `service`, `srv`, `hostname`, `part`, `none`; open ones that are older than the
    /// daemon as `preexisting`.
    pub resolution: Counts,
    /// Connections established.
    pub opened: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Connections opened to any endpoint since the last attempt that failed, in no stretch of time.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub opened_since_failure: u64,
    /// Connections open now.
    pub active: u64,
    /// Those of `opened` that were counted from totals alone.
    pub reconciled: u64,
    /// Those of [`Quality::events_lost`] that can have taken connections or answers from this client, by reason: its
    /// own, and those that can concern everybody.
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub losses: Counts,
    /// Share of ready endpoints with at least one of this client's counted connections, 0 to 1.
    pub coverage: f64,
    /// Position of the selected address in the answer, from 0 → connections and failed attempts that count in the
    /// spread; `32+` for all later positions.
    pub answer_position: Counts,
    /// This client's figures per endpoint, including endpoints without connections.
    pub endpoints: Vec<ClientEndpoint>,
    /// Its connections and bytes, by the zones of both sides.
    #[serde(skip_serializing_if = "Zones::is_unknown", default)]
    pub zones: Zones,
    /// The way in which it is meant to connect, if annotations say so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intent: Option<ClientIntent>,
    /// The reason why the spread excludes its connections: `host`, `observer`, `option`, `annotation`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub excluded: Option<String>,
    /// All its choices were by names for a part of the endpoints: its spread, its coverage and its verdict are about the
    /// endpoints that are `offered`, and the Service's spread has none of its connections.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub by_part: bool,
    /// The program that connected last, by the kernel's name for it: `java`, `node`, `nginx` …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub program: Option<String>,
    /// Whether it sends queries for gRPC's service configuration.
    #[serde(default)]
    pub grpc: bool,
    /// Pods (or cgroups) of this workload that received answers or connected.
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
    /// As [`Service::segments`].
    #[serde(default)]
    pub segments: Spread,
    /// The answers that it received.
    #[serde(default)]
    pub answers: ClientAnswers,
    /// The way in which it uses the answers.
    #[serde(default)]
    pub selection_pattern: SelectionPattern,
    /// The age of the answers that its connections used.
    #[serde(default)]
    pub answer_age: AnswerAge,
    /// Its open connections.
    #[serde(default)]
    pub open_connections: OpenConnections,
    /// Its connections to addresses that were not a ready endpoint.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stale: Vec<StaleTarget>,
    /// Ports that it used and the endpoint lacks.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub other_ports: Vec<OtherPort>,
    /// The verdict.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// The reason for no verdict: `losses`, `not_in_sync`, `started_after`, `by_hostname`, `no_dns`,
    /// `resolved_elsewhere`, `no_answer`, `no_connection`, `not_endpoint`, `excluded`, `silent`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub withheld: Option<String>,
    /// The time at which the daemon first saw its newest pod with this Service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest_pod: Option<Timestamp>,
    /// The time at which the daemon first saw it with this Service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<Timestamp>,
    /// Responses for the Service's names that it received.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub responses: Vec<Responses>,
    /// Connections to addresses that were not a serving endpoint, by kind, as in [`Service::stale`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub stale_kinds: Counts,
    /// Those of `responses` that had addresses or SRV records, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usable_answers: Option<u64>,
    /// Connections and attempts to addresses that the Service's name gave and that are no endpoints of it: those that
    /// wait for the endpoint, and those that waited in vain. They are in no other figure of the client.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub not_endpoint: u64,
    /// Seconds from an endpoint's becoming ready to this client's first connection to it.
    #[serde(skip_serializing_if = "Histogram::is_empty", default)]
    pub convergence: Histogram,
    /// The ways in which its connections ended.
    #[serde(default, skip_serializing_if = "Ends::is_empty")]
    pub ends: Ends,
    /// Its pods, the worst first, at most 32.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub by_pod: Vec<ClientPod>,
    /// The sum of its other pods.
    #[serde(skip_serializing_if = "OtherPods::is_nothing", default)]
    pub other_pods: OtherPods,
}

/// A client's figures at one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientEndpoint {
    /// As in [`Endpoint::pod`].
    pub pod: String,
    /// Connections established, with any resolution.
    pub opened: u64,
    /// Those of `opened` that count in the client's spread.
    pub counted: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Those of `opened` that the endpoint ended within five seconds, before it had sent a byte.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub turned_away: u64,
    /// Connections opened here since the last attempt that failed here, in no stretch of time; 0 if none is known to
    /// have failed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub opened_since_failure: u64,
    /// Connections open now.
    pub active: u64,
    /// Answers held it, if the client chooses by names for a part of the endpoints.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub offered: bool,
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
    /// As [`Endpoint::counted_segments`].
    #[serde(default)]
    pub counted_segments: u64,
    /// Bytes, both directions.
    #[serde(default)]
    pub bytes: u64,
    /// Pods of this client that received an answer with this endpoint.
    #[serde(default)]
    pub answered_pods: u64,
    /// The last of these answers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_answered: Option<Timestamp>,
    /// Pods of this client that are at work (they have open connections to the Service, or connected after the endpoint
    /// became ready) and that received no answer for the Service since then.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub unaware_pods: u64,
    /// Connections that count in the spread and ended within five seconds.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub brief: u64,
    /// Those that lasted longer, or are open.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub lasting: u64,
    /// Pods of this client that are this endpoint itself: a pod never connects to itself.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub own_pods: u64,
    /// Its first connection there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_connection: Option<Timestamp>,
    /// Its last connection there, failed attempts included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_connection: Option<Timestamp>,
    /// Seconds from ready to the first connection, if the daemon saw the endpoint become ready.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub converged_seconds: Option<f64>,
    /// Seconds from its removal to the last connection or attempt after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drained_seconds: Option<f64>,
    /// `opened` by resolution, as in [`Client::resolution`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub resolution: Counts,
    /// `failed` by reason, as in [`Endpoint::failed`].
    #[serde(skip_serializing_if = "Counts::is_empty", default)]
    pub reasons: Counts,
    /// Bytes sent, also in connections that are open.
    #[serde(default)]
    pub bytes_sent: u64,
    /// Bytes received, likewise.
    #[serde(default)]
    pub bytes_received: u64,
    /// The load of the connections beside these bytes.
    #[serde(default, skip_serializing_if = "Carried::is_nothing")]
    pub carried: Carried,
    /// The same connections and failures by port.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub ports: Vec<PortCounts>,
    /// The load of its connections by the Service's name, and of those older than the daemon; not of short stretches of time.
    #[serde(skip_serializing_if = "EndpointLoad::is_empty", default)]
    pub load: EndpointLoad,
    /// SYNs that were sent again, also in attempts that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub syns_retransmitted: u64,
    /// The time that it took to connect.
    #[serde(skip_serializing_if = "ComparedTimes::is_empty", default)]
    pub connect_times: ComparedTimes,
    /// The least round-trip times of connections that were in use.
    #[serde(skip_serializing_if = "ComparedTimes::is_empty", default)]
    pub round_trips: ComparedTimes,
    /// Its open connections.
    #[serde(skip_serializing_if = "Readings::is_empty", default)]
    pub readings: Readings,
}

impl ClientEndpoint {
    /// The endpoint is the client itself, and nobody else of the client connects to it.
    #[must_use]
    pub fn is_self(&self) -> bool {
        self.own_pods > 0 && self.opened == 0 && self.failed == 0 && self.active == 0
    }

    /// Whether the client could choose it, if it chooses by names for a part of the endpoints or not.
    #[must_use]
    pub fn is_option(&self, by_part: bool) -> bool {
        !self.is_self() && (self.offered || !by_part)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}
