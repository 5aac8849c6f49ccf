//! A fake pod: a pod of the lab, and its Pod object in the API server.
//!
//! In: a [`Draft`]. Out: a [`FakePod`]. It behaves as a pod of the lab, and its object has the status that a kubelet
//! would write: running, ready or not, terminating.

use std::ops::Deref;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cgroup::CgroupLayout;
use crate::cluster::Api;
use crate::node::Node;
use crate::pod::Pod;

/// A pod to be made.
#[derive(Clone, Debug)]
pub struct Draft {
    name: String,
    /// Merged into the Pod object.
    more: Value,
    /// Its Kubernetes node; the lab's node if `None`.
    pub(crate) node: Option<String>,
    pub(crate) addresses: Vec<String>,
    pub(crate) dual_stack: bool,
    pub(crate) ready: bool,
    pub(crate) layout: CgroupLayout,
}

impl Draft {
    /// A pod that is ready, with one IPv4 address.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            more: Value::Null,
            node: None,
            addresses: Vec::new(),
            dual_stack: false,
            ready: true,
            layout: CgroupLayout::default(),
        }
    }

    /// The same with the label `app`.
    #[must_use]
    pub fn app(self, app: &str) -> Self {
        self.with(json!({"metadata": {"labels": {"app": app}}}))
    }

    /// The same with more in its object: a merge patch.
    #[must_use]
    pub fn with(mut self, more: Value) -> Self {
        merge(&mut self.more, more);
        self
    }

    /// The same on its node's network.
    #[must_use]
    pub fn host_network(self) -> Self {
        self.with(json!({"spec": {"hostNetwork": true}}))
    }

    /// The same with a given address, such as `10.244.7.7/32`.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    /// The same with one address of each family.
    #[must_use]
    pub fn dual_stack(mut self) -> Self {
        self.dual_stack = true;
        self
    }

    /// The same, not ready at first.
    #[must_use]
    pub fn unready(mut self) -> Self {
        self.ready = false;
        self
    }

    /// The same on another Kubernetes node. In the lab they all are one node.
    #[must_use]
    pub fn node(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// The same with another cgroup path.
    #[must_use]
    pub fn layout(mut self, layout: CgroupLayout) -> Self {
        self.layout = layout;
        self
    }

    /// The Pod object.
    pub(crate) fn object(&self, namespace: &str, node: &Node) -> Value {
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": namespace, "name": self.name},
            "spec": {
                "nodeName": self.node.as_deref().unwrap_or_else(|| node.name()),
                "containers": [{"name": "main", "image": "none"}],
            },
        });
        merge(&mut object, self.more.clone());
        object
    }
}

/// A JSON merge patch.
fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (key, value) in patch {
                merge(&mut target[key], value);
            }
        }
        Value::Null => {}
        other => *target = other,
    }
}

/// A fake pod; it stays until `remove` or the end of its namespace.
#[derive(Clone)]
pub struct FakePod {
    pod: Pod,
    api: Api,
}

impl Deref for FakePod {
    type Target = Pod;

    fn deref(&self) -> &Pod {
        &self.pod
    }
}

impl FakePod {
    pub(crate) fn new(pod: Pod, api: &Api) -> Self {
        Self { pod, api: api.clone() }
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.pod.spec().namespace, self.pod.name())
    }

    /// Its object as it is now.
    pub fn object(&self) -> Result<Value> {
        self.api.get(&self.path())
    }

    /// Sets its status: running, ready or not.
    pub fn set_ready(&self, ready: bool) -> Result<()> {
        let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
        let addresses = self.pod.addresses();
        let condition = |kind: &str, holds: bool| json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now});
        let node = self.pod.node().addresses().first();
        let containers = self.object()?["spec"]["containers"].as_array().cloned().unwrap_or_default();
        let statuses = containers.iter().enumerate().map(|(at, container)| {
            // The cgroup has the first container's id.
            let id = if at == 0 { self.pod.container().to_owned() } else { format!("{at:064x}") };
            json!({
                "name": container["name"], "ready": ready, "started": true, "restartCount": 0,
                "image": container["image"], "imageID": "none", "containerID": format!("containerd://{id}"),
                "state": {"running": {"startedAt": now}},
            })
        });
        let status = json!({
            "phase": "Running",
            "hostIP": node,
            "podIP": addresses.first(),
            "podIPs": addresses.iter().map(|address| json!({"ip": address})).collect::<Vec<_>>(),
            "startTime": now,
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", ready),
                condition("Ready", ready),
            ],
            "containerStatuses": statuses.collect::<Vec<_>>(),
        });
        self.api.patch(&format!("{}/status", self.path()), &json!({"status": status})).map(drop)
    }

    /// Requests its deletion: it is terminating, and runs on until `remove`.
    pub fn terminate(&self) -> Result<()> {
        self.api.delete(&self.path(), Some(30))
    }

    /// Ends it: its network and programs first, then its object. A second call does nothing.
    pub fn remove(&self) -> Result<()> {
        self.pod.remove()?;
        let found = self.api.find(&self.path())?;
        // Another pod may have this name by now.
        if found.is_some_and(|object| object["metadata"]["uid"] == self.pod.uid()) {
            self.api.delete(&self.path(), Some(0))?;
        }
        Ok(())
    }
}
