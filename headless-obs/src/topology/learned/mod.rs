//! The `dns` topology: without configuration, DNS answers define Services and endpoints.
//!
//! In: the [`Answer`]s of all clients. Out: [`Change`]s, one slice per Service, as from any other source. A name
//! becomes a Service when it answers with several private addresses at once ([`NameFilter`] changes that). A name of the
//! cluster's zone becomes namespace and name. Any other name, also one of another cluster, is the Service's name, in the
//! empty namespace. In a chain of aliases, the last name counts.
//!
//! - An endpoint **joins** when an answer lists it, and is ready from then on.
//! - It **leaves** when answers for the same name and family no longer list it, and none has for twice its TTL (at
//!   least 30 s): servers may show another part of a large set each time. Truncated answers and server failures prove
//!   nothing. A name that does not exist counts only if it existed before, because search lists make up many names.
//!   Without newer answers the endpoint stays.
//! - An A and an AAAA record are two endpoints, unless both belong to one **host name** below the Service's name
//!   (`db-0.db.shop.svc.zone`, as a query name or as the target of an SRV record). Such a name stands for a pod, and a
//!   pod is one endpoint. If an address becomes a pod's second one after it was an endpoint of its own, that endpoint
//!   stays behind as removed.
//! - SRV answers add endpoints and names, and remove nothing, because the addresses in them are optional. Outside
//!   Kubernetes, where no other answer may list the instances, one with an address for each target removes others.
//! - Outside Kubernetes, an endpoint from an SRV answer is an **instance**: an address and a port, because several may
//!   run on one machine.
//!
//! Without SRV answers the ports are not known, so the Service has any port.
//!
//! A name that each network of containers has for itself ([`is_networks_own`]) means a Service per network. The second
//! one and further ones have their subnet as the namespace.
//!
//! A name of the cluster's zone is a Service whatever addresses it has; of other names, only private addresses count.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::model::{Change, Kind, Object, ObjectKey, PodRef, ServiceKey, Slice, SliceEndpoint};
use crate::cluster_zone::ClusterZone;
use crate::dns::{Answer, Name, QueryType, Rcode};
use crate::hash::HashMap;
use crate::time::Time;

mod discovered_service;
mod name_filter;
mod networks;
#[cfg(test)]
mod tests;

use networks::Networks;

pub use discovered_service::DiscoveredService;
pub use name_filter::{BadPattern, NameFilter};
pub use networks::is_networks_own;

/// Limits of the learned topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnConfig {
    /// The names and addresses to observe.
    pub filter: NameFilter,
    /// The most Services.
    pub services: usize,
    /// The most endpoints of one Service.
    pub endpoints_per_service: usize,
    /// The most endpoints of all Services together.
    pub endpoints: usize,
    /// The least time for which an endpoint stays after an answer listed it.
    pub keep: Duration,
    /// A Service without answers for this long makes room for a new one, if there are too many.
    pub idle: Duration,
}

impl Default for LearnConfig {
    fn default() -> Self {
        Self {
            filter: NameFilter::default(),
            services: 1000,
            endpoints_per_service: 2000,
            endpoints: 20_000,
            keep: Duration::from_secs(30),
            idle: Duration::from_secs(3600),
        }
    }
}

/// Counts of objects that did not fit, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnCounters {
    /// Answers that would have added a Service.
    pub services_full: u64,
    /// Addresses that would have become endpoints.
    pub endpoints_full: u64,
    /// Services without answers that were evicted for others.
    pub services_evicted: u64,
}

impl LearnCounters {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.services_full + self.endpoints_full + self.services_evicted
    }
}

/// A TTL beyond a day says nothing about the life of an endpoint.
const TTL_MAX: u32 = 86_400;
/// Domain names (in several zones) that are remembered per Service.
const NAMES_MAX: usize = 4;

#[derive(Debug)]
struct Member {
    host: Option<Arc<str>>,
    /// The time at which an answer last listed it.
    listed: Time,
    keep: Duration,
}

#[derive(Debug, Default)]
struct Learned {
    /// Names that have answered with addresses, so that their absence means something.
    names: Vec<Name>,
    /// By address and port; 0: any port.
    members: BTreeMap<(IpAddr, u16), Member>,
    answered: Time,
}

/// Learns Services from answers.
#[derive(Debug)]
pub struct Learner {
    config: LearnConfig,
    services: HashMap<ServiceKey, Learned>,
    networks: Networks,
    members: usize,
    counters: LearnCounters,
}

/// An address as one answer lists it.
struct Listed {
    address: IpAddr,
    /// Its port, if it is an instance; otherwise 0.
    port: u16,
    ttl: u32,
    host: Option<Arc<str>>,
}

impl Learner {
    /// A learner without any Service.
    pub fn new(config: LearnConfig) -> Self {
        let (services, networks) = (HashMap::default(), Networks::default());
        Self { config, services, networks, members: 0, counters: LearnCounters::default() }
    }

    /// Whether an address can become an endpoint.
    pub fn admits(&self, address: IpAddr) -> bool {
        self.config.filter.allows_address(address.to_canonical(), false)
    }

    /// Counts of objects that did not fit.
    pub fn counters(&self) -> &LearnCounters {
        &self.counters
    }

    /// Takes an answer that a client received at `now`; returns the changes for the topology, usually none.
    pub fn observe(&mut self, now: Time, client: u32, answer: &Answer, zone: &ClusterZone) -> Vec<Change> {
        let mut subject = DiscoveredService::of(answer, zone);
        if !self.config.filter.allows(&subject.name) {
            return Vec::new();
        }
        let mut listed = self.listed(answer, &subject);
        if is_networks_own(&subject.name) && !self.find_network(client, &mut subject, &mut listed) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if !self.services.contains_key(&subject.service) && !self.admit(now, &subject, &listed, &mut changes)
        {
            return changes;
        }
        if is_networks_own(&subject.name) {
            self.networks.answered(&subject.service, client);
        }
        let Some(learned) = self.services.get_mut(&subject.service) else { return changes };
        learned.answered = now;
        if !listed.is_empty() && learned.names.len() < NAMES_MAX && !learned.names.contains(&subject.name) {
            learned.names.push(subject.name.clone());
        }
        let left = leave(now, learned, answer, &subject, &listed);
        self.members -= left;
        if self.join(now, &subject, listed) || left > 0 {
            changes
                .extend(self.services.get(&subject.service).map(|learned| slice(&subject.service, learned)));
        }
        changes
    }

    /// Makes the Service of the client's network the subject, without the addresses of others; false if the answer says
    /// nothing about any.
    fn find_network(&self, client: u32, subject: &mut DiscoveredService, listed: &mut Vec<Listed>) -> bool {
        let Self { networks, services, .. } = self;
        let addresses: Vec<_> = listed.iter().map(|listed| listed.address).collect();
        let has = |service: &ServiceKey, is_like: &dyn Fn(IpAddr) -> bool| {
            let members = services.get(service).into_iter().flat_map(|learned| learned.members.keys());
            members.into_iter().any(|(address, _)| is_like(*address))
        };
        let Some(service) = networks.service(&subject.name, client, &addresses, has) else { return false };
        let is_others = |listed: &Listed| {
            networks.others(&service).any(|other| has(other, &|address| address == listed.address))
        };
        listed.retain(|listed| !is_others(listed));
        subject.service = service;
        true
    }

    /// The addresses of the answer that can be endpoints.
    fn listed(&self, answer: &Answer, subject: &DiscoveredService) -> Vec<Listed> {
        let own = answer.addresses.iter().map(|record| (record, subject.host.clone(), 0));
        let targets = answer.targets.iter().flat_map(|target| {
            let host = subject.host_of(&target.target);
            // In Kubernetes, the ports of several SRV names are of the same pod.
            let port = if subject.kubernetes { 0 } else { target.port };
            target.addresses.iter().map(move |record| (record, host.clone(), port))
        });
        own.chain(targets)
            .map(|(record, host, port)| (record.address.to_canonical(), record.ttl.min(TTL_MAX), host, port))
            .filter(|(address, ..)| self.config.filter.allows_address(*address, subject.is_own))
            // CoreDNS names a pod without host name by its address; that is no host name.
            .map(|(address, ttl, host, port)| Listed {
                address,
                port,
                ttl,
                host: host.filter(|host| !is_dashed(host, address)),
            })
            .collect()
    }

    /// Makes a name a Service, if the filter selects it and there is room.
    fn admit(
        &mut self,
        now: Time,
        subject: &DiscoveredService,
        listed: &[Listed],
        changes: &mut Vec<Change>,
    ) -> bool {
        let mut addresses: Vec<_> = listed.iter().map(|listed| (listed.address, listed.port)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        if subject.is_part || !self.config.filter.selects(&subject.name, addresses.len()) {
            return false;
        }
        if self.services.len() >= self.config.services {
            let oldest = self.services.iter().min_by_key(|(_, learned)| learned.answered);
            let idle = oldest.filter(|(_, learned)| now.since(learned.answered) >= self.config.idle);
            let Some(key) = idle.map(|(key, _)| key.clone()) else {
                self.counters.services_full += 1;
                return false;
            };
            self.members -= self.services.remove(&key).map_or(0, |learned| learned.members.len());
            self.networks.forget(&key);
            self.counters.services_evicted += 1;
            changes.push(Change::Delete(Kind::Slice, slice_key(&key)));
        }
        self.services.insert(subject.service.clone(), Learned::default());
        true
    }

    /// Adds the listed addresses; returns whether anything but times changed.
    fn join(&mut self, now: Time, subject: &DiscoveredService, listed: Vec<Listed>) -> bool {
        let Some(learned) = self.services.get_mut(&subject.service) else { return false };
        let mut changed = false;
        for Listed { address, port, ttl, host } in listed {
            let keep = Duration::from_secs(2 * u64::from(ttl)).max(self.config.keep);
            let instances = learned.members.range_mut((address, 1)..=(address, u16::MAX));
            if port == 0 && instances.map(|(_, member)| member.listed = now).count() > 0 {
                continue;
            }
            // An instance is known better than its address alone.
            if port > 0 && learned.members.remove(&(address, 0)).is_some() {
                self.members -= 1;
            }
            if let Some(member) = learned.members.get_mut(&(address, port)) {
                (member.listed, member.keep) = (now, keep);
                // In Kubernetes an endpoint has one name at a time. Elsewhere an address may be the target of many
                // names, and the first one stays.
                let better = subject.kubernetes || member.host.is_none();
                if host.is_some() && member.host != host && better {
                    member.host = host;
                    changed = true;
                }
            } else if learned.members.len() >= self.config.endpoints_per_service
                || self.members >= self.config.endpoints
            {
                self.counters.endpoints_full += 1;
            } else {
                learned.members.insert((address, port), Member { host, listed: now, keep });
                self.members += 1;
                changed = true;
            }
        }
        changed
    }
}

/// Removes the endpoints that the answer proves to be gone; returns their number.
fn leave(
    now: Time,
    learned: &mut Learned,
    answer: &Answer,
    subject: &DiscoveredService,
    listed: &[Listed],
) -> usize {
    // Outside Kubernetes, nothing but SRV answers may list a Service's instances.
    let is_whole = !subject.kubernetes
        && !answer.targets.is_empty()
        && answer.targets.iter().all(|target| !target.addresses.is_empty());
    let has_family =
        |address: IpAddr| listed.iter().any(|listed| listed.address.is_ipv6() == address.is_ipv6());
    let is_translated = answer.addresses.iter().any(|record| record.address.is_ipv4());
    let covers = |address: IpAddr| match (answer.rcode, answer.kind) {
        (Rcode::NoError, QueryType::Srv) => is_whole && has_family(address),
        (_, QueryType::Srv) => false,
        (Rcode::NxDomain, _) => true,
        (Rcode::NoError, QueryType::A) => address.is_ipv4(),
        // Translated addresses (NAT64) are IPv4.
        (Rcode::NoError, QueryType::Aaaa) => address.is_ipv4() == is_translated,
        _ => false,
    };
    if answer.truncated || !learned.names.contains(&subject.name) {
        return 0;
    }
    for Listed { address, port, .. } in listed {
        // An address alone stands for all its instances.
        let ports = if *port == 0 { 0..=u16::MAX } else { *port..=*port };
        let known = learned.members.range_mut((*address, *ports.start())..=(*address, *ports.end()));
        known.for_each(|(_, member)| member.listed = now);
    }
    let before = learned.members.len();
    learned.members.retain(|(address, _), member| {
        !covers(*address)
            || (subject.is_part && (subject.host.is_none() || member.host != subject.host))
            || member.listed == now
            || now.since(member.listed) < member.keep
    });
    before - learned.members.len()
}

/// Whether `host` is `address` with dashes, as in `10-1-2-3` and `fd00--1`.
fn is_dashed(host: &str, address: IpAddr) -> bool {
    let dashed = address.to_string().replace([':', '.'], "-");
    host.strip_prefix(dashed.as_str()).is_some_and(|rest| rest.is_empty() || rest == "0")
}

fn slice_key(service: &ServiceKey) -> ObjectKey {
    ObjectKey { namespace: service.namespace.clone(), name: service.name.clone() }
}

/// A learned Service, as a source reports it.
fn slice(service: &ServiceKey, learned: &Learned) -> Change {
    // Several instances of one host have names of their own.
    let name = |host: &Arc<str>, (address, port)| {
        let is_only = learned.members.range((address, 0)..=(address, u16::MAX)).count() == 1;
        if is_only { host.clone() } else { format!("{host}:{port}").into() }
    };
    let endpoint = |(place, member): (&(IpAddr, u16), &Member)| SliceEndpoint {
        address: place.0,
        port: Some(place.1).filter(|port| *port > 0),
        hostname: member.host.clone(),
        pod: member.host.as_ref().map(|host| PodRef {
            key: ObjectKey { namespace: service.namespace.clone(), name: name(host, *place) },
            uid: Arc::default(),
        }),
        node: None,
        zone: None,
        hints: Box::default(),
        ready: true,
        serving: true,
        terminating: false,
    };
    Change::Apply(Object::Slice(Slice {
        key: slice_key(service),
        service: service.name.clone(),
        headless: true,
        ports: Vec::new(),
        endpoints: learned.members.iter().map(endpoint).collect(),
        missing: 0,
    }))
}
