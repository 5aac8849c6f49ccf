//! Decides which rows of several nodes are one endpoint, and merges them.
//!
//! Two rows are the same endpoint if they have the same pod and an address in common. The node that saw the last change
//! of state decides on the state.

use std::collections::HashMap;

use super::load;
use super::sums::{add, add_counts, earliest};
use crate::engine::natural;
use crate::expose::snapshot::{Endpoint, Service};

const READY: &str = "ready";

/// The rows of several snapshots as one list, and the new position of each row.
pub(super) struct Rows {
    pub(super) endpoints: Vec<Endpoint>,
    /// By snapshot and row.
    places: Vec<Vec<usize>>,
}

impl Rows {
    /// Merges the endpoints of these snapshots of one Service.
    pub(super) fn of(services: &mut [Service]) -> Self {
        let mut groups = Groups::default();
        let mut places: Vec<Vec<usize>> = services
            .iter()
            .map(|service| service.endpoints.iter().map(|endpoint| groups.find(endpoint)).collect())
            .collect();
        let mut merged: Vec<Option<Endpoint>> = Vec::new();
        merged.resize_with(groups.parents.len(), || None);
        for (service, places) in services.iter_mut().zip(&mut places) {
            for (endpoint, place) in std::mem::take(&mut service.endpoints).into_iter().zip(places) {
                *place = groups.root(*place);
                match merged.get_mut(*place) {
                    Some(Some(known)) => absorb(known, endpoint),
                    Some(none) => *none = Some(endpoint),
                    None => {}
                }
            }
        }
        let mut ordered: Vec<(usize, Endpoint)> = merged
            .into_iter()
            .enumerate()
            .filter_map(|(place, endpoint)| endpoint.map(|endpoint| (place, endpoint)))
            .collect();
        for (_, endpoint) in &mut ordered {
            endpoint.addresses.sort_unstable();
            endpoint.addresses.dedup();
        }
        ordered.sort_by_cached_key(|(_, endpoint)| {
            (natural(&endpoint.pod), endpoint.state == "removed", endpoint.addresses.clone())
        });
        let mut position = vec![0; groups.parents.len()];
        for (new, (old, _)) in ordered.iter().enumerate() {
            if let Some(position) = position.get_mut(*old) {
                *position = new;
            }
        }
        for place in places.iter_mut().flatten() {
            *place = position.get(*place).copied().unwrap_or_default();
        }
        Self { endpoints: ordered.into_iter().map(|(_, endpoint)| endpoint).collect(), places }
    }

    /// The new position of a row. Rows of clients are in the order of the endpoints; other rows are found by their pod.
    pub(super) fn place(&self, snapshot: usize, row: usize, pod: &str) -> Option<usize> {
        let is_pod = |place: &usize| self.endpoints.get(*place).is_some_and(|endpoint| endpoint.pod == pod);
        let by_order = self.places.get(snapshot).and_then(|places| places.get(row)).copied();
        by_order.filter(is_pod).or_else(|| self.endpoints.iter().position(|endpoint| endpoint.pod == pod))
    }
}

/// Rows that have an address in common, directly or through other rows.
#[derive(Default)]
struct Groups {
    by_address: HashMap<(String, String), usize>,
    parents: Vec<usize>,
}

impl Groups {
    fn find(&mut self, endpoint: &Endpoint) -> usize {
        let own = self.parents.len();
        self.parents.push(own);
        // A row without addresses is identified by its pod alone.
        let none = [String::new()];
        let addresses = if endpoint.addresses.is_empty() { &none[..] } else { &endpoint.addresses };
        for address in addresses {
            let key = (endpoint.pod.clone(), address.clone());
            let other = *self.by_address.entry(key).or_insert(own);
            let (other, own) = (self.root(other), self.root(own));
            if let Some(parent) = self.parents.get_mut(own.max(other)) {
                *parent = own.min(other);
            }
        }
        own
    }

    fn root(&self, mut group: usize) -> usize {
        // A parent never comes after its child, so this loop ends.
        while let Some(parent) = self.parents.get(group).filter(|parent| **parent < group) {
            group = *parent;
        }
        group
    }
}

fn absorb(sum: &mut Endpoint, more: Endpoint) {
    let rank = |row: &Endpoint| (row.state_since, row.state.clone());
    let (is_later, are_ready) = (rank(&more) > rank(sum), sum.state == READY && more.state == READY);
    if are_ready {
        // A node that started later takes existing endpoints for old ones.
        sum.mature &= more.mature;
        sum.ready_since = earliest(sum.ready_since, more.ready_since);
        sum.state_since = sum.state_since.max(more.state_since);
    } else if is_later {
        sum.state.clone_from(&more.state);
        (sum.state_since, sum.ready_since, sum.mature) = (more.state_since, more.ready_since, more.mature);
    }
    if is_later && !more.ports.is_empty() || sum.ports.is_empty() {
        sum.ports = more.ports;
    }
    if is_later && more.zone.is_some() || sum.zone.is_none() {
        sum.zone = more.zone;
        sum.hints = more.hints;
    }
    // All nodes see the same changes.
    sum.flaps = sum.flaps.max(more.flaps);
    sum.addresses.extend(more.addresses);
    sum.first_answered = earliest(sum.first_answered, more.first_answered);
    add(&mut sum.opened, more.opened);
    add(&mut sum.counted, more.counted);
    add(&mut sum.selections, more.selections);
    sum.expected += more.expected;
    add(&mut sum.counted_active, more.counted_active);
    add(&mut sum.counted_bytes, more.counted_bytes);
    add(&mut sum.counted_segments, more.counted_segments);
    add_counts(&mut sum.failed, more.failed);
    add(&mut sum.superseded, more.superseded);
    add(&mut sum.active, more.active);
    add(&mut sum.closed, more.closed);
    add(&mut sum.bytes_sent, more.bytes_sent);
    add(&mut sum.bytes_received, more.bytes_received);
    sum.carried.add(more.carried);
    load::absorb_ends(&mut sum.ends, more.ends);
}
