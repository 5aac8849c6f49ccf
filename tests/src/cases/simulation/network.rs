//! The network of a simulation: hosts with their servers, the DNS server, and the records that the kernel programs would
//! submit.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use headless_obs::time::Time;
use headless_obs_ebpf::Address;
use headless_obs_ebpf::flow::reason;
use headless_obs_ebpf::ring_record::{DnsRecord, Header, KIND_DNS};
use lab::CgroupLayout;
use lab::dns::{DnsOptions, Responder};

use crate::case::Serve;
use crate::scene::PodState;

/// From a packet to its answer.
pub(super) const ROUND_TRIP: Duration = Duration::from_micros(300);
/// The time at which the first packet of a connection is sent again.
const AGAIN: Duration = Duration::from_secs(1);
/// The time at which the kernel gives up an attempt without an answer, with its usual number of tries.
const TIMEOUT: Duration = Duration::from_secs(131);
/// The time at which the kernel knows that nobody has an address.
const NEIGHBOUR: Duration = Duration::from_secs(3);

/// A pod on the network.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pod: String,
    pub(super) address: IpAddr,
    pub(super) cgroup: u64,
    path: String,
    serve: BTreeMap<u16, Serve>,
    silent: bool,
    loses_first_packet: bool,
    /// Of its packets, there and back.
    delay: Duration,
}

impl Host {
    pub(super) fn new(pod: &PodState, container: &str) -> Self {
        Self {
            pod: pod.name.clone(),
            address: pod.addresses.first().copied().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            cgroup: cgroup(&pod.uid),
            path: CgroupLayout::default().path(&pod.uid, container),
            serve: pod.data.serve.clone(),
            silent: pod.data.silent,
            loses_first_packet: pod.data.loses_first_packet,
            delay: pod.data.delay.map_or(Duration::ZERO, |span| span.0),
        }
    }
}

/// The number of a pod's cgroup.
pub(super) fn cgroup(uid: &str) -> u64 {
    uid.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The fate of an attempt to connect, and its time.
pub(super) enum Fate {
    Opened(Duration, Serve),
    Failed(Duration, u8),
}

pub(super) struct Network {
    hosts: BTreeMap<IpAddr, Host>,
    pub(super) dns: Responder,
    /// Pod → connections that its servers accepted.
    pub(super) accepted: BTreeMap<String, u64>,
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hosts: BTreeMap::new(),
            dns: Responder::new(DnsOptions::default(), seed),
            accepted: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, host: Host, addresses: &[IpAddr]) {
        addresses.iter().for_each(|&address| drop(self.hosts.insert(address, host.clone())));
    }

    pub(super) fn remove(&mut self, addresses: &[IpAddr]) {
        addresses.iter().for_each(|address| drop(self.hosts.remove(address)));
    }

    pub(super) fn serve(&mut self, addresses: &[IpAddr], port: u16, by: Option<Serve>) {
        for address in addresses {
            let Some(host) = self.hosts.get_mut(address) else { continue };
            match by {
                Some(by) => drop(host.serve.insert(port, by)),
                None => drop(host.serve.remove(&port)),
            }
        }
    }

    /// The host with an address.
    pub(super) fn host(&self, address: IpAddr) -> Option<&Host> {
        self.hosts.get(&address)
    }

    /// Numbers and paths of all cgroups.
    pub(super) fn cgroups(&self) -> impl Iterator<Item = (u64, &str)> {
        self.hosts.values().map(|host| (host.cgroup, host.path.as_str()))
    }

    /// The fate of an attempt of a host; `limit` is the client's own patience.
    pub(super) fn attempt(&mut self, from: IpAddr, to: SocketAddr, limit: Option<Duration>) -> Fate {
        let slow = self.hosts.get(&from).is_some_and(|host| host.loses_first_packet);
        let delay = |address: &IpAddr| self.hosts.get(address).map_or(Duration::ZERO, |host| host.delay);
        let answered =
            ROUND_TRIP + delay(&from) + delay(&to.ip()) + if slow { AGAIN } else { Duration::ZERO };
        let fate = match self.hosts.get(&to.ip()) {
            None => Fate::Failed(NEIGHBOUR, reason::UNREACHABLE),
            Some(host) if host.silent => Fate::Failed(TIMEOUT, reason::TIMEOUT),
            Some(host) => match host.serve.get(&to.port()) {
                Some(&by) => Fate::Opened(answered, by),
                None => Fate::Failed(answered, reason::REFUSED),
            },
        };
        let (Fate::Opened(after, _) | Fate::Failed(after, _)) = fate;
        match limit {
            Some(limit) if limit < after => Fate::Failed(limit, reason::ABORTED),
            _ => {
                if let (Fate::Opened(..), Some(host)) = (&fate, self.hosts.get(&to.ip())) {
                    *self.accepted.entry(host.pod.clone()).or_default() += 1;
                }
                fate
            }
        }
    }
}

/// The record of a DNS response; its payload follows.
pub(super) fn dns_record(
    now: Time,
    host: &Host,
    server: SocketAddr,
    stream: Option<u32>,
    length: usize,
) -> DnsRecord {
    const UDP: u8 = 17;
    const TCP: u8 = 6;
    DnsRecord {
        header: Header {
            kind: KIND_DNS,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            time: now.0,
            cgroup: host.cgroup,
        },
        client: abi(host.address),
        server: abi(server.ip()),
        client_port: 40_000,
        server_port: server.port(),
        protocol: if stream.is_some() { TCP } else { UDP },
        tcp_flags: 0,
        truncated_len: 0,
        sequence: stream.unwrap_or(0),
        following: 0,
        queried_at: if stream.is_some() { 0 } else { now.minus(ROUND_TRIP).0 },
    }
}

/// An address in the form of the kernel programs.
pub(super) fn abi(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The reverse.
pub(super) fn ip(address: Address) -> IpAddr {
    Ipv6Addr::from(address).to_canonical()
}
