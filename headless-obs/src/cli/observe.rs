//! Options of the observation, shared by the commands that observe.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use headless_obs_ebpf::symbols::MAX_DNS_PORTS;

use super::node_size;
use crate::client::exclude::{self, Exclude};
use crate::client::proxy_names::{self, ProxyNames};
use crate::config::values::{cluster_zone, duration_or_none, namespace, node_zone, ring_size, window_memory};
use crate::config::{DNS_PORTS, Kubernetes, Observe, StandbyMode, TcpHook, Topology};
use crate::expose::metrics::cardinality;
use crate::topology::learned::{BadPattern, NameFilter};

/// Options that conflict with other sources. `node`, `zone` and `kubeconfig` are not among them, because their environment
/// variables may be set anyway. Nor are `context` and `mature_after`, which some sources use.
pub(super) const OBSERVING: [&str; 19] = [
    "topology",
    "namespaces",
    "cluster_domain",
    "dns_names",
    "dns_public",
    "dns_ports",
    "tcp_hook",
    "ring_bytes",
    "max_flows",
    "max_connections",
    "max_ignored",
    "max_clients",
    "window_memory",
    "cgroup",
    "stale_grace",
    "exclude",
    "proxies",
    "count_host",
    "kernel_log",
];

/// Options of the observation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Observation")]
pub struct ObserveArgs {
    /// Source of Services and pods: kubernetes (the API server), dns (each name that resolves to several private
    /// addresses is a Service; needs no configuration), or files:PATH (manifests of Services, EndpointSlices and Pods;
    /// a file or a folder, read again when it changes) [default: kubernetes in a pod with a ServiceAccount or with a
    /// kubeconfig, else dns]
    #[arg(long, value_name = "SOURCE")]
    topology: Option<Topology>,
    /// With --topology kubernetes or --fleet: kubeconfig of the API server [default: the cluster that this pod runs in,
    /// else ~/.kube/config]
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    kubeconfig: Option<OsString>,
    /// With --topology kubernetes or --fleet: context of the kubeconfig [default: its current context]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// With --topology kubernetes: observe only this namespace, for which a Role is enough; can be given
    /// several times [default: all]
    #[arg(long = "namespace", value_name = "NAMESPACE", value_parser = namespace)]
    namespaces: Vec<String>,
    /// Zone of the cluster, which follows `svc` in the names of its Services; a name of another zone is another cluster's
    /// [default: learned from answers, with --topology dns cluster.local]
    #[arg(long, value_name = "ZONE", value_parser = cluster_zone)]
    cluster_domain: Option<String>,
    /// With --topology dns: observe only names that match, even if they resolve to one address; !GLOB excludes names;
    /// can be given several times
    #[arg(long, value_name = "GLOB", value_parser = name_pattern)]
    dns_names: Vec<String>,
    /// With --topology dns: also observe names with public addresses
    #[arg(long)]
    dns_public: bool,
    /// Port of DNS servers; can be given up to 8 times [default: 53, 5353, 15053]
    #[arg(
        long = "dns-port", value_name = "PORT", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    dns_ports: Vec<u16>,
    /// Name of this node; in a cluster, the name that `kubectl get nodes` shows [default: the host name]
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: Option<String>,
    /// Availability zone of this node, for traffic within and across zones [default: that of endpoints on this node]
    #[arg(long, value_name = "ZONE", value_parser = node_zone, env = "NODE_ZONE")]
    zone: Option<String>,
    /// Root of the cgroup2 hierarchy [default: from the mount table]
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// Time that an endpoint must have been ready before the spread includes it; 0s: at once
    #[arg(
        long, value_name = "DURATION", value_parser = duration_or_none, default_value = "10m",
        help_heading = "Spread and verdicts"
    )]
    mature_after: Duration,
    /// Time after a change of an endpoint in which clients may still connect to it, and DNS may still list it, before
    /// the report calls that stale
    #[arg(
        long, value_name = "DURATION", value_parser = duration_or_none, default_value = "5s",
        help_heading = "Spread and verdicts"
    )]
    stale_grace: Duration,
    /// Exclude these clients from spread and verdicts; the report still lists them: NAMESPACE/WORKLOAD, or WORKLOAD in
    /// any namespace; can be given several times. They are added to the defaults prometheus* and vmagent*; `none` clears
    /// the defaults
    #[arg(long, value_name = "GLOB", value_parser = client_pattern, help_heading = "Spread and verdicts")]
    exclude: Vec<String>,
    /// Proxy of a service mesh, in addition to known ones; the connections that it takes over from clients count once:
    /// CONTAINER, beside others in its pod, or NAMESPACE/WORKLOAD, pods that serve others; * and ? match; can be given
    /// several times
    #[arg(
        long = "proxy", value_name = "GLOB", value_parser = proxy_pattern, help_heading = "Spread and verdicts"
    )]
    proxies: Vec<String>,
    /// Include the node's own processes in spread and verdicts [default: false with --topology kubernetes, else true]
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help_heading = "Spread and verdicts"
    )]
    count_host: Option<bool>,
    /// Kernel hook that reports connections
    #[arg(long, value_name = "HOOK", value_enum, default_value_t, help_heading = "Kernel")]
    tcp_hook: TcpHook,
    /// Size of the kernel's ring buffer for events, a power of two; when it is full, event detail is lost but totals
    /// stay exact
    #[arg(
        long = "ring-size", value_name = "BYTES", value_parser = ring_size, default_value = "1MiB",
        help_heading = "Kernel"
    )]
    ring_bytes: u32,
    /// Size of the kernel map of flows (client, source, destination and port); 248 bytes of kernel memory each
    /// [default: 32768, less on a node with less than 2 GiB of memory]
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_ENTRIES), help_heading = "Kernel"
    )]
    max_flows: Option<u32>,
    /// Size of the kernel map of open connections; 168 bytes of kernel memory each [default: 32768, less on a node with
    /// less than 2 GiB of memory]
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_ENTRIES), help_heading = "Kernel"
    )]
    max_connections: Option<u32>,
    /// Size of the kernel map of ignored destinations; 88 bytes of kernel memory each
    #[arg(
        long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=MAX_ENTRIES),
        help_heading = "Kernel"
    )]
    max_ignored: u32,
    /// Maximum clients (pods or cgroups), cgroups of clients, and pairs of client and Service; about 8 KiB of memory
    /// each. Above it, the daemon first forgets those that have been silent for longest
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(8..=MAX_ENTRIES))]
    max_clients: u32,
    /// Maximum memory for the past of counts, from which --last and verdicts are computed; at most a day is kept. Above
    /// it, the daemon drops the oldest part
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = window_memory)]
    window_memory: u64,
    /// Log diagnostics of the kernel programs
    #[arg(long, help_heading = "Kernel")]
    kernel_log: bool,
}

const MAX_ENTRIES: i64 = 16 * 1024 * 1024;

/// Options that conflict.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Too many ports.
    #[error("--dns-port can be given at most {MAX_DNS_PORTS} times, but was given {0} times; remove some")]
    TooManyPorts(usize),
    /// An option without its topology.
    #[error("{option} needs --topology {wanted}, but the topology is {chosen}; remove or change one of them")]
    OtherTopology {
        /// The option.
        option: &'static str,
        /// The topology that the option needs.
        wanted: &'static str,
        /// The chosen topology.
        chosen: &'static str,
    },
    /// A pattern that no name can match.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// Both snapshots from one stream.
    #[error("standard input can provide only one of the two snapshots; give a file for the other")]
    TwoFromStandardInput,
    /// `-o html` for a command that writes no page.
    #[error("only `report` writes -o html; for the page of one Service use `report --service NAME -o html`")]
    Page,
    /// A pattern that no client can match.
    #[error(transparent)]
    Exclude(#[from] exclude::BadPattern),
    /// A pattern that no proxy can match.
    #[error(transparent)]
    Proxy(#[from] proxy_names::BadPattern),
}

fn name_pattern(text: &str) -> Result<String, BadPattern> {
    NameFilter::new([text], false).map(|_filter| text.to_owned())
}

fn client_pattern(text: &str) -> Result<String, exclude::BadPattern> {
    Exclude::new([text]).map(|_exclude| text.to_owned())
}

fn proxy_pattern(text: &str) -> Result<String, proxy_names::BadPattern> {
    ProxyNames::new([text]).map(|_proxies| text.to_owned())
}

impl TryFrom<ObserveArgs> for Observe {
    type Error = Misfit;

    fn try_from(args: ObserveArgs) -> Result<Self, Misfit> {
        args.check(is_in_cluster())
    }
}

impl ObserveArgs {
    /// The API server for `--fleet`.
    #[must_use]
    pub fn cluster(&self) -> Kubernetes {
        Kubernetes {
            kubeconfig: self.kubeconfig_files(),
            context: self.context.clone(),
            namespaces: Vec::new(),
        }
    }

    /// Whether `--topology` is missing.
    pub(super) fn has_no_topology(&self) -> bool {
        self.topology.is_none()
    }

    /// The time that an endpoint must have been ready to be mature.
    #[must_use]
    pub fn mature_after(&self) -> Duration {
        self.mature_after
    }

    fn kubeconfig_files(&self) -> Vec<PathBuf> {
        let files = self.kubeconfig.iter().flat_map(env::split_paths);
        files.filter(|file| !file.as_os_str().is_empty()).collect()
    }

    /// Checks all options together. The default topology depends on the environment.
    pub(super) fn check(self, is_in_cluster: bool) -> Result<Observe, Misfit> {
        let args = self;
        let topology = args.topology(is_in_cluster)?;
        let given = if args.dns_ports.is_empty() { DNS_PORTS.to_vec() } else { args.dns_ports };
        let mut dns_ports = [0; MAX_DNS_PORTS];
        dns_ports.get_mut(..given.len()).ok_or(Misfit::TooManyPorts(given.len()))?.copy_from_slice(&given);
        Ok(Observe {
            count_host: args.count_host.unwrap_or(!matches!(topology, Topology::Kubernetes(_))),
            topology,
            cluster_domain: args.cluster_domain,
            dns_names: NameFilter::new(args.dns_names, args.dns_public)?,
            dns_ports,
            tcp_hook: args.tcp_hook,
            ring_bytes: args.ring_bytes,
            max_flows: args.max_flows.unwrap_or_else(node_size::entries),
            max_connections: args.max_connections.unwrap_or_else(node_size::entries),
            max_ignored: args.max_ignored,
            max_clients: args.max_clients,
            window_memory: args.window_memory,
            cgroup: args.cgroup,
            node: args.node.filter(|node| !node.is_empty()).unwrap_or_else(host_name),
            zone: args.zone.filter(|zone| !zone.is_empty()),
            mature_after: args.mature_after,
            stale_grace: args.stale_grace,
            exclude: Exclude::new(args.exclude)?,
            proxies: ProxyNames::new(args.proxies)?,
            kernel_log: args.kernel_log,
            series: cardinality::Config::default(),
            standby: StandbyMode::default(),
            reads_files: false,
        })
    }

    /// The source of Services and Pods, with its options.
    fn topology(&self, is_in_cluster: bool) -> Result<Topology, Misfit> {
        let about_dns = [("--dns-names", !self.dns_names.is_empty()), ("--dns-public", self.dns_public)];
        let about_kubernetes =
            [("--context", self.context.is_some()), ("--namespace", !self.namespaces.is_empty())];
        let given = |options: [(&'static str, bool); 2]| {
            options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
        };
        // The kubeconfig's environment variable may be set for other programs, so it conflicts with nothing.
        let kubernetes = Kubernetes {
            kubeconfig: self.kubeconfig_files(),
            context: self.context.clone(),
            namespaces: self.namespaces.clone(),
        };
        let topology = match &self.topology {
            Some(Topology::Kubernetes(_)) => Topology::Kubernetes(kubernetes),
            Some(other) => other.clone(),
            None if given(about_dns).is_some() => Topology::Dns,
            None if is_in_cluster || kubernetes != Kubernetes::default() => Topology::Kubernetes(kubernetes),
            None => Topology::Dns,
        };
        let (misfit, wanted) = match &topology {
            Topology::Dns => (given(about_kubernetes), "kubernetes"),
            Topology::Kubernetes(_) => (given(about_dns), "dns"),
            Topology::Files(_) => match given(about_dns) {
                Some(option) => (Some(option), "dns"),
                None => (given(about_kubernetes), "kubernetes"),
            },
        };
        match misfit {
            Some(option) => Err(Misfit::OtherTopology { option, wanted, chosen: name(&topology) }),
            None => Ok(topology),
        }
    }
}

fn name(topology: &Topology) -> &'static str {
    match topology {
        Topology::Files(_) => "files",
        Topology::Dns => "dns",
        Topology::Kubernetes(_) => "kubernetes",
    }
}

/// Whether this is a pod with a ServiceAccount.
fn is_in_cluster() -> bool {
    env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
