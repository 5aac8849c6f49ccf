//! Evidence: which answers each client received, by the addresses they contained. It says which Service was meant by
//! a connection to an address that several Services share.
//!
//! In: decoded [`Answer`]s with the client's [`ScopeId`]. Out: [`Sighting`]s of an address.
//!
//! Invariants: a client's evidence is its own, never another's. A sighting outlives its TTL, because clients keep
//! addresses longer than they should; it goes when its client has been silent for long, or when there is no more
//! room, oldest client first, counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::client::ScopeId;
use crate::dns::{Answer, Name};
use crate::time::Time;

/// The last time an answer for one name listed an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The name that says which Service was meant: the owner of the address, or the SRV name that led to it.
    pub name: Name,
    /// Place of the address in the answer, from 0.
    pub position: u16,
    /// Addresses that the answer listed.
    pub listed: u16,
    /// When the answer arrived.
    pub at: Time,
    /// Seconds the record could be kept.
    pub ttl: u32,
}

/// Bounds of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most sightings of all clients together.
    pub sightings: usize,
    /// The most names under which one client's address is remembered; the newest stay.
    pub names_per_address: usize,
    /// A client that neither asks nor connects for so long is forgotten.
    pub keep: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { sightings: 200_000, names_per_address: 4, keep: Duration::from_secs(24 * 3600) }
    }
}

/// All clients' evidence.
#[derive(Debug, Default)]
pub struct Evidence {
    config: Config,
    scopes: HashMap<ScopeId, ScopeEvidence>,
    sightings: usize,
    evicted: u64,
}

#[derive(Debug, Default)]
struct ScopeEvidence {
    by_address: HashMap<IpAddr, Vec<Sighting>>,
    /// Host that an SRV answer pointed at → the SRV name. Clients that ignore the additional section look the
    /// host up next; it is still the SRV name that they follow.
    srv_hosts: HashMap<Name, Name>,
    sightings: usize,
    last: Time,
}

impl Evidence {
    /// Without any evidence yet.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes an answer in. `is_relevant` tells whether a name can mean a Service; the others are not kept.
    pub fn observe(
        &mut self,
        now: Time,
        scope: ScopeId,
        answer: &Answer,
        is_relevant: impl Fn(&str) -> bool,
    ) {
        let evidence = self.scopes.entry(scope).or_default();
        evidence.last = now;
        let before = evidence.sightings;
        if !answer.addresses.is_empty() {
            // The last owner is the service; an alias in front of it is only a way to it.
            let owner = answer.chain.iter().rev().find(|name| is_relevant(name)).unwrap_or(&answer.question);
            let name =
                answer.chain.iter().rev().find_map(|name| evidence.srv_hosts.get(name)).unwrap_or(owner);
            if is_relevant(name) {
                let name = name.clone();
                let records = answer.addresses.iter().map(|record| (record.address, record.ttl));
                evidence.add(&self.config, now, &name, records);
            }
        }
        if !answer.targets.is_empty() && is_relevant(&answer.question) {
            for target in &answer.targets {
                if evidence.srv_hosts.len() < self.config.sightings / 4 {
                    evidence.srv_hosts.insert(target.target.clone(), answer.question.clone());
                }
            }
            let records = answer.targets.iter().flat_map(|target| &target.addresses);
            evidence.add(
                &self.config,
                now,
                &answer.question,
                records.map(|record| (record.address, record.ttl)),
            );
        }
        self.sightings += evidence.sightings - before;
        self.make_room(scope);
    }

    /// What `scope` was told about an address, the newest at or before `at` first.
    pub fn sightings(&self, scope: ScopeId, address: IpAddr, at: Time) -> impl Iterator<Item = &Sighting> {
        let mut found: Vec<&Sighting> = self
            .scopes
            .get(&scope)
            .and_then(|evidence| evidence.by_address.get(&address))
            .into_iter()
            .flatten()
            .collect();
        // A later answer may have replaced the one that was used: better than none, worse than any before.
        found.sort_by_key(|sighting| (sighting.at > at, std::cmp::Reverse(sighting.at)));
        found.into_iter()
    }

    /// Notes that a client is alive although it asks nothing.
    pub fn touch(&mut self, now: Time, scope: ScopeId) {
        if let Some(evidence) = self.scopes.get_mut(&scope) {
            evidence.last = now;
        }
    }

    /// Forgets clients that have been silent for too long.
    pub fn expire(&mut self, now: Time) {
        let keep = self.config.keep;
        self.scopes.retain(|_, evidence| now.since(evidence.last) < keep);
        self.sightings = self.scopes.values().map(|evidence| evidence.sightings).sum();
    }

    /// Sightings that were forgotten because there was no room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Forgets the clients that have been silent for longest, but not the `current` one unless it alone is too much.
    fn make_room(&mut self, current: ScopeId) {
        while self.sightings > self.config.sightings {
            let oldest = self
                .scopes
                .iter()
                .filter(|(scope, _)| **scope != current)
                .min_by_key(|(_, evidence)| evidence.last)
                .map_or(current, |(scope, _)| *scope);
            let Some(gone) = self.scopes.remove(&oldest) else { return };
            self.sightings -= gone.sightings;
            self.evicted += gone.sightings as u64;
        }
    }
}

impl ScopeEvidence {
    fn add(
        &mut self,
        config: &Config,
        at: Time,
        name: &Name,
        records: impl Iterator<Item = (IpAddr, u32)> + Clone,
    ) {
        let listed = u16::try_from(records.clone().count()).unwrap_or(u16::MAX);
        for (position, (address, ttl)) in records.enumerate() {
            let position = u16::try_from(position).unwrap_or(u16::MAX);
            let sighting = Sighting { name: name.clone(), position, listed, at, ttl };
            let known = self.by_address.entry(address).or_default();
            if let Some(same) = known.iter_mut().find(|known| known.name == *name) {
                *same = sighting;
                continue;
            }
            if known.len() == config.names_per_address
                && let Some(oldest) = known.iter_mut().min_by_key(|known| known.at)
            {
                *oldest = sighting;
                continue;
            }
            known.push(sighting);
            self.sightings += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{AddressRecord, QueryType, Rcode, SrvTarget};

    fn records(last: &[u8]) -> Vec<AddressRecord> {
        last.iter().map(|last| AddressRecord { address: IpAddr::from([10, 0, 0, *last]), ttl: 30 }).collect()
    }

    fn answer(chain: &[&str], last: &[u8]) -> Answer {
        Answer {
            question: chain[0].into(),
            kind: QueryType::A,
            rcode: Rcode::NoError,
            truncated: false,
            chain: chain.iter().map(|name| Name::from(*name)).collect(),
            addresses: records(last),
            targets: Vec::new(),
        }
    }

    fn is_service(name: &str) -> bool {
        name.contains(".svc.")
    }

    fn seen(evidence: &Evidence, scope: u32, last: u8, at: u64) -> Vec<(String, u16)> {
        evidence
            .sightings(ScopeId(scope), IpAddr::from([10, 0, 0, last]), Time(at))
            .map(|sighting| (sighting.name.to_string(), sighting.position))
            .collect()
    }

    fn name(name: &str, position: u16) -> (String, u16) {
        (name.to_owned(), position)
    }

    #[test]
    fn the_last_name_asked_for_goes_first_and_clients_do_not_share() {
        let mut evidence = Evidence::default();
        evidence.observe(Time(1), ScopeId(1), &answer(&["a.x.svc.z"], &[1, 2]), is_service);
        evidence.observe(Time(2), ScopeId(1), &answer(&["b.x.svc.z"], &[2]), is_service);
        assert_eq!(seen(&evidence, 1, 2, 9), [name("b.x.svc.z", 0), name("a.x.svc.z", 1)]);
        assert_eq!(seen(&evidence, 1, 2, 1), [name("a.x.svc.z", 1), name("b.x.svc.z", 0)], "as it was at 1");
        assert_eq!(seen(&evidence, 2, 2, 9), []);
    }

    #[test]
    fn an_alias_counts_for_what_it_leads_to_and_other_names_are_not_kept() {
        let mut evidence = Evidence::default();
        evidence.observe(Time(1), ScopeId(1), &answer(&["alias.a.svc.z", "db.b.svc.z"], &[1]), is_service);
        evidence.observe(
            Time(1),
            ScopeId(1),
            &answer(&["alias.a.svc.z", "db.example.org"], &[2]),
            is_service,
        );
        evidence.observe(Time(1), ScopeId(1), &answer(&["www.example.org"], &[3]), is_service);
        assert_eq!(seen(&evidence, 1, 1, 1), [name("db.b.svc.z", 0)]);
        assert_eq!(seen(&evidence, 1, 2, 1), [name("alias.a.svc.z", 0)]);
        assert_eq!(seen(&evidence, 1, 3, 1), []);
    }

    #[test]
    fn srv_counts_through_the_additional_section_and_through_the_host() {
        let mut evidence = Evidence::default();
        let mut srv = answer(&["_http._tcp.web.x.svc.z"], &[]);
        srv.targets = ["w0.web.x.svc.z", "w1.web.x.svc.z"]
            .iter()
            .zip([records(&[1]), Vec::new()])
            .map(|(target, addresses)| SrvTarget { target: (*target).into(), port: 80, ttl: 5, addresses })
            .collect();
        evidence.observe(Time(1), ScopeId(1), &srv, is_service);
        evidence.observe(Time(2), ScopeId(1), &answer(&["w1.web.x.svc.z"], &[2]), is_service);
        assert_eq!(seen(&evidence, 1, 1, 9), [name("_http._tcp.web.x.svc.z", 0)]);
        assert_eq!(seen(&evidence, 1, 2, 9), [name("_http._tcp.web.x.svc.z", 0)]);
    }

    #[test]
    fn without_room_the_client_that_was_silent_for_longest_goes_and_is_counted() {
        let mut evidence = Evidence::new(Config { sightings: 4, ..Config::default() });
        evidence.observe(Time(1), ScopeId(1), &answer(&["a.x.svc.z"], &[1, 2]), is_service);
        evidence.observe(Time(2), ScopeId(2), &answer(&["a.x.svc.z"], &[1, 2]), is_service);
        evidence.touch(Time(3), ScopeId(1));
        evidence.observe(Time(4), ScopeId(3), &answer(&["a.x.svc.z"], &[1]), is_service);
        assert_eq!((seen(&evidence, 1, 1, 9).len(), seen(&evidence, 2, 1, 9).len()), (1, 0));
        assert_eq!(evidence.evicted(), 2);
        evidence.expire(Time(0).plus(Duration::from_secs(48 * 3600)));
        assert_eq!((seen(&evidence, 1, 1, 9).len(), evidence.sightings), (0, 0));
    }
}
