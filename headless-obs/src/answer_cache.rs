//! The answer cache: for each client, the DNS answers that it received, by the addresses in them. It tells which
//! Service a client meant when several Services share an address.
//!
//! In: decoded [`Answer`]s with the client's [`ClientId`]. Out: [`CachedAddress`]s of an address.
//!
//! Invariants: a client's entries never serve another client. An entry outlives its TTL, because clients keep addresses
//! longer than they should. It goes when its client has been silent for long, or when the cache is full; that is
//! counted. Then a client with more than an equal share loses its own entries, so no client can displace another's.

use std::cmp::{Ordering, Reverse};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::client::ClientId;
use crate::dns::{AddressRecord, Answer, Name};
use crate::hash::HashMap;
use crate::offer::Offer;
use crate::service_resolution::ResolvedName;
use crate::time::Time;
use crate::topology::ServiceId;

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
    /// The Service that the answer was about when it arrived.
    pub service: Option<ServiceId>,
    /// The meaning of the name at that time; nothing if it was not looked up or means no Service.
    pub meaning: Option<ResolvedName>,
    /// When it arrived.
    pub at: Time,
    /// How many seconds a client may keep the shortest-lived record.
    pub ttl: u32,
    /// Number of addresses in it.
    pub size: u16,
    /// It was truncated.
    pub truncated: bool,
    /// The endpoints among which it lets the client choose.
    pub offer: Arc<Offer>,
    /// How many addresses share a longer prefix with the client's own address than all others do. A client that sorts
    /// by address prefers these (RFC 6724, rule 9). 0 if all are alike, or if the client's address is not known.
    pub nearest: u16,
}

/// The context of an answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerContext<'a> {
    /// The name that identifies the Service. Without one, the answer is kept only if an SRV answer led to it.
    pub name: Option<&'a Name>,
    /// The meaning of that name, if the Service is known.
    pub meaning: Option<ResolvedName>,
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
    /// How many.
    pub entries: u64,
}

/// The SRV answer that named a host.
#[derive(Debug)]
struct SrvHost {
    /// The SRV name.
    name: Name,
    /// Until when a look-up of the host is taken for a consequence of the answer.
    until: Time,
}

/// How long a client may take from an SRV answer to the look-up of a host in it, if the record does not last longer. A
/// later look-up is the client's own: it wants this one pod.
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
        let srv = srv.filter(|host| now <= host.until).map(|host| &host.name);
        let meaning = meant.meaning.filter(|_| srv.is_none());
        // The answer for a host of an SRV record is no offer: the client chose among the hosts.
        let offer = if srv.is_some() { Arc::default() } else { meant.offer.clone() };
        let Some(name) = srv.or(meant.name).cloned() else { return self.touch(now, scope) };

        let evidence = self.scopes.entry(scope).or_default();
        evidence.last = now;
        let before = evidence.held;
        let of_targets = answer.targets.iter().flat_map(|target| &target.addresses);
        let records = || answer.addresses.iter().chain(of_targets.clone());
        let near = meant.local.map_or(NearestPrefix::default(), |local| NearestPrefix::of(local, records()));
        let received = Arc::new(CachedAnswer {
            name: name.clone(),
            service: meant.meaning.map(|meaning| meaning.service),
            meaning,
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
            let host = SrvHost { name: name.clone(), until: now.plus(lasts) };
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
        known.iter().find(|entry| entry.answer.service == Some(service)).map(|entry| entry.answer.at)
    }

    /// The offer of the answer that arrived at `at` and listed `address` to `scope`.
    pub fn offer(&self, scope: ClientId, address: IpAddr, at: Time) -> Option<&Arc<Offer>> {
        let known = self.scopes.get(&scope)?.by_address.get(&address)?;
        known.iter().find(|entry| entry.answer.at == at).map(|entry| &entry.answer.offer)
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
                        *gone.entry(entry.answer.service).or_default() += 1;
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

/// The addresses of an answer that are nearest to the client's own.
#[derive(Clone, Copy, Debug, Default)]
struct NearestPrefix {
    local: Option<IpAddr>,
    /// Length of the prefix that the nearest ones share with `local`.
    bits: u32,
    /// Their number; 0 if all are equally near.
    count: u16,
}

impl NearestPrefix {
    fn of<'a>(local: IpAddr, records: impl Iterator<Item = &'a AddressRecord>) -> Self {
        let mut near = Self { local: Some(local), ..Self::default() };
        let mut all = 0_u16;
        for bits in records.filter_map(|record| common_prefix(local, record.address)) {
            all = all.saturating_add(1);
            match bits.cmp(&near.bits) {
                Ordering::Greater => (near.bits, near.count) = (bits, 1),
                Ordering::Equal => near.count = near.count.saturating_add(1),
                Ordering::Less => {}
            }
        }
        if near.count == all { Self::default() } else { near }
    }

    fn has(&self, address: IpAddr) -> bool {
        self.count > 0 && self.local.and_then(|local| common_prefix(local, address)) == Some(self.bits)
    }
}

/// Length of the prefix that two addresses of one family share.
fn common_prefix(one: IpAddr, other: IpAddr) -> Option<u32> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros()),
        (IpAddr::V6(one), IpAddr::V6(other)) => Some((one.to_bits() ^ other.to_bits()).leading_zeros()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{QueryType, Rcode, SrvTarget};

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

    /// The last name that belongs to a Service.
    fn observe(evidence: &mut AnswerCache, at: u64, scope: u32, answer: &Answer) {
        let name = answer.chain.iter().rev().find(|name| name.contains(".svc."));
        evidence.observe(
            Time(at),
            ClientId(scope),
            answer,
            AnswerContext { name, meaning: None, local: None, offer: &Arc::default() },
        );
    }

    fn seen(evidence: &AnswerCache, scope: u32, last: u8, at: u64) -> Vec<(String, u16)> {
        evidence
            .cached(ClientId(scope), IpAddr::from([10, 0, 0, last]), Time(at))
            .map(|entry| (entry.answer.name.to_string(), entry.position))
            .collect()
    }

    fn name(name: &str, position: u16) -> (String, u16) {
        (name.to_owned(), position)
    }

    #[test]
    fn the_last_name_asked_for_goes_first_and_clients_do_not_share() {
        let mut evidence = AnswerCache::default();
        observe(&mut evidence, 1, 1, &answer(&["a.x.svc.z"], &[1, 2]));
        observe(&mut evidence, 2, 1, &answer(&["b.x.svc.z"], &[2]));
        assert_eq!(seen(&evidence, 1, 2, 9), [name("b.x.svc.z", 0), name("a.x.svc.z", 1)]);
        assert_eq!(seen(&evidence, 1, 2, 1), [name("a.x.svc.z", 1), name("b.x.svc.z", 0)], "as it was at 1");
        assert_eq!(seen(&evidence, 2, 2, 9), []);
    }

    #[test]
    fn an_alias_counts_for_what_it_leads_to_and_other_names_are_not_kept() {
        let mut evidence = AnswerCache::default();
        observe(&mut evidence, 1, 1, &answer(&["alias.a.svc.z", "db.b.svc.z"], &[1]));
        observe(&mut evidence, 1, 1, &answer(&["alias.a.svc.z", "db.example.org"], &[2]));
        observe(&mut evidence, 1, 1, &answer(&["www.example.org"], &[3]));
        assert_eq!(seen(&evidence, 1, 1, 1), [name("db.b.svc.z", 0)]);
        assert_eq!(seen(&evidence, 1, 2, 1), [name("alias.a.svc.z", 0)]);
        assert_eq!(seen(&evidence, 1, 3, 1), []);
    }

    #[test]
    fn srv_counts_through_the_additional_section_and_through_the_host() {
        let mut evidence = AnswerCache::default();
        let mut srv = answer(&["_http._tcp.web.x.svc.z"], &[]);
        srv.targets = ["w0.web.x.svc.z", "w1.web.x.svc.z"]
            .iter()
            .zip([records(&[1]), Vec::new()])
            .map(|(target, addresses)| SrvTarget { target: (*target).into(), port: 80, ttl: 5, addresses })
            .collect();
        observe(&mut evidence, 1, 1, &srv);
        observe(&mut evidence, 2, 1, &answer(&["w1.web.x.svc.z"], &[2]));
        assert_eq!(seen(&evidence, 1, 1, 9), [name("_http._tcp.web.x.svc.z", 0)]);
        assert_eq!(seen(&evidence, 1, 2, 9), [name("_http._tcp.web.x.svc.z", 0)]);
    }

    #[test]
    fn host_that_is_looked_up_long_after_the_srv_answer_is_meant_itself() {
        let s = |seconds: u64| seconds * 1_000_000_000;
        let mut srv = answer(&["_http._tcp.web.x.svc.z"], &[]);
        let target =
            |target: &str, ttl| SrvTarget { target: target.into(), port: 80, ttl, addresses: Vec::new() };
        srv.targets = vec![target("w0.web.x.svc.z", 5), target("w1.web.x.svc.z", 300)];
        let mut evidence = AnswerCache::default();
        observe(&mut evidence, 0, 1, &srv);
        for (at, last, name_then) in [
            (60, 1, "_http._tcp.web.x.svc.z"),
            (61, 2, "w0.web.x.svc.z"),
            (300, 3, "_http._tcp.web.x.svc.z"),
            (301, 4, "w1.web.x.svc.z"),
        ] {
            let host = if last < 3 { "w0.web.x.svc.z" } else { "w1.web.x.svc.z" };
            observe(&mut evidence, s(at), 1, &answer(&[host], &[last]));
            assert_eq!(seen(&evidence, 1, last, s(at)), [name(name_then, 0)], "{at} s");
        }
        assert_eq!(evidence.held, 6);
        evidence.expire(Time(s(200)));
        assert_eq!(evidence.held, 5);
        evidence.expire(Time(s(301)));
        assert_eq!(evidence.held, 4);
    }

    #[test]
    fn without_room_who_has_most_loses_its_oldest_and_that_is_counted() {
        let mut evidence = AnswerCache::new(Config { addresses: 8, ..Config::default() });
        observe(&mut evidence, 1, 1, &answer(&["a.x.svc.z"], &[1, 2]));
        for at in 2..=7 {
            observe(&mut evidence, at, 2, &answer(&["a.x.svc.z"], &[10 + u8::try_from(at).unwrap()]));
        }
        assert_eq!((evidence.evicted(), evidence.held), (0, 8), "there is room");
        observe(&mut evidence, 8, 2, &answer(&["a.x.svc.z"], &[20, 21]));
        assert_eq!((seen(&evidence, 1, 1, 9).len(), seen(&evidence, 1, 2, 9).len()), (1, 1), "it was silent");
        assert_eq!((seen(&evidence, 2, 16, 9).len(), seen(&evidence, 2, 17, 9).len()), (0, 1));
        assert_eq!((seen(&evidence, 2, 20, 9).len(), evidence.evicted(), evidence.held), (1, 5, 5));
        evidence.expire(Time(0).plus(Duration::from_secs(48 * 3600)));
        assert_eq!((seen(&evidence, 1, 1, 9).len(), evidence.held), (0, 0));
    }

    #[test]
    fn one_answer_that_is_too_much_is_not_kept_and_harms_nobody() {
        let mut evidence = AnswerCache::new(Config { addresses: 8, ..Config::default() });
        observe(&mut evidence, 1, 1, &answer(&["a.x.svc.z"], &[1, 2]));
        let all: Vec<u8> = (1..=200).collect();
        for at in 2..100 {
            observe(&mut evidence, at, 2, &answer(&["b.x.svc.z"], &all));
        }
        assert_eq!((seen(&evidence, 1, 1, 200).len(), seen(&evidence, 2, 1, 200).len()), (1, 0));
        assert_eq!((evidence.held, evidence.evicted()), (2, 98 * 200));
    }
}
