//! Clients: the pod, container, service or process behind a connection or a DNS response.
//!
//! In: the cgroup, local address and `comm` of an event, the paths of cgroups (which the shell looks up on request),
//! and the topology. Out: a [`Client`]: the scope of its DNS answers, and the name of its workload.
//!
//! A client is, in this order:
//! 1. the pod whose UID its cgroup's path names; if the path names no UID, or the pod has none, the pod that has its
//!    local address to itself;
//! 2. `pod-…`, where the path names a pod that the topology does not know;
//! 3. `container-…`, where the path names a container;
//! 4. the cgroup's service (`nginx.service` is `nginx`);
//! 5. the process's name.
//!
//! The path decides if it names a pod: it is right while an address changes hands, and it is all there is for pods on the
//! host network. Loopback and link-local addresses identify nobody.
//!
//! Not every client's connections count ([`Role`]). A service mesh's proxy makes connections for the other containers
//! of its pod, or for the pods of its node; these are the same connections a second time. If nodes share a kernel, as
//! in kind, the events of all of them arrive. An event from outside the node's own part of the cgroup hierarchy, or
//! from an address that is another node's endpoint, belongs to that node's daemon.
//!
//! Each event identifies its client by the knowledge of that moment. So a pod that becomes known after its first
//! connections has those under a name of 2 to 5, and its own name from then on. To keep that rare, look up a cgroup's
//! path when [`Clients::needs_path`] asks for it, *before* its event is identified. If the scope changed in between, the
//! client could not find the answers under the old scope.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::hash::{HashMap, HashSet};
use crate::time::Time;
use crate::topology::Topology;
use crate::topology::model::Pod;

pub mod cgroup_path;
pub mod exclude;
mod lru_cache;
pub mod proxy_names;
pub mod run_names;
pub mod sanitize;
#[cfg(test)]
mod tests;
mod workload_interner;

use cgroup_path::CgroupIdentity;
use lru_cache::LruCache;
use proxy_names::ProxyNames;
use workload_interner::WorkloadInterner;
pub use workload_interner::{Workload, WorkloadId};

/// A scope, for as long as it is in use; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// The clients that share DNS answers: an answer that one of them received may explain a connection of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientKey {
    /// All containers of a pod, by its UID.
    Pod(Arc<str>),
    /// All processes of a cgroup.
    Cgroup(u64),
    /// All processes behind a local address, if the cgroup is not known.
    Address(IpAddr),
    /// All other processes of the host.
    Host,
}

/// The client of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// The scope of its DNS answers.
    pub scope: ClientId,
    /// Its name.
    pub workload: WorkloadId,
    /// Its role for this daemon.
    pub role: Role,
}

/// The role of a client for this daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A pod.
    Pod,
    /// A process on the node itself.
    Host,
    /// A service mesh's proxy, which connects for others whose own connections are visible.
    Proxy,
    /// On another node that shares the kernel.
    OtherNode,
    /// This program itself.
    Observer,
}

/// Limits of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most scopes; those that were not used recently are forgotten first.
    pub scopes: usize,
    /// The most cgroups, likewise.
    pub cgroups: usize,
    /// The most workloads; further ones are called `other`.
    pub workloads: usize,
    /// The time to wait before the next request for a cgroup's path.
    pub ask_again: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { scopes: 16_384, cgroups: 16_384, workloads: 4096, ask_again: Duration::from_secs(10) }
    }
}

/// Counts of clients that did not fit, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Scopes that were forgotten. Their DNS answers cannot be found any more.
    pub scopes_evicted: u64,
    /// Cgroups that were forgotten; their paths are requested again.
    pub cgroups_evicted: u64,
    /// Events of workloads that are called `other` because there is no room.
    pub workloads_full: u64,
}

/// The knowledge about a cgroup.
#[derive(Debug)]
enum Cgroup {
    Asked(Time),
    Known(Known),
}

/// The content of a cgroup's path.
#[derive(Debug, Default)]
struct Known {
    pod_uid: Option<Arc<str>>,
    /// Only for pods.
    container: Option<Box<str>>,
    name: Option<Arc<str>>,
    is_elsewhere: bool,
}

/// The directory of clients.
#[derive(Debug)]
pub struct Clients {
    config: Config,
    proxies: ProxyNames,
    cgroups: LruCache<u64, Cgroup>,
    scopes: Scopes,
    workloads: WorkloadInterner,
    /// The node's own part of the hierarchy.
    part: Option<String>,
    /// Workloads that run on the node itself.
    hosts: HashSet<WorkloadId>,
    counters: Counters,
}

impl Clients {
    /// An empty directory. `proxies`: in addition to those that the topology knows.
    pub fn new(config: Config, proxies: ProxyNames) -> Self {
        Self {
            config,
            proxies,
            cgroups: LruCache::new(config.cgroups),
            scopes: Scopes { ids: LruCache::new(config.scopes), next: 0, dropped: Vec::new() },
            workloads: WorkloadInterner::new(config.workloads),
            part: None,
            hosts: HashSet::default(),
            counters: Counters::default(),
        }
    }

    /// Counts of clients that did not fit.
    pub fn counters(&self) -> Counters {
        Counters { workloads_full: self.workloads.full, ..self.counters }
    }

    /// Whether to look up the path of `cgroup` now: it is not known, and was not requested recently.
    #[must_use]
    pub fn needs_path(&mut self, now: Time, cgroup: u64) -> bool {
        if cgroup == 0 {
            return false;
        }
        let asked_lately = match self.cgroups.peek(&cgroup) {
            None => false,
            Some(Cgroup::Known(_)) => true,
            Some(Cgroup::Asked(at)) => now.since(*at) < self.config.ask_again,
        };
        if !asked_lately {
            self.counters.cgroups_evicted += wide(self.cgroups.insert(cgroup, Cgroup::Asked(now)).len());
        }
        !asked_lately
    }

    /// Takes the path of a cgroup, relative to the hierarchy's root.
    pub fn cgroup(&mut self, id: u64, path: &str) {
        let identity = cgroup_path::parse(path);
        let name = match &identity {
            CgroupIdentity { pod_uid: Some(uid), .. } => Some(format!("pod-{}", first(uid, 8))),
            CgroupIdentity { container: Some(id), .. } => Some(format!("container-{}", first(id, 12))),
            CgroupIdentity { name, .. } => name.map(|name| sanitize::clean(name).into_owned()),
        };
        let is_inside =
            |part: &String| path.strip_prefix(part.as_str()).is_some_and(|rest| rest.starts_with('/'));
        let known = Known {
            container: identity.container.filter(|_| identity.pod_uid.is_some()).map(Box::from),
            pod_uid: identity.pod_uid.map(Arc::from),
            name: name.map(Arc::from),
            is_elsewhere: self.part.as_ref().is_some_and(|part| !is_inside(part)),
        };
        self.counters.cgroups_evicted += wide(self.cgroups.insert(id, Cgroup::Known(known)).len());
    }

    /// The visible hierarchy does not contain this cgroup, so it belongs to another node.
    pub fn cgroup_elsewhere(&mut self, id: u64) {
        let known = Known { is_elsewhere: true, ..Known::default() };
        self.counters.cgroups_evicted += wide(self.cgroups.insert(id, Cgroup::Known(known)).len());
    }

    /// Whether the node's own part of the hierarchy is known.
    pub fn knows_part(&self) -> bool {
        self.part.is_some()
    }

    /// Takes the node's own part of the hierarchy ([`cgroup_path::part_of_node`]). All paths must be requested again.
    pub fn part(&mut self, part: String) {
        self.part = Some(part);
        self.cgroups = LruCache::new(self.config.cgroups);
    }

    /// The client of an event of `cgroup` (0: not known) with this local address and `comm`.
    pub fn identify(&mut self, topology: &Topology, cgroup: u64, local: IpAddr, comm: &[u8]) -> Client {
        let Self { cgroups, scopes, workloads, hosts, counters, proxies, .. } = self;
        let (known, evicted) = cgroups.get(&cgroup);
        counters.cgroups_evicted += wide(evicted.len());
        let unknown = Known::default();
        // If path and part are both known, the path decides. Until then the address decides.
        let (known, is_placed) = match known {
            Some(Cgroup::Known(known)) => (&*known, self.part.is_some()),
            _ => (&unknown, false),
        };
        let local = Some(local.to_canonical()).filter(|local| identifies(*local));
        let by_path = known.pod_uid.as_deref().and_then(|uid| topology.pod_by_uid(uid));
        // A path with a UID that is not known yet is that of a new pod, which may have the address of an old one.
        // Only a pod without a UID of its own can be the one in the path.
        let can_be_its = |pod: &&Pod| known.pod_uid.is_none() || !pod.has_own_uid();
        let by_address = || local.and_then(|local| topology.pod_by_address(local)).filter(can_be_its);
        if let Some(pod) = by_path.or_else(by_address) {
            let workload = match &pod.run {
                Some(pattern) => workloads.id_of_run(&pod.key.namespace, &pod.workload, pattern),
                None => workloads.id(&pod.key.namespace, &pod.workload),
            };
            let is_proxy = known
                .container
                .as_deref()
                .is_some_and(|container| pod.proxies.include(container) || proxies.include(pod, container));
            let role = if is_proxy { Role::Proxy } else { Role::Pod };
            return Client { scope: scopes.id(ClientKey::Pod(pod.uid.clone()), counters), workload, role };
        }
        let is_elsewheres =
            |local| topology.owners(local).any(|endpoint| topology.is_here(endpoint) == Some(false));
        let is_elsewhere = known.is_elsewhere || !is_placed && local.is_some_and(is_elsewheres);
        let role = match known.pod_uid {
            _ if is_elsewhere => Role::OtherNode,
            Some(_) => Role::Pod,
            None => Role::Host,
        };
        let workload = match &known.name {
            Some(name) => workloads.id("", name),
            None => workloads.id("", &sanitize::comm(comm)),
        };
        if role == Role::Host {
            hosts.insert(workload);
        }
        let scope = key(known.pod_uid.as_ref(), cgroup, local);
        Client { scope: scopes.id(scope, counters), workload, role }
    }

    /// The scopes that were forgotten since the last call: nothing is identified as one of them any more.
    pub fn take_dropped(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.scopes.dropped)
    }

    /// The scope of a client that was seen before. This does not count as a use.
    pub fn scope_of(&self, topology: &Topology, cgroup: u64, local: IpAddr) -> Option<ClientId> {
        self.scopes.ids.peek(&self.scope_key(topology, cgroup, local)).copied()
    }

    /// The name of the pod, or of what is known instead, of a client's cgroup and address.
    pub(crate) fn pod_name(&self, topology: &Topology, cgroup: u64, local: IpAddr) -> String {
        self.name_of(topology, &self.scope_key(topology, cgroup, local))
    }

    fn scope_key(&self, topology: &Topology, cgroup: u64, local: IpAddr) -> ClientKey {
        let uid = match self.cgroups.peek(&cgroup) {
            Some(Cgroup::Known(known)) => known.pod_uid.as_ref(),
            _ => None,
        };
        let local = Some(local.to_canonical()).filter(|local| identifies(*local));
        let pod = uid.and_then(|uid| topology.pod_by_uid(uid));
        let pod = pod.or_else(|| local.and_then(|local| topology.pod_by_address(local)));
        key(pod.map(|pod| &pod.uid).or(uid), cgroup, local)
    }

    /// The scope of a pod that was seen before.
    pub fn scope_of_pod(&self, uid: &Arc<str>) -> Option<ClientId> {
        self.scopes.ids.peek(&ClientKey::Pod(uid.clone())).copied()
    }

    /// The workload of a pod, if it was seen before.
    pub(crate) fn workload_of(&self, pod: &Pod) -> Option<WorkloadId> {
        self.workloads.of_pod(&pod.key.namespace, &pod.workload, pod.run.as_deref())
    }

    /// The name of each scope: that of the pod, or of what is known instead.
    pub(crate) fn scope_names(&self, topology: &Topology) -> HashMap<ClientId, String> {
        self.scopes.ids.iter().map(|(scope, id)| (*id, self.name_of(topology, scope))).collect()
    }

    fn name_of(&self, topology: &Topology, scope: &ClientKey) -> String {
        let cgroup_name = |id: u64| match self.cgroups.peek(&id) {
            Some(Cgroup::Known(Known { name: Some(name), .. })) => name.to_string(),
            _ => format!("cgroup {id}"),
        };
        match scope {
            ClientKey::Pod(uid) => topology
                .pod_by_uid(uid)
                .map_or_else(|| format!("pod-{}", first(uid, 8)), |pod| pod.key.name.to_string()),
            ClientKey::Cgroup(id) => cgroup_name(*id),
            ClientKey::Address(address) => address.to_string(),
            ClientKey::Host => "host".to_owned(),
        }
    }

    /// Whether a workload runs on the node itself.
    pub fn is_host(&self, id: WorkloadId) -> bool {
        self.hosts.contains(&id)
    }

    /// The name for an id.
    pub fn workload(&self, id: WorkloadId) -> Option<&Workload> {
        self.workloads.get(id)
    }

    /// The id that stands for a workload's namespace once the workload is forgotten.
    pub fn heir(&mut self, id: WorkloadId) -> Option<WorkloadId> {
        let namespace = self.workloads.get(id)?.namespace.clone();
        Some(self.workloads.forgotten(&namespace))
    }

    /// Forgets the workloads that are not `used`.
    pub fn retain_workloads(&mut self, used: impl Fn(WorkloadId) -> bool) {
        self.hosts.retain(|id| used(*id));
        self.workloads.retain(used);
    }
}

/// The scopes in use.
#[derive(Debug)]
struct Scopes {
    ids: LruCache<ClientKey, ClientId>,
    next: u32,
    dropped: Vec<ClientId>,
}

impl Scopes {
    fn id(&mut self, scope: ClientKey, counters: &mut Counters) -> ClientId {
        let (known, evicted) = self.ids.get(&scope);
        let known = known.copied();
        counters.scopes_evicted += wide(evicted.len());
        self.dropped.extend(evicted);
        if let Some(id) = known {
            return id;
        }
        let id = ClientId(self.next);
        // The first scopes are long forgotten by the time it wraps, four billion scopes later.
        self.next = self.next.wrapping_add(1);
        let evicted = self.ids.insert(scope, id);
        counters.scopes_evicted += wide(evicted.len());
        self.dropped.extend(evicted);
        id
    }
}

/// The key of a client's scope: its pod, otherwise its cgroup, otherwise its address.
fn key(pod: Option<&Arc<str>>, cgroup: u64, local: Option<IpAddr>) -> ClientKey {
    match (pod, cgroup, local) {
        (Some(uid), ..) => ClientKey::Pod(uid.clone()),
        (None, 0, Some(local)) => ClientKey::Address(local),
        (None, 0, None) => ClientKey::Host,
        (None, cgroup, _) => ClientKey::Cgroup(cgroup),
    }
}

/// Whether an address identifies one client.
fn identifies(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !link_local
}

fn first(text: &str, length: usize) -> String {
    sanitize::clean(text).chars().take(length).collect()
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
