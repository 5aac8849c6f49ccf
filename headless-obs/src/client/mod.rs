//! Who a client is: the pod, container, service or process behind a connection or a DNS answer.
//!
//! In: the cgroup, local address and `comm` of an event, the paths of cgroups (which the shell looks up on
//! request), and the topology. Out: a [`Client`]: the scope its DNS evidence belongs to, and its workload's name.
//!
//! A client is, in this order:
//! 1. the pod whose UID its cgroup's path names, or that has its local address to itself;
//! 2. `pod-…`, where the path names a pod that the topology does not know;
//! 3. `container-…`, where the path names a container;
//! 4. the cgroup's service (`nginx.service` is `nginx`);
//! 5. the process's name.
//!
//! The path goes before the address where both name a pod: it is right while an address changes hands, and is
//! all there is for pods on the host's network. Loopback and link-local addresses identify nobody.
//!
//! Not every client's connections are counted ([`Role`]). What a service mesh's proxy does for the other containers of
//! its pod, or for the pods of its node, is the same connection a second time. And where nodes share a kernel, as
//! in kind, events of all of them arrive: those from outside the node's own part of the cgroup hierarchy, or from an
//! address that is another node's endpoint, are that node's observer's.
//!
//! A client is identified at each event, by what is known then. So a pod that becomes known after its first
//! connections has those under a name of 2 to 5, and its own name from then on. To keep that rare, look up
//! a cgroup's path when [`Clients::wants`] asks for it, *before* its event is identified; a scope that changed
//! in between cannot find the evidence gathered under the old one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::hash::HashSet;
use crate::time::Time;
use crate::topology::Topology;

pub mod cgroup;
pub mod exclude;
mod recent;
#[cfg(test)]
mod tests;
pub mod text;
mod workloads;

use cgroup::CgroupIdentity;
use recent::Recent;
use workloads::Workloads;
pub use workloads::{Workload, WorkloadId};

/// A scope, for as long as it is in use; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub u32);

/// Those who share DNS evidence: what one of them has been answered may explain another's connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All containers of a pod, by its UID.
    Pod(Arc<str>),
    /// All processes of a cgroup.
    Cgroup(u64),
    /// Everybody behind a local address, where the cgroup is not known.
    Address(IpAddr),
    /// Everybody else on the host.
    Host,
}

/// Who is behind an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Where its DNS evidence is.
    pub scope: ScopeId,
    /// What it is called.
    pub workload: WorkloadId,
    /// What it is to this observer.
    pub role: Role,
}

/// What a client is to this observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A pod.
    Pod,
    /// Something that runs on the node itself.
    Host,
    /// A service mesh's proxy: what it does is done for others, whose own connections are seen.
    Proxy,
    /// On another node, which shares the kernel.
    Elsewhere,
    /// This program itself.
    Observer,
}

/// Bounds of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most scopes; those not used lately are forgotten first.
    pub scopes: usize,
    /// The most cgroups, likewise.
    pub cgroups: usize,
    /// The most workloads; further ones are called `other`.
    pub workloads: usize,
    /// How long to wait before a cgroup's path is asked for again.
    pub ask_again: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { scopes: 16_384, cgroups: 16_384, workloads: 4096, ask_again: Duration::from_secs(10) }
    }
}

/// What the directory could not hold, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Scopes that were forgotten, and with them the way to their evidence.
    pub scopes_evicted: u64,
    /// Cgroups that were forgotten; their paths are asked for again.
    pub cgroups_evicted: u64,
    /// Events of workloads that are called `other` for want of room.
    pub workloads_full: u64,
}

/// What is known of a cgroup.
#[derive(Debug)]
enum Cgroup {
    Asked(Time),
    Known(Known),
}

/// What the path of a cgroup says.
#[derive(Debug, Default)]
struct Known {
    pod_uid: Option<Arc<str>>,
    /// Only of pods.
    container: Option<Box<str>>,
    name: Option<Arc<str>>,
    is_elsewhere: bool,
}

/// The directory of clients.
#[derive(Debug)]
pub struct Clients {
    config: Config,
    cgroups: Recent<u64, Cgroup>,
    scopes: Scopes,
    workloads: Workloads,
    /// The node's own part of the hierarchy.
    part: Option<String>,
    /// Workloads that run on the node itself.
    hosts: HashSet<WorkloadId>,
    counters: Counters,
}

impl Clients {
    /// An empty directory.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            cgroups: Recent::new(config.cgroups),
            scopes: Scopes { ids: Recent::new(config.scopes), next: 0 },
            workloads: Workloads::new(config.workloads),
            part: None,
            hosts: HashSet::default(),
            counters: Counters::default(),
        }
    }

    /// What it could not hold.
    pub fn counters(&self) -> Counters {
        Counters { workloads_full: self.workloads.full, ..self.counters }
    }

    /// Whether to look up the path of `cgroup` now: it is not known, and was not asked for lately.
    #[must_use]
    pub fn wants(&mut self, now: Time, cgroup: u64) -> bool {
        if cgroup == 0 {
            return false;
        }
        let asked_lately = match self.cgroups.peek(&cgroup) {
            None => false,
            Some(Cgroup::Known(_)) => true,
            Some(Cgroup::Asked(at)) => now.since(*at) < self.config.ask_again,
        };
        if !asked_lately {
            self.counters.cgroups_evicted += wide(self.cgroups.insert(cgroup, Cgroup::Asked(now)));
        }
        !asked_lately
    }

    /// Takes in the path of a cgroup, relative to the hierarchy's root.
    pub fn cgroup(&mut self, id: u64, path: &str) {
        let identity = cgroup::parse(path);
        let name = match &identity {
            CgroupIdentity { pod_uid: Some(uid), .. } => Some(format!("pod-{}", first(uid, 8))),
            CgroupIdentity { container: Some(id), .. } => Some(format!("container-{}", first(id, 12))),
            CgroupIdentity { name, .. } => name.map(|name| text::clean(name).into_owned()),
        };
        let is_inside =
            |part: &String| path.strip_prefix(part.as_str()).is_some_and(|rest| rest.starts_with('/'));
        let known = Known {
            container: identity.container.filter(|_| identity.pod_uid.is_some()).map(Box::from),
            pod_uid: identity.pod_uid.map(Arc::from),
            name: name.map(Arc::from),
            is_elsewhere: self.part.as_ref().is_some_and(|part| !is_inside(part)),
        };
        self.counters.cgroups_evicted += wide(self.cgroups.insert(id, Cgroup::Known(known)));
    }

    /// A cgroup is in no part of the hierarchy that this node can see, so it is another's.
    pub fn cgroup_elsewhere(&mut self, id: u64) {
        let known = Known { is_elsewhere: true, ..Known::default() };
        self.counters.cgroups_evicted += wide(self.cgroups.insert(id, Cgroup::Known(known)));
    }

    /// Whether the node's own part of the hierarchy is known.
    pub fn knows_part(&self) -> bool {
        self.part.is_some()
    }

    /// Takes in the node's own part of the hierarchy ([`cgroup::part_of_node`]). Paths have to be asked for again.
    pub fn part(&mut self, part: String) {
        self.part = Some(part);
        self.cgroups = Recent::new(self.config.cgroups);
    }

    /// Who is behind an event of `cgroup` (0: not known) with this local address and `comm`.
    pub fn identify(&mut self, topology: &Topology, cgroup: u64, local: IpAddr, comm: &[u8]) -> Client {
        let Self { cgroups, scopes, workloads, hosts, counters, .. } = self;
        let (known, evicted) = cgroups.get(&cgroup);
        counters.cgroups_evicted += wide(evicted);
        let unknown = Known::default();
        // Once both are known the place of the cgroup decides; until then the address has to.
        let (known, is_placed) = match known {
            Some(Cgroup::Known(known)) => (&*known, self.part.is_some()),
            _ => (&unknown, false),
        };
        let local = Some(local.to_canonical()).filter(|local| identifies(*local));
        let by_path = known.pod_uid.as_deref().and_then(|uid| topology.pod_by_uid(uid));
        let by_address = || local.and_then(|local| topology.pod_by_address(local));
        if let Some(pod) = by_path.or_else(by_address) {
            let workload = workloads.id(&pod.key.namespace, &pod.workload);
            let is_proxy = known.container.as_deref().is_some_and(|container| pod.proxies.include(container));
            let role = if is_proxy { Role::Proxy } else { Role::Pod };
            return Client { scope: scopes.id(Scope::Pod(pod.uid.clone()), counters), workload, role };
        }
        let is_elsewheres =
            |local| topology.owners(local).any(|endpoint| topology.is_here(endpoint) == Some(false));
        let is_elsewhere = known.is_elsewhere || !is_placed && local.is_some_and(is_elsewheres);
        let role = match known.pod_uid {
            _ if is_elsewhere => Role::Elsewhere,
            Some(_) => Role::Pod,
            None => Role::Host,
        };
        let workload = match &known.name {
            Some(name) => workloads.id("", name),
            None => workloads.id("", &text::comm(comm)),
        };
        if role == Role::Host {
            hosts.insert(workload);
        }
        let scope = match (&known.pod_uid, cgroup, local) {
            (Some(uid), ..) => Scope::Pod(uid.clone()),
            (None, 0, Some(local)) => Scope::Address(local),
            (None, 0, None) => Scope::Host,
            (None, cgroup, _) => Scope::Cgroup(cgroup),
        };
        Client { scope: scopes.id(scope, counters), workload, role }
    }

    /// Whether a workload runs on the node itself.
    pub fn is_host(&self, id: WorkloadId) -> bool {
        self.hosts.contains(&id)
    }

    /// The name behind an id.
    pub fn workload(&self, id: WorkloadId) -> Option<&Workload> {
        self.workloads.get(id)
    }

    /// Forgets the workloads that are not `used`, to make room for others.
    pub fn retain_workloads(&mut self, used: impl Fn(WorkloadId) -> bool) {
        self.hosts.retain(|id| used(*id));
        self.workloads.retain(used);
    }
}

/// The scopes in use.
#[derive(Debug)]
struct Scopes {
    ids: Recent<Scope, ScopeId>,
    next: u32,
}

impl Scopes {
    fn id(&mut self, scope: Scope, counters: &mut Counters) -> ScopeId {
        let (known, evicted) = self.ids.get(&scope);
        counters.scopes_evicted += wide(evicted);
        if let Some(id) = known {
            return *id;
        }
        let id = ScopeId(self.next);
        // By the time it wraps, four billion scopes later, the first ones are long forgotten.
        self.next = self.next.wrapping_add(1);
        counters.scopes_evicted += wide(self.ids.insert(scope, id));
        id
    }
}

/// Whether an address belongs to somebody in particular.
fn identifies(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !link_local
}

fn first(text: &str, length: usize) -> String {
    text::clean(text).chars().take(length).collect()
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
