//! The simulation as a stage: the daemon's engine with records of a network that exists only here, in virtual time.
//!
//! In: commands of [`Stage`]. Out: snapshots of the engine. Clients resolve names with the lab's own resolver and DNS
//! server, without their sockets. Events happen in the order of their times; between them, the engine is given its ticks.
//! Not simulated: the C library's sorting of answers, other programs, proxies, losses in the kernel.

mod daemon;
mod network;
mod running;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use headless_obs::time::Time;
use lab::dns::{DnsCommand, DnsOptions};
use serde_json::Value;

use crate::case::{Resolver, Serve};
use crate::scene::{PodState, Scene};
use crate::stage::{Stage, client_spec, search};
use daemon::Daemon;
use network::{Host, Network};
use running::{Event, Running};

/// The time that a change of manifests takes to reach the daemon.
const MANIFESTS: Duration = Duration::from_millis(200);
/// The engine's ticks.
const TICK: Duration = Duration::from_secs(1);
/// The beginning of time: a machine has been up for a while when a daemon starts.
const BOOT: Time = Time(1_000_000_000_000);

/// An event, its time, and the number that keeps events of the same time in order.
type Due = Reverse<(u64, u64, Event)>;

/// A simulated node.
pub(crate) struct Simulation {
    now: Time,
    next_tick: Time,
    ticks: u64,
    events: BinaryHeap<Due>,
    numbers: u64,
    network: Network,
    /// None before they start; otherwise one on each node that has one.
    daemons: Vec<Daemon>,
    /// Seconds by which the wall clock was set.
    clock: i64,
    clients: BTreeMap<String, Vec<usize>>,
    /// All processes of clients that ever were.
    running: Vec<Running>,
    records: Vec<String>,
    seed: u64,
}

impl Simulation {
    /// A node without pods; the seed decides on everything random.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: BOOT,
            next_tick: BOOT,
            ticks: 0,
            events: BinaryHeap::new(),
            numbers: 0,
            network: Network::new(seed),
            daemons: Vec::new(),
            clock: 0,
            clients: BTreeMap::new(),
            running: Vec::new(),
            records: Vec::new(),
            seed,
        }
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.numbers += 1;
        self.events.push(Reverse((self.now.plus(delay).0, self.numbers, event)));
    }

    /// Lets everything happen that is due until a time.
    fn run_until(&mut self, end: Time) -> Result<()> {
        loop {
            let due = self.events.peek().map(|Reverse((time, ..))| Time(*time)).filter(|time| *time <= end);
            let tick = Some(self.next_tick).filter(|time| *time <= end);
            match (due, tick) {
                (None, None) => break,
                (Some(due), tick) if tick.is_none_or(|tick| due < tick) => {
                    let Some(Reverse((_, _, event))) = self.events.pop() else { break };
                    self.now = due;
                    self.happen(event);
                }
                (_, Some(tick)) => {
                    self.now = tick;
                    self.tick()?;
                }
                (Some(_), None) => break,
            }
        }
        self.now = end;
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        self.next_tick = self.now.plus(TICK);
        self.ticks += 1;
        let (now, clock, ticks) = (self.now, self.clock, self.ticks);
        self.daemons.iter_mut().try_for_each(|daemon| daemon.tick(now, clock, ticks))
    }

    /// Runs until a condition holds; an error if nothing is left that could make it hold.
    fn run_while(&mut self, mut goes_on: impl FnMut(&Self) -> bool) -> Result<()> {
        while goes_on(self) {
            let Reverse((next, ..)) = self.events.peek().context("the client waits for ever")?;
            self.run_until(Time(*next))?;
        }
        Ok(())
    }

    fn processes(&self, name: &str) -> Result<Vec<usize>> {
        self.clients.get(name).cloned().with_context(|| format!("the client {name} has not started"))
    }

    /// Starts the processes of a client.
    fn started(&mut self, name: &str, scene: &Scene, connections: Option<u64>) -> Result<()> {
        let client = scene.case.clients.get(name).with_context(|| format!("there is no client {name}"))?;
        let pod = scene.pod_of(name)?;
        let mut spec = client_spec(client, pod)?;
        spec.connections = connections.unwrap_or(spec.connections);
        let libc = (client.resolver == Resolver::Libc).then(|| (search(pod), pod.data.ndots.unwrap_or(5)));
        for _ in 0..client.processes {
            let number = self.running.len();
            let running = Running::new(spec.clone(), libc.clone(), pod, number, self.seed, self.now)?;
            self.running.push(running);
            self.clients.entry(name.to_owned()).or_default().push(number);
            self.after(Duration::ZERO, Event::Next(number));
        }
        Ok(())
    }
}

impl Stage for Simulation {
    fn add(&mut self, pod: &PodState) -> Result<BTreeMap<String, String>> {
        let id = format!("{:0>64}", pod.uid.replace('-', ""));
        self.network.add(Host::new(pod, &id), &pod.addresses);
        self.daemons.iter_mut().for_each(|daemon| daemon.knows(&self.network));
        Ok(BTreeMap::from([("main".to_owned(), id)]))
    }

    fn remove(&mut self, pod: &PodState) -> Result<()> {
        self.network.remove(&pod.addresses);
        let gone: Vec<usize> =
            self.running.iter().filter(|one| one.is_in(&pod.uid)).map(Running::number).collect();
        gone.into_iter().for_each(|number| self.end(number));
        Ok(())
    }

    fn serve(&mut self, pod: &PodState, port: u16, by: Option<Serve>) -> Result<()> {
        self.network.serve(&pod.addresses, port, by);
        Ok(())
    }

    fn publish(&mut self, scene: &Scene) -> Result<()> {
        let records = scene.records();
        for gone in self.records.iter().filter(|name| !records.contains_key(*name)) {
            self.network.dns.obey(DnsCommand::Remove(gone.clone()));
        }
        self.records = records.keys().cloned().collect();
        records.into_iter().for_each(|(name, records)| self.network.dns.obey(DnsCommand::Set(name, records)));
        if !self.daemons.is_empty() {
            self.pass(MANIFESTS)?;
        }
        let now = self.now;
        self.daemons.iter_mut().try_for_each(|daemon| daemon.read(now, scene))
    }

    fn dns(&mut self, options: &DnsOptions) -> Result<()> {
        self.network.dns.obey(DnsCommand::Options(options.clone()));
        Ok(())
    }

    fn observe(&mut self, scene: &Scene) -> Result<()> {
        let nodes = std::iter::once(&scene.case.daemon.node).chain(&scene.case.daemon.also_on.0);
        self.daemons = nodes.map(|node| Daemon::new(self.now, scene, node)).collect();
        for daemon in &mut self.daemons {
            daemon.knows(&self.network);
            daemon.read(self.now, scene)?;
        }
        for one in &self.running {
            if let Some(daemon) = daemon::of(&mut self.daemons, one.node()) {
                daemon.adopt(self.now, &one.open_sockets().collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    fn start(&mut self, name: &str, scene: &Scene) -> Result<()> {
        self.started(name, scene, None)
    }

    fn finish(&mut self, name: &str) -> Result<()> {
        for number in self.processes(name)? {
            self.run_while(|world| world.running[number].is_busy())?;
        }
        Ok(())
    }

    fn stop(&mut self, name: &str) -> Result<()> {
        self.processes(name)?.into_iter().for_each(|number| self.running[number].stop());
        self.finish(name)
    }

    fn kill(&mut self, name: &str) -> Result<()> {
        self.processes(name)?.into_iter().for_each(|number| self.end(number));
        self.clients.remove(name);
        Ok(())
    }

    fn open(&mut self, name: &str, scene: &Scene, connections: u64) -> Result<()> {
        if !self.clients.contains_key(name) {
            self.started(name, scene, Some(0))?;
        }
        for number in self.processes(name)? {
            self.running[number].more(connections);
            self.after(Duration::ZERO, Event::Next(number));
        }
        self.finish(name)
    }

    fn close(&mut self, name: &str, connections: u64) -> Result<()> {
        self.processes(name)?.into_iter().for_each(|number| self.close_kept(number, connections));
        Ok(())
    }

    fn resolve(&mut self, name: &str, scene: &Scene, times: u64) -> Result<()> {
        if !self.clients.contains_key(name) {
            self.started(name, scene, Some(0))?;
        }
        for number in self.processes(name)? {
            for _ in 0..times {
                let waited = self.look_up_alone(number);
                self.pass(waited)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Result<()> {
        self.run_until(self.now.plus(time))
    }

    fn set_clock(&mut self, seconds: i64) -> Result<()> {
        self.clock += seconds;
        Ok(())
    }

    fn now(&self) -> Duration {
        self.now.since(BOOT)
    }

    fn snapshot(&mut self, last: Option<&str>) -> Result<Value> {
        let (now, clock) = (self.now, self.clock);
        ensure!(!self.daemons.is_empty(), "the daemon has not started: `restart: daemon`");
        Ok(serde_json::to_value(daemon::report(&mut self.daemons, now, clock, last)?)?)
    }

    fn metrics(&mut self) -> Result<String> {
        let (now, clock) = (self.now, self.clock);
        self.daemons.iter_mut().map(|daemon| daemon.metrics(now, clock)).collect()
    }

    fn accepted(&mut self) -> Result<BTreeMap<String, u64>> {
        Ok(self.network.accepted.clone())
    }
}
