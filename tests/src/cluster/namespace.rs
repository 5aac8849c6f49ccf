//! A namespace of the cluster, and its fake pods.
//!
//! In: YAML documents, and [`Draft`]s of pods or the selector of pods that a controller made. Out: [`FakePod`]s. This
//! does the work of a scheduler, a network plugin and a kubelet: it binds the Pod object, gives it addresses, starts
//! its network and its cgroup under the object's UID, and writes its status.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::cluster::fake_pod::{Draft, FakePod};
use crate::cluster::wait::until;
use crate::cluster::{Api, Cluster, DNS, ZONE};
use crate::pod::{Pod, PodSpec, ResolvConf, Workload};

/// The time that a controller may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace; dropping it deletes it with all its pods.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    name: String,
    pods: Vec<FakePod>,
    outsiders: Vec<Pod>,
}

impl Cluster {
    /// Makes a namespace.
    pub fn namespace(&self, name: &str) -> Result<Namespace<'_>> {
        self.api().create(
            "/api/v1/namespaces",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        )?;
        let namespace =
            Namespace { cluster: self, name: name.to_owned(), pods: Vec::new(), outsiders: Vec::new() };
        self.default_account(name)?;
        Ok(namespace)
    }
}

impl Namespace<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of its list of a resource, such as `pods` or `apps/v1/deployments`.
    #[must_use]
    pub fn path(&self, kind: &str) -> String {
        match kind.rsplit_once('/') {
            Some((group, plural)) => format!("/apis/{group}/namespaces/{}/{plural}", self.name),
            None => format!("/api/v1/namespaces/{}/{kind}", self.name),
        }
    }

    /// The DNS name of one of its Services.
    #[must_use]
    pub fn domain(&self, service: &str) -> String {
        format!("{service}.{}.svc.{ZONE}", self.name)
    }

    /// Applies YAML documents; objects without a namespace go into this one.
    pub fn apply(&self, documents: &str) -> Result<Vec<Value>> {
        self.cluster.api().apply_in(&self.name, documents)
    }

    /// Makes a pod that no controller owns.
    pub fn pod(&mut self, draft: &Draft) -> Result<FakePod> {
        let object =
            self.cluster.api().create(&self.path("pods"), &draft.object(&self.name, self.cluster.node()))?;
        self.run(&object, draft)
    }

    /// Makes a pod of the lab without a Pod object, with these addresses; it ends with the namespace.
    pub fn outsider(&mut self, name: &str, addresses: &[IpAddr]) -> Result<Pod> {
        let pod = self.cluster.node().pod(PodSpec::new(&self.name, name))?;
        self.outsiders.push(pod.clone());
        addresses.iter().try_for_each(|&address| pod.give(&IpNet::from(address).to_string()))?;
        Ok(pod)
    }

    /// Waits until controllers have made `count` Pod objects with these labels, and runs each at once: some controllers
    /// make the next pod only when this one runs. Each is made from the draft, apart from its name.
    pub fn adopt(&mut self, selector: &str, count: usize, draft: &Draft) -> Result<Vec<FakePod>> {
        let path = format!("{}?labelSelector={}", self.path("pods"), selector.replace('=', "%3D"));
        let mut adopted = Vec::new();
        until(PATIENCE, &format!("{count} pods of {selector} to be run"), || {
            for object in self.api().list(&path)? {
                let ours = |pod: &FakePod| object["metadata"]["uid"] == pod.uid();
                if !self.pods.iter().any(ours) && object["metadata"]["deletionTimestamp"].is_null() {
                    adopted.push(self.run(&object, draft)?);
                }
            }
            Ok((adopted.len() >= count).then_some(()))
        })?;
        Ok(adopted)
    }

    /// Binds a Pod object, runs its pod in the lab, and sets its status to running.
    fn run(&mut self, object: &Value, draft: &Draft) -> Result<FakePod> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&object["metadata"]["name"]).context("a Pod without a name")?;
        if object["spec"]["nodeName"].is_null() {
            let node = draft.node.as_deref().unwrap_or_else(|| self.cluster.node().name());
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": node},
            });
            self.api().create(&format!("{}/{name}/binding", self.path("pods")), &binding)?;
        }
        let mut spec = PodSpec::new(&self.name, &name);
        spec.uid = text(&object["metadata"]["uid"]).context("a Pod without a UID")?;
        spec.host_network = object["spec"]["hostNetwork"] == true;
        spec.layout = draft.layout;
        // The daemon sees separate nodes, although all are one in the lab.
        let node = object["spec"]["nodeName"].as_str().or(draft.node.as_deref());
        node.unwrap_or_else(|| self.cluster.node().name()).clone_into(&mut spec.part);
        spec.resolv_conf = Some(ResolvConf::kubelet(DNS, &self.name, ZONE));
        spec.workload = self.workload(object)?;
        if !spec.host_network {
            spec.addresses.clone_from(&draft.addresses);
            if draft.addresses.is_empty() {
                spec.addresses = self.cluster.next_addresses(draft.dual_stack);
            }
        }
        let pod = FakePod::new(self.cluster.node().pod(spec)?, self.api());
        self.pods.push(pod.clone());
        pod.set_ready(draft.ready)?;
        Ok(pod)
    }

    /// The workload of a Pod, by the chain of its owner references.
    fn workload(&self, object: &Value) -> Result<Option<Workload>> {
        let mut owned = object.clone();
        let mut workload = None;
        loop {
            let owners = owned["metadata"]["ownerReferences"].as_array();
            let controller =
                owners.and_then(|owners| owners.iter().find(|owner| owner["controller"] == true));
            let Some(owner) = controller else { return Ok(workload) };
            let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
            let (kind, name) = (text("kind"), text("name"));
            let list = crate::cluster::api_client::list_of(&self.name, owner)?;
            workload = Some(Workload { kind, name: name.clone() });
            // The chain ends at an owner of a kind that the API server does not have.
            owned = self.api().find(&format!("{list}/{name}"))?.unwrap_or_default();
        }
    }

    /// Waits until DNS answers a Service's name, or a name below it, with exactly these addresses.
    pub fn resolves<'b>(&self, name: &str, wanted: impl IntoIterator<Item = &'b IpAddr>) -> Result<()> {
        let (name, wanted) = (self.domain(name), wanted.into_iter().copied().collect());
        let mut last = BTreeSet::new();
        let found = until(PATIENCE, &format!("answer {wanted:?} for {name}"), || {
            last = self.cluster.look_up(&name)?;
            Ok((last == wanted).then_some(()))
        });
        found.with_context(|| format!("the last answer was {last:?}"))
    }

    /// Waits until a controller has deleted the pod's object, so that it is terminating.
    pub fn terminating(&self, pod: &FakePod) -> Result<()> {
        let path = format!("{}/{}", self.path("pods"), pod.name());
        let is_going = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
        self.api().when(&path, PATIENCE, is_going).map(drop)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        self.cluster
    }

    fn api(&self) -> &Api {
        self.cluster.api()
    }

    fn remove(&self) -> Result<()> {
        self.cluster.start_api_server()?;
        // From now on the API server rejects new pods in it. Its other objects disappear within some seconds.
        self.api().delete(&format!("/api/v1/namespaces/{}", self.name), None)?;
        self.pods.iter().try_for_each(FakePod::remove)?;
        self.outsiders.iter().try_for_each(Pod::remove)?;
        self.api().delete(&self.path("pods"), Some(0))
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            #[expect(
                clippy::print_stderr,
                reason = "a drop cannot fail, and the next test should not suffer unexplained"
            )]
            {
                eprintln!("lab: namespace {}: {error:#}", self.name);
            }
        }
    }
}
