//! Snapshots over stretches of time that end now, and the verdicts that rest on them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::pods::Pods;
use super::{KernelState, Shown, Sources, Tally, View};
use crate::engine::Engine;
use crate::engine::connection_history::ConnectionHistory;
use crate::expose::snapshot::{SCHEMA, Service, Snapshot, VerdictChange};
use crate::hash::HashMap;
use crate::ledger::{CellKey, active};
use crate::topology::ServiceState;
use crate::verdict;
use crate::windowed::{LONGEST, Slot, Stretch};

/// Two readings of the wall clock that differ by more show that it was set, or that it drifted.
const CLOCK_SET: Duration = Duration::from_millis(500);

/// The most rows of endpoints, and of clients at endpoints, in a shorter stretch: about 12 MiB. Verdicts on clients of the
/// Services beyond rest on the stretch that was asked for, and have no time since when they hold.
const ROWS: usize = 20_000;

impl Engine {
    /// The sums of every cell over a stretch of time. Cells without changes that have no open connections are left out.
    pub(super) fn tallies(&self, stretch: Stretch) -> Vec<(CellKey, Tally)> {
        let cells = self.reconciler.ledger.cells().map(|(key, cell)| (key, cell, active(cell)));
        let shown = cells.filter(|(_, cell, active)| *active > 0 || cell.has_changed(stretch));
        shown.map(|(key, cell, active)| (*key, Tally { sums: cell.over(stretch), active })).collect()
    }

    /// The state over the last `length`, or since observation began, with the verdicts of this moment.
    pub fn snapshot(&self, kernel: &KernelState, length: Option<Duration>) -> Snapshot {
        let pods = Arc::new(self.pods());
        let mut snapshot = self.facts(kernel, length, Shown::All, &pods);
        verdict::judge_now(&mut snapshot, &self.recent(kernel, length, &pods));
        self.verdict_log.complete(&mut snapshot);
        snapshot
    }

    /// Looks at the verdicts of this moment; returns how they changed since the last look. To be called once in
    /// [`LOOK`](crate::engine::LOOK).
    pub fn look(&mut self, kernel: &KernelState) -> Vec<VerdictChange> {
        self.update_verdicts(kernel);
        self.verdict_log.take_news()
    }

    /// Brings the log of verdicts up to date.
    pub(super) fn update_verdicts(&mut self, kernel: &KernelState) {
        self.sampled.read(kernel.to, self.totals(kernel));
        let mut recent = self.recent(kernel, None, &Arc::new(self.pods()));
        let Some(mut judged) = recent.pop() else { return };
        verdict::judge_now(&mut judged, &recent);
        let changes = self.verdict_log.look(&judged);
        self.trace_verdicts(&changes);
    }

    /// The facts over one of the shorter stretches that a verdict may rest on, with the verdicts of that stretch alone.
    pub fn short_stretch(&self, kernel: &KernelState, span: Duration) -> Snapshot {
        let mut stretch = self.facts(kernel, Some(span), Shown::Clients, &Arc::new(self.pods()));
        verdict::judge_all(&mut stretch);
        stretch
    }

    /// All of them, and at last the state over the stretch that is asked for: what one node adds to a fleet.
    pub fn stretches(&self, kernel: &KernelState, length: Option<Duration>) -> Vec<Snapshot> {
        let short = verdict::shorter_spans(length).map(|span| self.short_stretch(kernel, span));
        short.chain(std::iter::once_with(|| self.snapshot(kernel, length))).collect()
    }

    fn recent(&self, kernel: &KernelState, length: Option<Duration>, pods: &Arc<Pods>) -> Vec<Snapshot> {
        let spans = verdict::shorter_spans(length);
        spans.map(|span| self.facts(kernel, Some(span), Shown::Clients, pods)).collect()
    }

    /// The facts over a stretch of time, without verdicts.
    fn facts(
        &self,
        kernel: &KernelState,
        length: Option<Duration>,
        shown: Shown,
        pods: &Arc<Pods>,
    ) -> Snapshot {
        let stretch = self.stretch(kernel, length);
        let rows = self.tallies(stretch);
        let mut sources = self.sources(kernel, stretch, rows.iter().map(|(key, tally)| (key, tally)));
        sources.pods = pods.clone();
        if shown == Shown::All {
            let start = match stretch {
                Stretch::All => Slot::start(kernel.to, LONGEST).max(self.oldest_slot),
                Stretch::Since(start) => start,
            };
            let time = (kernel.began, kernel.to);
            sources.history = ConnectionHistory::of(&self.reconciler.ledger, start, time, self.wall_offset);
        }
        let states: Vec<&ServiceState> = match shown {
            Shown::All => self.topology.services().collect(),
            Shown::Clients => self.smallest(&sources),
        };
        let mut services: Vec<_> =
            states.into_iter().map(|state| self.service(state, &mut sources, View::Report)).collect();
        services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let unreached = if shown == Shown::All { self.unreached(stretch) } else { Vec::new() };
        Snapshot { unreached, ..self.frame(kernel, stretch, services) }
    }

    /// The Services with clients, the smallest first, as far as all of their rows together have room. Each endpoint has a
    /// row, and each client has one for each endpoint. Several stretches are looked at every few seconds.
    fn smallest(&self, sources: &Sources<'_>) -> Vec<&ServiceState> {
        let rows = |state: &ServiceState| {
            let clients = sources.client_stats.get(&state.id()).map_or(0, HashMap::len);
            let cells = sources.cells.get(&state.id()).map_or(0, Vec::len);
            (clients + cells > 0).then(|| (clients.max(1) + 1) * state.endpoints().count().max(1))
        };
        let mut sized: Vec<(usize, &ServiceState)> =
            self.topology.services().filter_map(|state| Some((rows(state)?, state))).collect();
        sized.sort_by_key(|(rows, state)| (*rows, state.id()));
        let mut room = ROWS;
        let fits = |(rows, _): &(usize, &ServiceState)| {
            let has_room = *rows <= room;
            room = room.saturating_sub(*rows);
            has_room
        };
        sized.into_iter().take_while(fits).map(|(_, state)| state).collect()
    }

    /// The stretch that ends now and is at least this long, as far as slots reach back.
    fn stretch(&self, kernel: &KernelState, length: Option<Duration>) -> Stretch {
        let start = length.map(|length| Slot::start(kernel.to, length).max(self.oldest_slot));
        match start.filter(|start| start.begin() > kernel.began) {
            Some(start) => Stretch::Since(start),
            None => Stretch::All,
        }
    }

    /// When observation began, by the present wall clock. All times of a snapshot are by that clock, so the time between
    /// two of them is that of the monotonic clock, also if the wall clock was set in between.
    fn began(&self, kernel: &KernelState) -> Timestamp {
        let began = self.wall(kernel.began);
        // Two readings of both clocks differ a little.
        if began.duration_since(kernel.from).unsigned_abs() < CLOCK_SET { kernel.from } else { began }
    }

    /// A snapshot of these Services.
    pub(super) fn frame(&self, kernel: &KernelState, stretch: Stretch, services: Vec<Service>) -> Snapshot {
        let to = self.wall(kernel.to);
        let began = self.began(kernel);
        let from = match stretch {
            Stretch::All => began,
            Stretch::Since(slot) => self.wall(slot.begin()).max(began),
        };
        Snapshot {
            schema: SCHEMA.to_owned(),
            node: kernel.node.clone(),
            nodes: Vec::new(),
            from,
            to,
            began: Some(began),
            observation: (began != kernel.from).then_some(kernel.from),
            mature_after_seconds: self.mature_after.as_secs_f64(),
            quality: self.quality(kernel, stretch),
            services,
            unanswered: self.unanswered(stretch),
            unreached: Vec::new(),
        }
    }
}
