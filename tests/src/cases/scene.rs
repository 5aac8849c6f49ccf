//! The present state of a case's pods, Services, names and manifests, wherever it is played.
//!
//! In: the case, and steps that change it. Out: [`PodState`]s, Kubernetes objects ([`crate::objects`]) and the records of
//! the DNS server. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, bail, ensure};
use lab::dns::{Data, Records};

use crate::case::{self, Case, Endpoint, Manifest, NAMESPACE, Names};
use crate::objects;

/// The zone of Services.
pub(crate) const ZONE: &str = "cluster.local";

/// A pod.
#[derive(Clone, Debug)]
pub(crate) struct PodState {
    pub(crate) name: String,
    /// Its group, and its number in it.
    pub(crate) group: Option<(String, usize)>,
    pub(crate) uid: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) node: String,
    /// The availability zone of its node.
    pub(crate) zone: Option<String>,
    /// Container → its id. They are known once the pod has started.
    pub(crate) containers: BTreeMap<String, String>,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
    pub(crate) listed: bool,
    /// Whether DNS lists it, if that differs.
    pub(crate) in_dns: Option<bool>,
    pub(crate) data: case::Pod,
}

impl PodState {
    pub(crate) fn namespace(&self) -> &str {
        self.data.namespace.as_deref().unwrap_or(NAMESPACE)
    }

    /// Kind and name of its workload.
    pub(crate) fn workload(&self) -> Option<(&str, &str)> {
        match (&self.data.workload, &self.group) {
            (Some(workload), _) => Some((&workload.kind, &workload.name)),
            (None, Some((group, _))) => Some(("StatefulSet", group)),
            (None, None) => None,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name == name || self.group.as_ref().is_some_and(|(group, _)| group == name)
    }
}

/// The state.
pub(crate) struct Scene {
    pub(crate) case: Case,
    pub(crate) pods: Vec<PodState>,
    manifests: BTreeMap<String, String>,
    zone: BTreeMap<String, case::Records>,
    random: u64,
    made: u8,
}

impl Scene {
    /// The beginning of a case; the seed makes its random UIDs.
    pub(crate) fn new(case: &Case, seed: u64) -> Result<Self> {
        let manifests =
            case.manifests.iter().map(|(file, text)| (file.clone(), text.clone().unwrap_or_default()));
        let mut scene = Self {
            case: case.clone(),
            pods: Vec::new(),
            manifests: manifests.collect(),
            zone: case.zone.clone(),
            random: seed,
            made: 0,
        };
        for (name, pod) in &case.pods {
            match pod.count {
                None => scene.add(name, None, pod)?,
                Some(count) => scene.grow(name, 0..count)?,
            }
        }
        for (name, client) in &case.clients {
            if client.pod.is_none() && !case.pods.contains_key(name) {
                scene.add(name, None, &case::Pod::default())?;
            }
        }
        Ok(scene)
    }

    fn grow(&mut self, group: &str, numbers: std::ops::Range<usize>) -> Result<()> {
        let data = self.case.pods.get(group).with_context(|| format!("there is no group {group}"))?.clone();
        for number in numbers {
            self.add(&format!("{group}-{number}"), Some((group.to_owned(), number)), &data)?;
        }
        Ok(())
    }

    fn add(&mut self, name: &str, group: Option<(String, usize)>, data: &case::Pod) -> Result<()> {
        let listed = &data.addresses.0;
        let addresses = match (listed.first(), &group) {
            (None, _) => {
                self.made = self.made.checked_add(1).context("too many pods without an address")?;
                vec![case::here(&format!("net.200.{}", self.made)).parse()?]
            }
            (Some(_), None) => listed.clone(),
            (Some(&first), Some((_, number))) => vec![match listed.get(*number) {
                Some(&own) => own,
                None => plus(first, *number)?,
            }],
        };
        let number = group.as_ref().map_or(0, |(_, number)| *number);
        let in_turn = |names: &case::Names| names.0.get(number % names.0.len().max(1)).cloned();
        let node = in_turn(&data.node).unwrap_or_else(|| self.case.daemon.node.clone());
        let uid = data.uid.clone().filter(|_| group.is_none()).unwrap_or_else(|| self.uid());
        self.pods.push(PodState {
            name: name.to_owned(),
            group,
            uid,
            addresses,
            node,
            zone: in_turn(&data.zone),
            containers: BTreeMap::new(),
            ready: true,
            terminating: false,
            listed: true,
            in_dns: None,
            data: data.clone(),
        });
        Ok(())
    }

    /// A UID that no other pod has.
    fn uid(&mut self) -> String {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = self.random ^ (self.random >> 29);
        format!("{:08x}-{:04x}-4000-8000-{:012x}", mixed >> 32, (mixed >> 16) & 0xffff, self.pods.len())
    }

    /// A pod.
    pub(crate) fn pod(&self, name: &str) -> Result<&PodState> {
        self.pods.iter().find(|pod| pod.name == name).with_context(|| format!("there is no pod {name} now"))
    }

    fn pod_mut(&mut self, name: &str) -> Result<&mut PodState> {
        let found = self.pods.iter_mut().find(|pod| pod.name == name);
        found.with_context(|| format!("there is no pod {name} now"))
    }

    /// The pod of a client.
    pub(crate) fn pod_of(&self, client: &str) -> Result<&PodState> {
        let own = self.case.clients.get(client).and_then(|client| client.pod.as_deref());
        self.pod(own.unwrap_or(client))
    }

    /// The ids of a pod's containers.
    pub(crate) fn started(&mut self, name: &str, containers: BTreeMap<String, String>) -> Result<()> {
        self.pod_mut(name)?.containers = containers;
        Ok(())
    }

    /// Pods that no manifest has, and the names that the daemon gives them: the beginnings of their UIDs.
    pub(crate) fn names_of_unknown(&self) -> BTreeMap<String, String> {
        let learns = self.case.daemon.topology == case::Topology::Dns;
        let unknown = self.pods.iter().filter(|pod| learns || pod.data.unlisted);
        let name = |pod: &PodState| {
            (pod.name.clone(), format!("pod-{}", pod.uid.chars().take(8).collect::<String>()))
        };
        unknown.map(name).collect()
    }

    /// Changes the condition of a pod.
    pub(crate) fn endpoint(&mut self, change: &Endpoint) -> Result<()> {
        let pod = self.pod_mut(&change.pod)?;
        let before = pod.ready && !pod.terminating && pod.listed;
        let (ready, terminating, listed) = (
            change.ready.unwrap_or(pod.ready),
            change.terminating.unwrap_or(pod.terminating),
            change.listed.unwrap_or(pod.listed),
        );
        match change.only_in {
            Some(case::Side::Dns) => pod.in_dns = Some(ready && !terminating && listed),
            only => {
                pod.in_dns = only.map(|_| pod.in_dns.unwrap_or(before));
                (pod.ready, pod.terminating, pod.listed) = (ready, terminating, listed);
            }
        }
        Ok(())
    }

    /// Gives a group this many pods; returns the new ones and the former ones.
    pub(crate) fn scale(&mut self, group: &str, to: usize) -> Result<(Vec<PodState>, Vec<PodState>)> {
        let is_of = |pod: &PodState| pod.group.as_ref().filter(|(own, _)| own == group).map(|(_, n)| *n);
        let now = self.pods.iter().filter(|pod| is_of(pod).is_some()).count();
        self.grow(group, now..to.max(now))?;
        let added = self.pods.iter().filter(|pod| is_of(pod).is_some_and(|n| n >= now)).cloned().collect();
        let gone = self.pods.extract_if(.., |pod| is_of(pod).is_some_and(|n| n >= to)).collect();
        Ok((added, gone))
    }

    /// Replaces a pod by one with the same name, another UID and this address; returns the new one.
    pub(crate) fn replace(&mut self, name: &str, address: IpAddr) -> Result<PodState> {
        let uid = self.uid();
        let pod = self.pod_mut(name)?;
        (pod.uid, pod.addresses, pod.containers) = (uid, vec![address], BTreeMap::new());
        (pod.ready, pod.terminating, pod.listed, pod.in_dns) = (true, false, true, None);
        Ok(pod.clone())
    }

    /// Changes a manifest.
    pub(crate) fn manifest(&mut self, change: &Manifest) -> Result<()> {
        let text = self.manifests.get_mut(&change.file).context("there is no such manifest")?;
        match change {
            Manifest { text: Some(new), .. } => *text = case::here(new),
            Manifest { replace: Some(part), by: Some(by), file, .. } => {
                ensure!(text.contains(part), "the manifest {file} does not contain {part:?}");
                *text = text.replace(part, by);
            }
            Manifest { file, .. } => bail!("nothing is said about the manifest {file}"),
        }
        Ok(())
    }

    /// Changes names of the zone.
    pub(crate) fn set_names(&mut self, names: &BTreeMap<String, Option<case::Records>>) {
        for (name, records) in names {
            match records {
                Some(records) => drop(self.zone.insert(name.clone(), records.clone())),
                None => drop(self.zone.remove(name)),
            }
        }
    }

    /// The pods with these names, and those of groups with these names.
    pub(crate) fn all(&self, names: &Names) -> impl Iterator<Item = &PodState> {
        self.pods.iter().filter(|pod| names.0.iter().any(|name| pod.is(name)))
    }

    /// The daemon's manifests: file → text.
    pub(crate) fn manifests(&self) -> BTreeMap<String, String> {
        let mut all = self.manifests.clone();
        let made = objects::of(self);
        if !made.is_empty() {
            all.insert("case.yaml".to_owned(), made);
        }
        all
    }

    /// All names of the DNS server.
    pub(crate) fn records(&self) -> BTreeMap<String, Records> {
        let mut all = BTreeMap::new();
        for (name, service) in self.case.services.iter().filter(|(_, service)| service.dns) {
            let domain = format!("{name}.{}.svc.{ZONE}", service.namespace);
            let mut addresses = service.addresses.0.clone();
            for pod in self.all(&service.pods) {
                let is_ready = pod.listed && (service.publish_not_ready || pod.ready && !pod.terminating);
                if pod.in_dns.unwrap_or(is_ready) {
                    addresses.extend(&pod.addresses);
                    let own = pod.addresses.iter().copied().map(Data::Address).collect();
                    let ttl = service.ttl.unwrap_or(self.case.dns.ttl);
                    all.insert(format!("{}.{domain}", pod.name), Records { ttl, data: own, order: None });
                }
            }
            let data = addresses.into_iter().map(Data::Address).collect();
            all.insert(domain, self.named(data, service.ttl, service.order));
        }
        for (name, records) in &self.zone {
            let of_pods = self.all(&records.pods).flat_map(|pod| &pod.addresses);
            let mut data: Vec<Data> =
                records.addresses.0.iter().chain(of_pods).copied().map(Data::Address).collect();
            data.extend(records.alias_of.clone().map(Data::Cname));
            data.extend(records.targets.iter().map(|target| Data::Srv {
                priority: 0,
                weight: 1,
                port: target.port,
                target: target.name.clone(),
            }));
            all.insert(name.clone(), self.named(data, records.ttl, records.order));
        }
        // A name without records does not exist.
        all.retain(|_, records| !records.data.is_empty());
        all
    }

    fn named(&self, data: Vec<Data>, ttl: Option<u32>, order: Option<lab::dns::Order>) -> Records {
        Records { ttl: ttl.unwrap_or(self.case.dns.ttl), data, order }
    }
}

/// The address this many places further.
pub(crate) fn plus(address: IpAddr, places: usize) -> Result<IpAddr> {
    let IpAddr::V4(first) = address else { bail!("{address}: a group has IPv4 addresses") };
    let number = u32::from(first).checked_add(u32::try_from(places)?).context("no such address")?;
    Ok(Ipv4Addr::from(number).into())
}
