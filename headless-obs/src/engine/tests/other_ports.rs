//! Ports that the Service does not list: those that work, and those that are accepted and ended at once.

use super::*;
use crate::expose::snapshot::OtherPort;
use crate::topology::test_builders::{pod, service as service_object};

fn world() -> World {
    let mut world = World::new([orders(&pods(3))]);
    world.apply(service_object("shop", "orders").port("web", 80));
    world.apply(Change::Synced(true));
    world
}

/// A client connects to port `port` of each of the three pods, `times` times, by new answers.
fn connect(world: &mut World, client: u8, port: u16, times: u8) -> Vec<Dialled> {
    let mut dialled = Vec::new();
    for turn in 0..times * 3 {
        world.resolve(client, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let Dialled(record) = world.dial(client, &format!("10.0.0.{}", turn % 3 + 1));
        dialled.push(world.open(Dialled(TcpRecord { port, ..record })));
    }
    dialled
}

fn ports(world: &World) -> Vec<OtherPort> {
    world.client("orders").other_ports
}

#[test]
fn a_port_that_works_counts_like_any_other() {
    let mut world = world();
    for dialled in connect(&mut world, 1, 9090, 20) {
        world.close(dialled);
    }
    let client = world.client("orders");
    assert_eq!((client.opened, client.spread.connections, client.selections.connections), (60, 60, 60));
    assert_eq!(client.verdict.map(|verdict| verdict.cause), Some(Cause::Even));
    let expected =
        OtherPort { port: 9090, connections: 60, opened: 60, use_port: Some(PORT), ..OtherPort::default() };
    assert_eq!(world.client("orders").other_ports, [expected]);
    assert_eq!((world.unattributed("other_port"), world.snapshot().quality.attempts.attributed), (0, 60));
}

#[test]
fn a_port_that_is_accepted_and_ended_at_once_is_a_mismatch() {
    let ends: [fn(&mut World, Dialled); 2] = [
        |world, Dialled(record)| {
            world.submit(KIND_CLOSED, Dialled(TcpRecord { end: end::SERVER, bytes_sent: 90, ..record }));
        },
        |world, dialled| world.reset(dialled),
    ];
    for end in ends {
        let mut world = world();
        for dialled in connect(&mut world, 1, 80, 20) {
            end(&mut world, dialled);
        }
        let [port] = <[_; 1]>::try_from(ports(&world)).unwrap();
        assert_eq!((port.connections, port.opened, port.failed, port.of_service), (60, 60, 60, true));
        let verdict = world.client("orders").verdict.unwrap();
        assert_eq!((verdict.cause, verdict.confidence), (Cause::PortMismatch, Confidence::High));
        assert!(verdict.evidence[0].contains("without a byte"), "{verdict:?}");
        assert!(verdict.fix.unwrap().contains("8080"));
    }
}

#[test]
fn what_is_a_success_at_a_port_that_is_not_listed() {
    type End = fn(&mut World, TcpRecord);
    let ends: [(&str, End); 3] = [
        ("the client closes", |world, record| world.submit(KIND_CLOSED, Dialled(record))),
        ("it received something", |world, record| {
            world.submit(KIND_CLOSED, Dialled(TcpRecord { end: end::SERVER, bytes_received: 1, ..record }));
        }),
        ("it lasted", |world, record| {
            world.pass(Duration::from_secs(6));
            world.submit(KIND_CLOSED, Dialled(TcpRecord { end: end::SERVER, ..record }));
        }),
    ];
    for (case, end) in ends {
        let mut world = world();
        for Dialled(record) in connect(&mut world, 1, 9090, 4) {
            end(&mut world, record);
        }
        assert_eq!((ports(&world)[0].connections, ports(&world)[0].failed), (12, 0), "{case}");
    }
    // At a port that the endpoint has, a proxy's end is the endpoint's affair.
    let mut world = world();
    for Dialled(record) in connect(&mut world, 1, PORT, 4) {
        world.submit(KIND_CLOSED, Dialled(TcpRecord { end: end::SERVER, ..record }));
    }
    assert_eq!(ports(&world), []);
}

#[test]
fn the_port_to_use_is_the_one_with_the_same_name() {
    let mut two = orders(&pods(1)).ports(&[8081, 8082]);
    two.ports[1].name = "web".into();
    let mut world = World::new([two]);
    world.apply(service_object("shop", "orders").port("admin", 81).port("web", 80));
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    let Dialled(record) = world.dial(1, "10.0.0.1");
    world.fail(Dialled(TcpRecord { port: 80, ..record }), reason::REFUSED);
    assert_eq!(ports(&world)[0].use_port, Some(8082));
}

#[test]
fn at_an_address_of_several_pods_an_unlisted_port_may_be_anybodys() {
    let on_node = |name: &str| ready(name, "192.168.0.1");
    let other = slice("shop", "agents", "a").ports(&[9100]).with(on_node("agent"));
    let mut world = World::new([orders(&[on_node("orders-0")]), other]);
    world.resolve(1, ORDERS, &["192.168.0.1"]);
    let Dialled(record) = world.dial(1, "192.168.0.1");
    world.open(Dialled(TcpRecord { port: 10_250, ..record }));
    assert_eq!((world.client("orders").opened, world.unattributed("other_port")), (0, 1));
    assert_eq!(ports(&world)[0].failed, 0);
    // A pod that is no endpoint.
    let mut world = self::world();
    world.apply(pod("shop", "other", &["10.0.0.1"]));
    connect(&mut world, 1, 9090, 1);
    assert_eq!((world.client("orders").opened, world.unattributed("other_port")), (2, 1));
}
