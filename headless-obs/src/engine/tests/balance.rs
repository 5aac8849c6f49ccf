//! The sum of all cells equals the sum of the kernel's totals, also after losses and changes of topology and answers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
                let named: Vec<_> = (0_u8..).zip(pods(3)).filter(|(n, _)| bits & (1 << n) != 0).collect();
                self.world.apply(orders(&named.into_iter().map(|(_, pod)| pod).collect::<Vec<_>>()));
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
        let mut kernel = Kernel { world, open: Vec::new(), totals: BTreeMap::new() };
        if is_told {
            (1..4).for_each(|client| kernel.step(Step::Resolve { client, backup: client == 1 }));
        }
        steps.into_iter().for_each(|step| kernel.step(step));
        kernel.reconcile();

        let nobodys: u64 = kernel.world.engine.unattributed_counts.unattributed().map(|(_, count)| count).sum();
        let cells = || kernel.world.engine.reconciler.ledger.cells().map(|(_, cell)| cell);
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
            prop_assert_eq!(cells().map(|cell| cell.active()).sum::<u64>(), kernel.open.len() as u64);
        }
    }
}
