//! A pod, or a group of pods with numbers.

use std::collections::BTreeMap;

use lab::ServerMode;
use serde::Deserialize;

use super::{Addresses, Names, Span};

/// A pod without a number, or `count` pods: those of `orders` are called `orders-0` and up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pod {
    pub(crate) count: Option<usize>,
    /// Of a group: the address of the first pod; each pod has the next one. Of a single pod: all its addresses.
    pub(crate) addresses: Addresses,
    pub(crate) namespace: Option<String>,
    /// Default: a StatefulSet with the group's name; a single pod has none.
    pub(crate) workload: Option<Workload>,
    /// The prefix length of its addresses. The C library sorts answers if it is less than 32.
    pub(crate) netmask: Option<u8>,
    /// Its node, if it is not the daemon's; the pods of a group are on these nodes in turn.
    pub(crate) node: Names,
    /// The availability zone of that node; of a group, in turn.
    pub(crate) zone: Names,
    /// Only of a single pod; default: a random one.
    pub(crate) uid: Option<String>,
    /// Whether the daemon's manifests do not have it.
    pub(crate) unlisted: bool,
    /// Ports, and what happens to connections to them. All other ports refuse.
    pub(crate) serve: BTreeMap<u16, Serve>,
    /// The pod receives packets and answers none.
    pub(crate) silent: bool,
    /// The first packet of each connection from this pod is lost, so a connection takes a second.
    pub(crate) loses_first_packet: bool,
    /// Packets to and from it take so much longer.
    pub(crate) delay: Option<Span>,
    /// Domains that its resolver appends; default: those of a kubelet.
    pub(crate) search: Option<Vec<String>>,
    pub(crate) ndots: Option<u8>,
    /// The pod's own network redirects its queries to the DNS server; its resolver asks an address that nobody has.
    pub(crate) dns_captured: bool,
    /// A container with this name takes over all connections of the pod, as a mesh's proxy does.
    pub(crate) sidecar: Option<String>,
    /// The sidecar takes over nothing. The pod's clients run in it, because the application asks it to look up and dial.
    pub(crate) sidecar_dials: bool,
}

/// A workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// The treatment of a connection by a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Serve {
    /// Keeps it until the client closes.
    Hold,
    /// The same, and sends back what it receives.
    Echo,
    /// Closes it at once.
    Close,
    /// Resets it at once.
    Reset,
}

impl From<Serve> for ServerMode {
    fn from(serve: Serve) -> Self {
        match serve {
            Serve::Hold => Self::Hold,
            Serve::Echo => Self::Echo,
            Serve::Close => Self::Close,
            Serve::Reset => Self::Reset,
        }
    }
}
