//! The answer cache: for each client, the DNS answers that it received, by the addresses in them. It tells which
//! Service a client meant when several Services share an address.
//!
//! In: decoded [`Answer`]s with the client's [`ClientId`]. Out: [`CachedAddress`]s of an address.
//!
//! Invariants: a client's entries never serve another client. An entry outlives its TTL, because clients keep addresses
//! longer than they should. It goes when its client has been silent for long, or when the cache is full; that is
//! counted. Then a client with more than an equal share loses its own entries, so no client can displace another's.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

mod nearest_prefix;

use crate::client::ClientId;
use crate::dns::{AddressRecord, Answer, Name};
use crate::hash::HashMap;
use crate::offer::Offer;
use crate::service_resolution::Meaning;
use crate::time::Time;
use crate::topology::ServiceId;

use nearest_prefix::NearestPrefix;

/// The newest answer for one name that listed an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedAddress {
    /// Position of the address in the answer, from 0.
    pub position: u16,
    /// The address is one of those nearest to the client's own ([`CachedAnswer::nearest`]).
    pub is_near: bool,
    /// The answer.
    pub answer: Arc<CachedAnswer>,
}

/// The data that all entries of one answer share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedAnswer {
    /// The name that identifies the Service: the owner of the addresses, or the SRV name that led to them.
    pub name: Name,
    /// The meaning of the answer when it arrived.
    pub meaning: Meaning,
    /// [`Topology::renamed`](crate::topology::Topology::renamed) at that moment.
    pub renamed: u64,
    /// The time at which it arrived.
    pub at: Time,
    /// The seconds for which a client may keep the shortest-lived record.
    pub ttl: u32,
    /// Number of addresses in it.
    pub size: u16,
    /// It was truncated.
    pub truncated: bool,
    /// The endpoints among which it lets the client choose.
    pub offer: Arc<Offer>,
    /// The number of addresses that share a longer prefix with the client's own address than all others do. A client
    /// that sorts by address prefers these (RFC 6724, rule 9). 0 if all are alike, or if the client's address is not
    /// known.
    pub nearest: u16,
}

impl CachedAnswer {
    /// The Service that the answer was about when it arrived.
    pub fn service(&self) -> Option<ServiceId> {
        self.meaning.service().map(|(service, _)| service)
    }
}

/// The context of an answer.
#[derive(Clone, Debug)]
pub struct AnswerContext<'a> {
    /// The name that identifies the Service. Without one, the answer is kept only if an SRV answer led to it.
    pub name: Option<&'a Name>,
    /// The meaning of the answer.
    pub meaning: Meaning,
    /// [`Topology::renamed`](crate::topology::Topology::renamed) at this moment.
    pub renamed: u64,
    /// The client's own address, if it does not share one.
    pub local: Option<IpAddr>,
    /// The endpoints among which the answer lets the client choose.
    pub offer: &'a Arc<Offer>,
}

/// Limits of the answer cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most entries of all clients together; a host in an SRV record counts as one.
    pub addresses: usize,
    /// The most names per address of a client; the newest stay.
    pub names_per_address: usize,
    /// A client that neither sends queries nor connects for this long is forgotten.
    pub keep: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { addresses: 200_000, names_per_address: 4, keep: Duration::from_secs(24 * 3600) }
    }
}

/// The answers of all clients.
#[derive(Debug, Default)]
pub struct AnswerCache {
    config: Config,
    scopes: HashMap<ClientId, ClientCache>,
    /// Entries and hosts of all clients.
    held: usize,
    evicted: u64,
    /// Evictions that nobody has taken yet.
    evictions: Vec<Eviction>,
}

/// Entries that were evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// The client that received them.
    pub scope: ClientId,
    /// The Service that they were about, if it was known.
    pub service: Option<ServiceId>,
    /// The number.
    pub entries: u64,
}

/// The SRV answer that named a host.
#[derive(Debug)]
struct SrvHost {
    /// The SRV name.
    name: Name,
    /// The meaning of the answer.
    meaning: Meaning,
    /// Until when a look-up of the host is taken for a consequence of the answer.
    until: Time,
}

/// The time that a client may take from an SRV answer to the look-up of a host in it, if the record does not last
/// longer. A later look-up is the client's own: it wants this one pod.
const HOST_LOOK_UP: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct ClientCache {
    /// The newest first; most addresses have one name.
    by_address: HashMap<IpAddr, SmallVec<[CachedAddress; 1]>>,
    /// Host of an SRV target → the SRV answer that named it. Some clients ignore the additional section and look the host
    /// up next; they still follow the SRV name.
    srv_hosts: HashMap<Name, SrvHost>,
    /// Entries and hosts.
    held: usize,
    last: Time,
}

impl AnswerCache {
    /// An empty cache.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes an answer in.
    pub fn observe(&mut self, now: Time, scope: ClientId, answer: &Answer, meant: AnswerContext<'_>) {
        if answer.addresses.is_empty() && answer.targets.is_empty() {
            return self.touch(now, scope);
        }
        let hosts = self.scopes.get(&scope).map(|evidence| &evidence.srv_hosts);
        let srv = hosts.and_then(|hosts| answer.chain.iter().rev().find_map(|name| hosts.get(name)));
        let srv = srv.filter(|host| now <= host.until);
        // The answer for a host of an SRV record is no offer: the client chose among the hosts.
        let (name, meaning, offer) = match (srv, meant.name) {
            (Some(host), _) => (host.name.clone(), host.meaning.clone(), Arc::default()),
            (None, Some(name)) => (name.clone(), meant.meaning, meant.offer.clone()),
            (None, None) => return self.touch(now, scope),
        };

        let evidence = self.scopes.entry(scope).or_default();
        evidence.last = now;
        let before = evidence.held;
        let of_targets = answer.targets.iter().flat_map(|target| &target.addresses);
        let records = || answer.addresses.iter().chain(of_targets.clone());
        let near = meant.local.map_or(NearestPrefix::default(), |local| NearestPrefix::of(local, records()));
        let received = Arc::new(CachedAnswer {
            name: name.clone(),
            meaning: meaning.clone(),
            renamed: meant.renamed,
            at: now,
            ttl: records().map(|record| record.ttl).min().unwrap_or(0),
            size: u16::try_from(records().count()).unwrap_or(u16::MAX),
            truncated: answer.truncated,
            offer,
            nearest: near.count,
        });
        evidence.add(&self.config, &received, &near, answer.addresses.iter());
        for target in &answer.targets {
            let lasts = HOST_LOOK_UP.max(Duration::from_secs(target.ttl.into()));
            let host = SrvHost { name: name.clone(), meaning: meaning.clone(), until: now.plus(lasts) };
            let known = evidence.srv_hosts.insert(target.target.clone(), host);
            evidence.held += usize::from(known.is_none());
        }
        evidence.add(&self.config, &received, &near, of_targets);
        self.held += evidence.held - before;
        if self.held > self.config.addresses {
            self.evict();
        }
    }

    /// The answers for an address that `scope` received: first the newest at or before `at`, down to the oldest, then
    /// those after `at`, because a later answer may have replaced the one that was used.
    pub fn cached(&self, scope: ClientId, address: IpAddr, at: Time) -> impl Iterator<Item = &CachedAddress> {
        let known = self.scopes.get(&scope).and_then(|evidence| evidence.by_address.get(&address));
        let known = known.map_or(&[][..], SmallVec::as_slice);
        let before = known.iter().filter(move |entry| entry.answer.at <= at);
        before.chain(known.iter().rev().filter(move |entry| entry.answer.at > at))
    }

    /// The last answer for a name of `service` that listed `address` to `scope`.
    pub fn last_answered(&self, scope: ClientId, address: IpAddr, service: ServiceId) -> Option<Time> {
        let known = self.scopes.get(&scope)?.by_address.get(&address)?;
        known.iter().find(|entry| entry.answer.service() == Some(service)).map(|entry| entry.answer.at)
    }

    /// The answer that arrived at `at` and listed `address` to `scope`.
    pub fn answer(&self, scope: ClientId, address: IpAddr, at: Time) -> Option<&CachedAnswer> {
        let known = self.scopes.get(&scope)?.by_address.get(&address)?;
        known.iter().find(|entry| entry.answer.at == at).map(|entry| &*entry.answer)
    }

    /// Records that a client without queries is still there.
    pub fn touch(&mut self, now: Time, scope: ClientId) {
        if let Some(evidence) = self.scopes.get_mut(&scope) {
            evidence.last = now;
        }
    }

    /// Forgets clients that have been silent for too long.
    pub fn expire(&mut self, now: Time) {
        let keep = self.config.keep;
        self.scopes.retain(|_, evidence| now.since(evidence.last) < keep);
        self.scopes.values_mut().for_each(|evidence| evidence.expire_hosts(now));
        self.held = self.scopes.values().map(|evidence| evidence.held).sum();
    }

    /// Entries that were evicted because the cache was full.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The evictions since the last call.
    pub fn take_evictions(&mut self) -> Vec<Eviction> {
        std::mem::take(&mut self.evictions)
    }

    /// Evicts the entries of a client that cannot be found any more.
    pub fn forget(&mut self, scope: ClientId) {
        if let Some(mut evidence) = self.scopes.remove(&scope) {
            self.held -= evidence.held;
            let gone = evidence.trim(0);
            self.note(scope, gone);
        }
    }

    fn note(&mut self, scope: ClientId, gone: HashMap<Option<ServiceId>, u64>) {
        for (service, entries) in gone {
            self.evicted += entries;
            self.evictions.push(Eviction { scope, service, entries });
        }
    }

    /// Evicts the oldest entries of clients that have more than an equal share, beginning with the largest. The search
    /// visits every client, so it frees an eighth of the cache at once.
    fn evict(&mut self) {
        let most = self.config.addresses - self.config.addresses / 8;
        let share = most / self.scopes.len().max(1);
        let mut greedy: Vec<_> = self.scopes.iter().filter(|(_, evidence)| evidence.held > share).collect();
        greedy.sort_unstable_by_key(|(_, evidence)| (Reverse(evidence.held), evidence.last));
        let greedy: Vec<_> = greedy.into_iter().map(|(scope, _)| *scope).collect();
        for scope in greedy {
            if self.held <= most {
                return;
            }
            let Some(evidence) = self.scopes.get_mut(&scope) else { continue };
            self.held -= evidence.held;
            let gone = evidence.trim(share);
            self.held += evidence.held;
            self.note(scope, gone);
        }
    }
}

impl ClientCache {
    fn add<'a>(
        &mut self,
        config: &Config,
        received: &Arc<CachedAnswer>,
        near: &NearestPrefix,
        records: impl Iterator<Item = &'a AddressRecord>,
    ) {
        for (position, record) in records.enumerate() {
            let position = u16::try_from(position).unwrap_or(u16::MAX);
            let entry =
                CachedAddress { position, is_near: near.has(record.address), answer: received.clone() };
            let known = self.by_address.entry(record.address).or_default();
            match known.iter().position(|known| known.answer.name == received.name) {
                Some(0) => {
                    known[0] = entry;
                    continue;
                }
                Some(same) => drop(known.remove(same)),
                None if known.len() >= config.names_per_address => drop(known.pop()),
                None => self.held += 1,
            }
            known.insert(0, entry);
        }
    }

    fn expire_hosts(&mut self, now: Time) {
        let before = self.srv_hosts.len();
        self.srv_hosts.retain(|_, host| now <= host.until);
        self.held -= before - self.srv_hosts.len();
    }

    /// Keeps the newest entries, at most `most`, and no hosts; returns the number of removed ones by Service. The
    /// entries of one answer are removed together.
    fn trim(&mut self, most: usize) -> HashMap<Option<ServiceId>, u64> {
        let mut gone = HashMap::default();
        let hosts = std::mem::take(&mut self.srv_hosts).len();
        if hosts > 0 {
            gone.insert(None, u64::try_from(hosts).unwrap_or(u64::MAX));
        }
        let mut times: Vec<Time> = self.by_address.values().flatten().map(|entry| entry.answer.at).collect();
        if let Some(last) = times.len().checked_sub(most + 1) {
            let (_, &mut newest_to_go, _) = times.select_nth_unstable(last);
            self.by_address.retain(|_, known| {
                known.retain(|entry| {
                    let stays = entry.answer.at > newest_to_go;
                    if !stays {
                        *gone.entry(entry.answer.service()).or_default() += 1;
                    }
                    stays
                });
                !known.is_empty()
            });
            self.by_address.shrink_to_fit();
        }
        self.held = self.by_address.values().map(SmallVec::len).sum();
        gone
    }
}

#[cfg(test)]
mod tests;
