//! The daemon as a pod: a node's shipped one, or an additional one with changes.

use std::net::SocketAddr;

use lab::cluster::nodes::{Kubectl, is_ready};
use lab::cluster::until;
use serde_json::{Value, json};

use crate::shared::{PATIENCE, SHIPPED, Shared};

const NAMESPACE: &str = "headless-obs";
const PODS: &str = "/api/v1/namespaces/headless-obs/pods";

/// A pod that runs the daemon.
pub(crate) struct Daemon<'a> {
    shared: &'a Shared,
    pub(crate) node: String,
    name: String,
    /// It does not belong to the DaemonSet; dropping this deletes it.
    is_extra: bool,
}

/// The Pod that the shipped DaemonSet makes on a node, with another name and changes.
fn pod(name: &str, node: &str, change: impl FnOnce(&mut Value)) -> Value {
    let set: Value = serde_saphyr::from_str(SHIPPED[2]).unwrap();
    let mut spec = set["spec"]["template"]["spec"].clone();
    spec["nodeName"] = json!(node);
    change(&mut spec);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

impl<'a> Daemon<'a> {
    /// The shipped one.
    pub(crate) fn of_node(shared: &'a Shared, node: &str) -> Self {
        let path = format!("{PODS}?labelSelector=app.kubernetes.io%2Fname%3Dheadless-obs");
        let pods = shared.cluster.api().list(&path).unwrap();
        let mut own = pods.iter().filter(|pod| pod["spec"]["nodeName"] == node);
        let name = own.next().unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
        assert!(own.next().is_none(), "one daemon per node: {pods:#?}");
        Self { shared, node: node.to_owned(), name, is_extra: false }
    }

    /// An additional one, whose pod's `spec` differs from the shipped one's.
    pub(crate) fn other(shared: &'a Shared, name: &str, node: &str, change: impl FnOnce(&mut Value)) -> Self {
        shared
            .cluster
            .api()
            .create(&format!("{PODS}?fieldValidation=Strict"), &pod(name, node, change))
            .unwrap();
        Self { shared, node: node.to_owned(), name: name.to_owned(), is_extra: true }
    }

    pub(crate) fn object(&self) -> Value {
        self.shared.cluster.api().get(&format!("{PODS}/{}", self.name)).unwrap()
    }

    /// Waits until it is ready.
    pub(crate) fn when_ready(self) -> Self {
        let path = format!("{PODS}/{}", self.name);
        if let Err(error) = self.shared.cluster.api().when(&path, PATIENCE, is_ready) {
            panic!("{error:#}\n{}", self.log());
        }
        self
    }

    /// Gets one of its pages; returns status and body.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let address = self.object()["status"]["podIP"].as_str().unwrap().parse().unwrap();
        self.shared.cluster.page(SocketAddr::new(address, 9464), path).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Value {
        let (status, body) = self.page("/api/v1/snapshot?last=all");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Takes snapshots until one satisfies `wanted`.
    pub(crate) fn snapshot_when(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = until(PATIENCE, what, || {
            last = self.snapshot();
            Ok(wanted(&last).then(|| last.clone()))
        });
        found.unwrap_or_else(|error| panic!("{error:#}: the last was {last:#}\n{}", self.log()))
    }

    /// Runs the program once more in its container; returns exit code and output.
    pub(crate) fn exec(&self, words: &[&str]) -> (Option<i32>, String) {
        let command = [&["exec", &self.name, "--", "/headless-obs"], words].concat();
        self.kubectl(&command)
    }

    /// Its log; that of the last ended container if none runs.
    pub(crate) fn log(&self) -> String {
        let (code, log) = self.kubectl(&["logs", &self.name]);
        if code == Some(0) { log } else { self.kubectl(&["logs", "--previous", &self.name]).1 }
    }

    fn kubectl(&self, words: &[&str]) -> (Option<i32>, String) {
        let kubectl = Kubectl::new(&self.shared.lab, &self.shared.cluster, NAMESPACE);
        let output = kubectl.run(words).unwrap().output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if self.is_extra {
            // A failed test has printed its reason; the cluster ends soon.
            let _gone = self.shared.cluster.api().delete(&format!("{PODS}/{}", self.name), None);
        }
    }
}
