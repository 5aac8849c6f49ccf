//! The demonstration in a cluster: a real API server and CoreDNS; a StatefulSet with the servers, a Deployment for each
//! client; the daemon has the shipped rights.

use std::net::SocketAddr;

use anyhow::Result;
use lab::cluster::{Cluster, DNS, Draft, FakePod, FaultProxy, Identity, Namespace};
use lab::{Lab, Observer, ObserverSpec, Pod, TruthRow};
use serde_json::json;

use crate::shop::{PODS, Scene, TIMES, address, callers, serve};

const ORDERS: &str = "
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {clusterIP: None, selector: {app: orders}, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: orders}
spec:
  serviceName: orders
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec: {containers: [{name: main, image: none}]}
";

const CALLER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec: {containers: [{name: main, image: none}]}
";

/// The cluster, its pods and clients.
pub(crate) struct Kubernetes<'a> {
    lab: &'a Lab,
    shop: Namespace<'a>,
    gate: FaultProxy,
    orders: Vec<FakePod>,
    callers: Vec<FakePod>,
}

impl<'a> Kubernetes<'a> {
    pub(crate) fn new(lab: &'a Lab, cluster: &'a Cluster) -> Result<Self> {
        cluster.install()?;
        let mut shop = cluster.namespace("shop")?;
        shop.apply(ORDERS)?;
        let mut clients = Vec::new();
        for (name, address) in callers() {
            shop.apply(&CALLER.replace("NAME", name))?;
            clients.extend(shop.adopt(&format!("app={name}"), 1, &Draft::new(name).address(&address))?);
        }
        let gate = cluster.gate()?;
        let mut stage = Self { lab, shop, gate, orders: Vec::new(), callers: clients };
        for _ in 0..PODS {
            stage.add_pod()?;
        }
        Ok(stage)
    }
}

impl Scene for Kubernetes<'_> {
    fn observe(&self) -> Result<Observer> {
        let cluster = self.shop.cluster();
        let account = Identity::Token(cluster.daemon_token()?);
        let config = cluster.kubeconfig("demo", &self.gate.url(), &account)?;
        let [config, node] =
            [format!("--kubeconfig={}", config.display()), format!("--node={}", cluster.node().name())];
        Observer::start(
            self.lab,
            &ObserverSpec::new(&[&TIMES[..], &["--topology=kubernetes", &config, &node]].concat()),
        )
    }

    fn callers(&self) -> Vec<Pod> {
        self.callers.iter().map(|pod| Pod::clone(pod)).collect()
    }

    fn resolver(&self) -> SocketAddr {
        SocketAddr::new(DNS, 53)
    }

    fn add_pod(&mut self) -> Result<()> {
        let n = self.orders.len();
        let set = format!("{}/orders", self.shop.path("apps/v1/statefulsets"));
        self.shop.cluster().api().patch(&set, &json!({"spec": {"replicas": n + 1}}))?;
        let draft = Draft::new("").address(&address(n)).unready();
        for pod in self.shop.adopt("app=orders", 1, &draft)? {
            serve(&pod)?;
            pod.set_ready(true)?;
            self.orders.push(pod);
        }
        let all: Vec<_> = self.orders.iter().flat_map(|pod| pod.addresses()).collect();
        self.shop.resolves("orders", &all)
    }

    fn truth(&self) -> Result<Vec<TruthRow>> {
        self.lab.truth()
    }
}
