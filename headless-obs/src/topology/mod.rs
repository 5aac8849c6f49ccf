//! The topology: Services, their endpoints over time, and Pods.
//!
//! ```text
//! source ─ Change ─► Topology ─┬ Service ◄─ Slice      by namespace and name
//!                              │    └► Endpoint*       one per pod or address, with history, kept a while after it left
//!                              ├ addresses             address → endpoints that have or had it
//!                              └ Pod                   by address and by UID: who a client is
//! ```
//!
//! In: [`model::Change`]s, in the order in which a source reports them. Out: lookups by hash map.
//!
//! Invariants:
//! - A [`ServiceId`] or [`EndpointId`] is never reused, so figures under an id cannot be credited to anything else. An
//!   endpoint that comes back while it is remembered keeps its id.
//! - A pod is one endpoint of a Service, whatever number of addresses, slices and ports it has. Without a pod, each
//!   address is one; and each port of an address at which several instances have a port of the same name.
//! - The endpoints of a Service that exist have different names.
//! - [`Config`] bounds all memory; [`Counters`] count what does not fit.
//! - Addresses are canonical: an IPv4-mapped address is IPv4, and a translated one ([`Topology::original`]) its original.
//!   Lookups expect that, too.
//!
//! Watch events and DNS can differ by up to a second in both directions. A client may connect to an endpoint before the
//! topology has it (its state is then `None`), and shortly after it left. The caller decides what that means.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

mod address_index;
pub mod endpoint;
pub mod glob;
pub mod intent;
pub mod learned;
mod lookup;
pub mod model;
pub mod nat64;
mod node_zone;
mod pods;
pub mod service;
mod store;
mod string_interner;

#[cfg(test)]
pub(crate) mod test_builders;
#[cfg(test)]
mod tests;

pub use endpoint::{Endpoint, EndpointStatus, State};
pub use lookup::Match;
pub use service::ServiceState;
pub use store::Topology;

/// A Service, for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// An endpoint, for the life of the process; unique over all Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u32);

/// The position of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointRef {
    /// The Service that it belongs to.
    pub service: ServiceId,
    /// The endpoint in it.
    pub endpoint: EndpointId,
}

/// Limits of the topology, and the node of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node of the daemon, if nodes have names.
    pub node: Option<Arc<str>>,
    /// The zone of that node, as far as it is said.
    pub zone: Option<Arc<str>>,
    /// The time that an endpoint is remembered after it left.
    pub keep_removed: Duration,
    /// The most tombstones; the oldest are forgotten first.
    pub removed: usize,
    /// The most changes of state that are remembered per endpoint.
    pub history: usize,
    /// The most Services, headless or not.
    pub services: usize,
    /// The most entries in all slices together; a slice itself counts as one more. An endpoint takes about
    /// 1 KiB.
    pub endpoints: usize,
    /// The most Pods.
    pub pods: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: None,
            zone: None,
            keep_removed: Duration::from_secs(3600),
            removed: 20_000,
            history: 16,
            services: 50_000,
            endpoints: 150_000,
            pods: 20_000,
        }
    }
}

/// Counts of objects that did not fit, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Objects refused because there are too many Services.
    pub services_full: u64,
    /// Entries of slices refused because there are too many.
    pub endpoints_full: u64,
    /// Pods refused because there are too many.
    pub pods_full: u64,
    /// Tombstones that were forgotten early because there were too many.
    pub removed_evicted: u64,
    /// Changes of state that were forgotten because an endpoint changed too often.
    pub history_evicted: u64,
    /// Former addresses that were forgotten because an endpoint changed its address too often.
    pub addresses_evicted: u64,
}

/// The effect of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "addresses that were held to be of no interest may be of interest now"]
pub struct Touched {
    /// Addresses whose owners changed, with repetitions, in no order.
    pub addresses: Vec<IpAddr>,
    /// Endpoints that were forgotten and had a zone.
    pub zones: Vec<(EndpointRef, Arc<str>)>,
}
