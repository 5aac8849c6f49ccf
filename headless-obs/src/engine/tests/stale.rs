//! Endpoints that left, came back, or that the topology learns later than the client.

use super::*;
use crate::topology::test_builders::{terminating, unready};

fn stale(world: &World, kind: &str) -> u64 {
    world.service("orders").stale[kind]
}

#[test]
fn connections_to_what_serves_no_more_are_counted_by_kind() {
    let all = [
        unready("p-0", "10.0.0.1"),
        terminating("p-1", "10.0.0.2"),
        ready("p-2", "10.0.0.3"),
        ready("p-3", "10.0.0.4"),
    ];
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
    let mut world = World::new([orders(&all)]);
    world.resolve(1, ORDERS, &addresses);
    world.apply(orders(&all[..2]));
    world.apply(service("other", &[ready("q-0", "10.0.0.4")]));
    for address in addresses {
        world.connect(1, address);
    }
    let refused = world.dial(1, "10.0.0.3");
    world.fail(refused, reason::REFUSED);
    let count = |kind| stale(&world, kind);
    assert_eq!(
        [count("not_ready"), count("terminating"), count("removed"), count("ip_reused")],
        [1, 1, 2, 1]
    );
    assert_eq!(world.rows("other"), [""; 0], "q-0 is not dialled for its own sake");
    let states: Vec<_> =
        world.service("orders").endpoints.into_iter().map(|row| (row.pod, row.state)).collect();
    let expected = [("p-0", "not_ready"), ("p-1", "terminating"), ("p-2", "removed"), ("p-3", "removed")];
    assert_eq!(states, expected.map(|(pod, state)| (pod.to_owned(), state.to_owned())));
    assert_eq!(world.service("orders").spread.endpoints, 0, "none is ready");
}

#[test]
fn a_published_pod_that_is_not_ready_is_an_endpoint_and_stale() {
    let mut world = World::new([orders(&[unready("p-0", "10.0.0.1"), ready("p-1", "10.0.0.2")])]);
    world.apply(crate::topology::test_builders::service("shop", "orders").publish_not_ready());
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.1");
    world.connect(1, "10.0.0.2");
    assert_eq!(stale(&world, "not_ready"), 1);
    assert_eq!(world.service("orders").spread.endpoints, 2);
}

#[test]
fn an_endpoint_that_becomes_known_between_answer_and_connection() {
    let mut world = World::new([orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.apply(orders(&pods(2)));
    world.connect(1, "10.0.0.2");
    assert_eq!(world.rows("orders"), ["orders-1 1/1/0/1"]);
    assert_eq!(world.service("orders").stale.values().sum::<u64>(), 0);
}

#[test]
fn a_service_that_becomes_known_between_answer_and_connection() {
    let mut world = World::new([]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.apply(orders(&pods(1)));
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
}

#[test]
fn connections_that_are_ahead_of_the_topology_wait_for_it() {
    let mut world = World::new([orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    let (open, over, reset) =
        (world.connect(1, "10.0.0.2"), world.connect(1, "10.0.0.2"), world.connect(1, "10.0.0.2"));
    world.close(over);
    world.reset(reset);
    let refused = world.dial(1, "10.0.0.2");
    world.fail(refused, reason::REFUSED);
    assert_eq!((world.rows("orders"), world.unattributed("not_endpoint")), (vec![], 0));

    world.apply(orders(&pods(2)));
    let check = |world: &World, active, closed| {
        let service = world.service("orders");
        let row = &service.endpoints[1];
        assert_eq!((row.opened, row.counted, row.active, row.closed), (3, 3, active, closed));
        assert_eq!((row.failed["refused"], row.failed["reset"], row.bytes_sent), (1, 1, 10 * (closed - 1)));
        assert_eq!(service.clients[0].answer_position["1"], 4, "attempts are choices too");
        assert_eq!(service.stale.values().sum::<u64>(), 0);
    };
    check(&world, 1, 2);
    world.close(open);
    check(&world, 0, 3);
}

#[test]
fn connections_that_wait_for_too_long_are_counted_and_keep_their_clients_name_until_then() {
    let mut world = World::new([orders(&pods(1))]);
    world.apply(Change::Synced(true));
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    world.connect(1, "10.0.0.2");
    world.pass(Duration::from_secs(29));
    world.connect(1, "10.0.0.3");
    world.pass(Duration::from_secs(1));
    let now = world.time();
    world.engine.expire(now);
    assert_eq!(world.unattributed("not_endpoint"), 1);
    world.apply(orders(&pods(3)));
    assert_eq!(world.rows("orders"), ["orders-2 1/1/0/1"]);
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
}

#[test]
fn connections_wait_for_a_source_that_is_out_of_touch_however_long_that_takes() {
    let mut world = World::new([orders(&pods(1))]);
    world.apply(Change::Synced(false));
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.2");
    world.pass(Duration::from_secs(300));
    let now = world.time();
    world.engine.expire(now);
    assert_eq!(world.unattributed("not_endpoint"), 0);
    world.apply(orders(&pods(2)));
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
}

#[test]
fn who_waits_for_a_service_is_not_taken_for_another_ones_that_becomes_known_first() {
    let mut world = World::new([orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.2");
    world.apply(service("audit", &pods(2)));
    world.apply(orders(&pods(2)));
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
    assert_eq!(world.clients("audit"), [""; 0]);
}

#[test]
fn an_address_that_goes_to_another_services_pod_is_not_confused_with_it() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    let old = world.connect(1, "10.0.0.2");
    world.apply(orders(&pods(1)));
    world.apply(service("backup", &[ready("b-0", "10.0.0.2")]));
    world.resolve(2, "backup.shop.svc.cluster.local", &["10.0.0.2"]);
    world.connect(2, "10.0.0.2");
    world.close(old);
    assert_eq!(world.rows("backup"), ["b-0 1/1/0/1"]);
    assert_eq!(world.rows("orders"), ["orders-1 1/1/0/0"]);
    assert_eq!(world.service("orders").stale.values().sum::<u64>(), 0, "it had it when it was dialled");
}

#[test]
fn a_pod_that_is_made_anew_under_its_name_has_a_row_of_its_own() {
    let mut world = World::new([orders(&pods(1))]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    world.apply(orders(&[ready("orders-0", "10.0.0.7").uid("made-anew")]));
    world.resolve(1, ORDERS, &["10.0.0.7"]);
    world.connect(1, "10.0.0.7");
    world.connect(1, "10.0.0.7");
    let service = world.service("orders");
    let rows: Vec<_> =
        service.endpoints.iter().map(|row| (row.pod.as_str(), row.state.as_str(), row.opened)).collect();
    assert_eq!(rows, [("orders-0", "ready", 2), ("orders-0", "removed", 1)]);
    let own: Vec<_> = service.clients[0].endpoints.iter().map(|row| (row.pod.as_str(), row.opened)).collect();
    assert_eq!(own, [("orders-0", 2), ("orders-0", 1)]);
    assert_eq!((service.spread.connections, service.spread.endpoints), (2, 1));
}

#[test]
fn figures_go_with_the_endpoint_once_it_is_forgotten_and_nothing_is_open() {
    let mut world = World::new([orders(&pods(2))]);
    let (open, over) = (world.connect(1, "10.0.0.1"), world.connect(1, "10.0.0.2"));
    world.close(over);
    world.apply(orders(&[ready("orders-9", "10.0.0.9")]));
    world.pass(Duration::from_secs(3600));
    let now = world.time();
    world.engine.expire(now);
    assert_eq!(world.rows("orders"), [""; 0], "neither is remembered");
    assert_eq!(world.engine.reconciler.ledger.cells().count(), 1);
    world.close(open);
    world.engine.expire(now);
    assert_eq!(world.engine.reconciler.ledger.cells().count(), 0);
}

#[test]
fn connection_that_waits_counts_once_however_often_its_address_changes() {
    for (port, other_port) in [(80, 1), (PORT, 0)] {
        let mut world = World::new([orders(&pods(2))]);
        world.apply(Change::Synced(true));
        world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let Dialled(record) = world.dial(1, "10.0.0.3");
        world.open(Dialled(TcpRecord { port, ..record }));
        // The pod comes, not ready at first.
        let mut three = pods(3);
        three[2] = unready("orders-2", "10.0.0.3");
        for _ in 0..3 {
            world.apply(orders(&three));
            world.apply(orders(&pods(3)));
        }
        let client = world.client("orders");
        let wrong: u64 = client.other_ports.iter().map(|port| port.connections).sum();
        assert_eq!((wrong, client.opened), (other_port, 1));
        world.pass(Duration::from_secs(60));
        let now = world.time();
        world.engine.expire(now);
        assert_eq!((world.unattributed("other_port"), world.unattributed("not_endpoint")), (0, 0));
    }
}
