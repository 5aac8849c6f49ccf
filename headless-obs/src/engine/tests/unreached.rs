//! Clients whose attempts all fail at addresses without a Service have a row, and only they.

use super::*;
use crate::expose::snapshot::Unreached;
use crate::topology::test_builders::pod;

const LAST: Option<Duration> = Some(Duration::from_secs(900));

fn world() -> World {
    let mut world = World::new([orders(&pods(2))]);
    world.apply(Change::Synced(true));
    world
}

/// A client's attempts to an address fail.
fn in_vain(world: &mut World, client: u8, address: &str, times: usize) {
    for _ in 0..times {
        let dialled = world.dial(client, address);
        world.fail(dialled, reason::TIMEOUT);
    }
}

fn rows(world: &World) -> Vec<(String, u64, Vec<String>)> {
    let row = |row: Unreached| (row.workload, row.attempts, row.addresses.into_keys().collect());
    world.engine.snapshot(&world.kernel(), LAST).unreached.into_iter().map(row).collect()
}

/// Attempts to an address of nobody that do not end before the kernel would ignore the address.
fn ignored_after_long(world: &mut World, address: &str, fails: bool) -> Vec<IpAddr> {
    let mut ignored = Vec::new();
    for _ in 0..3 {
        if fails {
            in_vain(world, 1, address, 1);
        } else {
            let connected = world.connect(1, address);
            world.close(connected);
        }
        ignored.extend(world.engine.take_ignore_updates().add);
        world.pass(IGNORE_AFTER);
    }
    ignored
}

#[test]
fn client_that_dials_addresses_of_nobody_in_vain_has_a_row_and_they_are_not_ignored() {
    let mut world = world();
    in_vain(&mut world, 1, "10.0.9.1", 3);
    in_vain(&mut world, 1, "10.0.9.2", 2);
    let addresses = vec!["10.0.9.1:8080".to_owned(), "10.0.9.2:8080".to_owned()];
    assert_eq!(rows(&world), [("client-1".to_owned(), 5, addresses)]);
    assert_eq!(ignored_after_long(&mut world, "10.0.9.1", true), [] as [IpAddr; 0]);
    world.connect(1, "10.0.9.1");
    assert_eq!(ignored_after_long(&mut world, "10.0.9.1", false), [ip("10.0.9.1")], "now it works");
}

#[test]
fn address_that_worked_for_long_is_not_ignored_when_it_begins_to_fail() {
    let mut world = world();
    world.connect(1, "10.0.9.1");
    world.pass(2 * IGNORE_AFTER);
    in_vain(&mut world, 1, "10.0.9.1", 1);
    assert_eq!(world.engine.take_ignore_updates().add, [] as [IpAddr; 0]);
}

#[test]
fn addresses_that_cannot_have_been_endpoints_make_no_row_and_can_be_ignored() {
    let mut world = world();
    world.apply(pod("shop", "other", &["10.0.3.3"]));
    for address in ["192.0.2.1", "127.0.0.1", "10.0.3.3", "2001:db8::1"] {
        assert_eq!(ignored_after_long(&mut world, address, true), [ip(address)], "{address}");
    }
    assert_eq!(rows(&world), []);
}

#[test]
fn one_success_takes_the_row_away_and_only_that_of_its_client_and_port() {
    let mut world = world();
    in_vain(&mut world, 1, "10.0.9.1", 2);
    in_vain(&mut world, 2, "10.0.9.1", 2);
    in_vain(&mut world, 1, "10.0.9.2", 1);
    world.connect(1, "10.0.9.1");
    let rows = rows(&world);
    assert_eq!(
        rows.iter().map(|(name, attempts, _)| (&**name, *attempts)).collect::<Vec<_>>(),
        [("client-1", 1), ("client-2", 2)]
    );
}

#[test]
fn address_that_becomes_an_endpoint_is_no_longer_nobodys() {
    let mut world = world();
    in_vain(&mut world, 1, "10.0.0.3", 2);
    assert_eq!(rows(&world).len(), 1);
    world.apply(orders(&pods(3)));
    assert_eq!(rows(&world), []);
}

#[test]
fn former_address_of_several_services_makes_a_row() {
    let mut world = world();
    world.apply(service("orders-headless", &pods(2)));
    world.apply(orders(&pods(1)));
    world.apply(service("orders-headless", &pods(1)));
    in_vain(&mut world, 1, "10.0.0.2", 4);
    assert_eq!(world.unattributed("removed"), 4);
    assert_eq!(rows(&world), [("client-1".to_owned(), 4, vec!["10.0.0.2:8080".to_owned()])]);
}

#[test]
fn row_is_about_its_stretch_and_is_forgotten_after_a_day() {
    let mut world = world();
    in_vain(&mut world, 1, "10.0.9.1", 2);
    world.pass(Duration::from_secs(3_600));
    assert_eq!(rows(&world), [], "an hour later");
    assert_eq!(world.snapshot().unreached[0].attempts, 2, "in all");
    world.pass(Duration::from_secs(24 * 3_600));
    let now = world.time();
    world.engine.expire(now);
    assert_eq!(world.snapshot().unreached, []);
}

#[test]
fn client_that_tries_a_whole_network_takes_no_room_from_others() {
    let mut world = world();
    for number in 0..3_000_u32 {
        in_vain(&mut world, 1, &format!("10.0.{}.{}", 10 + number / 250, number % 250 + 1), 1);
    }
    in_vain(&mut world, 2, "10.0.9.1", 1);
    let rows = rows(&world);
    assert_eq!((rows[0].1, rows[0].2.len()), (3_000, 11));
    assert_eq!(rows[1], ("client-2".to_owned(), 1, vec!["10.0.9.1:8080".to_owned()]));
}

#[test]
fn totals_without_records_count_like_records() {
    let mut world = world();
    let dialled = world.dial(1, "10.0.9.1");
    let mut totals = super::expiry::totals(0, 0);
    totals.failed[usize::from(reason::TIMEOUT)] = 7;
    let now = world.tick();
    world.engine.reconcile(now, &[(super::expiry::flow(dialled), totals)]);
    assert_eq!(rows(&world).iter().map(|(_, attempts, _)| *attempts).collect::<Vec<_>>(), [7]);
}
