//! The zones of endpoints, also of those that the topology has forgotten while the ledger has counts of them.
//!
//! In: endpoints that are forgotten, with their zones. Out: the zone of an endpoint.
//!
//! Invariant: bounded by what the topology remembers and by the ledger's cells.

use std::sync::Arc;

use super::Engine;
use crate::hash::{HashMap, HashSet};
use crate::ledger::Ledger;
use crate::topology::{EndpointRef, Topology};

/// The zones of forgotten endpoints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ForgottenZones(HashMap<EndpointRef, Arc<str>>);

impl ForgottenZones {
    /// These endpoints are forgotten.
    pub(super) fn learn(&mut self, zones: &[(EndpointRef, Arc<str>)]) {
        self.0.extend(zones.iter().cloned());
    }

    /// The zone of an endpoint, whether the topology knows it or not.
    pub(super) fn of<'a>(&'a self, topology: &'a Topology, endpoint: EndpointRef) -> Option<&'a Arc<str>> {
        match topology.endpoint(endpoint) {
            Some(known) => known.zone(),
            None => self.0.get(&endpoint),
        }
    }

    /// Keeps those of which the ledger has cells.
    pub(super) fn retain(&mut self, ledger: &Ledger) {
        if self.0.is_empty() {
            return;
        }
        let booked: HashSet<EndpointRef> = ledger.cells().map(|(key, _)| key.endpoint).collect();
        self.0.retain(|endpoint, _| booked.contains(endpoint));
    }
}

impl Engine {
    /// The zone of an endpoint of which there are counts.
    pub(super) fn zone_of(&self, endpoint: EndpointRef) -> Option<&Arc<str>> {
        self.forgotten_zones.of(&self.topology, endpoint)
    }
}
