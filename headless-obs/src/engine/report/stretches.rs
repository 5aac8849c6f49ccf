//! Snapshots over stretches of time that end now, and the verdicts that rest on them.

use std::time::Duration;

use jiff::Timestamp;

use super::counted::Counted;
use super::{Common, KernelState, Moment, View};
use crate::engine::Engine;
use crate::engine::connection_history::ConnectionHistory;
use crate::expose::snapshot::{SCHEMA, Service, Snapshot, VerdictChange};
use crate::hash::HashSet;
use crate::topology::{ServiceId, ServiceState};
use crate::verdict;
use crate::windowed::{LONGEST, Slot, Stretch};

/// Two readings of the wall clock that differ by more show that it was set, or that it drifted.
const CLOCK_SET: Duration = Duration::from_millis(500);

/// The most rows of endpoints, and of clients at endpoints, in a shorter stretch: about 24 MiB. Verdicts on clients of the
/// Services beyond rest on the stretch that was asked for, and have no time since when they hold.
const ROWS: usize = 20_000;

/// A stretch of time that ends now, without the rows of its Services: these are made one at a time.
struct OpenStretch<'a> {
    /// A snapshot without Services.
    frame: Snapshot,
    common: Common<'a>,
    states: Vec<&'a ServiceState>,
}

impl Engine {
    /// The state over the last `length`, or since observation began, with the verdicts of this moment.
    pub fn snapshot(&self, kernel: &KernelState, length: Option<Duration>) -> Snapshot {
        let counted = self.counted();
        let recent = self.recent(kernel, length, &counted);
        let mut snapshot = self.judged(self.whole(kernel, length, &counted), &recent);
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
        let judged = {
            let counted = self.counted();
            let mut recent = self.recent(kernel, None, &counted);
            let Some(longest) = recent.pop() else { return };
            self.judged(longest, &recent)
        };
        let changes = self.verdict_log.look(&judged);
        self.trace_verdicts(&changes);
    }

    /// The facts over one of the shorter stretches that a verdict may rest on, with the verdicts of that stretch alone.
    pub fn short_stretch(&self, kernel: &KernelState, span: Duration) -> Snapshot {
        let counted = self.counted();
        let OpenStretch { frame, common, states } = self.short(kernel, span, &counted);
        let services = states.into_iter().map(|state| self.over(state, &common)).collect();
        let mut stretch = Snapshot { services, ..frame };
        verdict::judge_all(&mut stretch);
        stretch
    }

    /// All of them, and at last the state over the stretch that is asked for: what one node adds to a fleet.
    pub fn stretches(&self, kernel: &KernelState, length: Option<Duration>) -> Vec<Snapshot> {
        let short = verdict::shorter_spans(length).map(|span| self.short_stretch(kernel, span));
        short.chain(std::iter::once_with(|| self.snapshot(kernel, length))).collect()
    }

    /// A stretch with the verdicts of this moment. The shorter ones exist for one Service at a time: each may take as
    /// much memory as the longest.
    fn judged(&self, asked: OpenStretch<'_>, recent: &[OpenStretch<'_>]) -> Snapshot {
        let OpenStretch { frame, common, states } = asked;
        let shown: Vec<HashSet<ServiceId>> =
            recent.iter().map(|other| other.states.iter().map(|state| state.id()).collect()).collect();
        let mut services = Vec::with_capacity(states.len());
        for state in states {
            let mut service = self.over(state, &common);
            let with_it = recent.iter().zip(&shown).filter(|(_, shown)| shown.contains(&state.id()));
            let short: Vec<(&Snapshot, Service)> =
                with_it.map(|(other, _)| (&other.frame, self.over(state, &other.common))).collect();
            verdict::judge_service(&frame, &mut service, &short);
            services.push(service);
        }
        Snapshot { services, ..frame }
    }

    fn over(&self, state: &ServiceState, common: &Common<'_>) -> Service {
        let sums = common.counted.of(state.id()).map(|own| own.over(common.moment.stretch));
        self.service(state, sums.unwrap_or_default(), common, View::Report)
    }

    /// The shorter stretches, the shortest first.
    fn recent<'a>(
        &'a self,
        kernel: &KernelState,
        length: Option<Duration>,
        counted: &'a Counted<'a>,
    ) -> Vec<OpenStretch<'a>> {
        verdict::shorter_spans(length).map(|span| self.short(kernel, span, counted)).collect()
    }

    /// A shorter stretch.
    fn short<'a>(
        &'a self,
        kernel: &KernelState,
        span: Duration,
        counted: &'a Counted<'a>,
    ) -> OpenStretch<'a> {
        let stretch = self.stretch(kernel, Some(span));
        let moment = Moment::new(kernel, stretch, counted);
        OpenStretch {
            frame: self.frame(kernel, stretch, Vec::new()),
            common: Common { moment, counted, pod_detail: None, history: ConnectionHistory::default() },
            states: by_name(self.smallest(counted, stretch)),
        }
    }

    /// The stretch that is asked for, with every Service.
    fn whole<'a>(
        &'a self,
        kernel: &KernelState,
        length: Option<Duration>,
        counted: &'a Counted<'a>,
    ) -> OpenStretch<'a> {
        let stretch = self.stretch(kernel, length);
        let start = match stretch {
            Stretch::All => Slot::start(kernel.to, LONGEST).max(self.oldest_slot),
            Stretch::Since(start) => start,
        };
        let time = (kernel.began, kernel.to);
        let history = ConnectionHistory::of(&self.reconciler.ledger, start, time, self.wall_offset);
        let moment = Moment::new(kernel, stretch, counted);
        let states = by_name(self.topology.services().collect());
        let sizes = states.iter().filter_map(|state| Some(counted.of(state.id())?.size(stretch)));
        let clients = sizes.map(|(clients, _)| clients).sum();
        OpenStretch {
            frame: Snapshot { unreached: self.unreached(stretch), ..self.frame(kernel, stretch, Vec::new()) },
            common: Common { moment, counted, pod_detail: Some(self.pod_detail(clients)), history },
            states,
        }
    }

    /// The Services with clients, the smallest first, as far as all of their rows together have room. Each endpoint has a
    /// row, and each client has one for each endpoint. Several stretches are looked at every few seconds.
    fn smallest(&self, counted: &Counted<'_>, stretch: Stretch) -> Vec<&ServiceState> {
        let rows = |state: &ServiceState| {
            let (clients, cells) = counted.of(state.id())?.size(stretch);
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

    /// The time at which observation began, by the present wall clock. All times of a snapshot are by that clock, so
    /// the time between two of them is that of the monotonic clock, also if the wall clock was set in between.
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
            zone: self.topology.node_zone().map(ToString::to_string),
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

/// In the order of a snapshot.
fn by_name(mut states: Vec<&ServiceState>) -> Vec<&ServiceState> {
    states.sort_by_key(|state| state.key());
    states
}
