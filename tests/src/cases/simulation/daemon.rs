//! The daemon of a simulation: the engine, and what the event loop does around it.
//!
//! In: records, manifests, ticks. Out: snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use headless_obs::config::values::Last;
use headless_obs::engine::{Config, Engine, KernelState, LOOK};
use headless_obs::expose::metrics;
use headless_obs::expose::snapshot::{Snapshot, TopologyState};
use headless_obs::fleet;
use headless_obs::sources::manifest::{Format, Manifest};
use headless_obs::time::Time;
use headless_obs::topology;
use headless_obs::topology::learned::{LearnConfig, Learner};
use headless_obs::topology::model::Change;
use headless_obs_ebpf::dns_query::PendingQuery;
use headless_obs_ebpf::ring_record::{DnsRecord, SocketRecord, TcpRecord};
use jiff::Timestamp;

use super::network::{Network, ip};
use crate::case::Topology;
use crate::scene::Scene;

/// Ticks between two calls that forget old state, as in the event loop.
const EXPIRE_TICKS: u64 = 60;
/// After this time without records, it is enough to look at verdicts that often.
const QUIET: Duration = Duration::from_secs(300);
/// The time after the last record in which the daemon still looks at them: the longest stretch that one may rest on.
const LOOKS_BACK: Duration = Duration::from_secs(3700);
/// Seconds of the wall clock when the monotonic clock was zero.
const WALL: i64 = 1_790_000_000;

pub(super) struct Daemon {
    engine: Engine,
    node: String,
    source: &'static str,
    began: Time,
    /// Destinations that the kernel would ignore.
    ignored: BTreeSet<IpAddr>,
    /// The time at which the last record came.
    last_record: Time,
}

impl Daemon {
    /// The daemon of a node.
    pub(super) fn new(now: Time, scene: &Scene, node: &str) -> Self {
        let daemon = &scene.case.daemon;
        let learns = daemon.topology == Topology::Dns;
        let own = (!learns).then(|| node.into());
        let mut engine = Engine::new(Config {
            topology: topology::Config { node: own, ..topology::Config::default() },
            learner: learns.then(|| Learner::new(LearnConfig::default())),
            mature_after: daemon.mature_after.0,
            stale_grace: daemon.stale_grace.0,
            ..Config::default()
        });
        if learns {
            engine.apply(now, Change::Synced(true));
        }
        let source = if learns { "dns" } else { "files" };
        Self { engine, node: node.to_owned(), source, began: now, ignored: BTreeSet::new(), last_record: now }
    }

    /// Reads the manifests.
    pub(super) fn read(&mut self, now: Time, scene: &Scene) -> Result<()> {
        if self.source == "dns" {
            return Ok(());
        }
        let mut manifest = Manifest::default();
        for (file, text) in scene.manifests() {
            manifest.add(&file, Format::Yaml, &text).map_err(|flaw| anyhow!("{file}: {flaw}"))?;
        }
        manifest.into_changes().into_iter().for_each(|change| self.engine.apply(now, change));
        self.follow();
        Ok(())
    }

    /// Learns the cgroups of all pods.
    pub(super) fn knows(&mut self, network: &Network) {
        network.cgroups().for_each(|(id, path)| self.engine.clients().cgroup(id, path));
    }

    pub(super) fn adopt(&mut self, now: Time, open: &[SocketRecord]) {
        self.engine.adopt(now, open);
    }

    pub(super) fn on_dns(&mut self, record: &DnsRecord, payload: &[u8]) {
        self.last_record = Time(record.header.time);
        self.engine.on_dns(record, payload);
        self.follow();
    }

    pub(super) fn on_tcp(&mut self, record: &TcpRecord) {
        if !self.ignored.contains(&ip(record.destination)) {
            self.last_record = Time(record.header.time);
            self.engine.on_tcp(record);
            self.follow();
        }
    }

    pub(super) fn on_unanswered(&mut self, now: Time, query: &PendingQuery) {
        self.engine.on_unanswered(now, query);
    }

    pub(super) fn tick(&mut self, now: Time, clock: i64, ticks: u64) -> Result<()> {
        self.engine.set_wall_offset(wall_offset(clock));
        // A daemon looks at verdicts all the time. Without records they change seldom, and in the end not at all.
        let quiet = now.since(self.last_record);
        let every = if quiet < QUIET { LOOK } else { QUIET };
        if ticks.is_multiple_of(every.as_secs()) && quiet < LOOKS_BACK {
            let state = self.state(now)?;
            self.engine.look(&state);
        }
        if ticks.is_multiple_of(EXPIRE_TICKS) {
            self.engine.expire(now);
            self.engine.idle_flows(now).into_iter().for_each(|(flow, _)| self.engine.forget_flow(flow));
            self.follow();
        }
        Ok(())
    }

    /// The addresses that the kernel is to ignore from now on.
    fn follow(&mut self) {
        let updates = self.engine.take_ignore_updates();
        self.ignored.retain(|address| !updates.remove.contains(address));
        self.ignored.extend(updates.add);
        self.engine.take_program_lookups();
    }

    /// The kernel side's statement about itself.
    fn state(&self, now: Time) -> Result<KernelState> {
        let nanos = i128::from(self.began.0) + i128::from(WALL) * 1_000_000_000;
        Ok(KernelState {
            node: self.node.clone(),
            from: Timestamp::from_nanosecond(nanos)?,
            began: self.began,
            to: now,
            topology: TopologyState { source: self.source.to_owned(), ..TopologyState::default() },
            counters: headless_obs_ebpf::counters::NAMES.map(|name| (name, 0)).into(),
            maps: BTreeMap::new(),
            hooks: ["dns", "tcp", "queries"].map(|probe| (probe.to_owned(), "simulated".to_owned())).into(),
            unknown_records: 0,
            stands_by: false,
        })
    }

    pub(super) fn metrics(&mut self, now: Time, clock: i64) -> Result<String> {
        self.engine.set_wall_offset(wall_offset(clock));
        let state = self.state(now)?;
        let scrape = Arc::new(self.engine.scrape(&state));
        Ok(String::from_utf8(metrics::encode(scrape, metrics::Format::Plain)?)?)
    }
}

/// The daemon of a node; without one there, the first sees what happens.
pub(super) fn of<'a>(daemons: &'a mut [Daemon], node: &str) -> Option<&'a mut Daemon> {
    let own = daemons.iter().position(|daemon| daemon.node == node).unwrap_or(0);
    daemons.get_mut(own)
}

/// The report of all daemons over a stretch of time.
pub(super) fn report(daemons: &mut [Daemon], now: Time, clock: i64, last: Option<&str>) -> Result<Snapshot> {
    let last: Last = match last {
        Some(text) => text.parse().map_err(|error| anyhow!("`last`: {error}"))?,
        None => Last::default(),
    };
    let mut stretches = Vec::new();
    for daemon in daemons {
        daemon.engine.set_wall_offset(wall_offset(clock));
        stretches.push(daemon.engine.stretches(&daemon.state(now)?, last.length()));
    }
    match stretches.as_mut_slice() {
        [only] => only.pop().context("a daemon has a report"),
        _ => Ok(fleet::merge(stretches, Vec::new())?),
    }
}

/// Nanoseconds between the clocks.
fn wall_offset(clock: i64) -> i128 {
    i128::from(WALL + clock) * 1_000_000_000
}
