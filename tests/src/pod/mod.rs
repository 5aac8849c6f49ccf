//! A pod: a network namespace with a veth pair to its node's bridge, a cgroup, and programs inside both.
//!
//! In: a [`PodSpec`]. Out: a handle that starts servers, DNS servers, clients and any other program inside, moves
//! addresses and removes the pod. A host-network pod has its own cgroup but its node's namespace.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use ipnet::IpNet;

pub use self::spec::{PodSpec, ResolvConf, Workload};
use crate::agent_process::{Agent, Place, lock};
use crate::cgroup::CgroupTree;
use crate::client::{Client, ClientSpec};
use crate::dns::{DnsServer, DnsSpec};
use crate::netns::Netns;
use crate::node::Node;
use crate::pod_exec::Program;
use crate::server::{Server, ServerReady, ServerSpec};

mod spec;

/// The pod's end of its veth pair.
const LINK: &str = "eth0";

struct PodInner {
    spec: PodSpec,
    node: Node,
    container: String,
    cgroup: PathBuf,
    /// Id and cgroup of the sidecar.
    sidecar: Option<(String, PathBuf)>,
    netns: Arc<Netns>,
    /// The host's end of the veth pair and the pod's index of its own end; `None` for a host-network pod.
    links: Option<(String, u32)>,
    addresses: Mutex<Vec<IpNet>>,
    servers: Mutex<Vec<Server>>,
    dns: Mutex<Vec<DnsServer>>,
    removed: AtomicBool,
}

/// A pod; it stays until it is removed or the lab ends.
#[derive(Clone)]
pub struct Pod {
    inner: Arc<PodInner>,
}

impl Pod {
    pub(crate) fn new(node: &Node, mut spec: PodSpec) -> Result<Self> {
        let lab = node.lab()?;
        if spec.uid.is_empty() {
            spec.uid = random_uid();
        }
        let container = hex(&rand::random::<[u8; 32]>());
        let cgroup =
            lab.cgroups.make(&format!("{}/{}", spec.part, spec.layout.path(&spec.uid, &container)))?;
        let sidecar = if spec.sidecar.is_some() {
            let id = hex(&rand::random::<[u8; 32]>());
            let cgroup = lab.cgroups.make(&spec.layout.path(&spec.uid, &id))?;
            Some((id, cgroup))
        } else {
            None
        };
        let (netns, links) = if spec.host_network {
            ensure!(
                spec.addresses.is_empty(),
                "pod {}: a host-network pod has its node's addresses",
                spec.name
            );
            (Arc::clone(&node.inner.netns), None)
        } else {
            let netns = Netns::new(&lab.netlink, false)?;
            let outside = format!("veth{}", lab.next_pod());
            node.inner.netns.links.add_veth(&outside, node.inner.bridge, LINK, netns.raw_fd())?;
            let inside = netns.links.set_up(LINK)?;
            node.inner.netns.links.set_up(&outside)?;
            netns.hasten_neighbours(LINK)?;
            (Arc::new(netns), Some((outside, inside)))
        };
        let addresses = spec.addresses.clone();
        let pod = Self {
            inner: Arc::new(PodInner {
                spec,
                node: node.clone(),
                container,
                cgroup,
                sidecar,
                netns,
                links,
                addresses: Mutex::default(),
                servers: Mutex::default(),
                dns: Mutex::default(),
                removed: AtomicBool::new(false),
            }),
        };
        for address in &addresses {
            pod.give(address)?;
        }
        if pod.inner.spec.host_network {
            // Servers see the node's address, which identifies the client only if the node has one host-network pod.
            let alone = !node.pods().iter().any(|other| other.spec().host_network);
            let (owner, workload) =
                if alone { (pod.full_name(), pod.workload()) } else { (node.name().to_owned(), node.name()) };
            node.own(&lab, &owner, workload)?;
        }
        Ok(pod)
    }

    /// Adds an address to the pod, such as `10.244.1.5/24`.
    pub fn give(&self, address: &str) -> Result<()> {
        let address: IpNet = address
            .parse()
            .with_context(|| format!("{address}: not an address with a prefix, such as 10.244.1.5/24"))?;
        let (_, inside) = self.links()?;
        let node = &self.inner.node.inner;
        self.inner.netns.links.add_address(*inside, address)?;
        let first = !lock(&self.inner.addresses)
            .iter()
            .any(|other| other.addr().is_ipv4() == address.addr().is_ipv4());
        if first {
            let gateway = match address {
                IpNet::V4(_) => node.spec.gateway_v4.addr().into(),
                IpNet::V6(_) => node.spec.gateway_v6.addr().into(),
            };
            self.inner.netns.links.add_default_route(*inside, gateway)?;
        }
        node.netns.links.add_host_route(node.bridge, address.addr())?;
        lock(&self.inner.addresses).push(address);
        let lab = self.inner.node.lab()?;
        if !lock(&lab.used).insert(address.addr()) {
            self.inner.node.forget_neighbour(address.addr())?;
        }
        let mut truth = lock(&lab.truth);
        truth.book()?;
        truth.own(address.addr(), &self.full_name(), self.workload());
        Ok(())
    }

    /// Removes an address from the pod. Open connections from it no longer work.
    pub fn take(&self, address: IpAddr) -> Result<IpNet> {
        let (_, inside) = self.links()?;
        let mut addresses = lock(&self.inner.addresses);
        let place = addresses.iter().position(|net| net.addr() == address);
        let place =
            place.with_context(|| format!("pod {} does not have the address {address}", self.name()))?;
        let lab = self.inner.node.lab()?;
        let mut truth = lock(&lab.truth);
        truth.book()?;
        truth.disown(address);
        let node = &self.inner.node.inner;
        node.netns.links.remove_host_route(address)?;
        self.inner.netns.links.remove_address(*inside, addresses[place])?;
        Ok(addresses.remove(place))
    }

    /// From now on the pod receives packets but cannot answer, so attempts to connect time out. This cannot be undone.
    pub fn silence(&self) -> Result<()> {
        self.links()?;
        self.inner.netns.links.remove_all_routes()
    }

    /// Starts a server.
    pub fn serve(&self, spec: &ServerSpec) -> Result<Server> {
        let lab = self.inner.node.lab()?;
        let (agent, ready): (Agent, ServerReady) =
            lab.spawner.agent(&format!("server of {}", self.name()), &self.place(), "server", spec)?;
        let server = Server::new(agent, ready);
        lock(&self.inner.servers).push(server.clone());
        lock(&lab.truth).add(&self.inner.spec.namespace, self.name(), &server);
        Ok(server)
    }

    /// Starts a server on one port of all addresses of the pod; it closes accepted connections.
    pub fn serve_port(&self, port: u16) -> Result<Server> {
        self.serve(&ServerSpec::new(self.sockets(port)))
    }

    /// Starts a DNS server.
    pub fn dns(&self, spec: &DnsSpec) -> Result<DnsServer> {
        let name = format!("DNS server of {}", self.name());
        let (agent, ready): (Agent, ServerReady) =
            self.inner.node.lab()?.spawner.agent(&name, &self.place(), "dns", spec)?;
        let server = DnsServer::new(agent, ready.listening);
        lock(&self.inner.dns).push(server.clone());
        Ok(server)
    }

    /// Starts a client, which begins at once if it has connections to make.
    pub fn client(&self, spec: &ClientSpec) -> Result<Client> {
        self.client_at(&self.place(), spec)
    }

    /// The same in the pod's sidecar.
    pub fn client_in_sidecar(&self, spec: &ClientSpec) -> Result<Client> {
        self.client_at(&self.place_in(self.sidecar_cgroup()?), spec)
    }

    fn client_at(&self, place: &Place, spec: &ClientSpec) -> Result<Client> {
        let name = format!("client of {}", self.name());
        let (agent, _): (Agent, ()) = self.inner.node.lab()?.spawner.agent(&name, place, "client", spec)?;
        Ok(Client { agent })
    }

    /// Starts any program inside the pod. In contrast to an agent, it may not have entered the pod when this returns.
    pub fn exec(&self, arguments: &[&str]) -> Result<Program> {
        Program::new(&self.inner.node.lab()?.spawner, &self.place(), arguments)
    }

    /// Runs `f` in the pod's network, in its own thread, which stays in this process's cgroup.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.inner.netns.run(f)
    }

    /// Writes a setting below /proc/sys of the pod's network namespace, such as `net/ipv4/tcp_syn_retries`.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.inner.netns.set(name, value)
    }

    /// Removes the pod: first its network, then its programs. Nobody answers for its addresses, so senders soon learn
    /// that the host is unreachable.
    pub fn remove(&self) -> Result<()> {
        if self.inner.removed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let node = &self.inner.node.inner;
        if let Some((outside, _)) = &self.inner.links {
            node.netns.links.delete(outside)?;
        }
        for server in lock(&self.inner.servers).drain(..) {
            server.kill();
        }
        for server in lock(&self.inner.dns).drain(..) {
            server.kill();
        }
        let mut cgroups = self.inner.sidecar.iter().map(|(_, cgroup)| cgroup).chain([&self.inner.cgroup]);
        cgroups.try_for_each(|cgroup| CgroupTree::remove(cgroup))?;
        let lab = self.inner.node.lab()?;
        let mut truth = lock(&lab.truth);
        truth.book()?;
        lock(&node.pods).retain(|pod| !Arc::ptr_eq(&pod.inner, &self.inner));
        for address in lock(&self.inner.addresses).drain(..) {
            truth.disown(address.addr());
            node.netns.links.remove_host_route(address.addr())?;
            self.inner.node.forget_neighbour(address.addr())?;
        }
        Ok(())
    }

    /// Its spec; the UID is filled in.
    #[must_use]
    pub fn spec(&self) -> &PodSpec {
        &self.inner.spec
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.spec.name
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.inner.spec.namespace, self.inner.spec.name)
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.inner.spec.uid
    }

    /// The name of its workload, or its own name without a workload.
    #[must_use]
    pub fn workload(&self) -> &str {
        self.inner.spec.workload.as_ref().map_or(self.name(), |workload| &workload.name)
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.inner.node
    }

    /// The id of its container: 64 hexadecimal digits.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.inner.container
    }

    /// The id of its sidecar, if it has one.
    #[must_use]
    pub fn sidecar(&self) -> Option<&str> {
        self.inner.sidecar.as_ref().map(|(id, _)| id.as_str())
    }

    pub(crate) fn sidecar_cgroup(&self) -> Result<PathBuf> {
        let sidecar = self.inner.sidecar.as_ref();
        let (_, cgroup) = sidecar.with_context(|| format!("pod {} has no sidecar", self.name()))?;
        Ok(cgroup.clone())
    }

    /// The directory of its cgroup.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.inner.cgroup
    }

    /// Its addresses; those of the node for a host-network pod.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        if self.inner.links.is_none() {
            return self.inner.node.addresses().to_vec();
        }
        lock(&self.inner.addresses).iter().map(IpNet::addr).collect()
    }

    /// Its first address of a family.
    pub fn ip(&self, v4: bool) -> Result<IpAddr> {
        let family = if v4 { "IPv4" } else { "IPv6" };
        let found = self.addresses().into_iter().find(|address| address.is_ipv4() == v4);
        found.with_context(|| format!("pod {} has no {family} address", self.name()))
    }

    /// Its addresses with this port.
    #[must_use]
    pub fn sockets(&self, port: u16) -> Vec<SocketAddr> {
        self.addresses().into_iter().map(|address| SocketAddr::new(address, port)).collect()
    }

    pub(crate) fn netns(&self) -> &Netns {
        &self.inner.netns
    }

    fn links(&self) -> Result<&(String, u32)> {
        self.inner.links.as_ref().with_context(|| format!("pod {} uses its node's network", self.name()))
    }

    pub(crate) fn place(&self) -> Place {
        self.place_in(self.inner.cgroup.clone())
    }

    /// The pod's network with another cgroup.
    pub(crate) fn place_in(&self, cgroup: PathBuf) -> Place {
        Place {
            netns: Some(self.inner.netns.path()),
            cgroup: Some(cgroup),
            resolv_conf: self.inner.spec.resolv_conf.as_ref().map(ResolvConf::text),
        }
    }
}

/// A random UID in the usual form.
fn random_uid() -> String {
    let digits = hex(&rand::random::<[u8; 16]>());
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
