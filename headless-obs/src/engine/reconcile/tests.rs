//! The ledger ends up equal to the totals, also if records are lost or late.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::attribution::{AnswerRef, Target};
use crate::client::WorkloadId;
use crate::service_resolution::Resolution;
use crate::topology::{EndpointId, EndpointRef, ServiceId};
use headless_obs_ebpf::reading::Reading;
use headless_obs_ebpf::ring_record::{Header, KIND_CLOSED, KIND_OPENED};

const PORTS: u16 = 3;

fn record(kind: u32, socket: u64, started: u64, port: u16, time: u64) -> TcpRecord {
    TcpRecord {
        header: Header { kind, length: 0, time, cgroup: 1 },
        source: [0; 16],
        destination: [0; 16],
        port,
        _pad: [0; 6],
        socket,
        started,
        bytes_sent: 0,
        bytes_received: 0,
        sent_to: [0; 16],
        comm: [0; 16],
        tgid: 1,
        reason: reason::NONE,
        in_flow_totals: 1,
        ended_by_peer: 0,
        _end: 0,
        segments_sent: 0,
        segments_received: 0,
        retransmitted: 0,
        rtt: 0,
    }
}

fn flow(port: u16) -> FlowKey {
    flow_of(&record(0, 0, 0, port, 0))
}

fn booking(port: u16) -> Booking {
    let endpoint = EndpointRef { service: ServiceId(1), endpoint: EndpointId(u32::from(port)) };
    let resolution = Resolution::Service;
    let cell = CellKey { endpoint, client: Some(WorkloadId(1)), port, resolution };
    let used_answer =
        AnswerRef { at: Time(0), position: 0, size: 1, ttl: 5, truncated: false, nearest: 0, is_near: false };
    let target =
        Target { endpoint, resolution, used_answer: Some(used_answer), stale: None, is_other_port: false };
    let (at, grace) = (Time(0), Duration::ZERO);
    Some((cell, LedgerEntry { target, at, grace, is_selection: false }))
}

fn cell(reconciler: &mut FlowReconciler, port: u16) -> crate::ledger::Cell {
    let (cell, _) = booking(port).unwrap();
    reconciler
        .ledger
        .cells()
        .find(|(key, _)| **key == cell)
        .map_or_else(crate::ledger::Cell::default, |(_, cell)| cell.total())
}

/// A connection of a socket.
#[derive(Clone, Copy, Debug)]
struct Living {
    started: u64,
    port: u16,
    source_port: u16,
    load: Load,
}

/// A count as the kernel has it for one connection.
fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap()
}

/// A message of this many bytes to the server, and its response.
fn message(bytes: u64) -> Load {
    Load {
        bytes_sent: bytes,
        bytes_received: 2 * bytes,
        segments_sent: 1,
        segments_received: 3,
        retransmitted: bytes % 2,
    }
}

/// The kernel: it produces records, some of which are lost, and adds to the totals a little later.
#[derive(Default)]
struct Kernel {
    now: u64,
    living: BTreeMap<u64, Living>,
    /// Counts up with each connection: every one has another source port.
    source_port: u16,
    ring: VecDeque<TcpRecord>,
    /// Changes with a record in the ring that the totals do not include yet.
    bumps: VecDeque<TcpRecord>,
    totals: BTreeMap<u16, FlowTotals>,
}

impl Kernel {
    fn submit(&mut self, record: TcpRecord, arrives: bool) {
        if arrives {
            self.ring.push_back(record);
        }
        self.bumps.push_back(record);
    }

    fn bump(&mut self, count: usize) {
        for record in self.bumps.drain(..count.min(self.bumps.len())) {
            let totals = self.totals.entry(record.port).or_default();
            totals.opened += u64::from(record.header.kind == KIND_OPENED);
            totals.closed += u64::from(record.header.kind == KIND_CLOSED);
            book_load(totals, (&record).into());
            if let Some(failed) = totals.failed.get_mut(usize::from(record.reason)) {
                *failed += 1;
            }
        }
    }

    fn open(&mut self, socket: u64, port: u16, arrives: bool) {
        if self.living.contains_key(&socket) {
            return;
        }
        let load = Load::NONE;
        self.source_port += 1;
        let living = Living { started: self.now, port, source_port: self.source_port, load };
        self.living.insert(socket, living);
        self.submit(record(KIND_OPENED, socket, self.now, port, self.now), arrives);
    }

    fn close(&mut self, socket: u64, arrives: bool, reset: bool) {
        let Some(Living { started, port, load, .. }) = self.living.remove(&socket) else { return };
        let load = load.plus(message(10));
        let reason = if reset { reason::RESET } else { reason::NONE };
        let closed = record(KIND_CLOSED, socket, started, port, self.now);
        let closed = TcpRecord {
            bytes_sent: load.bytes_sent,
            bytes_received: load.bytes_received,
            segments_sent: narrow(load.segments_sent),
            segments_received: narrow(load.segments_received),
            retransmitted: narrow(load.retransmitted),
            reason,
            ..closed
        };
        self.submit(closed, arrives);
    }

    /// The iterator's records, except those of the sockets that it misses.
    fn readings(&self, missed: &[u64]) -> Vec<Reading> {
        let read = self.living.iter().filter(|(socket, _)| !missed.contains(socket));
        read.map(|(socket, living)| Reading {
            flow: flow(living.port),
            socket: *socket,
            started: living.started,
            bytes_sent: living.load.bytes_sent,
            bytes_received: living.load.bytes_received,
            segments_sent: narrow(living.load.segments_sent),
            segments_received: narrow(living.load.segments_received),
            retransmitted: narrow(living.load.retransmitted),
            rtt: 1,
            min_rtt: 1,
            unsent: 0,
            unacknowledged: 0,
            source_port: living.source_port,
            _pad: 0,
        })
        .collect()
    }

    fn fail(&mut self, port: u16, arrives: bool) {
        let failed = record(KIND_FAILED, 99, self.now, port, self.now);
        self.submit(TcpRecord { reason: reason::TIMEOUT, ..failed }, arrives);
    }

    /// The daemon takes all records except the newest `hidden` ones.
    fn drain(&mut self, reconciler: &mut FlowReconciler, hidden: usize) {
        for record in self.ring.drain(..self.ring.len().saturating_sub(hidden)) {
            let booking = booking(record.port);
            match record.header.kind {
                KIND_OPENED => _ = reconciler.opened(&record, booking),
                KIND_CLOSED => _ = reconciler.closed(&record, |_| booking),
                _ => _ = reconciler.failed(&record, booking, false),
            }
        }
    }

    fn read(&self) -> (Time, Vec<(FlowKey, FlowTotals)>) {
        (Time(self.now), self.totals.iter().map(|(port, totals)| (flow(*port), *totals)).collect())
    }
}

/// A round of readings.
fn walk(reconciler: &mut FlowReconciler, kernel: &Kernel, missed: &[u64]) {
    reconciler.begin_round();
    for reading in kernel.readings(missed) {
        reconciler.read(Time(kernel.now), &reading);
    }
}

fn load(cell: &crate::ledger::Cell) -> Load {
    Load {
        bytes_sent: cell.bytes_sent,
        bytes_received: cell.bytes_received,
        segments_sent: cell.segments_sent,
        segments_received: cell.segments_received,
        retransmitted: cell.retransmitted,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Open {
        socket: u64,
        port: u16,
        arrives: bool,
    },
    Close {
        socket: u64,
        arrives: bool,
        reset: bool,
    },
    Fail {
        port: u16,
        arrives: bool,
    },
    /// A connection carries a message of this many bytes.
    Carry {
        socket: u64,
        bytes: u64,
    },
    /// The kernel adds this number of records to the totals.
    Bump(usize),
    /// The daemon drains the ring.
    Drain,
    /// The daemon reads the totals and then the open connections, some of which are missed. It drains the ring later
    /// except for some records, and reconciles.
    Read {
        missed: Vec<u64>,
    },
    Reconcile {
        hidden: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (socket, port) = (0..8_u64, 0..PORTS);
    let step = prop_oneof![
        6 => (socket.clone(), port.clone(), any::<bool>())
            .prop_map(|(socket, port, arrives)| Step::Open { socket, port, arrives }),
        6 => (socket.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(socket, arrives, reset)| Step::Close { socket, arrives, reset }),
        5 => (socket.clone(), 0..1_000_u64).prop_map(|(socket, bytes)| Step::Carry { socket, bytes }),
        2 => (port, any::<bool>()).prop_map(|(port, arrives)| Step::Fail { port, arrives }),
        3 => (1..6_usize).prop_map(Step::Bump),
        2 => Just(Step::Drain),
        1 => prop::collection::vec(socket, 0..3).prop_map(|missed| Step::Read { missed }),
        1 => prop_oneof![2 => Just(0), 1 => 0..6_usize].prop_map(|hidden| Step::Reconcile { hidden }),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_ledger_equals_the_totals(
        older in prop::collection::btree_map(0..8_u64, 0..PORTS, 0..4),
        steps in steps(),
        reads_first in any::<bool>(),
    ) {
        let (mut reconciler, mut kernel) = (FlowReconciler::new(1000), Kernel::default());
        for (socket, port) in &older {
            kernel.source_port += 1;
            let (source_port, load) = (kernel.source_port, message(7));
            kernel.living.insert(*socket, Living { started: 0, port: *port, source_port, load });
            reconciler.adopted(Time(0), *socket, flow(*port), booking(*port));
        }
        if reads_first {
            walk(&mut reconciler, &kernel, &[]);
        }
        let (mut reading, mut is_round) = (kernel.read(), false);
        for step in steps {
            kernel.now += 1;
            match step {
                Step::Open { socket, port, arrives } => kernel.open(socket, port, arrives),
                Step::Close { socket, arrives, reset } => kernel.close(socket, arrives, reset),
                Step::Fail { port, arrives } => kernel.fail(port, arrives),
                Step::Bump(count) => kernel.bump(count),
                Step::Drain => kernel.drain(&mut reconciler, 0),
                Step::Read { missed } => {
                    reading = kernel.read();
                    walk(&mut reconciler, &kernel, &missed);
                    is_round = true;
                }
                Step::Carry { socket, bytes } => {
                    if let Some(living) = kernel.living.get_mut(&socket) {
                        living.load = living.load.plus(message(bytes));
                    }
                }
                Step::Reconcile { hidden } => {
                    kernel.drain(&mut reconciler, hidden);
                    if std::mem::take(&mut is_round) {
                        reconciler.end_round();
                    }
                    reconciler.reconcile(reading.0, &reading.1, |_, key, _, _| booking(key.port));
                }
            }
        }
        kernel.now += 1;
        kernel.bump(usize::MAX);
        kernel.drain(&mut reconciler, 0);
        // The first time brings the openings that were lost, the second time what those have carried.
        for _ in 0..2 {
            let (read_at, totals) = kernel.read();
            walk(&mut reconciler, &kernel, &[]);
            reconciler.end_round();
            reconciler.reconcile(read_at, &totals, |_, key, _, _| booking(key.port));
        }

        for (port, total) in &kernel.totals {
            let cell = cell(&mut reconciler, *port);
            let preexisting = older.values().filter(|older| *older == port).count() as u64;
            prop_assert_eq!((cell.opened, cell.preexisting), (total.opened, preexisting));
            prop_assert_eq!((cell.closed, cell.failed), (total.closed, total.failed));
            let open = kernel.living.values().filter(|living| living.port == *port);
            let carried = open.map(|living| living.load).fold(Load::from(total), Load::plus);
            prop_assert_eq!(load(&cell).plus(cell.before()), carried);
            if reads_first {
                let before = (0..preexisting).map(|_| message(7)).fold(Load::NONE, Load::plus);
                prop_assert_eq!(cell.before(), before);
            }
            let living = kernel.living.values().filter(|living| living.port == *port).count() as u64;
            let flow = &reconciler.flows[&flow(*port)];
            prop_assert_eq!((cell.opened + cell.preexisting - cell.closed, flow.open()), (living, living));
        }
    }
}

fn reconcile(reconciler: &mut FlowReconciler, read_at: u64, totals: FlowTotals) -> Vec<u64> {
    let (mut asked, totals) = (Vec::new(), [(flow(0), totals)]);
    let has_unseen_totals = reconciler.has_unseen_totals(&totals);
    reconciler.reconcile(Time(read_at), &totals, |_, key, _, connections| {
        asked.push(connections);
        booking(key.port)
    });
    assert_eq!((has_unseen_totals, reconciler.has_unseen_totals(&totals)), (!asked.is_empty(), false));
    asked
}

#[test]
fn nothing_lost_is_nothing_late() {
    let mut reconciler = FlowReconciler::new(1000);
    reconciler.opened(&record(KIND_OPENED, 1, 5, 0, 6), booking(0));
    assert!(reconcile(&mut reconciler, 7, FlowTotals { opened: 1, ..FlowTotals::default() }).is_empty());
    assert!(reconcile(&mut reconciler, 8, FlowTotals::default()).is_empty(), "totals from before the record");
    let cell = cell(&mut reconciler, 0);
    assert_eq!((cell.opened, cell.reconciled), (1, 0));
}

#[test]
fn a_lost_reset_is_a_failure_but_no_attempt() {
    let mut reconciler = FlowReconciler::new(1000);
    reconciler.opened(&record(KIND_OPENED, 1, 5, 0, 6), booking(0));
    let mut totals = FlowTotals { opened: 1, closed: 1, ..FlowTotals::default() };
    totals.failed[usize::from(reason::RESET)] = 1;
    assert_eq!(reconcile(&mut reconciler, 7, totals), [0]);
    let cell = cell(&mut reconciler, 0);
    assert_eq!((cell.opened, cell.closed, cell.failures(), cell.positions), (1, 1, 1, vec![1]));
}

#[test]
fn a_record_that_was_held_up_adds_detail_and_nothing_else() {
    let mut reconciler = FlowReconciler::new(1000);
    let mut totals = FlowTotals { opened: 2, closed: 1, bytes_sent: 10, ..FlowTotals::default() };
    totals.failed[usize::from(reason::TIMEOUT)] = 1;
    reconcile(&mut reconciler, 9, totals);
    let before = cell(&mut reconciler, 0);
    assert_eq!((before.opened, before.closed, before.bytes_sent, before.failures()), (2, 1, 10, 1));

    reconciler.opened(&record(KIND_OPENED, 1, 5, 0, 6), booking(0));
    reconciler.opened(&record(KIND_OPENED, 2, 5, 0, 7), booking(0));
    reconciler.closed(&TcpRecord { bytes_sent: 10, ..record(KIND_CLOSED, 1, 5, 0, 8) }, |_| None);
    reconciler.failed(
        &TcpRecord { reason: reason::TIMEOUT, ..record(KIND_FAILED, 3, 5, 0, 8) },
        booking(0),
        false,
    );
    assert_eq!(cell(&mut reconciler, 0), before);

    reconciler.closed(&TcpRecord { bytes_sent: 1, ..record(KIND_CLOSED, 2, 5, 0, 20) }, |_| None);
    let after = cell(&mut reconciler, 0);
    assert_eq!((after.opened, after.closed, after.bytes_sent), (2, 2, 11), "one that ends later is booked");
}

#[test]
fn a_record_that_was_held_up_may_take_the_wrong_one_for_open() {
    let mut reconciler = FlowReconciler::new(1000);
    reconcile(&mut reconciler, 9, FlowTotals { opened: 2, closed: 1, ..FlowTotals::default() });
    // The guess takes the wrong connection as ended.
    reconciler.opened(&record(KIND_OPENED, 1, 5, 0, 6), booking(0));
    reconciler.closed(&record(KIND_CLOSED, 2, 7, 0, 20), |_| panic!("its opening is booked"));
    let found = cell(&mut reconciler, 0);
    assert_eq!((found.opened, found.closed, reconciler.flows[&flow(0)].open()), (2, 2, 0));
}

#[test]
fn what_is_taken_to_have_ended_is_remembered_while_something_unread_may_be_open() {
    let mut reconciler = FlowReconciler::new(1000);
    reconciler.adopted(Time(0), 1, flow(0), booking(0));
    let totals = FlowTotals { opened: 1, closed: 1, ..FlowTotals::default() };
    // The end was another's. So are the connection that arrives now and an opening that no reading has brought yet.
    reconcile(&mut reconciler, 9, totals);
    reconciler.closed(&record(KIND_CLOSED, 2, 10, 0, 20), |_| None);
    reconcile(&mut reconciler, 9, totals);
    reconciler.closed(&record(KIND_CLOSED, 1, 0, 0, 30), |_| panic!("it was adopted"));
    reconcile(&mut reconciler, 31, FlowTotals { opened: 2, closed: 3, ..FlowTotals::default() });
    let found = cell(&mut reconciler, 0);
    assert_eq!((found.opened, found.preexisting, found.closed), (2, 1, 3));
}

#[test]
fn an_end_that_was_held_up_over_two_readings_is_booked_once() {
    let mut reconciler = FlowReconciler::new(1000);
    reconciler.adopted(Time(0), 1, flow(0), booking(0));
    for read_at in [9, 10] {
        reconcile(&mut reconciler, read_at, FlowTotals { closed: 1, ..FlowTotals::default() });
    }
    reconciler.closed(&record(KIND_CLOSED, 1, 0, 0, 8), |_| panic!("it was adopted"));
    let found = cell(&mut reconciler, 0);
    assert_eq!((found.preexisting, found.closed), (1, 1));
}

#[test]
fn what_flows_had_no_room_for_hides_no_loss_later() {
    let mut reconciler = FlowReconciler::new(1000);
    let untracked_by_kernel = |record: TcpRecord| TcpRecord { in_flow_totals: 0, ..record };
    reconciler.opened(&untracked_by_kernel(record(KIND_OPENED, 1, 5, 0, 6)), booking(0));
    reconciler.failed(&untracked_by_kernel(record(KIND_FAILED, 2, 5, 0, 6)), booking(0), false);
    assert!(reconciler.flows.is_empty(), "no more flows than the kernel has");
    // There is room now, and the record is lost.
    reconcile(&mut reconciler, 9, FlowTotals { opened: 1, ..FlowTotals::default() });
    reconciler.closed(&record(KIND_CLOSED, 1, 5, 0, 10), |_| None);
    let found = cell(&mut reconciler, 0);
    assert_eq!((found.opened, found.reconciled, found.closed), (2, 1, 1));
    assert!(reconciler.idle(Time(1 << 60), Duration::ZERO).is_empty(), "the other one is open");
    assert!(
        reconcile(&mut reconciler, 11, FlowTotals { opened: 1, closed: 1, ..FlowTotals::default() })
            .is_empty()
    );
    assert!(reconciler.untracked_by_kernel.is_empty());
}

#[test]
fn the_end_of_an_older_connection_that_nobody_told_of_opens_nothing() {
    let mut reconciler = FlowReconciler::new(1000);
    reconciler.closed(&record(KIND_CLOSED, 1, 0, 0, 6), |_| booking(0));
    let cell = cell(&mut reconciler, 0);
    assert_eq!((cell.opened, cell.preexisting, cell.closed, cell.reconciled), (0, 1, 1, 0));
    assert!(reconcile(&mut reconciler, 7, FlowTotals { closed: 1, ..FlowTotals::default() }).is_empty());
}

#[test]
fn idle_flows_are_found_and_forgotten_with_what_they_took_for_ended() {
    let mut reconciler = FlowReconciler::new(1000);
    let idle = Duration::from_nanos(600);
    for socket in [1, 2] {
        reconciler.opened(&record(KIND_OPENED, socket, 5, 0, 6), booking(0));
    }
    reconcile(&mut reconciler, 10, FlowTotals { opened: 2, closed: 1, ..FlowTotals::default() });
    assert!(reconciler.idle(Time(1000), idle).is_empty(), "one is open");
    let last = FlowTotals { opened: 2, closed: 2, ..FlowTotals::default() };
    reconcile(&mut reconciler, 20, last);
    assert!(reconciler.idle(Time(619), idle).is_empty());
    assert_eq!(reconciler.idle(Time(620), idle), [(flow(0), last)]);
    assert_eq!(reconciler.sockets.len(), 2);
    reconciler.forget(flow(0));
    assert_eq!((reconciler.sockets.len(), reconciler.flows.len()), (0, 0));
}
