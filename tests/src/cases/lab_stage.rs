//! The lab as a stage: pods with real sockets, the real daemon, real time.
//!
//! In: commands of [`Stage`]. Out: snapshots of the daemon, counts of the servers. Dropping it removes everything.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use ipnet::Ipv4Net;
use lab::dns::DnsOptions;
use lab::{
    Agent, Client, DnsServer, DnsSpec, Lab, Node, NodeSpec, Observer, ObserverSpec, Pod, PodSpec, Program,
    ResolvConf, Server, ServerSpec,
};
use serde_json::Value;

use crate::case::{Serve, Topology, here};
use crate::scene::{PodState, Scene};
use crate::stage::{DNS_HOST, Stage, client_spec, search};

/// The time that a change of manifests may take to reach the daemon.
const MANIFESTS: Duration = Duration::from_millis(400);

/// The address that the resolver of a pod asks whose DNS is captured.
const CAPTURED_DNS: &str = "net.0.10";

/// Drops the first packet of each connection of a pod, which is sent again after a second.
const FIRST_PACKET: &str = "
table ip slow {
    set seen { type inet_service . ipv4_addr; flags dynamic, timeout; timeout 30s; }
    chain sent {
        type filter hook postrouting priority 0;
        tcp flags & (syn | ack) == syn tcp sport . ip daddr @seen accept
        tcp flags & (syn | ack) == syn add @seen { tcp sport . ip daddr } drop
    }
}
";

/// A client: processes of the lab, or any program.
enum Running {
    Ours(Vec<Client>),
    Other(Program),
}

/// The lab of one run. Fields are dropped in this order: the lab itself comes last.
pub(crate) struct LabStage {
    observer: Option<Observer>,
    clients: BTreeMap<String, Running>,
    proxies: Vec<Agent>,
    delays: Vec<Agent>,
    servers: BTreeMap<(String, u16), Vec<Server>>,
    pods: BTreeMap<String, Pod>,
    dns: DnsServer,
    resolver: IpAddr,
    records: Vec<String>,
    manifests: PathBuf,
    node: Node,
    began: Instant,
    lab: Lab,
}

impl LabStage {
    /// A lab with a node and a DNS server.
    pub(crate) fn new(node: &str) -> Result<Self> {
        let lab = Lab::new()?;
        let gateway: Ipv4Net = here("net.0.1/16").parse()?;
        let node = lab.node_with(NodeSpec { gateway_v4: gateway, ..NodeSpec::usual(node, 1) })?;
        let address = here(DNS_HOST);
        let server = node.pod(PodSpec::new("kube-system", "dns").address(&format!("{address}/32")))?;
        let dns = server.dns(&DnsSpec::new(server.sockets(53)))?;
        let manifests = lab.folder().join("manifests");
        fs::create_dir(&manifests).context("cannot make the folder of manifests")?;
        Ok(Self {
            observer: None,
            clients: BTreeMap::new(),
            proxies: Vec::new(),
            delays: Vec::new(),
            servers: BTreeMap::new(),
            pods: BTreeMap::new(),
            dns,
            resolver: address.parse()?,
            records: Vec::new(),
            manifests,
            node,
            began: Instant::now(),
            lab,
        })
    }

    fn pod(&self, name: &str) -> Result<&Pod> {
        self.pods.get(name).with_context(|| format!("there is no pod {name}"))
    }

    /// Gives a pod's network these rules of the firewall.
    fn filter(&self, pod: &Pod, rules: &str) -> Result<()> {
        let path = self.lab.folder().join(format!("{}.nft", pod.uid()));
        fs::write(&path, rules).context("cannot write rules of the firewall")?;
        let output = pod.exec(&["nft", "-f", &path.display().to_string()])?.output()?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn ours(&self, name: &str) -> Result<&[Client]> {
        match self.clients.get(name) {
            Some(Running::Ours(all)) => Ok(all),
            Some(Running::Other(_)) => {
                bail!("the client {name} is a program of its own, which takes no orders")
            }
            None => bail!("the client {name} has not started"),
        }
    }

    /// The processes of a client, which may be without a run.
    fn started(&mut self, name: &str, scene: &Scene, connections: Option<u64>) -> Result<()> {
        let client = scene.case.clients.get(name).with_context(|| format!("there is no client {name}"))?;
        let state = scene.pod_of(name)?;
        let pod = self.pod(&state.name)?.clone();
        if !client.program.is_empty() {
            let words = client.program.iter().map(|word| program(word)).collect::<Result<Vec<_>>>()?;
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut program = pod.exec(&words)?;
            let mut input = program.input().context("the program has no input")?;
            // A program that reads nothing may have ended already.
            let _unread = input.write_all(client.input.as_bytes());
            self.clients.insert(name.to_owned(), Running::Other(program));
            return Ok(());
        }
        let mut spec = client_spec(client, state)?;
        spec.connections = connections.unwrap_or(spec.connections);
        let start =
            |_| if state.data.sidecar_dials { pod.client_in_sidecar(&spec) } else { pod.client(&spec) };
        let clients = (0..client.processes).map(start).collect::<Result<Vec<_>>>()?;
        self.clients.insert(name.to_owned(), Running::Ours(clients));
        Ok(())
    }
}

/// A word of a command line; `$GLIBC` is the path of one of the lab's clients.
fn program(word: &str) -> Result<String> {
    let Some(name) = word.strip_prefix('$') else { return Ok(word.to_owned()) };
    let variable = format!("HEADLESS_OBS_CLIENT_{name}");
    let value = env::var(&variable).with_context(|| format!("{word}: the lab has no such client"))?;
    match value.strip_prefix('!') {
        Some(why) => bail!("{word}: {why}"),
        None => Ok(value),
    }
}

impl Stage for LabStage {
    fn add(&mut self, state: &PodState) -> Result<BTreeMap<String, String>> {
        let data = &state.data;
        let mut spec = PodSpec::new(state.namespace(), &state.name);
        spec.uid.clone_from(&state.uid);
        let prefix = |v4| if v4 { data.netmask.unwrap_or(32) } else { 128 };
        let net = |address: &IpAddr| format!("{address}/{}", prefix(address.is_ipv4()));
        spec.addresses = state.addresses.iter().map(net).collect();
        spec.sidecar.clone_from(&data.sidecar);
        if let Some((kind, name)) = state.workload() {
            spec = spec.workload(kind, name);
        }
        let (search, ndots) = (search(state), data.ndots.unwrap_or(5));
        let nameserver = if data.dns_captured { here(CAPTURED_DNS).parse()? } else { self.resolver };
        let pod = self.node.pod(spec.resolv_conf(ResolvConf { nameserver, search, ndots }))?;
        let mut containers = BTreeMap::from([("main".to_owned(), pod.container().to_owned())]);
        if let (Some(name), Some(id)) = (&data.sidecar, pod.sidecar()) {
            containers.insert(name.clone(), id.to_owned());
            if !data.sidecar_dials {
                self.proxies.push(pod.mesh(&pod)?);
            }
        }
        if data.loses_first_packet {
            self.filter(&pod, FIRST_PACKET)?;
        }
        if data.dns_captured {
            let rule = format!("meta l4proto {{ tcp, udp }} th dport 53 dnat to {}", self.resolver);
            let chain = format!("chain sent {{\ntype nat hook output priority -100;\n{rule}\n}}");
            self.filter(&pod, &format!("table ip captured {{\n{chain}\n}}\n"))?;
        }
        if let Some(delay) = data.delay {
            self.delays.push(pod.delay(delay.0)?);
        }
        self.pods.insert(state.name.clone(), pod.clone());
        for (&port, &by) in &data.serve {
            self.serve(state, port, Some(by))?;
        }
        if data.silent {
            pod.silence()?;
        }
        Ok(containers)
    }

    fn remove(&mut self, state: &PodState) -> Result<()> {
        let pod = self.pods.remove(&state.name).with_context(|| format!("there is no pod {}", state.name))?;
        pod.remove()
    }

    fn serve(&mut self, state: &PodState, port: u16, by: Option<Serve>) -> Result<()> {
        let pod = self.pod(&state.name)?.clone();
        let servers = self.servers.entry((state.name.clone(), port)).or_default();
        servers.iter().filter(|server| server.open().is_ok()).try_for_each(Server::stop_listening)?;
        if let Some(by) = by {
            servers.push(pod.serve(&ServerSpec::new(pod.sockets(port)).mode(by.into()))?);
        }
        Ok(())
    }

    fn publish(&mut self, scene: &Scene) -> Result<()> {
        let records = scene.records();
        for gone in self.records.iter().filter(|name| !records.contains_key(*name)) {
            self.dns.remove(gone)?;
        }
        self.records = records.keys().cloned().collect();
        records.into_iter().try_for_each(|(name, records)| self.dns.set_records(&name, records))?;
        for (file, text) in scene.manifests() {
            let (path, draft) = (self.manifests.join(&file), self.manifests.join(format!(".{file}.draft")));
            if fs::read_to_string(&path).is_ok_and(|before| before == text) {
                continue;
            }
            // Written to another file and renamed: the change is atomic.
            fs::write(&draft, text)
                .and_then(|()| fs::rename(&draft, &path))
                .context("cannot write manifests")?;
        }
        if self.observer.is_some() {
            thread::sleep(MANIFESTS);
        }
        Ok(())
    }

    fn dns(&mut self, options: &DnsOptions) -> Result<()> {
        self.dns.set_options(options)
    }

    fn observe(&mut self, scene: &Scene) -> Result<()> {
        if let Some(before) = self.observer.take() {
            let (status, log) = before.stop()?;
            ensure!(status.success(), "the daemon ended with {status}:\n{log}");
        }
        let daemon = &scene.case.daemon;
        let topology = match daemon.topology {
            Topology::Files => format!("files:{}", self.manifests.display()),
            Topology::Dns => "dns".to_owned(),
        };
        let (mature, grace) = (daemon.mature_after.option(), daemon.stale_grace.option());
        let mut options = vec!["--topology", &topology, "--node", &daemon.node];
        options.extend(["--mature-after", &mature, "--stale-grace", &grace]);
        options.extend(daemon.options.iter().map(String::as_str));
        self.observer = Some(Observer::start(&self.lab, &ObserverSpec::new(&options))?);
        Ok(())
    }

    fn start(&mut self, name: &str, scene: &Scene) -> Result<()> {
        self.started(name, scene, None)
    }

    fn finish(&mut self, name: &str) -> Result<()> {
        match self.clients.remove(name) {
            Some(Running::Other(program)) => {
                let output = program.output()?;
                ensure!(
                    output.status.success(),
                    "the client {name} ended with {}: {}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                );
                Ok(())
            }
            Some(ours) => {
                self.clients.insert(name.to_owned(), ours);
                self.ours(name)?.iter().try_for_each(|client| client.wait().map(drop))
            }
            None => bail!("the client {name} has not started"),
        }
    }

    fn stop(&mut self, name: &str) -> Result<()> {
        self.ours(name)?.iter().try_for_each(|client| client.stop().map(drop))
    }

    fn kill(&mut self, name: &str) -> Result<()> {
        drop(self.clients.remove(name).with_context(|| format!("the client {name} has not started"))?);
        Ok(())
    }

    fn open(&mut self, name: &str, scene: &Scene, connections: u64) -> Result<()> {
        if !self.clients.contains_key(name) {
            self.started(name, scene, Some(0))?;
        }
        self.ours(name)?.iter().try_for_each(|client| client.open(connections).map(drop))
    }

    fn close(&mut self, name: &str, connections: u64) -> Result<()> {
        self.ours(name)?.iter().try_for_each(|client| client.close(connections).map(drop))
    }

    fn resolve(&mut self, name: &str, scene: &Scene, times: u64) -> Result<()> {
        if !self.clients.contains_key(name) {
            self.started(name, scene, Some(0))?;
        }
        for client in self.ours(name)? {
            // A lookup without an answer is a part of the situation.
            (0..times).for_each(|_| drop(client.resolve()));
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Result<()> {
        thread::sleep(time);
        Ok(())
    }

    fn set_clock(&mut self, _seconds: i64) -> Result<()> {
        bail!("the lab cannot set the clock")
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn snapshot(&mut self, last: Option<&str>) -> Result<Value> {
        let observer = self.observer.as_ref().context("the daemon has not started: `restart: daemon`")?;
        let query = last.map(|last| format!("?last={last}")).unwrap_or_default();
        match observer.get(&format!("/api/v1/snapshot{query}"))? {
            (200, body) => serde_json::from_str(&body).context("the snapshot is not JSON"),
            (status, body) => bail!("no snapshot: HTTP {status}: {body}\n{}", observer.log()),
        }
    }

    fn metrics(&mut self) -> Result<String> {
        let observer = self.observer.as_ref().context("the daemon has not started: `restart: daemon`")?;
        observer.metrics()
    }

    fn accepted(&mut self) -> Result<BTreeMap<String, u64>> {
        let mut accepted = BTreeMap::new();
        for ((pod, _), servers) in &self.servers {
            for server in servers {
                *accepted.entry(pod.clone()).or_default() += server.total()?;
            }
        }
        Ok(accepted)
    }
}
