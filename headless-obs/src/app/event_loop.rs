//! The event loop: one task that owns engine and probes and does one thing after another.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

use super::cgroup_resolver::{CgroupResolver, detect_node_cgroup};
use super::clock::{now, wall_offset};
use super::startup::{NodeInfo, apply_update};
use crate::engine::{Engine, KernelState};
use crate::engine_handle::{Readiness, Request, TraceTap};
use crate::expose::metrics::cardinality::Notice;
use crate::probe::{Loaded, Maps, Record, is_in_initial_pid_namespace, trim_heap};
use crate::sources::Update;
use crate::time::Time;
use headless_obs_ebpf::ring_record::SocketRecord;

/// Records taken before anything else gets its turn.
const BATCH: usize = 4096;
/// A record that is being written on another CPU hides those after it. None takes longer than this, but where the CPU
/// is a virtual machine's, which can be taken away meanwhile.
const SETTLE_DELAY: Duration = Duration::from_millis(2);
/// How many times that a record is waited for which is likely on its way, as the ring has lost none. An end that the kernel
/// programs found out about later has none.
const MAX_SETTLE_RETRIES: u32 = 50;
/// How often the kernel's loss counters are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Losses that are missing from the totals, and the option that prevents them.
const FULL_MAPS: [(&str, &str); 2] =
    [("connections_full", "--max-connections"), ("flows_full", "--max-flows")];
/// How often questions that nobody answered are looked for, in ticks.
const DNS_TIMEOUT_TICKS: u64 = 5;
/// When a question counts as not answered. Resolvers ask again, or elsewhere, after five seconds unless they are told
/// otherwise, and then from another socket; what comes after this is refused.
const UNANSWERED_AFTER: Duration = Duration::from_secs(10);
/// How often what is old is forgotten, in ticks.
const EXPIRE_TICKS: u64 = 60;

/// Everything the task owns.
pub(super) struct EventLoop {
    node_info: NodeInfo,
    engine: Engine,
    loaded: Loaded,
    resolver: CgroupResolver,
    readiness: Readiness,
    trace_subscribers: Vec<TraceTap>,
    /// The process ids of records are those of /proc.
    knows_processes: bool,
    /// Ring losses that have been reconciled.
    settled_losses: u64,
    /// A snapshot was taken since the last tick.
    served_snapshot: bool,
    /// Losses that the log has.
    warned: BTreeSet<&'static str>,
}

impl EventLoop {
    pub(super) fn new(node_info: NodeInfo, engine: Engine, loaded: Loaded, readiness: Readiness) -> Self {
        Self {
            node_info,
            engine,
            loaded,
            resolver: CgroupResolver::default(),
            readiness,
            trace_subscribers: Vec::new(),
            knows_processes: is_in_initial_pid_namespace(),
            settled_losses: 0,
            served_snapshot: false,
            warned: BTreeSet::new(),
        }
    }

    /// The kernel's maps.
    pub(super) fn maps(&self) -> &Maps {
        &self.loaded.maps
    }

    /// Takes in the connections that were open before.
    pub(super) fn adopt(&mut self, existing: &[SocketRecord]) {
        self.detect_node_cgroup();
        for record in existing {
            self.resolver.resolve(now(), record.cgroup, &self.loaded.cgroups, self.engine.clients());
        }
        self.engine.adopt(now(), existing);
    }

    /// Finds out which cgroups are this node's, as soon as a pod of it runs.
    fn detect_node_cgroup(&mut self) {
        if self.node_info.pods_are_own() && !self.engine.clients().knows_part() {
            detect_node_cgroup(&self.loaded.cgroups, &mut self.engine);
        }
    }

    /// Hands events to those who asked for them before the probes were there.
    pub(super) fn follow(&mut self, trace_subscribers: Vec<TraceTap>) {
        self.engine.follow(!trace_subscribers.is_empty());
        self.trace_subscribers = trace_subscribers;
    }

    /// Runs until `stop` is sent or dropped.
    pub(super) async fn run(
        mut self,
        mut updates: mpsc::Receiver<Update>,
        mut requests: mpsc::Receiver<Request>,
        stop: &mut oneshot::Receiver<()>,
    ) -> anyhow::Result<()> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0_u64;
        trim_heap();
        loop {
            tokio::select! {
                _stopped = &mut *stop => return Ok(()),
                readable = self.loaded.ring.readable() => {
                    readable?;
                    self.drain();
                }
                Some(update) = updates.recv() => apply_update(&mut self.engine, &self.readiness, update),
                Some(request) = requests.recv() => self.answer_all(request, &mut requests).await,
                _time = tick.tick() => {
                    ticks += 1;
                    self.tick(ticks.is_multiple_of(EXPIRE_TICKS)).await;
                    if ticks.is_multiple_of(DNS_TIMEOUT_TICKS) {
                        self.collect_dns_timeouts();
                    }
                }
            }
            self.flush_outputs();
        }
    }

    /// Takes a batch of records; returns how many, and the time of the last one.
    fn drain(&mut self) -> (usize, Time) {
        let Self { engine, loaded, resolver, .. } = self;
        let Loaded { ring, cgroups, .. } = loaded;
        let mut last = Time::default();
        let taken = ring.drain(BATCH, |record| {
            let header = match &record {
                Record::Dns(dns, _) => dns.header,
                Record::Tcp(tcp) => tcp.header,
            };
            last = Time(header.time);
            resolver.resolve(last, header.cgroup, cgroups, engine.clients());
            match record {
                Record::Dns(dns, payload) => engine.on_dns(&dns, payload),
                Record::Tcp(tcp) => engine.on_tcp(&tcp),
            }
        });
        (taken, last)
    }

    /// Reads the kernel's totals, then every record from before that, and books the difference.
    async fn reconcile_totals(&mut self) {
        let losses = self.ring_losses();
        let totals = self.loaded.maps.flows();
        let read_at = now();
        self.drain_until(read_at);
        for _ in 0..MAX_SETTLE_RETRIES {
            sleep(SETTLE_DELAY).await;
            self.drain_until(read_at);
            if self.ring_losses() > self.settled_losses || !self.engine.is_behind(&totals) {
                break;
            }
        }
        self.engine.reconcile(read_at, &totals);
        self.settled_losses = losses;
    }

    fn drain_until(&mut self, until: Time) {
        loop {
            let (taken, last) = self.drain();
            if taken < BATCH || last > until {
                return;
            }
        }
    }

    fn ring_losses(&self) -> u64 {
        self.loaded.maps.counters().get("ring_full").copied().unwrap_or(0)
    }

    async fn tick(&mut self, is_time_to_expire: bool) {
        self.engine.set_wall_offset(wall_offset());
        self.engine.remember(now());
        self.warn_of_full_maps();
        self.detect_node_cgroup();
        if self.ring_losses() > self.settled_losses {
            self.reconcile_totals().await;
        }
        if is_time_to_expire {
            self.reconcile_totals().await;
            self.engine.expire(now());
            for (flow, totals) in self.engine.idle_flows(now()) {
                if self.loaded.maps.remove_flow(flow, &totals) {
                    self.engine.forget_flow(flow);
                }
            }
        }
        if std::mem::take(&mut self.served_snapshot) {
            trim_heap();
        }
    }

    /// Counts the questions that nobody answered, by who asked.
    fn collect_dns_timeouts(&mut self) {
        let now = now();
        for asked in self.loaded.maps.take_unanswered(now.minus(UNANSWERED_AFTER).0) {
            self.resolver.resolve(now, asked.cgroup, &self.loaded.cgroups, self.engine.clients());
            self.engine.on_unanswered(&asked);
        }
    }

    /// Once for each: how much is lost is in the snapshot.
    fn warn_of_full_maps(&mut self) {
        let counters = self.loaded.maps.counters();
        for (reason, option) in FULL_MAPS {
            if counters.get(reason).is_some_and(|count| *count > 0) && self.warned.insert(reason) {
                warn!(
                    reason,
                    "a kernel map is full, so connections are missing from the totals: raise {option}"
                );
            }
        }
    }

    /// Answers a request and those that wait behind it: totals are settled once for all of them.
    async fn answer_all(&mut self, first: Request, waiting: &mut mpsc::Receiver<Request>) {
        let all: Vec<Request> =
            std::iter::once(first).chain(std::iter::from_fn(|| waiting.try_recv().ok())).collect();
        if all.iter().any(|request| matches!(request, Request::Snapshot(_) | Request::Scrape(_))) {
            self.reconcile_totals().await;
            self.engine.set_wall_offset(wall_offset());
        }
        all.into_iter().for_each(|request| self.answer(request));
    }

    /// Totals are settled.
    fn answer(&mut self, request: Request) {
        match request {
            Request::Ping(reply) => {
                // Whoever asked may have gone.
                let _gone = reply.send(());
            }
            Request::Snapshot(reply) => {
                let snapshot = self.engine.snapshot(&self.kernel_state());
                self.served_snapshot = true;
                let _gone = reply.send(snapshot);
            }
            Request::Scrape(reply) => {
                let scrape = self.engine.scrape(&self.kernel_state());
                for notice in &scrape.notices {
                    let Notice { namespace, name, series, detail } = notice;
                    warn!(
                        namespace,
                        service = name,
                        series,
                        "the metrics of a Service would have too many series, so {}; --max-series-per-service, \
                         --max-series and --client-labels set the limits",
                        detail.lost()
                    );
                }
                self.served_snapshot = true;
                let _gone = reply.send(scrape);
            }
            Request::Trace(tap) => {
                self.trace_subscribers.push(tap);
                self.engine.follow(true);
            }
        }
    }

    fn kernel_state(&self) -> KernelState {
        KernelState {
            counters: self.loaded.counters(),
            maps: self.loaded.maps.usage(),
            hooks: self.loaded.hooks.clone(),
            unknown_records: self.loaded.ring.unknown(),
            ..self.node_info.kernel_state()
        }
    }

    /// Hands on what the engine has for the kernel and for those who follow its events.
    fn flush_outputs(&mut self) {
        let updates = self.engine.take_ignore_updates();
        for address in updates.remove {
            self.loaded.maps.unignore(mapped(address));
        }
        for (process, client) in self.engine.take_nameless() {
            // One that is gone, or that has another id here, keeps the name of its thread.
            if self.knows_processes
                && let Ok(name) = std::fs::read(format!("/proc/{process}/comm"))
            {
                self.engine.program(&client, name.trim_ascii_end());
            }
        }
        for address in updates.add {
            if !self.loaded.maps.ignore(mapped(address)) {
                warn!(%address, "the kernel map of ignored destinations is full: raise --max-ignored to save work");
            }
        }
        if !self.trace_subscribers.is_empty() {
            for event in self.engine.take_trace() {
                self.trace_subscribers.retain(|tap| tap.send(event.clone()));
            }
            self.engine.follow(!self.trace_subscribers.is_empty());
        }
    }
}

/// An address as the kernel's maps have it.
fn mapped(address: std::net::IpAddr) -> headless_obs_ebpf::Address {
    match address {
        std::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(address) => address.octets(),
    }
}
