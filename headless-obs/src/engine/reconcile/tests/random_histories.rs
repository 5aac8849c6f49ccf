//! Random histories of a kernel that loses and delays records: the ledger ends up equal to the totals.

use std::collections::{BTreeMap, VecDeque};

use headless_obs_ebpf::reading::Reading;
use proptest::prelude::*;

use super::*;

const PORTS: u16 = 3;

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

/// Steps in which a round of readings misses up to so many connections, and so many records come after the totals that
/// include them.
fn steps(missed: usize, hidden: usize) -> impl Strategy<Value = Vec<Step>> {
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
        1 => prop::collection::vec(socket, 0..=missed).prop_map(|missed| Step::Read { missed }),
        1 => prop_oneof![2 => Just(0), 1 => 0..=hidden].prop_map(|hidden| Step::Reconcile { hidden }),
    ];
    prop::collection::vec(step, 0..200)
}

/// Connections that are older than the daemon, by socket, with their ports.
type Older = BTreeMap<u64, u16>;

/// Plays a history up to its end, when every change has come to the totals and everything has been read.
fn play(older: &Older, steps: Vec<Step>, reads_first: bool) -> (FlowReconciler, Kernel) {
    let (mut reconciler, mut kernel) = (FlowReconciler::new(1000), Kernel::default());
    for (socket, port) in older {
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
    (reconciler, kernel)
}

/// The number of open connections to a port.
fn living(kernel: &Kernel, port: u16) -> u64 {
    kernel.living.values().filter(|living| living.port == port).count() as u64
}

fn older() -> impl Strategy<Value = Older> {
    prop::collection::btree_map(0..8_u64, 0..PORTS, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_ledger_equals_the_totals(older in older(), steps in steps(0, 0), reads_first in any::<bool>()) {
        let (mut reconciler, kernel) = play(&older, steps, reads_first);
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
            let (living, flow) = (living(&kernel, *port), &reconciler.flows[&flow(*port)]);
            prop_assert_eq!((cell.opened + cell.preexisting - cell.closed, flow.open()), (living, living));
        }
    }

    /// A reading that misses a connection, together with lost records, leaves it open which connection carried what. The
    /// counts stay exact.
    #[test]
    fn readings_that_miss_connections_leave_the_counts_exact(
        older in older(), steps in steps(2, 0), reads_first in any::<bool>(),
    ) {
        let (mut reconciler, kernel) = play(&older, steps, reads_first);
        for (port, total) in &kernel.totals {
            let cell = cell(&mut reconciler, *port);
            prop_assert_eq!((cell.opened, cell.closed, cell.failed), (total.opened, total.closed, total.failed));
            prop_assert_eq!(reconciler.flows[&flow(*port)].open(), living(&kernel, *port));
        }
    }

    /// A record that comes late, of a flow that has lost others, may be taken for another one's. No opening is counted
    /// twice, and no attempt.
    #[test]
    fn records_that_come_late_are_not_counted_twice(
        older in older(), steps in steps(0, 5), reads_first in any::<bool>(),
    ) {
        let (mut reconciler, kernel) = play(&older, steps, reads_first);
        for (port, total) in &kernel.totals {
            let cell = cell(&mut reconciler, *port);
            let timeout = usize::from(reason::TIMEOUT);
            prop_assert_eq!((cell.opened, cell.failed[timeout]), (total.opened, total.failed[timeout]));
        }
    }
}
