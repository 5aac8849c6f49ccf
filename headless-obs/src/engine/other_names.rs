//! Names that are not a Service's own and that clients looked up: those that gave the Service's endpoints, and those that
//! a search list made of the Service's name and that gave other addresses.
//!
//! In: answers with their client. Out: rows for the snapshot.
//!
//! Invariants: bounded by [`NAMES`] and [`NAMES_PER_CLIENT`]. A name beyond them is not shown; nothing depends on it.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::Engine;
use crate::client::WorkloadId;
use crate::cluster_zone::ClusterZone;
use crate::dns::service_name::candidates;
use crate::dns::{Answer, Name};
use crate::expose::snapshot::OtherName;
use crate::hash::HashMap;
use crate::service_resolution::{here, is_named, listed, service_of};
use crate::time::Time;
use crate::topology::learned::is_networks_own;
use crate::topology::{ServiceId, Topology};
use crate::windowed::{Number, Slot, Stretch, Windowed, trim};

/// The most names of one client for one Service.
const NAMES_PER_CLIENT: usize = 4;
/// The most names of all clients.
const NAMES: usize = 4096;
/// The most addresses of one name.
const ADDRESSES: usize = 4;

/// A name that one client looked up.
#[derive(Debug)]
struct LookedUp {
    name: Name,
    /// Addresses that are no endpoints; none if the name gave endpoints.
    strange: SmallVec<[IpAddr; 1]>,
    answers: Windowed<Number>,
    last: Time,
}

/// The names of all clients.
#[derive(Debug, Default)]
pub(super) struct OtherNames {
    of_services: HashMap<ServiceId, HashMap<WorkloadId, Vec<LookedUp>>>,
    held: usize,
}

impl OtherNames {
    /// An answer gave a client the endpoints of a Service. The query name is another one's if it does not name the
    /// Service.
    pub(super) fn led(
        &mut self,
        now: Time,
        (client, service): (WorkloadId, ServiceId),
        answer: &Answer,
        (topology, zone): (&Topology, &ClusterZone),
    ) {
        if is_networks_own(&answer.question) && is_named(service, &answer.question, topology) {
            return;
        }
        let named = service_of(&answer.question, topology, zone).map(|(named, _)| named);
        if named != Some(service) && searched(&answer.question, topology, zone) != Some(service) {
            self.add(now, (client, service), &answer.question, &mut std::iter::empty());
        }
    }

    /// An answer gave a client addresses that are no Service's.
    pub(super) fn misled(
        &mut self,
        now: Time,
        client: WorkloadId,
        answer: &Answer,
        (topology, zone): (&Topology, &ClusterZone),
    ) {
        if let Some(service) = searched(&answer.question, topology, zone) {
            self.add(now, (client, service), &answer.question, &mut listed(answer));
        }
    }

    fn add(
        &mut self,
        now: Time,
        (client, service): (WorkloadId, ServiceId),
        name: &Name,
        strange: &mut dyn Iterator<Item = IpAddr>,
    ) {
        let names = || self.of_services.get(&service).and_then(|clients| clients.get(&client));
        let place = names().and_then(|names| names.iter().position(|known| known.name == *name));
        let has_room = self.held < NAMES && names().map_or(0, Vec::len) < NAMES_PER_CLIENT;
        if place.is_none() && !has_room {
            return;
        }
        let names = self.of_services.entry(service).or_default().entry(client).or_default();
        let place = place.unwrap_or_else(|| {
            self.held += 1;
            let (strange, answers) = (SmallVec::new(), Windowed::default());
            names.push(LookedUp { name: name.clone(), strange, answers, last: now });
            names.len() - 1
        });
        let Some(known) = names.get_mut(place) else { return };
        known.answers.at(now).0 += 1;
        known.last = now;
        for address in strange {
            if known.strange.len() < ADDRESSES && !known.strange.contains(&address) {
                known.strange.push(address);
            }
        }
    }

    /// Drops slots before this one; returns the room that is taken, in bytes.
    pub(super) fn trim(&mut self, oldest: Slot) -> usize {
        let names = self.of_services.values_mut().flat_map(|clients| clients.values_mut().flatten());
        names.map(|known| trim(&mut known.answers, oldest)).sum()
    }

    /// Forgets the names of clients and Services that are forgotten, and those that were not asked for lately.
    pub(super) fn expire(&mut self, is_known: impl Fn(ServiceId) -> bool, is_recent: impl Fn(Time) -> bool) {
        self.of_services.retain(|service, clients| {
            clients.retain(|_, names| {
                names.retain(|known| is_recent(known.last));
                !names.is_empty()
            });
            is_known(*service) && !clients.is_empty()
        });
        self.held = self.of_services.values().flat_map(HashMap::values).map(Vec::len).sum();
    }

    /// Clients with names.
    pub(super) fn clients(&self) -> impl Iterator<Item = WorkloadId> {
        self.of_services.values().flat_map(HashMap::keys).copied()
    }
}

/// The Service whose whole name is at the beginning of a longer one, which a search list made.
fn searched(name: &str, topology: &Topology, zone: &ClusterZone) -> Option<ServiceId> {
    candidates(name).filter(|name| zone.searched(name.zone).is_some()).find_map(|name| here(&name, topology))
}

impl Engine {
    /// The other names of a Service that were looked up in a stretch of time.
    pub(super) fn names_of(&self, service: ServiceId, stretch: Stretch) -> Vec<OtherName> {
        let clients = self.other_names.of_services.get(&service).into_iter().flatten();
        let rows = clients.flat_map(|(client, names)| names.iter().map(move |known| (*client, known)));
        let mut names: Vec<OtherName> = rows
            .filter_map(|(client, known)| {
                let workload = self.clients.workload(client)?;
                Some(OtherName {
                    name: known.name.to_string(),
                    namespace: workload.namespace.to_string(),
                    workload: workload.name.to_string(),
                    answers: Some(known.answers.over(stretch).0).filter(|answers| *answers > 0)?,
                    addresses: known.strange.iter().map(ToString::to_string).collect(),
                })
            })
            .collect();
        names.sort_by(|a, b| a.key().cmp(&b.key()));
        names
    }
}
