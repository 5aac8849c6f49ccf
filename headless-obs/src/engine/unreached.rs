//! Clients whose attempts to an address all fail, although no Service has the attempts: a client that kept an answer from
//! before the daemon, and dials pods that are gone.
//!
//! In: attempts without a Service, with their outcome. Out: per client, how many failed in a stretch of time, at which
//! addresses, and since when.
//!
//! Invariants: one success at an address and port takes the client's failures there away. Bounded: a client has a limited
//! number of addresses, and so have all clients together; failures at further ones are one sum per client.

use std::net::{IpAddr, SocketAddr};

use super::Engine;
use super::ignore_list::IgnorePolicy;
use crate::attribution::{Attribution, ConnectAttempt, Unattributed};
use crate::client::{Client, Role, WorkloadId};
use crate::expose::unreached::{OTHERS, Unreached};
use crate::hash::HashMap;
use crate::time::Time;
use crate::windowed::{LONGEST, Number, Slot, Stretch, Windowed, trim};

/// The most addresses of a client, and of all.
const OF_CLIENT: usize = 64;
const LIMIT: usize = 1024;

/// All failures.
#[derive(Debug, Default)]
pub(super) struct UnreachedTable {
    /// Without an address: the failures for whose address there was no room.
    rows: HashMap<(WorkloadId, Option<SocketAddr>), Failures>,
    /// The number of rows with an address.
    addresses: HashMap<IpAddr, usize>,
}

/// Failures without a success.
#[derive(Debug, Default)]
struct Failures {
    attempts: Windowed<Number>,
    since: Time,
    last: Time,
}

impl UnreachedTable {
    /// Attempts of a client failed.
    fn failed(&mut self, now: Time, client: WorkloadId, target: SocketAddr, attempts: u64) {
        let key = if self.has_room(client, target) { (client, Some(target)) } else { (client, None) };
        if !self.rows.contains_key(&key)
            && let (_, Some(target)) = key
        {
            *self.addresses.entry(target.ip()).or_default() += 1;
        }
        let failures = self.rows.entry(key).or_insert_with(|| Failures { since: now, ..Failures::default() });
        failures.attempts.at(now).0 += attempts;
        failures.last = now;
    }

    fn has_room(&self, client: WorkloadId, target: SocketAddr) -> bool {
        let is_known = || self.rows.contains_key(&(client, Some(target)));
        let of_client = || self.rows.keys().filter(|(of, _)| *of == client).count();
        is_known() || (self.rows.len() < LIMIT && of_client() < OF_CLIENT)
    }

    /// A client reached an address.
    fn reached(&mut self, client: WorkloadId, target: SocketAddr) {
        let reached = (client, Some(target));
        // Every connection comes here, and nearly all of them were never in vain.
        if self.rows.contains_key(&reached) {
            self.remove(|key, _| *key == reached);
        }
    }

    /// Whether attempts to this address fail.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// The address belongs to somebody.
    pub(super) fn is_owned(&mut self, address: IpAddr) {
        if self.has(address) {
            self.remove(|(_, target), _| target.is_some_and(|target| target.ip() == address));
        }
    }

    /// Forgets failures that are older than every stretch.
    pub(super) fn expire(&mut self, now: Time) {
        self.remove(|_, failures| now.since(failures.last) >= LONGEST);
    }

    /// Drops slots before this one; returns the room that is taken, in bytes.
    pub(super) fn trim(&mut self, oldest: Slot) -> usize {
        self.rows.values_mut().map(|failures| trim(&mut failures.attempts, oldest)).sum()
    }

    /// The clients that have failures.
    pub(super) fn clients(&self) -> impl Iterator<Item = WorkloadId> {
        self.rows.keys().map(|(client, _)| *client)
    }

    fn remove(&mut self, is_gone: impl Fn(&(WorkloadId, Option<SocketAddr>), &Failures) -> bool) {
        let addresses = &mut self.addresses;
        self.rows.retain(|key, failures| {
            let goes = is_gone(key, failures);
            if goes && let Some(target) = key.1 {
                let rows = addresses.entry(target.ip()).or_default();
                *rows = rows.saturating_sub(1);
            }
            !goes
        });
        addresses.retain(|_, rows| *rows > 0);
    }
}

impl Engine {
    /// Attempts have this outcome: all of them failed, or one did not.
    pub(super) fn note_unreached(
        &mut self,
        connect_attempt: ConnectAttempt,
        client: Client,
        outcome: Attribution,
        attempts: u64,
    ) {
        let ConnectAttempt { now, address, port, has_failed, .. } = connect_attempt;
        let target = SocketAddr::new(address, port);
        if !has_failed {
            self.unreached.reached(client.workload, target);
        } else if self.is_in_vain(connect_attempt, client, outcome) {
            self.unreached.failed(now, client.workload, target, attempts);
        }
    }

    /// Whether a failure may be one of a headless Service, and no Service has it.
    pub(super) fn is_in_vain(
        &self,
        connect_attempt: ConnectAttempt,
        client: Client,
        outcome: Attribution,
    ) -> bool {
        let is_own_choice = matches!(client.role, Role::Pod | Role::Host);
        let is_without_service = match outcome {
            Attribution::Unattributed(reason) => reason != Unattributed::NotEndpoint,
            Attribution::Unrelated => self.is_nobodys(connect_attempt.address),
            Attribution::Endpoint(_) | Attribution::WrongPort(_) | Attribution::Excluded(_) => false,
        };
        is_own_choice && is_without_service && self.excluded(client.workload).is_none()
    }

    /// Whether an address that belongs to no Service and no pod may have been an endpoint's: endpoints are near.
    fn is_nobodys(&self, address: IpAddr) -> bool {
        self.topology.is_near_endpoints(address)
            && self.topology.pod_by_address(address).is_none()
            && self.ignore_policy(address) != IgnorePolicy::Never
    }

    /// The clients with failures in a stretch of time.
    pub(super) fn unreached(&self, stretch: Stretch) -> Vec<Unreached> {
        let mut rows: HashMap<WorkloadId, (Time, Unreached)> = HashMap::default();
        let in_stretch = |(_, failures): &(_, &Failures)| failures.attempts.has_changed(stretch);
        for ((client, target), failures) in self.unreached.rows.iter().filter(in_stretch) {
            let Some(name) = self.clients.workload(*client) else { continue };
            let (since, row) = rows.entry(*client).or_insert_with(|| {
                let (namespace, workload) = (name.namespace.to_string(), name.name.to_string());
                (failures.since, Unreached { namespace, workload, ..Unreached::default() })
            });
            *since = failures.since.min(*since);
            let attempts = failures.attempts.over(stretch).0;
            row.attempts += attempts;
            let target = target.map_or_else(|| OTHERS.to_owned(), |target| target.to_string());
            *row.addresses.entry(target).or_default() += attempts;
        }
        let mut rows: Vec<_> = rows
            .into_values()
            .map(|(since, row)| Unreached { since: self.wall(since), ..row }.folded())
            .collect();
        rows.sort_by(|a, b| (&a.namespace, &a.workload).cmp(&(&b.namespace, &b.workload)));
        rows
    }
}
