//! Histories of one flow in which records are lost or late, each with what must be counted.

use super::*;
use crate::attribution::{AnswerRef, Target};
use crate::client::WorkloadId;
use crate::service_resolution::Resolution;
use crate::topology::{EndpointId, EndpointRef, ServiceId};
use headless_obs_ebpf::end;
use headless_obs_ebpf::ring_record::{Header, KIND_CLOSED, KIND_OPENED};

mod random_histories;

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
        end: end::NONE,
        _last: 0,
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

fn reconcile(reconciler: &mut FlowReconciler, read_at: u64, totals: FlowTotals) -> Vec<u64> {
    let (mut asked, totals) = (Vec::new(), [(flow(0), totals)]);
    let has_unseen =
        |reconciler: &FlowReconciler| totals.iter().any(|flow| reconciler.has_unseen_totals(flow));
    let before = has_unseen(reconciler);
    reconciler.reconcile(Time(read_at), &totals, |_, key, _, connections| {
        asked.push(connections);
        booking(key.port)
    });
    assert_eq!((before, has_unseen(reconciler)), (!asked.is_empty(), false));
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
