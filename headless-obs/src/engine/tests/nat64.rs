//! Clients behind DNS64 get and dial translated addresses; their connections are the endpoints'.

use super::*;

/// An answer with the addresses of these endpoints, translated.
fn translated(world: &mut World, client: u8, name: &str, prefix: &str, addresses: &[&str]) -> Vec<String> {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("{prefix}{address}")).collect();
    world.resolve(client, name, &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    addresses
}

const PODS: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

#[test]
fn a_translated_connection_is_the_endpoints() {
    // The prefix that everybody knows, and one that the answer for the Service shows.
    for prefix in ["64:ff9b::", "2001:db8:64::"] {
        let mut world = World::new([orders(&pods(3))]);
        for turn in 0..6 {
            let addresses = translated(&mut world, 1, ORDERS, prefix, &PODS);
            let connection = world.connect(1, &addresses[turn % 3]);
            world.close(connection);
            let failed = world.dial(1, &addresses[turn % 3]);
            world.fail(failed, reason::REFUSED);
        }
        assert_eq!(
            world.rows("orders"),
            ["orders-0 2/2/2/0", "orders-1 2/2/2/0", "orders-2 2/2/2/0"],
            "{prefix}"
        );
        assert_eq!(world.clients("orders"), ["client-1 service=6"], "{prefix}");
        let dns = world.service("orders").dns;
        assert_eq!((dns.incomplete, dns.completeness), (0, 1.0), "{prefix}");
    }
}

#[test]
fn the_name_for_prefixes_shows_one() {
    let mut world = World::new([orders(&pods(3))]);
    let gossiped = "2001:db8:64::10.0.0.2";
    let connection = world.connect(1, gossiped);
    world.close(connection);
    assert!(world.rows("orders").is_empty());
    world.resolve(2, "ipv4only.arpa", &["2001:db8:64::192.0.0.170", "2001:db8:64::192.0.0.171"]);
    world.connect(1, gossiped);
    assert_eq!(world.rows("orders"), ["orders-1 1/0/0/1"]);
    assert_eq!(world.clients("orders"), ["client-1 none=1"]);
}

#[test]
fn an_endpoint_with_such_an_address_is_itself() {
    let own = "2001:db8:64::10.0.0.1";
    let mut world = World::new([orders(&pods(3)), service("mirror", &[ready("m-0", own)])]);
    world.resolve(2, "ipv4only.arpa", &["2001:db8:64::192.0.0.170", "2001:db8:64::192.0.0.171"]);
    world.resolve(1, "mirror.shop.svc.cluster.local", &[own]);
    world.connect(1, own);
    assert_eq!(world.rows("mirror"), ["m-0 1/1/0/1"]);
    assert!(world.rows("orders").is_empty());
}

#[test]
fn an_answer_that_is_not_a_translation_shows_no_prefix() {
    let mut world = World::new([orders(&pods(3))]);
    // One of the addresses stands for no endpoint; another name; another Service's endpoints.
    world.resolve(1, ORDERS, &["2001:db8:64::10.0.0.1", "2001:db8:64::7"]);
    world.resolve(1, "www.example.com", &["2001:db8:64::10.0.0.1"]);
    world.resolve(1, "other.example", &["2001:db8:64::192.0.0.170"]);
    let connection = world.connect(2, "2001:db8:64::10.0.0.1");
    world.close(connection);
    assert!(world.rows("orders").is_empty());
}

#[test]
fn a_wildcard_in_a_search_domain_books_no_translated_stranger() {
    const SEARCHED: &str = "orders.shop.svc.cluster.local.apps.example.com";
    // A machine outside, and one in another cluster with an endpoint's own IPv4 address.
    for stranger in ["64:ff9b::203.0.113.9", "2001:db8:64::203.0.113.9", "2001:db8:64::10.0.0.1"] {
        let mut world = World::new([orders(&pods(3))]);
        world.resolve(2, ORDERS, &PODS);
        for client in [1, 2] {
            world.resolve(client, SEARCHED, &[stranger]);
            let connection = world.connect(client, stranger);
            world.close(connection);
        }
        assert!(world.rows("orders").is_empty(), "{stranger}: {:?}", world.rows("orders"));
        let good = world.connect(2, PODS[0]);
        world.close(good);
        assert_eq!(world.clients("orders"), ["client-2 service=1"], "{stranger}");
    }
}

#[test]
fn a_translated_address_is_observed_again_when_it_becomes_an_endpoints() {
    let mut world = World::new([orders(&pods(1))]);
    let translated = ip("64:ff9b::10.0.0.2");
    for _ in 0..2 {
        let connection = world.connect(1, "64:ff9b::10.0.0.2");
        world.close(connection);
        world.pass(IGNORE_AFTER);
    }
    assert_eq!(world.engine.take_ignore_updates().add, [translated]);
    world.apply(orders(&pods(2)));
    assert_eq!(world.engine.take_ignore_updates().remove, [translated]);
}

#[test]
fn a_connection_that_is_ahead_of_the_topology_is_booked_when_its_endpoint_comes() {
    let mut world = World::new([orders(&pods(1))]);
    let addresses = translated(&mut world, 1, ORDERS, "64:ff9b::", &PODS[..2]);
    world.connect(1, &addresses[1]);
    assert!(world.rows("orders").is_empty());
    world.apply(orders(&pods(2)));
    assert_eq!(world.rows("orders"), ["orders-1 1/1/0/1"]);
}

#[test]
fn learned_endpoints_are_the_originals() {
    let learner = Some(Learner::new(crate::topology::learned::LearnConfig::default()));
    let mut world = World::with(Config { learner, ..config() }, []);
    let addresses = translated(&mut world, 1, ORDERS, "64:ff9b::", &PODS);
    world.connect(1, &addresses[0]);
    world.resolve(2, ORDERS, &PODS);
    world.connect(2, PODS[0]);
    assert_eq!(world.rows("orders"), ["10.0.0.1 2/2/0/2"]);
}
