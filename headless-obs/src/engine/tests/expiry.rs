//! Connections from SYN to end: failures, connections that are older than the daemon, lost records.

use super::*;

pub(super) fn flow(Dialled(record): Dialled) -> FlowKey {
    FlowKey {
        cgroup: record.header.cgroup,
        source: record.source,
        destination: record.destination,
        port: record.port,
        _pad: [0; 6],
    }
}

pub(super) fn totals(opened: u64, closed: u64) -> FlowTotals {
    let comm = Dialled(World::new([]).dial(1, "10.0.0.1").0).0.comm;
    FlowTotals { opened, closed, comm, ..FlowTotals::default() }
}

pub(super) fn existing(dialled: Dialled) -> SocketRecord {
    let Dialled(record) = dialled;
    SocketRecord {
        socket: record.socket,
        cgroup: record.header.cgroup,
        source: record.source,
        destination: record.destination,
        comm: record.comm,
        tgid: record.tgid,
        port: record.port,
        source_port: 40_000,
        state: 1,
        _pad: 0,
    }
}

#[test]
fn failures_are_counted_by_reason() {
    let mut world = World::new([orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    for (why, times) in
        [(reason::REFUSED, 1), (reason::TIMEOUT, 2), (reason::UNREACHABLE, 3), (reason::ABORTED, 4)]
    {
        for _ in 0..times {
            let dialled = world.dial(1, "10.0.0.1");
            world.fail(dialled, why);
        }
    }
    let reset = world.connect(1, "10.0.0.1");
    world.reset(reset);
    let failed = |counts: &[(&str, u64)]| -> Counts {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    };
    let expected =
        [("aborted", 4), ("other", 0), ("refused", 1), ("reset", 1), ("timeout", 2), ("unreachable", 3)];
    let service = world.service("orders");
    assert_eq!(service.endpoints[0].failed, failed(&expected));
    assert_eq!(
        (service.endpoints[0].opened, service.endpoints[0].closed, service.endpoints[0].active),
        (1, 1, 0)
    );
    assert_eq!(service.clients[0].failed, 11);
    let nonzero: Vec<_> = expected.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(service.clients[0].endpoints[0].reasons, failed(&nonzero));
}

#[test]
fn the_family_that_lost_has_not_failed() {
    let mut world = World::new([orders(&[ready("orders-0", "10.0.0.1"), ready("orders-0", "fd00::1")])]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.resolve(1, ORDERS, &["fd00::1"]);
    let (six, four) = (world.dial(1, "fd00::1"), world.dial(1, "10.0.0.1"));
    world.open(four);
    world.fail(six, reason::ABORTED);
    let endpoint = &world.service("orders").endpoints[0];
    assert_eq!((endpoint.opened, endpoint.superseded, endpoint.failed["aborted"]), (1, 1, 0));
    assert_eq!(endpoint.addresses, ["10.0.0.1", "fd00::1"], "one pod");
    // Abandoned without a winner.
    let alone = world.dial(1, "fd00::1");
    world.fail(alone, reason::ABORTED);
    let endpoint = &world.service("orders").endpoints[0];
    assert_eq!((endpoint.superseded, endpoint.failed["aborted"]), (1, 1));
}

#[test]
fn connections_older_than_the_observer_are_active_until_they_end() {
    let mut world = World::new([orders(&pods(1))]);
    let [a, b, elsewhere] =
        [world.dial(1, "10.0.0.1"), world.dial(1, "10.0.0.1"), world.dial(1, "192.0.2.1")];
    let now = world.tick();
    world.engine.adopt(now, &[a, b, elsewhere].map(existing));
    assert_eq!(world.rows("orders"), ["orders-0 0/0/0/2"]);
    assert_eq!(world.clients("orders"), ["client-1 preexisting=2"]);
    world.close(Dialled(TcpRecord { started: 0, ..a.0 }));
    let endpoint = &world.service("orders").endpoints[0];
    assert_eq!((endpoint.opened, endpoint.active, endpoint.closed, endpoint.bytes_sent), (0, 1, 1, 10));
    assert_eq!((world.unattributed("no_dns"), world.snapshot().quality.reconciled), (0, 0));
    // The end of the other one is lost.
    let now = world.tick();
    world.engine.reconcile(now, &[(flow(a), FlowTotals { bytes_sent: 12, ..totals(0, 2) })]);
    let endpoint = &world.service("orders").endpoints[0];
    assert_eq!((endpoint.opened, endpoint.active, endpoint.closed, endpoint.bytes_sent), (0, 0, 2, 12));
}

#[test]
fn what_the_ring_lost_is_booked_late_with_the_evidence_at_hand() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    let seen = world.connect(1, "10.0.0.1");
    let mut lost = totals(10, 4);
    lost.failed[usize::from(reason::REFUSED)] = 2;
    (lost.bytes_sent, lost.bytes_received) = (40, 80);
    let now = world.tick();
    world.engine.reconcile(now, &[(flow(seen), lost)]);

    let service = world.service("orders");
    let endpoint = &service.endpoints[0];
    assert_eq!((endpoint.opened, endpoint.counted, endpoint.closed, endpoint.active), (10, 10, 4, 6));
    assert_eq!((endpoint.failed["refused"], endpoint.bytes_sent, endpoint.bytes_received), (2, 40, 80));
    assert_eq!((service.clients[0].reconciled, service.clients[0].opened), (9, 10));
    let quality = world.snapshot().quality;
    assert_eq!((quality.reconciled, quality.reconciled_share), (9, 0.9));
    // The connection with the record was guessed to have ended: its own end is not counted twice.
    world.close(seen);
    let now = world.tick();
    world.engine.reconcile(
        now,
        &[(flow(seen), FlowTotals { closed: 5, bytes_sent: 50, bytes_received: 100, ..lost })],
    );
    assert_eq!(world.rows("orders"), ["orders-0 10/10/2/5"]);
    assert_eq!(world.service("orders").endpoints[0].bytes_sent, 50);
}

#[test]
fn lost_connections_that_belong_to_nobody_are_counted_by_reason() {
    let shared = [ready("p-0", "10.0.0.1")];
    let mut world = World::new([orders(&shared), service("backup", &shared)]);
    let dialled = world.dial(1, "10.0.0.1");
    let other_port = Dialled(TcpRecord { port: 9, ..dialled.0 });
    let now = world.tick();
    world.engine.reconcile(now, &[(flow(dialled), totals(3, 0)), (flow(other_port), totals(2, 2))]);
    assert_eq!((world.unattributed("ambiguous"), world.unattributed("other_port")), (3, 2));
}

#[test]
fn an_end_whose_opening_was_lost_opens_late() {
    let mut world = World::new([orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    let dialled = world.dial(1, "10.0.0.1");
    world.close(dialled);
    assert_eq!(world.rows("orders"), ["orders-0 1/1/0/0"]);
    assert_eq!(world.snapshot().quality.reconciled, 1);
    let now = world.tick();
    world.engine.reconcile(
        now,
        &[(flow(dialled), FlowTotals { bytes_sent: 10, bytes_received: 20, ..totals(1, 1) })],
    );
    assert_eq!(world.rows("orders"), ["orders-0 1/1/0/0"]);
}

#[test]
fn what_a_lost_end_brings_is_booked_where_the_connection_is() {
    let shared = [ready("p-0", "10.0.0.1")];
    let mut world = World::new([service("backup", &shared)]);
    let dialled = world.connect(1, "10.0.0.1");
    world.apply(orders(&shared));
    let mut lost = FlowTotals { bytes_sent: 10, ..totals(1, 1) };
    lost.failed[usize::from(reason::RESET)] = 1;
    let now = world.tick();
    world.engine.reconcile(now, &[(flow(dialled), lost)]);
    let endpoint = &world.service("backup").endpoints[0];
    assert_eq!((endpoint.closed, endpoint.bytes_sent, endpoint.failed["reset"]), (1, 10, 1));
    assert_eq!(world.unattributed("ambiguous"), 0, "by now it would be, but it was not when it was dialled");
}

#[test]
fn flows_that_are_idle_for_long_can_be_forgotten_and_counts_stay() {
    let mut world = World::new([orders(&pods(1))]);
    let (open, over) = (world.connect(1, "10.0.0.1"), world.connect(2, "10.0.0.1"));
    world.close(over);
    let read = [
        (flow(open), totals(1, 0)),
        (flow(over), FlowTotals { bytes_sent: 10, bytes_received: 20, ..totals(1, 1) }),
    ];
    let now = world.tick();
    world.engine.reconcile(now, &read);
    assert_eq!(world.engine.idle_flows(now), []);
    world.pass(Duration::from_secs(600));
    let now = world.time();
    assert_eq!(world.engine.idle_flows(now), [read[1]]);
    world.engine.forget_flow(flow(over));
    world.connect(2, "10.0.0.1");
    let now = world.tick();
    world.engine.reconcile(now, &[(flow(open), totals(1, 0)), (flow(over), totals(1, 0))]);
    assert_eq!(world.rows("orders"), ["orders-0 3/0/0/2"]);
    assert_eq!(world.snapshot().quality.reconciled, 0);
}

#[test]
fn nothing_is_negative_zero_in_json() {
    let mut world = World::new([orders(&pods(2))]);
    let check = |world: &World| {
        let text = serde_json::to_string(&world.snapshot()).unwrap();
        let context = text.find("-0.0").map(|place| &text[place.saturating_sub(60)..][..64]);
        assert_eq!(context, None);
    };
    check(&world);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    check(&world);
    world.connect(1, "10.0.0.1");
    check(&world);
    for _ in 0..3 {
        world.pass(Duration::from_secs(25 * 3_600));
        let now = world.time();
        world.engine.expire(now);
        check(&world);
    }
}
