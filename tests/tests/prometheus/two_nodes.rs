//! Two nodes on one segment, two DNS servers, and a daemon for each node.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lab::dns::Order;
use lab::{
    DnsOptions, DnsServer, DnsSpec, Lab, Node, NodeSpec, Observer, ObserverSpec, Pod, PodSpec, ServiceSpec,
    manifest,
};
use rustix::process::{Pid, Signal, kill_process};

/// The zone of all names.
pub(crate) const ZONE: &str = "cluster.local";
/// The namespace of everything.
pub(crate) const NAMESPACE: &str = "shop";

/// Nodes and DNS servers.
pub(crate) struct Scene<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) nodes: [Node; 2],
    /// Shuffles its answers.
    pub(crate) fair: DnsServer,
    /// Keeps their order.
    pub(crate) rigid: DnsServer,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(lab: &'a Lab) -> Self {
        let nodes = [1, 2].map(|number| {
            let spec = NodeSpec {
                name: format!("n{number}"),
                gateway_v4: format!("{}/16", Ipv4Addr::new(10, 244, 0, number)).parse().unwrap(),
                gateway_v6: format!("{}/64", Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, number.into()))
                    .parse()
                    .unwrap(),
                addresses: Vec::new(),
            };
            lab.node_with(spec).unwrap()
        });
        nodes[1].wire(&nodes[0]).unwrap();
        let server = |name: &str, last: u8, order: Order| {
            let pod = pod_of(&nodes[0], name, Ipv4Addr::new(10, 244, 0, last));
            let options = DnsOptions { order, ..DnsOptions::default() };
            pod.dns(&DnsSpec { options, ..DnsSpec::new(pod.sockets(53)) }).unwrap()
        };
        let (fair, rigid) = (server("dns-fair", 53, Order::Shuffle), server("dns-rigid", 54, Order::Fixed));
        Self { lab, nodes, fair, rigid }
    }

    /// A pod on a node, 0 or 1.
    pub(crate) fn pod(&self, node: usize, name: &str, address: Ipv4Addr) -> Pod {
        pod_of(&self.nodes[node], name, address)
    }

    /// The address of the DNS server that shuffles, or of the other one.
    pub(crate) fn resolver(&self, shuffles: bool) -> SocketAddr {
        if shuffles { self.fair.addresses()[0] } else { self.rigid.addresses()[0] }
    }

    /// Writes Services to DNS and to the manifests of each node's daemon: all Services, and the node's own pods.
    pub(crate) fn publish(&self, services: &[ServiceSpec]) {
        for (name, data) in services.iter().flat_map(|service| service.records(ZONE)) {
            self.fair.set(&name, 30, data.clone()).unwrap();
            self.rigid.set(&name, 30, data).unwrap();
        }
        for node in &self.nodes {
            let path = self.lab.folder().join(format!("{}.yaml", node.name()));
            let draft = self.lab.folder().join(format!(".{}.yaml", node.name()));
            std::fs::write(&draft, manifest::manifests(services, &node.pods())).unwrap();
            std::fs::rename(&draft, &path).unwrap();
        }
    }

    /// A daemon of this node. It sees the node's part of the cgroups only, because the nodes share a kernel.
    pub(crate) fn observe(&self, node: &str, options: &[&str]) -> Observer {
        let topology = format!("files:{}/{node}.yaml", self.lab.folder().display());
        let cgroup = self.lab.cgroup().join(node);
        let own = [
            "--topology",
            &topology,
            "--node",
            node,
            "--cgroup",
            cgroup.to_str().unwrap(),
            "--stale-grace",
            "5s",
        ];
        Observer::start(self.lab, &ObserverSpec::new(&[&own[..], options].concat())).unwrap()
    }
}

fn pod_of(node: &Node, name: &str, address: Ipv4Addr) -> Pod {
    let spec = PodSpec { part: node.name().to_owned(), ..PodSpec::new(NAMESPACE, name) };
    node.pod(spec.address(&format!("{address}/16"))).unwrap()
}

/// Stops a daemon for some seconds, again and again, until this is dropped.
pub(crate) struct Stalls {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stalls {
    pub(crate) fn of(observer: &Observer) -> Self {
        let pid = i32::try_from(observer.pid()).ok().and_then(Pid::from_raw).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&done);
        let work = move || {
            while !ended.load(Ordering::Relaxed) {
                for signal in [Signal::STOP, Signal::CONT] {
                    kill_process(pid, signal).unwrap();
                    thread::sleep(Duration::from_millis(2500));
                }
            }
        };
        Self { done, thread: Some(thread::spawn(work)) }
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
