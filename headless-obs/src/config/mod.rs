//! What was asked for on the command line, checked: every value here can be used as it is.

use std::path::PathBuf;
use std::time::Duration;

use headless_obs_ebpf::symbols::MAX_DNS_PORTS;

pub mod remote;
pub mod values;

use crate::client::exclude::Exclude;
use crate::expose::metrics::cardinality;
use crate::topology::learned::NameFilter;

/// DNS servers' ports unless told otherwise: plain DNS, multicast DNS and local caches, Istio's proxy.
pub const DNS_PORTS: [u16; 3] = [53, 5353, 15053];

/// What to observe and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observe {
    /// Where Services and Pods come from.
    pub topology: Topology,
    /// Names and addresses that the `dns` topology takes or leaves.
    pub dns_names: NameFilter,
    /// Source ports of DNS answers; unused places are 0.
    pub dns_ports: [u16; MAX_DNS_PORTS],
    /// How connections are seen.
    pub tcp_hook: TcpHook,
    /// Size of the ring, a power of two.
    pub ring_bytes: u32,
    /// Room for (client, source, destination, port) with their totals.
    pub max_flows: u32,
    /// Room for connections that are open or being opened.
    pub max_connections: u32,
    /// Room for destinations that cannot matter.
    pub max_ignored: u32,
    /// Clients, cgroups, and pairs of client and Service that are remembered.
    pub max_clients: u32,
    /// Root of the cgroup2 hierarchy; found from the mount table where none is given.
    pub cgroup: Option<PathBuf>,
    /// Name of this node.
    pub node: String,
    /// How long an endpoint must have been ready before it counts in the spread.
    pub mature_after: Duration,
    /// How long after an endpoint changed client and DNS server need not know of it.
    pub stale_grace: Duration,
    /// Clients that are left out of the headline.
    pub exclude: Exclude,
    /// Whether the node's own processes count in the headline.
    pub count_host: bool,
    /// Diagnostics of the kernel programs in the log.
    pub kernel_log: bool,
    /// How many series a scrape may have.
    pub series: cardinality::Config,
    /// What to do about other observers of this machine.
    pub standby: StandbyMode,
}

/// What to do about other observers of this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandbyMode {
    /// Nothing: nobody adds up what this one says.
    #[default]
    Ignore,
    /// Observe, and say if there is another.
    Warn,
    /// Observe once there is no other.
    Wait,
}

/// Where Services and Pods come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Manifests in a file or folder.
    Files(PathBuf),
    /// What DNS answers list.
    Dns,
    /// The API server of a cluster.
    Kubernetes(Kubernetes),
}

/// Which API server, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// Files that make up the kubeconfig; empty: the cluster this is a pod of, else the usual place.
    pub kubeconfig: Vec<PathBuf>,
    /// Its context; the current one unless told otherwise.
    pub context: Option<String>,
    /// The only namespaces to look at; empty: all.
    pub namespaces: Vec<String>,
}

/// How connections are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TcpHook {
    /// tp_btf where it works, else tracepoint.
    #[default]
    Auto,
    /// BTF tracepoint, with exact failure reasons; needs BTF.
    #[value(name = "tp_btf")]
    TpBtf,
    /// Classic tracepoint, without failure reasons; needs tracefs.
    Tracepoint,
}
