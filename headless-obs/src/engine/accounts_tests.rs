//! Whatever records are lost or late, the ledger ends up equal to the totals.

use proptest::prelude::*;

use super::*;
use crate::attribution::Resolution;
use crate::client::WorkloadId;
use crate::topology::{EndpointId, EndpointRef, ServiceId};
use headless_obs_ebpf::record::{Header, KIND_CLOSED};

const FLOWS: u16 = 3;

fn record(kind: u32, socket: u64, started: u64, port: u16, why: u8, bytes: u64) -> TcpRecord {
    TcpRecord {
        header: Header { kind, length: 0, time: started, cgroup: 1 },
        socket,
        started,
        source: [0; 16],
        destination: [0; 16],
        bytes_sent: bytes,
        bytes_received: bytes * 2,
        comm: [0; 16],
        tgid: 1,
        port,
        reason: why,
        counted: 1,
    }
}

fn booking(port: u16) -> Booking {
    let endpoint = EndpointRef { service: ServiceId(1), endpoint: EndpointId(u32::from(port)) };
    let resolution = Resolution::Service;
    let cell = CellKey { endpoint, client: Some(WorkloadId(1)), port, resolution };
    Some((cell, Target { endpoint, resolution, position: Some(0), stale: None }))
}

/// What really happens to connections, as the kernel counts it; and which of its records arrive.
#[derive(Clone, Debug)]
enum Step {
    Open { socket: u64, arrives: bool },
    Close { socket: u64, arrives: bool, reset: bool },
    Fail { port: u16, arrives: bool },
    Reconcile,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12_u64, any::<bool>()).prop_map(|(socket, arrives)| Step::Open { socket, arrives }),
        4 => (0..12_u64, any::<bool>(), any::<bool>())
            .prop_map(|(socket, arrives, reset)| Step::Close { socket, arrives, reset }),
        1 => (0..FLOWS, any::<bool>()).prop_map(|(port, arrives)| Step::Fail { port, arrives }),
        1 => Just(Step::Reconcile),
    ];
    prop::collection::vec(step, 0..120)
}

fn reconcile(accounts: &mut Accounts, totals: &HashMap<FlowKey, FlowTotals>) {
    let totals: Vec<_> = totals.iter().map(|(key, totals)| (*key, *totals)).collect();
    accounts.reconcile(Time(1), &totals, |_, key, _, _| booking(key.port));
}

proptest! {
    #[test]
    fn the_ledger_equals_the_totals(steps in steps()) {
        let mut accounts = Accounts::new(1000);
        let mut totals: HashMap<FlowKey, FlowTotals> = HashMap::new();
        let mut living: HashMap<u64, (u64, u16)> = HashMap::new();
        for (time, step) in (1_u64..).zip(steps) {
            match step {
                Step::Open { socket, arrives } if !living.contains_key(&socket) => {
                    let port = u16::try_from(socket % u64::from(FLOWS)).unwrap();
                    living.insert(socket, (time, port));
                    let record = record(0, socket, time, port, reason::NONE, 0);
                    totals.entry(flow_of(&record)).or_default().opened += 1;
                    if arrives {
                        accounts.opened(&record, booking(port));
                    }
                }
                Step::Close { socket, arrives, reset } => {
                    let Some((started, port)) = living.remove(&socket) else { continue };
                    let why = if reset { reason::RESET } else { reason::NONE };
                    let record = record(KIND_CLOSED, socket, started, port, why, 10);
                    let total = totals.entry(flow_of(&record)).or_default();
                    total.closed += 1;
                    total.bytes_sent += 10;
                    total.bytes_received += 20;
                    total.failed[usize::from(reason::RESET)] += u64::from(reset);
                    if arrives {
                        accounts.closed(&record, |_| booking(port));
                    }
                }
                Step::Fail { port, arrives } => {
                    let record = record(0, 99, time, port, reason::TIMEOUT, 0);
                    totals.entry(flow_of(&record)).or_default().failed[usize::from(reason::TIMEOUT)] += 1;
                    if arrives {
                        accounts.failed(&record, booking(port), false);
                    }
                }
                Step::Reconcile => reconcile(&mut accounts, &totals),
                Step::Open { .. } => {}
            }
        }
        reconcile(&mut accounts, &totals);
        for (key, total) in &totals {
            let (cell, _) = booking(key.port).unwrap();
            let cell = accounts.ledger.cell(cell);
            prop_assert_eq!((cell.opened, cell.closed, cell.failed), (total.opened, total.closed, total.failed));
            prop_assert_eq!((cell.bytes_sent, cell.bytes_received), (total.bytes_sent, total.bytes_received));
        }
        let open: usize = accounts.open() + accounts.flows.values().flat_map(|flow| &flow.late_open)
            .map(|(_, count)| usize::try_from(*count).unwrap()).sum::<usize>();
        prop_assert_eq!(open, living.len(), "what is open, with and without detail");
    }
}

#[test]
fn nothing_lost_is_nothing_late() {
    let mut accounts = Accounts::new(1000);
    let opened = record(0, 1, 5, 0, reason::NONE, 0);
    accounts.opened(&opened, booking(0));
    let totals = HashMap::from([(flow_of(&opened), FlowTotals { opened: 1, ..FlowTotals::default() })]);
    reconcile(&mut accounts, &totals);
    reconcile(&mut accounts, &HashMap::from([(flow_of(&opened), FlowTotals::default())]));
    let (cell, _) = booking(0).unwrap();
    assert_eq!((accounts.ledger.cell(cell).opened, accounts.ledger.cell(cell).late), (1, 0));
}

#[test]
fn idle_flows_are_forgotten_and_open_ones_are_not() {
    let mut accounts = Accounts::new(1000);
    accounts.opened(&record(0, 1, 5, 0, reason::NONE, 0), booking(0));
    accounts.failed(&record(0, 2, 5, 1, reason::TIMEOUT, 0), booking(1), false);
    let later = Time(0).plus(Duration::from_secs(601));
    let forgotten = accounts.forget_idle(later, Duration::from_secs(600));
    assert_eq!(forgotten.iter().map(|flow| flow.port).collect::<Vec<_>>(), [1]);
}
