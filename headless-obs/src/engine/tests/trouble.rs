//! Clients in trouble have a row: those that got no usable answer, that made no connection, or whose connections go to
//! addresses that are no endpoints.

use super::*;
use crate::topology::test_builders::pod;

/// The reason for no verdict, and connections to addresses that are no endpoints.
fn only_row(world: &World) -> (Option<String>, u64) {
    let client = world.client("orders");
    assert_eq!(client.verdict, None);
    (client.withheld, client.not_endpoint)
}

fn world() -> World {
    let mut world = World::new([orders(&pods(3))]);
    world.apply(Change::Synced(true));
    world.apply(pod("shop", "web-1", &["10.9.0.1"]));
    world
}

fn expire(world: &mut World, after: Duration) {
    world.pass(after);
    let now = world.time();
    world.engine.expire(now);
}

/// Answers without an address.
fn useless() -> [Message; 4] {
    let empty = || response(ORDERS, RecordType::A, Vec::new());
    let (mut servfail, mut nxdomain, mut cut) = (empty(), empty(), empty());
    servfail.metadata.response_code = ResponseCode::ServFail;
    nxdomain.metadata.response_code = ResponseCode::NXDomain;
    cut.metadata.truncation = true;
    [servfail, nxdomain, cut, empty()]
}

#[test]
fn client_without_a_usable_answer_has_a_row_until_it_gets_one_and_connects() {
    for message in useless() {
        let mut world = world();
        world.answer(1, &message);
        assert_eq!(only_row(&world), (Some("no_answer".to_owned()), 0), "{message:?}");
        world.resolve(1, ORDERS, &["10.0.0.1"]);
        assert_eq!(only_row(&world).0.as_deref(), Some("no_connection"));
        let dialled = world.dial(1, "10.0.0.1");
        world.fail(dialled, reason::REFUSED);
        let client = world.client("orders");
        assert_ne!(client.withheld.as_deref(), Some("no_connection"));
        assert_eq!((client.failed, client.usable_answers), (1, Some(1)));
    }
}

#[test]
fn connections_to_addresses_that_nobody_owns_are_in_a_row_while_they_wait_and_after() {
    let mut world = world();
    world.resolve(1, ORDERS, &["10.0.0.77", "10.0.0.78"]);
    for address in ["10.0.0.77", "10.0.0.77", "10.0.0.78"] {
        let dialled = world.connect(1, address);
        world.close(dialled);
    }
    let attempts = world.snapshot().quality.attempts;
    assert_eq!((attempts.seen - 5, attempts.waiting), (3, 3));
    assert_eq!(only_row(&world), (Some("not_endpoint".to_owned()), 3));
    expire(&mut world, Duration::from_secs(60));
    assert_eq!(world.snapshot().quality.attempts.waiting, 0);
    assert_eq!(world.unattributed("not_endpoint"), 3);
    assert_eq!(only_row(&world), (Some("not_endpoint".to_owned()), 3));
    expire(&mut world, Duration::from_secs(3_600));
    let last = world.engine.snapshot(&world.kernel(), Some(Duration::from_secs(900)));
    assert_eq!(last.services[0].clients, [], "an hour later");
    expire(&mut world, Duration::from_secs(23 * 3_600));
    assert_eq!(world.service("orders").clients, [], "a day later, in all");
}

#[test]
fn connection_that_waited_is_in_no_figure_of_trouble_once_its_endpoint_is_there() {
    let mut world = world();
    world.resolve(1, ORDERS, &["10.0.0.4"]);
    world.connect(1, "10.0.0.4");
    assert_eq!(only_row(&world).1, 1);
    world.apply(orders(&pods(4)));
    let client = world.client("orders");
    assert_eq!((client.not_endpoint, client.opened), (0, 1));
    let attempts = world.snapshot().quality.attempts;
    assert_eq!((attempts.waiting, attempts.attributed), (0, 1));
}

#[test]
fn client_that_dials_pods_that_are_gone_has_a_row_without_any_answer() {
    let mut world = world();
    world.apply(orders(&pods(1)));
    for address in ["10.0.0.2", "10.0.0.3", "10.0.0.2"] {
        let dialled = world.dial(1, address);
        world.fail(dialled, reason::TIMEOUT);
    }
    let client = world.client("orders");
    let stale: Vec<_> = client.stale.iter().map(|target| (&*target.pod, &*target.kind)).collect();
    assert_eq!((client.failed, stale), (3, vec![("orders-1", "removed"), ("orders-2", "removed")]));
    assert_eq!(world.snapshot().quality.attempts.unrelated, 0);
}
