//! Open connections one by one, compared with what was opened, read and ended.

use headless_obs_ebpf::reading::Reading;

use super::client_pods::world;
use super::expiry::{existing, flow};
use super::windows::address;
use super::*;
use crate::expose::connection_list::{ConnectionList, ConnectionOrder, ConnectionQuery, OpenConnection};
use crate::expose::test_fixtures::connection_query;
use crate::testing::Random;

fn reading(dialled: Dialled, bytes_sent: u64, rtt: u32) -> Reading {
    let Dialled(record) = dialled;
    Reading {
        flow: flow(dialled),
        socket: record.socket,
        started: record.started,
        bytes_sent,
        bytes_received: 7,
        segments_sent: 1,
        segments_received: 1,
        retransmitted: 2,
        rtt,
        min_rtt: if rtt == 0 { u32::MAX } else { rtt / 2 },
        unsent: rtt / 3,
        unacknowledged: 5,
        source_port: port_of(record.socket),
        _pad: 0,
    }
}

fn port_of(socket: u64) -> u16 {
    u16::try_from(30_000 + socket).unwrap()
}

/// The list by the readings of a round, as the event loop takes it.
fn list(world: &mut World, query: &ConnectionQuery, readings: &[Reading]) -> ConnectionList {
    let now = world.tick();
    world.engine.begin_readings();
    world.engine.on_readings(now, readings);
    world.engine.end_readings();
    let mut listing = world.engine.begin_listing(query.clone());
    for slice in readings.chunks(3) {
        world.engine.list(&mut listing, slice);
    }
    world.engine.end_listing(&mut listing, true);
    let programs = listing.sockets().map(|(socket, started)| {
        let name = format!("program-{}", started.0);
        (socket, Program { process: u32::try_from(socket).ok(), name })
    });
    world.engine.connection_list(&listing, &world.kernel(), &programs.collect())
}

fn query(order: ConnectionOrder, limit: usize) -> ConnectionQuery {
    ConnectionQuery { order, limit, ..connection_query() }
}

fn sockets(list: &ConnectionList) -> Vec<u32> {
    list.connections.iter().filter_map(|row| row.process).collect()
}

#[test]
fn the_first_ones_of_any_order_are_those_that_a_sort_of_all_gives() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut world = world(3, 4);
        let mut open: Vec<(Dialled, Reading)> = Vec::new();
        for _ in 0..60 {
            let (client, endpoint) = (1 + random.below(4), random.below(3));
            let client = u8::try_from(client).unwrap();
            world.resolve(client, ORDERS, &[&address(0), &address(1), &address(2)]);
            let dialled = world.connect(client, &address(endpoint));
            let bytes = u64::try_from(random.below(20)).unwrap();
            open.push((dialled, reading(dialled, bytes, u32::try_from(random.below(30)).unwrap())));
            if random.below(3) == 0 {
                let (ended, _) = open.swap_remove(random.below(open.len()));
                world.close(ended);
            }
        }
        let readings: Vec<_> = open.iter().map(|(_, reading)| *reading).collect();
        let limit = random.below(70);
        for order in
            [ConnectionOrder::Load, ConnectionOrder::Age, ConnectionOrder::Rtt, ConnectionOrder::Waiting]
        {
            let mut expected = readings.clone();
            expected.sort_by_key(|reading| {
                let weight = match order {
                    ConnectionOrder::Load => reading.bytes_sent + reading.bytes_received,
                    ConnectionOrder::Age => 0,
                    ConnectionOrder::Rtt => reading.rtt.into(),
                    ConnectionOrder::Waiting => u64::from(reading.unsent) + u64::from(reading.unacknowledged),
                };
                (std::cmp::Reverse(weight), reading.started)
            });
            expected.truncate(limit);
            let list = list(&mut world, &query(order, limit), &readings);
            let expected: Vec<_> =
                expected.iter().map(|reading| u32::try_from(reading.socket).unwrap()).collect();
            assert_eq!(sockets(&list), expected, "{order:?}, {limit} of {}", readings.len());
            let rest = readings.len() - expected.len();
            assert_eq!((list.open, list.left_out), (readings.len() as u64, rest as u64));
        }
    }
}

#[test]
fn a_row_says_who_where_since_when_and_from_which_answer() {
    let mut world = world(2, 2);
    world.resolve(2, ORDERS, &[&address(1), &address(0)]);
    let answered = world.time();
    world.pass(Duration::from_secs(7));
    let dialled = world.connect(2, &address(0));
    // A later answer is not the one that it came from.
    world.pass(Duration::from_secs(60));
    world.resolve(2, ORDERS, &[&address(0)]);
    let by_address = world.connect(1, &address(1));
    let readings = [reading(dialled, 100, 30), reading(by_address, 9, 0)];
    let list = list(&mut world, &query(ConnectionOrder::Load, 10), &readings);
    let [first, second] = &list.connections[..] else { panic!("{list:#?}") };
    let OpenConnection { answer, reading, .. } = first;
    assert_eq!((first.client.workload.as_str(), first.client_pod.as_str()), ("web", "web-2"));
    assert_eq!(
        (first.pod.as_deref(), first.address.as_str(), first.port),
        (Some("orders-0"), "10.0.0.1", PORT)
    );
    assert_eq!((first.source.as_str(), first.source_port), ("10.9.0.2", Some(port_of(dialled.0.socket))));
    assert_eq!(first.opened, Some(world.engine.wall(Time(dialled.0.started))));
    let answer = answer.as_ref().unwrap();
    assert_eq!((&*answer.name, answer.position, answer.size), (ORDERS, 1, 2));
    assert_eq!(answer.at, world.engine.wall(answered));
    let reading = reading.unwrap();
    assert_eq!((reading.bytes_sent, reading.bytes_received, reading.retransmitted), (100, 7, 2));
    assert_eq!((reading.rtt_us, reading.least_rtt_us), (Some(30), Some(15)));
    assert_eq!((reading.unsent_bytes, reading.unacknowledged_bytes), (10, 5));

    assert_eq!((second.resolution.as_str(), &second.answer), ("none", &None));
    let reading = second.reading.unwrap();
    assert_eq!((reading.rtt_us, reading.least_rtt_us), (None, None));
}

#[test]
fn what_is_older_than_the_daemon_has_neither_start_nor_answer() {
    let mut world = world(1, 1);
    let Dialled(record) = world.dial(1, &address(0));
    let older = Dialled(TcpRecord { started: 0, ..record });
    let now = world.tick();
    world.engine.adopt(now, &[existing(older)]);
    let list = list(&mut world, &query(ConnectionOrder::Age, 10), &[reading(older, 1, 1)]);
    let [row] = &list.connections[..] else { panic!("{list:#?}") };
    assert_eq!((row.resolution.as_str(), row.opened, &row.answer), ("preexisting", None, &None));
}

#[test]
fn names_select() {
    let mut world = world(1, 2);
    world.resolve(1, ORDERS, &[&address(0)]);
    let dialled = world.connect(1, &address(0));
    let readings = [reading(dialled, 1, 1)];
    let mut open = |service: &str, client: Option<&str>| {
        let client = client.map(|client| client.parse().unwrap());
        let query = ConnectionQuery { service: service.parse().unwrap(), client, ..connection_query() };
        let list = list(&mut world, &query, &readings);
        (list.services.len(), list.open, list.connections.len())
    };
    assert_eq!(open("shop/orders", None), (1, 1, 1));
    assert_eq!(open("orders", Some("web")), (1, 1, 1));
    assert_eq!(open("orders", Some("shop/web")), (1, 1, 1));
    assert_eq!(open("orders", Some("x/web")), (1, 0, 0));
    assert_eq!(open("x/orders", None), (0, 0, 0));
}

#[test]
fn without_readings_the_oldest_come_first_and_nothing_is_made_up() {
    let mut world = world(1, 1);
    world.resolve(1, ORDERS, &[&address(0)]);
    let open: Vec<_> = (0..5).map(|_| world.connect(1, &address(0))).collect();
    let mut listing = world.engine.begin_listing(query(ConnectionOrder::Load, 3));
    world.engine.end_listing(&mut listing, false);
    let oldest: Vec<_> = open.iter().take(3).map(|Dialled(record)| record.socket).collect();
    assert_eq!(listing.sockets().map(|(socket, _)| socket).collect::<Vec<_>>(), oldest);
    let list = world.engine.connection_list(&listing, &world.kernel(), &BTreeMap::new());
    assert_eq!((list.load.as_str(), list.open, list.left_out), ("none", 5, 2));
    let is_silent = |row: &OpenConnection| {
        row.reading.is_none() && row.program.is_none() && row.source_port.is_none() && row.answer.is_some()
    };
    assert!(list.connections.iter().all(is_silent), "{list:#?}");
}

#[test]
fn another_socket_in_the_same_memory_is_not_taken_for_the_connection() {
    let mut world = world(1, 1);
    world.resolve(1, ORDERS, &[&address(0)]);
    let dialled = world.connect(1, &address(0));
    let own = reading(dialled, 10, 1);
    let query = query(ConnectionOrder::Load, 10);
    assert_eq!(list(&mut world, &query, &[own]).connections.len(), 1);
    let others = Reading { source_port: own.source_port + 1, bytes_sent: 99, ..own };
    assert_eq!(list(&mut world, &query, &[others]).connections, []);
    let unknown = Reading { socket: own.socket + 7, ..own };
    assert_eq!(list(&mut world, &query, &[unknown]).connections, []);
}
