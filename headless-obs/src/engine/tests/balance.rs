//! The sum of all cells equals the sum of the kernel's totals, also after losses and changes of topology and answers.
//! Every attempt is in exactly one place of the account.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::expose::snapshot::AttemptSums;
use crate::windowed::{Slot, Stretch};

/// An event, and whether the ring loses it.
#[derive(Clone, Debug)]
enum Step {
    ConnectAttempt {
        client: u8,
        pod: u8,
        outcome: Outcome,
        arrives: bool,
    },
    /// Ends one of the open connections.
    Close {
        which: prop::sample::Index,
        reset: bool,
        arrives: bool,
    },
    Resolve {
        client: u8,
        backup: bool,
    },
    /// An attempt to a destination that may be anything.
    Stray {
        client: u8,
        destination: u8,
        outcome: Outcome,
        arrival: Arrival,
    },
    /// An answer that lists an address that may be no endpoint.
    ResolveMore {
        client: u8,
    },
    /// The endpoints of `orders` from now on: a bit per pod.
    Endpoints {
        pods: u8,
    },
    Reconcile,
    Expire,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Open,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Arrival {
    InTime,
    /// After the totals.
    Late,
    Never,
}

/// An unrelated address, one that only answers listed, a wrong port, and the address of a pod that comes and goes.
const STRAY: [(&str, u16); 4] =
    [("192.0.2.1", PORT), ("10.0.0.8", PORT), ("10.0.0.1", 81), ("10.0.0.9", PORT)];

/// The same, with strays.
fn stray_steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![3 => Just(Outcome::Open), 1 => Just(Outcome::Refused)];
    let arrival =
        prop_oneof![2 => Just(Arrival::InTime), 1 => Just(Arrival::Late), 1 => Just(Arrival::Never)];
    let stray = prop_oneof![
        4 => (1..4_u8, 0..4_u8, outcome, arrival).prop_map(|(client, destination, outcome, arrival)| {
            Step::Stray { client, destination, outcome, arrival }
        }),
        2 => (1..4_u8).prop_map(|client| Step::ResolveMore { client }),
        1 => (0..16_u8).prop_map(|pods| Step::Endpoints { pods }),
    ];
    let all = (steps(), prop::collection::vec((any::<prop::sample::Index>(), stray), 0..120));
    all.prop_map(|(mut steps, strays)| {
        strays.into_iter().for_each(|(place, stray)| steps.insert(place.index(steps.len() + 1), stray));
        steps
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![3 => Just(Outcome::Open), 1 => Just(Outcome::Refused)];
    let step = prop_oneof![
        6 => (1..4_u8, 0..3_u8, outcome, any::<bool>())
            .prop_map(|(client, pod, outcome, arrives)| Step::ConnectAttempt { client, pod, outcome, arrives }),
        5 => (any::<prop::sample::Index>(), any::<bool>(), any::<bool>())
            .prop_map(|(which, reset, arrives)| Step::Close { which, reset, arrives }),
        2 => (1..4_u8, any::<bool>()).prop_map(|(client, backup)| Step::Resolve { client, backup }),
        1 => (0..8_u8).prop_map(|pods| Step::Endpoints { pods }),
        2 => Just(Step::Reconcile),
        1 => Just(Step::Expire),
    ];
    prop::collection::vec(step, 0..120)
}

const ADDRESSES: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

struct Kernel {
    world: World,
    open: Vec<Dialled>,
    totals: BTreeMap<[u8; 34], (FlowKey, FlowTotals)>,
    /// Records that arrive after the totals.
    late: Vec<TcpRecord>,
}

impl Kernel {
    fn totals(&mut self, Dialled(record): Dialled) -> &mut FlowTotals {
        let key = FlowKey {
            cgroup: record.header.cgroup,
            source: record.source,
            destination: record.destination,
            port: record.port,
            _pad: [0; 6],
        };
        let mut order = [0; 34];
        order[..16].copy_from_slice(&record.source);
        order[16..32].copy_from_slice(&record.destination);
        order[32..].copy_from_slice(&record.port.to_be_bytes());
        &mut self
            .totals
            .entry(order)
            .or_insert((key, FlowTotals { comm: record.comm, ..Default::default() }))
            .1
    }

    fn reconcile(&mut self) {
        let read: Vec<_> = self.totals.values().copied().collect();
        let now = self.world.tick();
        self.world.engine.reconcile(now, &read);
        for record in std::mem::take(&mut self.late) {
            self.world.engine.on_tcp(&record);
            // The ring keeps the order of one socket's records, so its end comes later still.
            if record.header.kind == KIND_OPENED {
                self.open.push(Dialled(record));
            }
        }
    }

    fn stray(&mut self, Dialled(record): Dialled, outcome: Outcome, arrival: Arrival) {
        let (kind, why) = match outcome {
            Outcome::Open => (KIND_OPENED, reason::NONE),
            Outcome::Refused => (KIND_FAILED, reason::REFUSED),
        };
        let totals = self.totals(Dialled(record));
        match outcome {
            Outcome::Open => totals.opened += 1,
            Outcome::Refused => totals.failed[usize::from(reason::REFUSED)] += 1,
        }
        let header = Header { kind, time: self.world.tick().0, ..record.header };
        let told = TcpRecord { header, reason: why, ..record };
        match arrival {
            Arrival::InTime => self.world.engine.on_tcp(&told),
            Arrival::Late => self.late.push(told),
            Arrival::Never => {}
        }
        if outcome == Outcome::Open && arrival != Arrival::Late {
            self.open.push(Dialled(record));
        }
    }

    /// Attempts in the totals.
    fn attempts(&self) -> u64 {
        let resets = usize::from(reason::RESET);
        let of =
            |totals: &FlowTotals| totals.opened + totals.failed.iter().sum::<u64>() - totals.failed[resets];
        self.totals.values().map(|(_, totals)| of(totals)).sum()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::ConnectAttempt { client, pod, outcome, arrives } => {
                let dialled = self.world.dial(client, ADDRESSES[usize::from(pod)]);
                if outcome == Outcome::Open {
                    self.totals(dialled).opened += 1;
                    self.open.push(dialled);
                    if arrives {
                        self.world.open(dialled);
                    }
                } else {
                    self.totals(dialled).failed[usize::from(reason::REFUSED)] += 1;
                    if arrives {
                        self.world.fail(dialled, reason::REFUSED);
                    }
                }
            }
            Step::Close { which, reset, arrives } if !self.open.is_empty() => {
                let dialled = self.open.swap_remove(which.index(self.open.len()));
                let totals = self.totals(dialled);
                totals.closed += 1;
                if reset {
                    totals.failed[usize::from(reason::RESET)] += 1;
                } else {
                    totals.bytes_sent += 10;
                    totals.bytes_received += 20;
                }
                match arrives {
                    true if reset => self.world.reset(dialled),
                    true => self.world.close(dialled),
                    false => {}
                }
            }
            Step::Close { .. } => {}
            Step::Resolve { client, backup } => {
                let name = if backup { "backup.shop.svc.cluster.local" } else { ORDERS };
                self.world.resolve(client, name, &ADDRESSES);
            }
            Step::Endpoints { pods: bits } => {
                let all = pods(3).into_iter().chain([ready("orders-9", "10.0.0.9")]);
                let named: Vec<_> = (0_u8..).zip(all).filter(|(n, _)| bits & (1 << n) != 0).collect();
                self.world.apply(orders(&named.into_iter().map(|(_, pod)| pod).collect::<Vec<_>>()));
            }
            Step::Stray { client, destination, outcome, arrival } => {
                let (address, port) = STRAY[usize::from(destination)];
                let Dialled(record) = self.world.dial(client, address);
                self.stray(Dialled(TcpRecord { port, ..record }), outcome, arrival);
            }
            Step::ResolveMore { client } => {
                self.world.resolve(client, ORDERS, &["10.0.0.1", "10.0.0.8", "10.0.0.9"]);
            }
            Step::Reconcile => self.reconcile(),
            Step::Expire => {
                let now = self.world.time();
                self.world.engine.expire(now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn the_sum_of_all_cells_is_the_sum_of_the_totals(is_told in any::<bool>(), steps in steps()) {
        // `backup` always has every address, so each address belongs to some Service.
        let world = World::new([service("backup", &pods(3)), orders(&pods(3))]);
        let mut kernel = Kernel { world, open: Vec::new(), totals: BTreeMap::new(), late: Vec::new() };
        if is_told {
            (1..4).for_each(|client| kernel.step(Step::Resolve { client, backup: client == 1 }));
        }
        steps.into_iter().for_each(|step| kernel.step(step));
        kernel.reconcile();

        let nobodys: u64 = kernel.world.engine.account.over(Stretch::All).unattributed().map(|(_, count)| count).sum();
        let cells = || kernel.world.engine.reconciler.ledger.cells().map(|(_, cell)| cell.total());
        let sum = |figure: fn(&FlowTotals) -> u64| kernel.totals.values().map(|(_, totals)| figure(totals)).sum::<u64>();
        let refused = cells().map(|cell| cell.failed[usize::from(reason::REFUSED)]).sum::<u64>();
        let opened = cells().map(|cell| cell.opened).sum::<u64>();
        prop_assert_eq!(opened + refused + nobodys, sum(|totals| totals.opened + totals.failed[0]));
        prop_assert!(nobodys == 0 || !is_told);
        if nobodys == 0 {
            prop_assert_eq!(opened, sum(|totals| totals.opened));
            prop_assert_eq!(cells().map(|cell| cell.closed).sum::<u64>(), sum(|totals| totals.closed));
            prop_assert_eq!(cells().map(|cell| cell.failures()).sum::<u64>(), sum(|totals| totals.failed.iter().sum()));
            prop_assert_eq!(cells().map(|cell| cell.bytes_sent).sum::<u64>(), sum(|totals| totals.bytes_sent));
            prop_assert_eq!(cells().map(|cell| cell.opened + cell.preexisting - cell.closed).sum::<u64>(), kernel.open.len() as u64);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn every_attempt_is_in_one_place_of_the_account(is_synced in any::<bool>(), steps in stray_steps()) {
        let mut world = World::new([orders(&pods(3))]);
        world.apply(Change::Synced(is_synced));
        let mut kernel =
            Kernel { world, open: Vec::new(), totals: BTreeMap::new(), late: Vec::new() };
        let over = |kernel: &Kernel, stretch| kernel.world.engine.quality(&kernel.world.kernel(), stretch).attempts;
        let account = |kernel: &Kernel| over(kernel, Stretch::All);
        let of_last = |kernel: &Kernel, seconds| {
            let start = Slot::start(kernel.world.time(), Duration::from_secs(seconds));
            over(kernel, Stretch::Since(start))
        };
        let sample = |kernel: &mut Kernel| {
            let totals = kernel.world.engine.totals(&kernel.world.kernel());
            kernel.world.engine.sampled.read(kernel.world.time(), totals);
        };
        // A stretch has a beginning.
        kernel.world.pass(Duration::from_secs(10_000));
        for step in steps {
            // A minute passes, so what waits gives up.
            if matches!(step, Step::Expire) {
                kernel.world.pass(Duration::from_secs(60));
            }
            let is_due = matches!(step, Step::Expire | Step::Reconcile | Step::Endpoints { .. });
            kernel.step(step);
            if is_due {
                sample(&mut kernel);
                let sums = [of_last(&kernel, 10), of_last(&kernel, 60), of_last(&kernel, 600), account(&kernel)];
                prop_assert!(sums.iter().all(AttemptSums::is_closed), "{:?}", sums);
                prop_assert!(sums.is_sorted_by_key(|sums| sums.seen), "a longer stretch has no less: {:?}", sums);
            }
        }
        kernel.reconcile();
        let sums = account(&kernel);
        let ignored = kernel.world.kernel().counters["ignored"];
        prop_assert!(sums.is_closed(), "{:?}", sums);
        prop_assert_eq!(sums.seen, kernel.attempts() + ignored);
        let cells = kernel.world.engine.reconciler.ledger.cells();
        let booked = cells.map(|(_, cell)| cell.total()).map(|cell| cell.opened + cell.failures() - cell.failed[usize::from(reason::RESET)]);
        prop_assert_eq!(sums.attributed, booked.sum::<u64>());
        sample(&mut kernel);
        kernel.world.pass(Duration::from_secs(3_600));
        let (quiet, waiting) = (of_last(&kernel, 900), kernel.world.engine.account.waiting());
        prop_assert_eq!(quiet, AttemptSums { seen: waiting, waiting, ..AttemptSums::default() });
        prop_assert_eq!(account(&kernel), sums, "nothing is forgotten in all");
    }
}
