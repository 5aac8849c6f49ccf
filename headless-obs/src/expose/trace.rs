//! The events of `trace`: one per connection opened, failed or closed and per DNS answer, as the engine
//! attributed it. Plain data; one JSON object per line with `-o json`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// When.
    pub time: Timestamp,
    /// To whom.
    pub client: ClientName,
    /// The Service it concerns; none where it could not be told.
    pub service: Option<ServiceName>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened; `kind` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum What {
    /// A connection was established.
    Opened(Connection),
    /// An attempt ended without a connection.
    Failed(Connection),
    /// An established connection ended.
    Closed(Connection),
    /// A DNS answer arrived.
    Dns(DnsAnswer),
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

/// A connection at one moment of its life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// The endpoint's pod; none where the address belongs to no known pod.
    pub pod: Option<String>,
    /// Destination address.
    pub address: String,
    /// Destination port.
    pub port: u16,
    /// What it was resolved by: `service`, `srv`, `hostname`, `none`, `preexisting`; none where it could not
    /// be attributed.
    pub resolution: Option<String>,
    /// Place of the address in the answer, from 0.
    pub answer_position: Option<u32>,
    /// Why it failed, or why it belongs to no Service.
    pub reason: Option<String>,
    /// Kind of staleness, as in [`crate::expose::snapshot::Service::stale`].
    pub stale: Option<String>,
    /// Milliseconds since the connection was started; none where it is older than the observer.
    pub duration_ms: Option<f64>,
}

/// A DNS answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// The name asked for.
    pub name: String,
    /// `A`, `AAAA`, `SRV`, or the type's number.
    pub qtype: String,
    /// `noerror`, `nxdomain`, `servfail`, or the code's number.
    pub rcode: String,
    /// How many addresses it lists.
    pub addresses: u32,
    /// TC was set.
    pub truncated: bool,
    /// `udp` or `tcp`.
    pub transport: String,
}
