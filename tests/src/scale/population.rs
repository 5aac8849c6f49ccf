//! Fills a cluster: headless Services with slices that have their controller's labels, as many Services with a
//! ClusterIP, and Pods on many nodes.
//!
//! No Service has a selector, so no controller changes the slices.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use lab::cluster::Cluster;
use serde_json::{Value, json};

/// Parallel requests.
const WORKERS: usize = 16;
/// Services per namespace.
const PER_NAMESPACE: usize = 100;
/// Number of nodes with Pods.
const NODES: usize = 20;

/// The contents of the cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    services: usize,
    /// Endpoints of each Service.
    each: usize,
    pods: usize,
}

impl fmt::Display for Population {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { services, each, pods } = self;
        write!(
            f,
            "{services} headless Services and {services} others with {each} endpoints each, {pods} Pods"
        )
    }
}

/// A Service of the population.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    number: usize,
    pub(crate) is_headless: bool,
}

impl Member {
    fn namespace(self) -> String {
        format!("team-{}", self.number / PER_NAMESPACE)
    }

    fn name(self) -> String {
        format!("{}-{}", if self.is_headless { "headless" } else { "ordinary" }, self.number)
    }

    fn path(self, group: &str, resource: &str) -> String {
        format!("{group}/namespaces/{}/{resource}", self.namespace())
    }

    /// The path of its slice.
    pub(crate) fn slice_path(self) -> String {
        format!("{}/{}-a", self.path("/apis/discovery.k8s.io/v1", "endpointslices"), self.name())
    }

    fn service(self) -> Value {
        let mut spec = json!({"ports": [{"name": "main", "port": 8080}]});
        if self.is_headless {
            spec["clusterIP"] = json!("None");
        }
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": self.name()}, "spec": spec})
    }

    fn slice(self, each: usize) -> Value {
        let mut labels = json!({
            "kubernetes.io/service-name": self.name(),
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        });
        if self.is_headless {
            labels["service.kubernetes.io/headless"] = json!("");
        }
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{}-a", self.name()), "labels": labels},
            "ports": [{"name": "main", "port": 8080, "protocol": "TCP"}],
            "endpoints": self.endpoints(each, None),
        })
    }

    /// Its endpoints; `unready` is the one that is not ready.
    pub(crate) fn endpoints(self, each: usize, unready: Option<usize>) -> Value {
        let endpoint = |place: usize| {
            let (serial, is_ready) = (self.number * each + place, unready != Some(place));
            let second = if self.is_headless { 20 } else { 40 };
            json!({
                "addresses": [format!("10.{}.{}.{}", second + serial / 65_536, serial / 256 % 256, serial % 256)],
                "conditions": {"ready": is_ready, "serving": is_ready, "terminating": false},
                "nodeName": format!("node-{}", serial % NODES),
                "targetRef": {
                    "kind": "Pod", "namespace": self.namespace(), "name": format!("{}-{place}", self.name()),
                    "uid": format!("00000000-0000-0000-{second:04}-{serial:012}"),
                },
            })
        };
        (0..each).map(endpoint).collect()
    }
}

impl Population {
    /// Fills the cluster.
    pub(crate) fn make(cluster: &Cluster, services: usize, endpoints: usize, pods: usize) -> Result<Self> {
        let population = Self { services, each: endpoints / services.max(1), pods };
        let namespaces = services.div_ceil(PER_NAMESPACE);
        in_parallel(namespaces, |number| {
            let name = format!("team-{number}");
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            cluster.api().create("/api/v1/namespaces", &object).map(drop)
        })?;
        in_parallel(services * 2, |number| {
            let member = population.member(number);
            cluster.api().create(&member.path("/api/v1", "services"), &member.service())?;
            let slices = member.path("/apis/discovery.k8s.io/v1", "endpointslices");
            cluster.api().create(&slices, &member.slice(population.each)).map(drop)
        })?;
        // Pods need a ServiceAccount, which a controller makes.
        cluster.api().when(
            "/api/v1/namespaces/team-0/serviceaccounts/default",
            crate::PATIENCE,
            |found| !found.is_null(),
        )?;
        let own = cluster.node().name();
        in_parallel(pods, |number| {
            let node = if number % NODES == 0 { own.to_owned() } else { format!("node-{}", number % NODES) };
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("pod-{number}"), "labels": {"app": "scale"}},
                "spec": {
                    "nodeName": node, "containers": [{"name": "main", "image": "none"}],
                    "automountServiceAccountToken": false,
                },
            });
            cluster.api().create("/api/v1/namespaces/team-0/pods", &pod).map(drop)
        })?;
        Ok(population)
    }

    /// Service number `number`; headless ones and others alternate.
    pub(crate) fn member(&self, number: usize) -> Member {
        Member { number: number / 2 % self.services.max(1), is_headless: number.is_multiple_of(2) }
    }

    /// Endpoints of each Service.
    pub(crate) fn each(&self) -> usize {
        self.each
    }
}

/// Calls `work` for each number below `count`, in parallel, until one fails.
fn in_parallel(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            work(number).inspect_err(|_| next.store(count, Ordering::Relaxed))?;
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker died"))?)
    })
}
