//! Open connections one by one: what `explain --connections` asks for, and the answer. Plain data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::object_filter::ObjectFilter;
use super::snapshot::NodeStatus;
use super::trace_events::{ClientName, ServiceName};

/// The most connections in a list.
pub const MOST: usize = 1_000;
/// Connections in a list where nothing else is said.
pub const LISTED: usize = 50;

/// The connections that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionQuery {
    /// Those to these Services.
    pub service: ObjectFilter,
    /// Those of these clients; nothing: of all.
    pub client: Option<ObjectFilter>,
    /// The first ones of this order.
    pub order: ConnectionOrder,
    /// So many, at most [`MOST`].
    pub limit: usize,
}

/// The order of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionOrder {
    /// Most bytes first.
    #[default]
    Load,
    /// Oldest first.
    Age,
    /// Longest round trips first.
    Rtt,
    /// Most bytes that wait first: not sent yet, or not acknowledged.
    Waiting,
}

impl ConnectionOrder {
    /// The name in requests and in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Age => "age",
            Self::Rtt => "rtt",
            Self::Waiting => "waiting",
        }
    }
}

/// A list of open connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionList {
    /// As [`super::snapshot::SCHEMA`].
    pub schema: String,
    /// The node.
    pub node: String,
    /// The moment.
    pub at: Timestamp,
    /// The Services that were asked for and that are known.
    pub services: Vec<ServiceName>,
    /// The order.
    pub order: ConnectionOrder,
    /// The source of bytes and round trips, as in [`super::snapshot::Quality::probes`]; `none`: nobody knows them.
    pub load: String,
    /// Open connections that were asked for.
    pub open: u64,
    /// Those of them that are not in the list.
    pub left_out: u64,
    /// The first ones in this order.
    pub connections: Vec<OpenConnection>,
    /// Of several nodes: their names, and those that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeStatus>,
}

/// An open connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenConnection {
    /// The client's node; only in a list of several nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The Service.
    pub service: ServiceName,
    /// The client.
    pub client: ClientName,
    /// Its pod, as in [`super::snapshot::ClientPod::pod`].
    pub client_pod: String,
    /// The program that connected, by the kernel's name for it.
    pub program: Option<String>,
    /// Its process, as the node numbers it.
    pub process: Option<u32>,
    /// The client's address.
    pub source: String,
    /// Its port.
    pub source_port: Option<u16>,
    /// The endpoint, as in [`super::snapshot::Endpoint::pod`]; none if it is forgotten.
    pub pod: Option<String>,
    /// Destination address, as the client dialled it.
    pub address: String,
    /// Destination port.
    pub port: u16,
    /// The time at which the client sent its SYN; none if that was before the daemon.
    pub opened: Option<Timestamp>,
    /// As in [`super::trace_events::Connection::resolution`].
    pub resolution: String,
    /// The answer that it came from; none without one, or if the record of its opening was lost.
    pub answer: Option<UsedAnswer>,
    /// The kernel's counts of it; none if the daemon may not read them.
    pub reading: Option<ConnectionReading>,
}

/// The DNS answer that a connection came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedAnswer {
    /// The name that was asked for.
    pub name: String,
    /// The time at which it arrived.
    pub at: Timestamp,
    /// Place of the address in it, from 0.
    pub position: u32,
    /// Addresses in it.
    pub size: u32,
}

/// The kernel's counts of a connection, as `TCP_INFO` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionReading {
    /// Bytes that the client sent, each once.
    pub bytes_sent: u64,
    /// Bytes that it received.
    pub bytes_received: u64,
    /// Segments that it sent again.
    pub retransmitted: u64,
    /// Smoothed round-trip time in microseconds; none if it is not known.
    pub rtt_us: Option<u64>,
    /// The least of the last minutes, likewise.
    pub least_rtt_us: Option<u64>,
    /// Bytes that the client has written and that are not sent yet.
    pub unsent_bytes: u64,
    /// Bytes that are sent and not acknowledged.
    pub unacknowledged_bytes: u64,
}

impl ConnectionReading {
    /// The weight of a connection in an order; the greatest is the first. The age is no matter of a reading.
    #[must_use]
    pub fn weight(&self, order: ConnectionOrder) -> u64 {
        match order {
            ConnectionOrder::Load => self.bytes_sent.saturating_add(self.bytes_received),
            ConnectionOrder::Age => 0,
            ConnectionOrder::Rtt => self.rtt_us.unwrap_or(0),
            ConnectionOrder::Waiting => self.unsent_bytes.saturating_add(self.unacknowledged_bytes),
        }
    }
}
