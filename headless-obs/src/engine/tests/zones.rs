//! Traffic within and across zones: the node's zone, the matrix, and counters that do not go back.

use super::*;
use crate::expose::metrics::cardinality::{ClientLabels, Config as Limits};
use crate::expose::snapshot::{ZoneTraffic, Zones};
use crate::topology;

mod habits;

const CONNECTIONS: &str = "headless_cross_zone_connections_total";
const BYTES: &str = "headless_cross_zone_bytes_total";

/// Endpoints at 10.0.0.1 and up in these zones, each on a node of its own; an empty zone is not said.
fn zoned(zones: &[&str]) -> Vec<SliceEndpoint> {
    let place = |(number, zone): (usize, &&str)| {
        let pod = pods(u8::try_from(zones.len()).unwrap()).swap_remove(number);
        let zone = (!zone.is_empty()).then(|| (*zone).into());
        SliceEndpoint { zone, node: Some(format!("node-{number}").into()), ..pod }
    };
    zones.iter().enumerate().map(place).collect()
}

/// A daemon on the node of the first endpoint.
fn world(zones: &[&str]) -> World {
    let topology = topology::Config { node: Some("node-0".into()), ..Default::default() };
    World::with(Config { topology, ..config() }, [orders(&zoned(zones))])
}

/// One connection to each of the first endpoints, which carries 10 bytes there and 20 back.
fn visit(world: &mut World, endpoints: u8) {
    for number in 1..=endpoints {
        let address = format!("10.0.0.{number}");
        world.resolve(1, ORDERS, &[&address]);
        let dialled = world.connect(1, &address);
        world.close(dialled);
    }
}

fn row(from: &str, to: &str, connections: u64) -> ZoneTraffic {
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let mut row = ZoneTraffic { from: named(from), to: named(to), ..ZoneTraffic::default() };
    (row.sum.connections, row.sum.bytes_sent, row.sum.bytes_received) =
        (connections, connections * 10, connections * 20);
    row
}

#[test]
fn the_matrix_is_of_the_nodes_zone_and_those_of_endpoints() {
    let mut world = world(&["a", "a", "b", ""]);
    visit(&mut world, 4);
    visit(&mut world, 3);
    let expected = Zones::of([row("a", "a", 4), row("a", "b", 2), row("a", "", 1)]);
    let service = world.service("orders");
    assert_eq!(world.snapshot().zone.as_deref(), Some("a"));
    assert_eq!((&service.zones, &service.clients[0].zones), (&expected, &expected));
    assert_eq!((expected.within.bytes(), expected.across.bytes(), expected.unknown.bytes()), (120, 60, 30));
    assert_eq!(world.sum(CONNECTIONS, ""), 2);
    assert_eq!((world.sum(BYTES, "\"sent\""), world.sum(BYTES, "\"received\"")), (20, 40));
}

#[test]
fn counters_are_there_before_the_first_crossing_and_only_with_zones() {
    let mut known = world(&["a", "b"]);
    visit(&mut known, 1);
    assert_eq!(known.lines(CONNECTIONS, "").len(), 1);
    assert_eq!((known.sum(CONNECTIONS, ""), known.lines(BYTES, "").len()), (0, 2));
    for zones in [["", "b"], ["", ""]] {
        let mut unknown = world(&zones);
        visit(&mut unknown, 2);
        assert_eq!(unknown.lines(CONNECTIONS, "").len(), 0, "the node's zone is not known: {zones:?}");
        assert!(unknown.client("orders").zones.is_unknown());
    }
}

#[test]
fn what_crossed_stays_counted_whatever_becomes_of_the_endpoint() {
    let mut world = world(&["a", "b", "c"]);
    visit(&mut world, 3);
    let Dialled(open) = world.connect(1, "10.0.0.3");
    let crossed = (world.sum(CONNECTIONS, ""), world.sum(BYTES, ""));
    assert_eq!(crossed, (3, 60));
    // The second leaves for good. The pod of the third is back in the zone of the node.
    let mut left = zoned(&["a", "b", "c"]);
    left.truncate(1);
    world.apply(orders(&left));
    let back = SliceEndpoint { zone: Some("a".into()), ..ready("orders-2", "10.0.0.9").uid("new") };
    left.push(back);
    world.apply(orders(&left));
    for hours in [0, 2, 20] {
        world.pass(Duration::from_secs(hours * 3_600));
        let now = world.time();
        world.engine.expire(now);
        assert_eq!((world.sum(CONNECTIONS, ""), world.sum(BYTES, "")), crossed, "after {hours} hours");
    }
    // A connection that is older than all of that ends.
    world.close(Dialled(open));
    assert_eq!(world.sum(BYTES, ""), 90);
    let now = world.tick();
    world.engine.expire(now);
    world.engine.expire(now);
    assert_eq!((world.sum(CONNECTIONS, ""), world.sum(BYTES, "")), (3, 90), "its cell is forgotten, too");
    assert_eq!(world.engine.forgotten_zones, ForgottenZones::default());
}

#[test]
fn what_crosses_is_exact_however_clients_are_folded() {
    for clients in [ClientLabels::Workload, ClientLabels::Namespace, ClientLabels::None] {
        let topology = topology::Config { node: Some("node-0".into()), ..Default::default() };
        let series = Limits { clients, ..Limits::default() };
        let mut world = World::with(Config { topology, series, ..config() }, [orders(&zoned(&["a", "b"]))]);
        for client in 1..=3 {
            for address in ["10.0.0.1", "10.0.0.2", "10.0.0.2"] {
                world.resolve(client, ORDERS, &[address]);
                let dialled = world.connect(client, address);
                world.close(dialled);
            }
        }
        let rows = if clients == ClientLabels::Workload { 3 } else { 1 };
        assert_eq!(world.lines(CONNECTIONS, "").len(), rows, "{clients:?}");
        assert_eq!((world.sum(CONNECTIONS, ""), world.sum(BYTES, "")), (6, 180), "{clients:?}");
    }
}

#[test]
fn contradictory_slices_make_no_statement() {
    let mut world = world(&["a", "b"]);
    visit(&mut world, 2);
    let mut other = zoned(&["a"]);
    other[0].zone = Some("b".into());
    world.apply(service("payments", &other));
    assert_eq!(world.snapshot().zone, None);
    assert_eq!(world.lines(CONNECTIONS, "").len(), 0);
    world.apply(service("payments", &[]));
    assert_eq!(world.sum(CONNECTIONS, ""), 1, "the counter continues");
}
