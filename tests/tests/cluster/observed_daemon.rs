//! A daemon that watches the cluster through its own fault proxy, and helpers for its snapshots.

use std::ops::Deref;
use std::time::Duration;

use lab::cluster::*;
use lab::*;
use serde_json::Value;

use crate::harness::Shared;

/// Long enough for any machine; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon and its fault proxy to the API server.
pub(crate) struct Observed {
    pub(crate) observer: Observer,
    pub(crate) gate: FaultProxy,
}

impl Deref for Observed {
    type Target = Observer;

    fn deref(&self) -> &Observer {
        &self.observer
    }
}

impl Observed {
    /// Starts a daemon with these rights, without waiting until it is ready. `name` is its kubeconfig's.
    pub(crate) fn launch(shared: &Shared, name: &str, identity: &Identity, options: &[&str]) -> Self {
        let gate = shared.cluster.gate().unwrap();
        Self::launch_behind(shared, gate, name, identity, options)
    }

    /// The same behind a fault proxy.
    pub(crate) fn launch_behind(
        shared: &Shared,
        gate: FaultProxy,
        name: &str,
        identity: &Identity,
        options: &[&str],
    ) -> Self {
        let kubeconfig = shared.cluster.kubeconfig(name, &gate.url(), identity).unwrap();
        let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
        let node = format!("--node={}", shared.cluster.node().name());
        let mut options: Vec<&str> = [&[kubeconfig.as_str()][..], options].concat();
        if !options.iter().any(|option| option.starts_with("--node=")) {
            options.push(&node);
        }
        let observer = Observer::launch(&shared.lab, &ObserverSpec::new(&options)).unwrap();
        Self { observer, gate }
    }

    /// Starts a daemon that may do everything, and waits until it is ready.
    pub(crate) fn start(shared: &Shared, name: &str) -> Self {
        Self::ready(shared, name, &Identity::admin(), &[])
    }

    /// Starts a daemon with these rights, and waits until it is ready.
    pub(crate) fn ready(shared: &Shared, name: &str, identity: &Identity, options: &[&str]) -> Self {
        let mut observed = Self::launch(shared, name, identity, options);
        observed.wait_ready();
        observed
    }

    /// Waits until it is ready.
    pub(crate) fn wait_ready(&mut self) {
        self.observer.wait_ready(PATIENCE).unwrap();
    }

    /// Waits until it is not ready for a reason that contains these words.
    pub(crate) fn not_ready(&self, words: &str) {
        let told = until(PATIENCE, &format!("reason with {words:?}"), || {
            let (status, body) = self.observer.get("/readyz")?;
            anyhow::ensure!(status == 503 && body.contains(words), "HTTP {status}: {body}");
            Ok(Some(()))
        });
        told.unwrap_or_else(|error| panic!("{error:#}\n{}", self.observer.log()));
        // The daemon itself is healthy in any case.
        assert_eq!(self.observer.get("/healthz").unwrap().0, 200);
    }

    /// Waits until the snapshot's source satisfies `wanted`.
    pub(crate) fn source(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let snapshot =
            self.observer.snapshot_when(PATIENCE, |snapshot| wanted(&snapshot["quality"]["topology"]));
        snapshot.unwrap_or_else(|error| panic!("{error:#}\n{}", self.observer.log()))["quality"]["topology"]
            .take()
    }

    /// Waits until a Service has exactly these endpoints: sorted addresses of all that have not been removed.
    pub(crate) fn has(&self, namespace: &str, service: &str, wanted: &[&str]) {
        let snapshot = self
            .observer
            .snapshot_when(PATIENCE, |snapshot| addresses(snapshot, namespace, service) == wanted);
        if let Err(error) = snapshot {
            panic!("{error:#}\n{}", self.observer.log());
        }
    }
}

/// Sorted addresses of a Service's endpoints that have not been removed.
pub(crate) fn addresses(snapshot: &Value, namespace: &str, service: &str) -> Vec<String> {
    let services = snapshot["services"].as_array().unwrap();
    let is_meant = |found: &&Value| found["namespace"] == namespace && found["name"] == service;
    let endpoints = services.iter().find(is_meant).and_then(|found| found["endpoints"].as_array());
    let there = endpoints.into_iter().flatten().filter(|endpoint| endpoint["state"] != "removed");
    let mut addresses: Vec<String> = there
        .flat_map(|endpoint| endpoint["addresses"].as_array().unwrap())
        .map(|address| address.as_str().unwrap().to_owned())
        .collect();
    addresses.sort();
    addresses
}

/// A ServiceAccount of the namespace with these rules, each `[group, resource]`; returns its token.
pub(crate) fn account(shared: &Shared, namespace: &str, name: &str, rules: &[[&str; 2]]) -> String {
    allow(shared, namespace, name, rules);
    shared.cluster.token(namespace, name, &Value::Null).unwrap()
}

/// The same, for an account that may exist already.
pub(crate) fn allow(shared: &Shared, namespace: &str, name: &str, rules: &[[&str; 2]]) {
    let rules: Vec<_> = rules
        .iter()
        .map(|[group, resource]| {
            format!("{{apiGroups: [{group:?}], resources: [{resource}], verbs: [list, watch]}}")
        })
        .collect();
    let role = format!("{namespace}-{name}");
    let documents = format!(
        "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {role}}}
rules: [{}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {role}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}
subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]
",
        rules.join(", ")
    );
    shared.cluster.api().apply(&documents).unwrap();
}

/// All rules that the daemon needs.
pub(crate) const RULES: [[&str; 2]; 3] =
    [["discovery.k8s.io", "endpointslices"], ["", "services"], ["", "pods"]];

/// A slice that no controller manages.
pub(crate) fn slice(name: &str, service: &str, port: u32, addresses: &[&str]) -> String {
    let endpoints: Vec<_> = addresses.iter().map(|address| format!("{{addresses: [{address}]}}")).collect();
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {service}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}, protocol: TCP}}]
endpoints: [{}]
",
        endpoints.join(", ")
    )
}

/// A headless Service without a selector: anybody may make its slices.
pub(crate) fn bare_service(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{clusterIP: None, ports: [{{name: http, port: 80}}]}}
"
    )
}
