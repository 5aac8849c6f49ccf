//! The events of `trace`: one per connection opened, failed or closed and per DNS response, with its attribution. Plain
//! data; one JSON object per line with `-o json`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::snapshot::Cause;

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// The time.
    pub time: Timestamp,
    /// The client.
    pub client: ClientName,
    /// The Service; none if there is no attribution.
    pub service: Option<ServiceName>,
    /// The details.
    #[serde(flatten)]
    pub what: What,
}

/// The kind of the event; `kind` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// A connection was established.
    Opened(Connection),
    /// An attempt ended without a connection.
    Failed(Connection),
    /// An established connection ended.
    Closed(Connection),
    /// A DNS response arrived.
    Dns(DnsAnswer),
    /// The verdict on the client changed.
    Verdict(NewVerdict),
}

/// A change of a verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVerdict {
    /// The verdict; none if the facts give none any more.
    pub verdict: Option<Cause>,
    /// The verdict before; none if there was none.
    pub before: Option<Cause>,
    /// Since when it holds.
    pub since: Timestamp,
}

/// A client workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientName {
    /// Namespace; empty for a client that is no pod.
    pub namespace: String,
    /// Workload, as in the snapshot.
    pub workload: String,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceName {
    /// Namespace; empty outside Kubernetes.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// An event of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// The endpoint's pod; none if the address belongs to no known pod.
    pub pod: Option<String>,
    /// Destination address.
    pub address: String,
    /// Destination port.
    pub port: u16,
    /// The resolution: `service`, `srv`, `hostname`, `none`, `preexisting`; none without attribution.
    pub resolution: Option<String>,
    /// Place of the address in the answer, from 0.
    pub answer_position: Option<u32>,
    /// The reason of the failure, or of the missing attribution.
    pub reason: Option<String>,
    /// Kind of staleness, as in [`crate::expose::snapshot::Service::stale`].
    pub stale: Option<String>,
    /// Milliseconds since the connection was started; none if it is older than the daemon.
    pub duration_ms: Option<f64>,
}

/// A DNS answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// The query name.
    pub name: String,
    /// `A`, `AAAA`, `SRV`, or the type's number.
    pub qtype: String,
    /// `noerror`, `nxdomain`, `servfail`, or the code's number.
    pub rcode: String,
    /// The number of addresses that it lists.
    pub addresses: u32,
    /// TC was set.
    pub truncated: bool,
    /// `udp` or `tcp`.
    pub transport: String,
}
