//! The event loop: one task that owns engine and probes and does one thing after another.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

mod connection_list;
mod kernel_totals;

use super::backlog::Backlog;
use super::cgroup_resolver::{CgroupResolver, detect_node_cgroup};
use super::clock::{now, wall_offset};
use super::pauses::Pauses;
use super::startup::{NodeInfo, apply_update};
use crate::engine::{self, Engine, KernelState, LOOK};
use crate::engine_handle::Request;
use crate::expose::metrics::cardinality::Notice;
use crate::expose::snapshot::{Cause, SCHEMA};
use crate::expose::trace_line::{Begin, Remark};
use crate::probe::{Loaded, Maps, Record, is_in_initial_pid_namespace, trim_heap};
use crate::readiness::Readiness;
use crate::sources::Update;
use crate::time::Time;
use crate::trace_channel::TraceTap;
use headless_obs_ebpf::ring_record::SocketRecord;

/// The most records per turn.
const BATCH: usize = 4096;
/// Records that were kept, and are counted before the ring is read again.
const TURN: usize = 64;
/// The interval at which to check the kernel's loss counters.
const TICK: Duration = Duration::from_secs(1);
/// Counters of losses that are missing from the totals, and the option against each.
const FULL_MAPS: [(&str, &str); 2] =
    [("connections_full", "--max-connections"), ("flows_full", "--max-flows")];
/// The interval at which to collect unanswered queries, in ticks.
const DNS_TIMEOUT_TICKS: u64 = 5;
/// The time at which a query counts as unanswered. By default, resolvers try again or elsewhere after five seconds,
/// from another socket. A later response is refused.
const UNANSWERED_AFTER: Duration = Duration::from_secs(10);
/// The interval at which to forget old state, in ticks.
const EXPIRE_TICKS: u64 = 60;

/// Something to do.
enum Event {
    /// There may be records.
    Records,
    Update(Update),
    Request(Request),
    Tick,
}

/// Everything the task owns.
pub(super) struct EventLoop {
    node_info: NodeInfo,
    engine: Engine,
    loaded: Loaded,
    resolver: CgroupResolver,
    readiness: Readiness,
    trace_subscribers: Vec<TraceTap>,
    /// Whether the process ids in records are those of /proc.
    knows_processes: bool,
    /// Ring losses that have been reconciled.
    settled_losses: u64,
    /// Records that came while the engine was away.
    backlog: Backlog,
    /// Entries of the kernel's maps at their last reading: flows, connections.
    counted: (u64, u64),
    pauses: Pauses,
    /// Whether there was a snapshot since the last tick.
    served_snapshot: bool,
    /// Losses that have been logged.
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
            backlog: Backlog::default(),
            counted: (0, 0),
            pauses: Pauses::default(),
            served_snapshot: false,
            warned: BTreeSet::new(),
        }
    }

    /// The kernel's maps.
    pub(super) fn maps(&self) -> &Maps {
        &self.loaded.maps
    }

    /// Adopts the connections that were open before.
    pub(super) fn adopt(&mut self, existing: &[SocketRecord]) {
        self.detect_node_cgroup();
        for record in existing {
            self.resolver.resolve(now(), record.cgroup, &self.loaded.cgroups, self.engine.clients());
        }
        self.engine.adopt(now(), existing);
    }

    /// Finds the node's part of the cgroup tree, when one of its pods runs.
    fn detect_node_cgroup(&mut self) {
        if self.node_info.pods_are_own() && !self.engine.clients().knows_part() {
            detect_node_cgroup(&self.loaded.cgroups, &mut self.engine);
        }
    }

    /// Sends events to readers that came before the probes.
    pub(super) fn follow(&mut self, trace_subscribers: Vec<TraceTap>) {
        trace_subscribers.into_iter().for_each(|tap| self.begin_trace(tap));
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
        // This tells the load from before apart from the load from now on.
        self.read_loads().await;
        trim_heap();
        loop {
            let event = tokio::select! {
                _stopped = &mut *stop => return Ok(()),
                readable = self.loaded.ring.readable() => {
                    readable?;
                    Event::Records
                }
                () = std::future::ready(()), if !self.backlog.is_empty() => Event::Records,
                Some(update) = updates.recv() => Event::Update(update),
                Some(request) = requests.recv() => Event::Request(request),
                _time = tick.tick() => Event::Tick,
            };
            self.pauses.begin();
            match event {
                Event::Records => {
                    self.drain();
                }
                Event::Update(update) => {
                    // It may be everything.
                    let readiness = self.readiness.clone();
                    self.lend(move |engine| apply_update(engine, &readiness, update)).await?;
                }
                Event::Request(request) => self.answer_all(request, &mut requests).await?,
                Event::Tick => {
                    ticks += 1;
                    self.tick(ticks.is_multiple_of(EXPIRE_TICKS)).await?;
                    if ticks.is_multiple_of(LOOK.as_secs()) {
                        self.read_loads().await;
                        self.look().await?;
                        let milliseconds = self.pauses.take().as_secs_f64() * 1e3;
                        debug!(
                            milliseconds,
                            "the longest time in which the ring was not read, since the last look"
                        );
                    }
                    if ticks.is_multiple_of(DNS_TIMEOUT_TICKS) {
                        self.collect_dns_timeouts();
                    }
                }
            }
            self.flush_outputs();
            self.pauses.end();
        }
    }

    /// Takes a batch of records; returns how many, and the time of the last one.
    fn drain(&mut self) -> (usize, Time) {
        self.pauses.end();
        let Self { engine, loaded, resolver, backlog, .. } = self;
        let Loaded { ring, cgroups, .. } = loaded;
        let mut last = Time::default();
        let mut sink = |record: Record<'_>| {
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
        };
        let mut taken = 0;
        while taken < BATCH && !backlog.is_empty() {
            backlog.keep(ring);
            taken += backlog.take(TURN, &mut sink);
        }
        if taken == 0 {
            taken = ring.drain(BATCH, sink);
        }
        // At once: otherwise the events of a long turn would wait all together.
        self.flush_trace();
        self.pauses.begin();
        (taken, last)
    }

    /// Lets the engine work in another thread. Meanwhile this task empties the ring and keeps the records.
    async fn lend<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        // Nobody asks the one that takes its place.
        let mut engine = std::mem::replace(&mut self.engine, Engine::new(engine::Config::default()));
        let mut working = tokio::task::spawn_blocking(move || {
            let made = work(&mut engine);
            (engine, made)
        });
        let made = loop {
            self.pauses.end();
            let done = tokio::select! {
                done = &mut working => Some(done.context("the observation failed")?),
                readable = self.loaded.ring.readable(), if self.backlog.has_room() => readable.map(|()| None)?,
            };
            self.pauses.begin();
            match done {
                Some((engine, made)) => {
                    self.engine = engine;
                    break made;
                }
                None => self.backlog.keep(&mut self.loaded.ring),
            }
        };
        // Those that come meanwhile wait for a turn of the event loop, or a flood of records would hold up everything else.
        let mut left = self.backlog.len();
        while left > 0 {
            left = left.saturating_sub(self.drain().0);
            yield_now().await;
        }
        Ok(made)
    }

    /// Lets records and other tasks have their turn.
    async fn pause(&mut self) {
        self.drain();
        yield_now().await;
    }

    async fn drain_until(&mut self, until: Time) {
        loop {
            let (taken, last) = self.drain();
            if taken < BATCH || last > until {
                return;
            }
            yield_now().await;
        }
    }

    fn ring_losses(&self) -> u64 {
        self.loaded.maps.counters().get("ring_full").copied().unwrap_or(0)
    }

    async fn tick(&mut self, is_time_to_expire: bool) -> anyhow::Result<()> {
        self.engine.set_wall_offset(wall_offset());
        self.warn_of_full_maps();
        self.count_losses();
        self.detect_node_cgroup();
        if self.ring_losses() > self.settled_losses {
            self.reconcile_totals().await;
        }
        if is_time_to_expire {
            self.reconcile_totals().await;
            let now = now();
            let idle = self.lend(move |engine| {
                engine.expire(now);
                engine.idle_flows(now)
            });
            for (flow, totals) in idle.await? {
                if self.loaded.maps.remove_flow(flow, &totals) {
                    self.engine.forget_flow(flow);
                }
            }
        }
        if std::mem::take(&mut self.served_snapshot) {
            trim_heap();
        }
        Ok(())
    }

    /// Passes on what the kernel programs lost.
    fn count_losses(&mut self) {
        let (now, named) = (now(), self.loaded.maps.take_losses());
        for loss in &named {
            self.resolver.resolve(now, loss.cgroup, &self.loaded.cgroups, self.engine.clients());
        }
        self.engine.count_kernel_losses(now, &self.loaded.counters(), &named);
    }

    /// Looks at the verdicts, and logs how they changed.
    async fn look(&mut self) -> anyhow::Result<()> {
        let kernel = self.kernel_state();
        for change in self.lend(move |engine| engine.look(&kernel)).await? {
            let name = |cause: Option<Cause>| cause.map_or("none", Cause::as_str);
            info!(
                service = %format_args!("{}/{}", change.service_namespace, change.service),
                client = %format_args!("{}/{}", change.namespace, change.workload),
                verdict = name(change.cause),
                before = name(change.before),
                since = %change.since,
                "the verdict on a client changed"
            );
        }
        Ok(())
    }

    /// Counts unanswered queries per client.
    fn collect_dns_timeouts(&mut self) {
        let now = now();
        for asked in self.loaded.maps.take_unanswered(now.minus(UNANSWERED_AFTER).0) {
            self.resolver.resolve(now, asked.cgroup, &self.loaded.cgroups, self.engine.clients());
            self.engine.on_unanswered(now, &asked);
        }
    }

    /// Once for each; the snapshot has the amount.
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

    /// Answers a request and those that wait behind it, after one reconciliation for all of them.
    async fn answer_all(
        &mut self,
        first: Request,
        waiting: &mut mpsc::Receiver<Request>,
    ) -> anyhow::Result<()> {
        let all: Vec<Request> =
            std::iter::once(first).chain(std::iter::from_fn(|| waiting.try_recv().ok())).collect();
        let reads = |request: &Request| {
            matches!(
                request,
                Request::Snapshot(..)
                    | Request::ShortStretch(..)
                    | Request::Scrape(_)
                    | Request::Connections(..)
            )
        };
        if all.iter().any(reads) {
            self.reconcile_totals().await;
            self.count_losses();
            self.engine.set_wall_offset(wall_offset());
        }
        for request in all {
            self.answer(request).await?;
        }
        Ok(())
    }

    /// After reconciliation.
    async fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        match request {
            Request::Ping(reply) => {
                // The requester may have gone.
                let _gone = reply.send(());
            }
            Request::Snapshot(last, reply) => {
                let kernel = self.kernel_state();
                let snapshot = self.lend(move |engine| engine.snapshot(&kernel, last)).await?;
                self.served_snapshot = true;
                let _gone = reply.send(snapshot);
            }
            Request::ShortStretch(span, reply) => {
                let kernel = self.kernel_state();
                let stretch = self.lend(move |engine| engine.short_stretch(&kernel, span)).await?;
                self.served_snapshot = true;
                let _gone = reply.send(stretch);
            }
            Request::Scrape(reply) => {
                let kernel = self.kernel_state();
                let scrape = self.lend(move |engine| engine.scrape(&kernel)).await?;
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
            Request::Connections(query, reply) => {
                let list = self.connection_list(query).await?;
                let _gone = reply.send(list);
            }
            Request::Trace(tap) => {
                self.begin_trace(tap);
            }
        }
        Ok(())
    }

    fn kernel_state(&self) -> KernelState {
        KernelState {
            counters: self.loaded.counters(),
            maps: self.loaded.maps.usage(self.counted.0, self.counted.1),
            hooks: self.loaded.hooks.clone(),
            unknown_records: self.loaded.ring.unknown(),
            ..self.node_info.kernel_state(false)
        }
    }

    /// Passes on the engine's updates for the kernel and its events for readers.
    fn flush_outputs(&mut self) {
        let updates = self.engine.take_ignore_updates();
        for address in updates.remove {
            self.loaded.maps.unignore(mapped(address));
        }
        for (process, client) in self.engine.take_program_lookups() {
            // A process that has ended, or has another id here, keeps the name of its thread.
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
        self.trace_subscribers.retain(TraceTap::has_reader);
        self.flush_trace();
    }

    /// A reader gets every event from now on.
    fn begin_trace(&mut self, tap: TraceTap) {
        tap.tell(Remark::Begin(Begin {
            time: Timestamp::now(),
            schema: SCHEMA.to_owned(),
            node: self.node_info.node.clone(),
            observation: self.node_info.from,
            ..Begin::default()
        }));
        self.trace_subscribers.push(tap);
        self.engine.follow(true);
    }

    /// Passes events on to readers.
    fn flush_trace(&mut self) {
        for event in self.engine.take_trace() {
            self.trace_subscribers.retain(|tap| tap.send(&event));
        }
        self.engine.follow(!self.trace_subscribers.is_empty());
    }
}

/// An address in the form of the kernel's maps.
fn mapped(address: std::net::IpAddr) -> headless_obs_ebpf::Address {
    match address {
        std::net::IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        std::net::IpAddr::V6(address) => address.octets(),
    }
}
