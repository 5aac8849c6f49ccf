//! A node: a network namespace that routes, with a bridge for its pods.
//!
//! In: name, gateway addresses of the pods' ranges. Out: [`Pod`]s, and unreachable addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use anyhow::{Context, Result};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::agent_process::{Place, lock};
use crate::lab::Inner;
use crate::netlink::Nowhere;
use crate::netns::Netns;
use crate::pod::{Pod, PodSpec};
use crate::pod_exec::Program;

const BRIDGE: &str = "cni0";

/// The spec of a node.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Name.
    pub name: String,
    /// The bridge's IPv4 address and the range of the pods on it.
    pub gateway_v4: Ipv4Net,
    /// The bridge's IPv6 address and the range of the pods on it.
    pub gateway_v6: Ipv6Net,
    /// The node's own addresses, which host-network pods use.
    pub addresses: Vec<IpAddr>,
}

impl NodeSpec {
    /// Node number `n` with the default ranges and `172.18.0.N` and `fd00:172:18::N` as its own addresses.
    #[must_use]
    pub fn usual(name: &str, n: u8) -> Self {
        let segment = u16::from(n);
        Self {
            name: name.to_owned(),
            gateway_v4: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, n, 1), 24),
            gateway_v6: Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0x10, 0x244, segment, 0, 0, 0, 1), 64),
            addresses: vec![
                Ipv4Addr::new(172, 18, 0, n).into(),
                Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, segment).into(),
            ],
        }
    }
}

pub(crate) struct NodeInner {
    pub(crate) spec: NodeSpec,
    pub(crate) lab: Weak<Inner>,
    pub(crate) netns: Arc<Netns>,
    pub(crate) bridge: u32,
    pub(crate) pods: Mutex<Vec<Pod>>,
}

/// A node.
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<NodeInner>,
}

impl Node {
    pub(crate) fn new(lab: &Arc<Inner>, spec: NodeSpec) -> Result<Self> {
        let netns = Netns::new(&lab.netlink, true)?;
        // Unique MACs, because tests may wire bridges together.
        let [a, b, c, d] = spec.gateway_v4.addr().octets();
        let bridge = netns.links.add_bridge(BRIDGE, [0x02, 0, a, b, c, d])?;
        netns.hasten_neighbours(BRIDGE)?;
        netns.links.add_address(bridge, IpNet::V4(spec.gateway_v4))?;
        netns.links.add_address(bridge, IpNet::V6(spec.gateway_v6))?;
        for &address in &spec.addresses {
            netns.links.add_address(bridge, IpNet::from(address))?;
        }
        let inner = NodeInner {
            spec,
            lab: Arc::downgrade(lab),
            netns: Arc::new(netns),
            bridge,
            pods: Mutex::default(),
        };
        let node = Self { inner: Arc::new(inner) };
        node.own(lab, node.name(), node.name())?;
        Ok(node)
    }

    /// From now on connections from the node itself belong to this owner. Their source is a bridge address if the
    /// destination is one of its pods, else one of the node's own addresses.
    pub(crate) fn own(&self, lab: &Inner, owner: &str, workload: &str) -> Result<()> {
        let spec = &self.inner.spec;
        let gateways = [spec.gateway_v4.addr().into(), spec.gateway_v6.addr().into()];
        let mut truth = lock(&lab.truth);
        truth.book()?;
        gateways.iter().chain(&spec.addresses).for_each(|&address| truth.own(address, owner, workload));
        Ok(())
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.spec.name
    }

    /// The gateway of its pods.
    #[must_use]
    pub fn gateway(&self) -> IpAddr {
        self.inner.spec.gateway_v4.addr().into()
    }

    /// The node's own addresses.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.inner.spec.addresses
    }

    /// Starts a pod.
    pub fn pod(&self, spec: PodSpec) -> Result<Pod> {
        let pod = Pod::new(self, spec)?;
        lock(&self.inner.pods).push(pod.clone());
        Ok(pod)
    }

    /// Starts any program in the node's network and its part of the cgroups, outside of all pods.
    pub fn exec(&self, arguments: &[&str]) -> Result<Program> {
        let lab = self.lab()?;
        let cgroup = Some(lab.cgroups.make(&format!("{}/outside", self.name()))?);
        let place = Place { netns: Some(self.netns_path()), cgroup, ..Place::default() };
        Program::new(&lab.spawner, &place, arguments)
    }

    /// Runs `f` in the node's network, in its own thread.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.inner.netns.run(f)
    }

    /// The path by which a process enters the node's network, valid while the lab lives.
    #[must_use]
    pub fn netns_path(&self) -> PathBuf {
        self.inner.netns.path()
    }

    /// Adds an address to the node's loopback, such as a Service's.
    pub fn give(&self, address: IpAddr) -> Result<()> {
        let links = &self.inner.netns.links;
        links.add_address(links.index("lo")?, IpNet::from(address))
    }

    /// Its pods that have not been removed.
    #[must_use]
    pub fn pods(&self) -> Vec<Pod> {
        lock(&self.inner.pods).clone()
    }

    /// Connects this node's bridge to another's. Pods of both are on one segment from now on, if the gateways' and the
    /// pods' ranges allow it.
    pub fn wire(&self, to: &Self) -> Result<()> {
        let (here, there) = (&self.inner, &to.inner);
        let port = format!("port{}", self.lab()?.next_pod());
        there.netns.links.add_veth(&port, there.bridge, "uplink", here.netns.raw_fd())?;
        here.netns.links.make_port("uplink", here.bridge)?;
        here.netns.links.set_up("uplink")?;
        there.netns.links.set_up(&port)?;
        Ok(())
    }

    /// From now on the node drops packets to this address silently. The packets must go through the gateway: no pod's
    /// own prefix may cover the address.
    pub fn blackhole(&self, address: IpAddr) -> Result<()> {
        self.inner.netns.links.add_nowhere_route(address, Nowhere::Blackhole)
    }

    /// From now on the node answers packets to this address with ICMP unreachable. As with [`Node::blackhole`], they
    /// must go through the gateway.
    pub fn unreachable(&self, address: IpAddr) -> Result<()> {
        self.inner.netns.links.add_nowhere_route(address, Nowhere::Unreachable)
    }

    /// Reverts [`Node::blackhole`] or [`Node::unreachable`].
    pub fn reachable_again(&self, address: IpAddr) -> Result<()> {
        self.inner.netns.links.remove_host_route(address)
    }

    pub(crate) fn lab(&self) -> Result<Arc<Inner>> {
        self.inner.lab.upgrade().context("the lab has been dropped")
    }

    /// Removes the neighbour entries of an address on this node and its pods.
    pub(crate) fn forget_neighbour(&self, address: IpAddr) -> Result<()> {
        self.inner.netns.links.forget_neighbour(address)?;
        for pod in self.pods() {
            pod.netns().links.forget_neighbour(address)?;
        }
        Ok(())
    }
}
