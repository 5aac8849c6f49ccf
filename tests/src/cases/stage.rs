//! The place where a case is played: the lab or the simulation. Both obey the same commands.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use lab::client::{ClientSpec, Dial, Receive, SrvHabit, Stub};
use lab::dns::DnsOptions;
use serde_json::Value;

use crate::case::{Client, Dns, Pick, Resolver, Serve};
use crate::scene::{PodState, Scene, ZONE};

/// The DNS server's host, as a case writes it.
pub(crate) const DNS_HOST: &str = "net.0.53";
/// The interval at which an expectation that does not hold yet is looked at again.
pub(crate) const POLL: Duration = Duration::from_millis(500);

/// A place where a case is played.
pub(crate) trait Stage {
    /// Starts a pod with its servers; returns the ids of its containers.
    fn add(&mut self, pod: &PodState) -> Result<BTreeMap<String, String>>;
    /// Removes a pod.
    fn remove(&mut self, pod: &PodState) -> Result<()>;
    /// Changes a server; `None` stops it.
    fn serve(&mut self, pod: &PodState, port: u16, by: Option<Serve>) -> Result<()>;
    /// Writes names and manifests.
    fn publish(&mut self, scene: &Scene) -> Result<()>;
    /// Sets the DNS server's options.
    fn dns(&mut self, options: &DnsOptions) -> Result<()>;
    /// Starts the daemon; ends it before, if it runs.
    fn observe(&mut self, scene: &Scene) -> Result<()>;
    /// Starts a client.
    fn start(&mut self, name: &str, scene: &Scene) -> Result<()>;
    /// Waits for the end of a client's run.
    fn finish(&mut self, name: &str) -> Result<()>;
    /// Ends a client's run.
    fn stop(&mut self, name: &str) -> Result<()>;
    /// Ends a client's program.
    fn kill(&mut self, name: &str) -> Result<()>;
    /// Opens connections that a client keeps.
    fn open(&mut self, name: &str, scene: &Scene, connections: u64) -> Result<()>;
    /// Closes some of them.
    fn close(&mut self, name: &str, connections: u64) -> Result<()>;
    /// Looks a client's name up.
    fn resolve(&mut self, name: &str, scene: &Scene, times: u64) -> Result<()>;
    /// Lets time pass.
    fn pass(&mut self, time: Duration) -> Result<()>;
    /// Sets the wall clock this many seconds forward.
    fn set_clock(&mut self, seconds: i64) -> Result<()>;
    /// The time since the stage was made.
    fn now(&self) -> Duration;
    /// The report over this stretch of time.
    fn snapshot(&mut self, last: Option<&str>) -> Result<Value>;
    /// The metrics of the daemons, one after the other.
    fn metrics(&mut self) -> Result<String>;
    /// Pod → connections that its servers accepted.
    fn accepted(&mut self) -> Result<BTreeMap<String, u64>>;
}

/// The options of a case's DNS server.
pub(crate) fn dns_options(dns: &Dns, scene: &Scene) -> Result<DnsOptions> {
    let deaf = dns.deaf.iter().map(|pod| Ok(scene.pod(pod)?.addresses.clone()));
    Ok(DnsOptions {
        order: dns.order,
        udp_limit: dns.udp_limit,
        truncate_to_nothing: dns.empty_when_cut,
        compress: dns.compress,
        deaf: deaf.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect(),
        rcode: dns.rcode,
        ..DnsOptions::default()
    })
}

/// The search domains of a pod.
pub(crate) fn search(pod: &PodState) -> Vec<String> {
    let namespace = pod.namespace();
    let kubelet = || vec![format!("{namespace}.svc.{ZONE}"), format!("svc.{ZONE}"), ZONE.to_owned()];
    pod.data.search.clone().unwrap_or_else(kubelet)
}

/// The spec of a client; the C library is a resolver of its own kind.
pub(crate) fn client_spec(client: &Client, pod: &PodState) -> Result<ClientSpec> {
    let stub = Stub {
        server: std::net::SocketAddr::new(crate::case::here(DNS_HOST).parse()?, 53),
        families: client.families,
        ndots: 0,
        srv: (client.resolver == Resolver::Srv).then_some(SrvHabit::Additional),
        edns: client.edns,
        timeout_ms: client
            .dns_timeout
            .map_or(5_000, |span| span.0.as_millis().try_into().unwrap_or(u64::MAX)),
        cut_is_enough: client.cut_is_enough,
        ..Stub::default()
    };
    let resolver = match client.resolver {
        _ if !client.addresses.0.is_empty() => lab::client::Resolver::Fixed(client.addresses.0.clone()),
        Resolver::Libc => lab::client::Resolver::Libc,
        Resolver::Stub | Resolver::Srv => lab::client::Resolver::Stub(stub),
    };
    let own = if client.skips_itself { &pod.addresses[..] } else { &[] };
    let millis = |span: crate::case::Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    let dial = Dial {
        give_up_ms: client.gives_up_after.map(millis),
        patient_at_last: client.patient_at_last,
        send: client.send,
        receive: if client.receive > 0 { Receive::Bytes(client.receive) } else { Receive::Nothing },
        hold_ms: millis(client.hold),
        keep: client.keep,
        ..Dial::default()
    };
    Ok(ClientSpec {
        name: client.name.clone(),
        also: Vec::new(),
        port: client.port,
        resolver,
        pick: match client.pick {
            Pick::First => lab::client::Pick::First,
            Pick::Last => lab::client::Pick::Last,
            Pick::RoundRobin => lab::client::Pick::RoundRobin,
            Pick::Random => lab::client::Pick::Random,
            Pick::InTurn => lab::client::Pick::InTurn,
            Pick::Shuffled => lab::client::Pick::Shuffled,
            Pick::Only(address) => lab::client::Pick::Only(address),
        },
        per_lookup: client.per_lookup,
        dial,
        connections: client.connections,
        rate: client.rate,
        threads: 1,
        avoid: client.skips.0.iter().chain(own).copied().collect(),
        seeks: client.seeks,
    })
}
