//! A Kubernetes control plane on a node of the lab: real etcd, API server, controllers and DNS, as processes.
//!
//! In: a lab and a [`ClusterSpec`]. Out: a [`Cluster`] whose API server and DNS pods of its node reach at the usual
//! Service addresses, an [`Api`] client for the harness, [`FaultProxy`]s for daemons under test, kubeconfigs for any
//! [`Identity`]. No kubelet runs: a [`Namespace`] makes fake pods, each a pod of the lab with a Pod object.
//!
//! All of it ends with the lab, however that ends.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::{Ipv4Net, Ipv6Net};
use serde_json::{Value, json};

pub use self::api_client::Api;
pub use self::binaries::tool;
pub use self::certificates::Identity;
pub use self::component::program;
pub use self::component_flags::{API, DNS, DnsPlugins, ZONE};
pub use self::fake_pod::{Draft, FakePod};
pub use self::fault_proxy::FaultProxy;
pub use self::namespace::Namespace;
pub use self::wait::until;
use crate::agent_process::lock;
use crate::lab::Lab;
use crate::node::{Node, NodeSpec};
use async_runtime::Runtime;
use certificates::Keys;
use component::Part;

mod api_client;
mod async_runtime;
mod binaries;
mod certificates;
mod component;
mod component_flags;
mod dns_lookup;
mod fake_pod;
mod fault_proxy;
mod http;
mod namespace;
pub mod nodes;
mod wait;

/// The time that a part may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shipped manifests of the daemon's namespace and rights.
const SHIPPED: [&str; 2] = [
    include_str!("../../../deploy/manifests/1-namespace.yaml"),
    include_str!("../../../deploy/manifests/2-rbac.yaml"),
];

/// A control plane to be started.
#[derive(Clone, Debug, Default)]
pub struct ClusterSpec {
    /// Additional flags of the API server, such as `--feature-gates=WatchList=false`.
    pub api_server: Vec<String>,
    /// Options of CoreDNS.
    pub dns: DnsPlugins,
    /// Whether kubelets will run. If so, a scheduler places pods, and a node without heartbeats is not ready.
    pub real_nodes: bool,
}

struct Parts {
    etcd: Part,
    api_server: Part,
    controllers: Part,
    scheduler: Option<Part>,
    dns: Part,
}

impl Parts {
    fn all(&mut self) -> impl Iterator<Item = &mut Part> {
        let scheduler = self.scheduler.as_mut();
        [&mut self.etcd, &mut self.api_server, &mut self.controllers, &mut self.dns]
            .into_iter()
            .chain(scheduler)
    }
}

/// A control plane; its processes end when it is dropped.
pub struct Cluster {
    node: Node,
    folder: PathBuf,
    keys: Keys,
    runtime: Runtime,
    parts: Mutex<Parts>,
    /// The harness's own fault proxy to the API server.
    gate: FaultProxy,
    api: Api,
    /// Addresses given to pods so far.
    addresses: AtomicU16,
}

impl Cluster {
    /// The usual control plane.
    pub fn new(lab: &Lab) -> Result<Self> {
        Self::start(lab, &ClusterSpec::default())
    }

    /// Starts a control plane on its own node, and waits until all its parts are ready.
    pub fn start(lab: &Lab, spec: &ClusterSpec) -> Result<Self> {
        let node = lab.node_with(node_spec()?)?;
        [API, DNS].into_iter().try_for_each(|address| node.give(address))?;
        let gateway = IpAddr::V4(node.inner.spec.gateway_v4.addr());
        let folder = lab.folder().join("cluster");
        let mut addresses = vec![API, gateway, IpAddr::from([127, 0, 0, 1])];
        addresses.extend(node.addresses());
        let keys = Keys::new(&folder.join("keys"), &addresses, &component_flags::NAMES)?;
        let runtime = Runtime::new()?;
        let gate = FaultProxy::new(&runtime, &node, component_flags::API_SOCKET)?;

        let config = |name: &str, server: &str, identity: &Identity| -> Result<PathBuf> {
            write_config(&folder, name, &keys.kubeconfig(server, identity)?)
        };
        let inside = format!("https://{}", component_flags::API_SOCKET);
        let outside = config("harness", &gate.url(), &Identity::admin())?;
        config("admin", &inside, &Identity::admin())?;
        let controllers = config("controllers", &inside, &component_flags::user("kube-controller-manager"))?;
        let scheduler = config("scheduler", &inside, &component_flags::user("kube-scheduler"))?;
        let api = Api::new(&runtime, &outside)?;

        let part = |name, flags: Result<Vec<String>>| Part::new(&node, name, &flags?);
        let parts = Parts {
            etcd: part("etcd", component_flags::etcd(&folder))?,
            api_server: part("kube-apiserver", component_flags::api_server(&keys, gateway, spec))?,
            controllers: part(
                "kube-controller-manager",
                component_flags::controllers(&keys, &controllers, spec),
            )?,
            scheduler: spec
                .real_nodes
                .then(|| part("kube-scheduler", component_flags::scheduler(&scheduler)))
                .transpose()?,
            dns: part(
                "coredns",
                component_flags::dns(&folder, &folder.join("coredns.kubeconfig"), &spec.dns),
            )?,
        };
        let cluster = Self {
            node,
            folder,
            keys,
            runtime,
            parts: Mutex::new(parts),
            gate,
            api,
            addresses: AtomicU16::new(0),
        };
        cluster.bring_up()?;
        if !spec.real_nodes {
            cluster.add_node(cluster.node.name())?;
        }
        Ok(cluster)
    }

    fn bring_up(&self) -> Result<()> {
        {
            let mut parts = lock(&self.parts);
            parts.etcd.start()?;
            parts.api_server.start()?;
        }
        self.api_server_when_ready()?;
        {
            let mut parts = lock(&self.parts);
            parts.controllers.start()?;
            if let Some(scheduler) = &mut parts.scheduler {
                scheduler.start()?;
            }
        }
        self.api.apply(component_flags::DNS_ACCOUNT)?;
        let account = Identity::Token(self.token("kube-system", "coredns", &Value::Null)?);
        let config = self.keys.kubeconfig(&format!("https://{}", component_flags::API_SOCKET), &account)?;
        write_config(&self.folder, "coredns", &config)?;
        lock(&self.parts).dns.start()?;
        self.dns_when_ready()?;
        // Without it the API server rejects all pods.
        self.default_account("default")
    }

    /// Makes a Node object that is ready. In the lab all nodes of fake pods are one.
    pub fn add_node(&self, name: &str) -> Result<()> {
        let labels = format!("{{kubernetes.io/hostname: {name}, topology.kubernetes.io/zone: zone-{name}}}");
        self.api.apply(&format!(
            "{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {labels}}}}}"
        ))?;
        // The API server taints a new node until it is ready. No controller runs here that would remove the taint.
        let path = format!("/api/v1/nodes/{name}");
        self.api.patch(&path, &json!({"spec": {"taints": null}}))?;
        let ready = json!({"type": "Ready", "status": "True", "reason": "Lab", "message": "made by hand"});
        self.api.patch(&format!("{path}/status"), &json!({"status": {"conditions": [ready]}})).map(drop)
    }

    /// Addresses that no pod has had, so that no stale entry of this network can match. Each pod has its own prefix, as
    /// in many network plugins; otherwise the C library would prefer near addresses.
    fn next_addresses(&self, dual_stack: bool) -> Vec<String> {
        let n = self.addresses.fetch_add(1, Ordering::Relaxed);
        let mut addresses = vec![format!("10.244.{}.{}/32", 1 + n / 250, 1 + n % 250)];
        if dual_stack {
            addresses.push(format!("fd00:10:244::1:{n:x}/128"));
        }
        addresses
    }

    /// Waits for a state that needs the control plane. If a part ends, this fails at once.
    fn when<T>(&self, what: &str, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        until(PATIENCE, what, || {
            let dead = lock(&self.parts).all().find_map(|part| part.check().err());
            match dead {
                // Ends the wait: more polls would not help.
                Some(error) => Ok(Some(Err(error))),
                None => Ok(poll()?.map(Ok)),
            }
        })?
    }

    /// Waits until the default ServiceAccount of a namespace exists.
    fn default_account(&self, namespace: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        self.when(&format!("ServiceAccount {namespace}/default"), || self.api.find(&path)).map(drop)
    }

    fn api_server_when_ready(&self) -> Result<()> {
        self.when("API server that is ready", || self.api.get("/readyz").map(Some)).map(drop)
    }

    fn dns_when_ready(&self) -> Result<()> {
        self.when("CoreDNS that is ready", || {
            let (status, _) = http::get(&self.node, component_flags::DNS_READY, "/ready")?;
            Ok((status == 200).then_some(()))
        })
    }

    /// The node that the control plane runs on. Pods on it reach the API server and DNS.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The folder with kubeconfigs, keys and data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The harness's API client, which may do everything.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// An API client for a kubeconfig.
    pub fn api_by(&self, kubeconfig: &Path) -> Result<Api> {
        Api::new(&self.runtime, kubeconfig)
    }

    /// The administrator's kubeconfig, for use in the node's network.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A fault proxy for one more client outside of the node's network.
    pub fn gate(&self) -> Result<FaultProxy> {
        FaultProxy::new(&self.runtime, &self.node, component_flags::API_SOCKET)
    }

    /// Writes a kubeconfig with which `identity` reaches `server`, such as a fault proxy's URL.
    pub fn kubeconfig(&self, name: &str, server: &str, identity: &Identity) -> Result<PathBuf> {
        write_config(&self.folder, name, &self.keys.kubeconfig(server, identity)?)
    }

    /// The certificate of the cluster's authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.keys.path("ca.crt")
    }

    /// Writes certificate and key of a server at this address, valid until this year; replaces those of this name.
    pub fn serving_certificate(&self, name: &str, address: IpAddr, until: i32) -> Result<[PathBuf; 2]> {
        self.keys.serving(name, address, until)
    }

    /// A token of a ServiceAccount. A token that is bound to an object ends with that: `{"kind", "name", "apiVersion",
    /// "uid"}`.
    pub fn token(&self, namespace: &str, account: &str, bound: &Value) -> Result<String> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let mut request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 7200},
        });
        if !bound.is_null() {
            request["spec"]["boundObjectRef"] = bound.clone();
        }
        let answer = self.api.create(&path, &request)?;
        answer["status"]["token"]
            .as_str()
            .map(str::to_owned)
            .context("the API server's response to a TokenRequest has no token")
    }

    /// Applies the shipped manifests of the daemon's namespace and rights.
    pub fn install(&self) -> Result<()> {
        SHIPPED.iter().try_for_each(|manifest| self.api.apply(manifest))
    }

    /// A token of the daemon's ServiceAccount; needs [`Cluster::install`].
    pub fn daemon_token(&self) -> Result<String> {
        self.token("headless-obs", "headless-obs", &Value::Null)
    }

    /// Ends the API server at once.
    pub fn stop_api_server(&self) {
        lock(&self.parts).api_server.stop();
    }

    /// Starts the API server if it does not run. Waits until it and the parts that depend on it are ready.
    pub fn start_api_server(&self) -> Result<()> {
        let was_away = {
            let mut parts = lock(&self.parts);
            let was_away = parts.api_server.pid().is_none();
            parts.api_server.start()?;
            was_away
        };
        self.gate.open()?;
        self.api_server_when_ready()?;
        if was_away {
            // After failures each of them would wait for up to 30 s before the next attempt.
            let Parts { controllers, dns, .. } = &mut *lock(&self.parts);
            for part in [controllers, dns] {
                part.stop();
                part.start()?;
            }
        }
        self.dns_when_ready()
    }

    /// Restarts the API server with these flags in addition to its usual ones; an empty list restores these.
    pub fn set_api_server(&self, more: &[&str]) -> Result<()> {
        let spec = ClusterSpec {
            api_server: more.iter().map(|&flag| flag.to_owned()).collect(),
            ..ClusterSpec::default()
        };
        let gateway = IpAddr::V4(self.node.inner.spec.gateway_v4.addr());
        let flags = component_flags::api_server(&self.keys, gateway, &spec)?;
        lock(&self.parts).api_server = Part::new(&self.node, "kube-apiserver", &flags)?;
        self.start_api_server()
    }

    /// Compacts etcd to its present revision: a watch from an older revision must list again. The API server has its
    /// own history, which ends with its process.
    pub fn compact(&self) -> Result<()> {
        let now = self.api.get("/api/v1/namespaces?limit=1")?;
        let revision = now["metadata"]["resourceVersion"].clone();
        let body = json!({"revision": revision, "physical": true});
        let (status, answer) = http::post(&self.node, component_flags::ETCD, "/v3/kv/compaction", &body)?;
        anyhow::ensure!(status == 200, "etcd cannot compact its history: HTTP {status}: {answer}");
        Ok(())
    }

    /// Restarts CoreDNS with other options.
    pub fn set_dns(&self, options: &DnsPlugins) -> Result<()> {
        let config = self.folder.join("coredns.kubeconfig");
        component_flags::dns(&self.folder, &config, options)?;
        {
            let mut parts = lock(&self.parts);
            parts.dns.stop();
            parts.dns.start()?;
        }
        self.dns_when_ready()
    }

    /// Status and body of a page inside the cluster's network, such as a pod's page.
    pub fn page(&self, at: SocketAddr, path: &str) -> Result<(u16, String)> {
        http::get(&self.node, at, path)
    }

    /// The logs of the parts, by name.
    #[must_use]
    pub fn logs(&self) -> String {
        lock(&self.parts).all().map(|part| part.log()).collect()
    }

    /// The process ids of the running parts.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        lock(&self.parts).all().filter_map(|part| part.pid()).collect()
    }
}

/// A node whose pods have room for more addresses than one pod range of 256.
fn node_spec() -> Result<NodeSpec> {
    Ok(NodeSpec {
        gateway_v4: Ipv4Net::new([10, 244, 0, 1].into(), 16)?,
        gateway_v6: Ipv6Net::new([0xfd00, 0x10, 0x244, 0, 0, 0, 0, 1].into(), 64)?,
        ..NodeSpec::usual("n1", 1)
    })
}

fn write_config(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.kubeconfig"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
