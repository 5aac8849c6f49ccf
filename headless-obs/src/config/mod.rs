//! The validated command line: every value can be used as it is.

use std::path::PathBuf;
use std::time::Duration;

use headless_obs_ebpf::symbols::MAX_DNS_PORTS;

pub mod access;
pub mod otlp;
pub mod remote;
pub mod values;

use crate::client::exclude::Exclude;
use crate::client::proxy_names::ProxyNames;
use crate::expose::metrics::cardinality;
use crate::topology::learned::NameFilter;

/// The default ports of DNS servers: plain DNS, multicast DNS and local caches, Istio's proxy.
pub const DNS_PORTS: [u16; 3] = [53, 5353, 15053];

/// The options of an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observe {
    /// The source of Services and Pods.
    pub topology: Topology,
    /// The zone of the cluster in the names of Services, if it is said.
    pub cluster_domain: Option<String>,
    /// Names and addresses that the `dns` topology observes.
    pub dns_names: NameFilter,
    /// Source ports of DNS answers; unused places are 0.
    pub dns_ports: [u16; MAX_DNS_PORTS],
    /// The hook for connections.
    pub tcp_hook: TcpHook,
    /// Size of the ring, a power of two.
    pub ring_bytes: u32,
    /// The most combinations of (client, source, destination, port) with their totals.
    pub max_flows: u32,
    /// The most connections that are open or being opened.
    pub max_connections: u32,
    /// The most ignored destinations.
    pub max_ignored: u32,
    /// The most clients, cgroups, and pairs of client and Service.
    pub max_clients: u32,
    /// The most room for the past of counts, in bytes.
    pub window_memory: u64,
    /// Root of the cgroup2 hierarchy; if it is not given, the mount table decides.
    pub cgroup: Option<PathBuf>,
    /// Name of this node.
    pub node: String,
    /// The zone of this node, as far as it is said.
    pub zone: Option<String>,
    /// The time that an endpoint must have been ready before it counts in the spread.
    pub mature_after: Duration,
    /// The time after a change of an endpoint in which neither client nor DNS server need to know of it.
    pub stale_grace: Duration,
    /// Clients that the spread excludes.
    pub exclude: Exclude,
    /// Proxies of service meshes, in addition to known ones.
    pub proxies: ProxyNames,
    /// Whether the node's own processes count in the spread.
    pub count_host: bool,
    /// Whether to log diagnostics of the kernel programs.
    pub kernel_log: bool,
    /// The limits on the series of a scrape.
    pub series: cardinality::Config,
    /// The reaction to another daemon that observes this machine.
    pub standby: StandbyMode,
    /// Whether what serves the daemon's figures reads files again and again, which may belong to other users.
    pub reads_files: bool,
}

/// The reaction to another daemon that observes this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StandbyMode {
    /// Ignore it, because nobody adds the figures of this one.
    #[default]
    Ignore,
    /// Observe, and warn about the other.
    Warn,
    /// Observe after the other has ended.
    Wait,
}

/// The source of Services and Pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Manifests in a file or folder.
    Files(PathBuf),
    /// DNS answers.
    Dns,
    /// The API server of a cluster.
    Kubernetes(Kubernetes),
}

/// The API server, and the selected part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// The files of the kubeconfig; empty: the cluster of this pod, otherwise the default file.
    pub kubeconfig: Vec<PathBuf>,
    /// The context; none: the current one.
    pub context: Option<String>,
    /// The selected namespaces; empty: all.
    pub namespaces: Vec<String>,
}

/// The hook for connections.
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
