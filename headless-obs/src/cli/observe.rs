//! Options about what is observed and how, shared by the commands that observe.

use std::path::PathBuf;

use clap::Args;
use headless_obs_ebpf::names::MAX_DNS_PORTS;

use crate::config::values::ring_size;
use crate::config::{DNS_PORTS, Observe, TcpHook, Topology};
use crate::topology::learned::{BadPattern, NameFilter};

/// Options that make no sense where a daemon is asked instead; all but `node`, whose environment variable may
/// be set anyway.
pub(super) const OBSERVING: [&str; 11] = [
    "topology",
    "dns_names",
    "dns_public",
    "dns_ports",
    "tcp_hook",
    "ring_bytes",
    "max_flows",
    "max_connections",
    "max_boring",
    "cgroup",
    "kernel_log",
];

/// Options about what is observed and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to observe")]
pub struct ObserveArgs {
    /// Where Services and Pods come from: dns (any name that answers with several private addresses is a
    /// service; needs no configuration), or files:PATH (manifests of Services, EndpointSlices and Pods; a file
    /// or a folder, read again when it changes)
    #[arg(long, value_name = "SOURCE", default_value = "dns")]
    topology: Topology,
    /// With --topology dns: observe only names that match, even if they answer with one address; !GLOB leaves
    /// names out; can be given several times
    #[arg(long, value_name = "GLOB", value_parser = name_pattern)]
    dns_names: Vec<String>,
    /// With --topology dns: observe names with public addresses, too
    #[arg(long)]
    dns_public: bool,
    /// Port of DNS servers; can be given several times, 8 at most [default: 53, 5353, 15053]
    #[arg(
        long = "dns-port", value_name = "PORT", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    dns_ports: Vec<u16>,
    /// Name of this node [default: the host name]
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: Option<String>,
    /// Root of the cgroup2 hierarchy [default: from the mount table]
    #[arg(long, value_name = "PATH")]
    cgroup: Option<PathBuf>,
    /// How connections are seen
    #[arg(long, value_name = "HOOK", value_enum, default_value_t, help_heading = "Kernel")]
    tcp_hook: TcpHook,
    /// Kernel memory for events on their way, a power of two; a full ring costs detail, never a count
    #[arg(
        long = "ring-size", value_name = "BYTES", value_parser = ring_size, default_value = "1MiB",
        help_heading = "Kernel"
    )]
    ring_bytes: u32,
    /// Room for combinations of client, source, destination and port; 208 bytes of kernel memory each
    #[arg(
        long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=MAX_ENTRIES),
        help_heading = "Kernel"
    )]
    max_flows: u32,
    /// Room for connections that are open at the same time; 152 bytes of kernel memory each
    #[arg(
        long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=MAX_ENTRIES),
        help_heading = "Kernel"
    )]
    max_connections: u32,
    /// Room for destinations that are passed over because they cannot matter; 88 bytes of kernel memory
    /// each
    #[arg(
        long, value_name = "N", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=MAX_ENTRIES),
        help_heading = "Kernel"
    )]
    max_boring: u32,
    /// Log diagnostics of the kernel programs
    #[arg(long, help_heading = "Kernel")]
    kernel_log: bool,
}

const MAX_ENTRIES: i64 = 16 * 1024 * 1024;

/// Options that do not fit together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Too many ports.
    #[error("--dns-port can be given {MAX_DNS_PORTS} times, here are {0}; leave some out")]
    TooManyPorts(usize),
    /// A filter of DNS names without the topology it belongs to.
    #[error("{0} is about --topology dns, but the topology is files; leave one of them out")]
    NotDns(&'static str),
    /// A pattern that no name can match.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

fn name_pattern(text: &str) -> Result<String, BadPattern> {
    NameFilter::new([text], false).map(|_filter| text.to_owned())
}

impl TryFrom<ObserveArgs> for Observe {
    type Error = Misfit;

    fn try_from(args: ObserveArgs) -> Result<Self, Misfit> {
        if args.topology != Topology::Dns {
            if !args.dns_names.is_empty() {
                return Err(Misfit::NotDns("--dns-names"));
            }
            if args.dns_public {
                return Err(Misfit::NotDns("--dns-public"));
            }
        }
        let given = if args.dns_ports.is_empty() { DNS_PORTS.to_vec() } else { args.dns_ports };
        let mut dns_ports = [0; MAX_DNS_PORTS];
        dns_ports.get_mut(..given.len()).ok_or(Misfit::TooManyPorts(given.len()))?.copy_from_slice(&given);
        Ok(Self {
            topology: args.topology,
            dns_names: NameFilter::new(args.dns_names, args.dns_public)?,
            dns_ports,
            tcp_hook: args.tcp_hook,
            ring_bytes: args.ring_bytes,
            max_flows: args.max_flows,
            max_connections: args.max_connections,
            max_boring: args.max_boring,
            cgroup: args.cgroup,
            node: args.node.filter(|node| !node.is_empty()).unwrap_or_else(host_name),
            kernel_log: args.kernel_log,
        })
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
