//! The facts behind verdicts: the answers to clients, their use, and the times.

use super::*;
use crate::topology::test_builders::unready;

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[test]
fn an_endpoint_counts_once_it_is_mature_unless_the_service_began_with_it() {
    let mut world = World::with(Config { mature_after: minutes(10), ..config() }, [orders(&pods(3))]);
    let figures = |world: &World| {
        let Spread { endpoints, coverage, .. } = world.service("orders").spread;
        (endpoints, coverage, world.service("orders").idle)
    };
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        world.connect(1, address);
    }
    world.pass(minutes(1));
    world.apply(orders(&pods(6)));
    world.pass(minutes(9));
    assert_eq!(figures(&world), (3, 1.0, Vec::new()), "the three of the beginning alone");
    world.pass(minutes(1));
    let idle = ["orders-3", "orders-4", "orders-5"].map(str::to_owned);
    assert_eq!(figures(&world), (6, 0.5, idle.to_vec()));
    let told: Vec<u64> = world.client("orders").endpoints.iter().map(|row| row.answered_pods).collect();
    assert_eq!(told, [1, 1, 1, 0, 0, 0], "nobody told the client of the new ones");
}

#[test]
fn an_endpoint_that_came_later_is_held_against_what_it_could_expect() {
    let mut world = World::new([orders(&pods(2))]);
    world.apply(Change::Synced(true));
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
    let take_turns = |world: &mut World, count: usize, turns: usize| {
        for turn in 0..turns {
            let mut answer = addresses[..count].to_vec();
            answer.rotate_left(turn % count);
            world.resolve(1, ORDERS, &answer);
            world.connect(1, answer[0]);
        }
    };
    take_turns(&mut world, 2, 200);
    world.apply(orders(&pods(4)));
    take_turns(&mut world, 4, 40);
    let spread = world.service("orders").spread;
    assert!(spread.peak_to_mean > 1.8 && spread.peak_to_expected < 1.1, "{spread:?}");
    assert_eq!(world.client("orders").verdict.unwrap().cause, Cause::Even);
}

#[test]
fn raw_counts_and_selections_stand_side_by_side() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    for _ in 0..10 {
        world.connect(1, "10.0.0.1");
    }
    world.resolve(1, ORDERS, &["10.0.0.2", "10.0.0.1"]);
    world.connect(1, "10.0.0.2");
    let service = world.service("orders");
    assert_eq!((service.spread.connections, service.selections.connections), (11, 2));
    assert_eq!(service.spread.z, service.selections.z, "chance is told from selections");
    let client = world.client("orders");
    assert_eq!((client.selection_pattern.first, client.selection_pattern.max_connects_per_answer), (2, 10));
    assert_eq!(client.answers.first_records, Counts::from([("orders-0".into(), 1), ("orders-1".into(), 1)]));
    assert_eq!(service.dns.first_records, client.answers.first_records);
}

#[test]
fn connections_held_open_and_bytes() {
    let mut world = World::new([orders(&pods(3))]);
    for client in [1, 2] {
        world.resolve(client, ORDERS, &["10.0.0.1", "10.0.0.2"]);
        world.connect(client, "10.0.0.1");
    }
    let second = world.connect(2, "10.0.0.2");
    world.pass(minutes(1));
    let of = |world: &World, place: usize| world.service("orders").clients[place].open_connections.clone();
    assert_eq!((of(&world, 0).pods_on_one, of(&world, 1).pods_on_one), (1, 0));
    assert!(of(&world, 0).seconds >= 60.0);
    world.close(second);
    assert_eq!(of(&world, 1).pods_on_one, 1);
    let service = world.service("orders");
    assert_eq!(
        (service.open.connections, service.bytes.connections, service.idle),
        (2, 30, Vec::new()),
        "three selections leave one of three out by chance"
    );
}

#[test]
fn a_port_that_the_endpoint_does_not_have() {
    let mut world = World::new([orders(&pods(2))]);
    world.apply(crate::topology::test_builders::service("shop", "orders").port("web", 80));
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    for address in ["10.0.0.1", "10.0.0.2"] {
        let Dialled(record) = world.dial(1, address);
        world.fail(Dialled(TcpRecord { port: 80, ..record }), reason::REFUSED);
    }
    let [wrong] = <[_; 1]>::try_from(world.client("orders").other_ports).unwrap();
    assert_eq!((wrong.port, wrong.connections, wrong.failed), (80, 2, 2));
    assert_eq!((wrong.of_service, wrong.use_port), (true, Some(PORT)));
    assert_eq!(world.unattributed("other_port"), 2);
}

#[test]
fn whose_fault_it_is_that_a_removed_endpoint_is_dialled() {
    let grace = Duration::from_secs(5);
    let mut world = World::with(Config { stale_grace: grace, ..config() }, [orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.apply(orders(&pods(1)));
    world.connect(1, "10.0.0.2");
    assert_eq!(world.service("orders").stale["grace"], 1);
    world.pass(grace);
    world.connect(1, "10.0.0.2");
    world.pass(minutes(1));
    world.connect(1, "10.0.0.2");
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.2");
    let [stale] = <[_; 1]>::try_from(world.client("orders").stale).unwrap();
    assert_eq!(
        (stale.kind.as_str(), stale.connections, stale.past_ttl, stale.answered_after),
        ("removed", 3, 1, 1)
    );
    assert!((65.0..70.0).contains(&stale.seconds), "{stale:?}");
    let service = world.service("orders");
    assert_eq!((service.stale["removed"], service.dns.removed_answered), (3, 1));
    let removed = &world.client("orders").endpoints[1];
    assert!(removed.drained_seconds.is_some_and(|seconds| seconds > 60.0), "{removed:?}");
}

#[test]
fn an_address_that_is_anothers_by_now_says_whose() {
    let mut world = World::with(Config { stale_grace: minutes(1), ..config() }, [orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.apply(orders(&pods(1)));
    world.apply(service("other", &[ready("other-0", "10.0.0.2")]));
    world.connect(1, "10.0.0.2");
    let [stale] = <[_; 1]>::try_from(world.client("orders").stale).unwrap();
    assert_eq!(
        (stale.kind.as_str(), stale.current_owner.as_deref()),
        ("ip_reused", Some("shop/other-0")),
        "no grace"
    );
}

#[test]
fn a_server_that_is_behind_is_told_from_one_that_is_right() {
    let mut world = World::with(Config { stale_grace: minutes(1), ..config() }, [orders(&pods(2))]);
    let dns = |world: &World| {
        let dns = world.service("orders").dns;
        (dns.incomplete, dns.denied)
    };
    let denial = response(ORDERS, RecordType::A, Vec::new());
    let no_aaaa = response(ORDERS, RecordType::AAAA, Vec::new());
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.answer(1, &denial);
    assert_eq!(dns(&world), (0, 0), "within the grace");
    world.pass(minutes(2));
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.answer(1, &no_aaaa);
    assert_eq!(dns(&world), (0, 0), "all there is");
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.answer(1, &denial);
    assert_eq!(dns(&world), (1, 1));
    world.apply(orders(&[unready("orders-0", "10.0.0.1"), unready("orders-1", "10.0.0.2")]));
    world.answer(1, &denial);
    assert_eq!(dns(&world), (1, 1), "none is ready");
}

#[test]
fn how_long_a_new_endpoint_waits_for_its_first_connection() {
    let mut world = World::new([orders(&pods(1))]);
    world.pass(minutes(5));
    world.apply(orders(&pods(2)));
    world.pass(minutes(1));
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.pass(minutes(1));
    world.connect(1, "10.0.0.1");
    world.connect(1, "10.0.0.2");
    let waited: Vec<_> = world.client("orders").endpoints.iter().map(|row| row.converged_seconds).collect();
    assert!(matches!(waited[..], [None, Some(120.0..121.0)]), "{waited:?}");
    let row = &world.service("orders").endpoints[1];
    let answered = row.first_answered.unwrap().duration_since(row.ready_since.unwrap());
    assert_eq!(answered.as_secs(), 60);
}

#[test]
fn who_is_left_out_of_the_headline_is_shown_all_the_same() {
    let exclude = Exclude::new(["client-2"]).unwrap();
    let mut world = World::with(Config { exclude, ..config() }, [orders(&pods(2))]);
    for client in [1, 2] {
        world.resolve(client, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    }
    world.connect(1, "10.0.0.1");
    world.connect(2, "10.0.0.1");
    world.connect(2, "10.0.0.2");
    let service = world.service("orders");
    let counted: Vec<_> = service.endpoints.iter().map(|row| row.counted).collect();
    assert_eq!((service.spread.connections, counted), (1, vec![1, 0]));
    let shown: Vec<_> = service
        .clients
        .iter()
        .map(|row| (row.workload.as_str(), row.opened, row.excluded.as_deref()))
        .collect();
    assert_eq!(shown, [("client-1", 1, None), ("client-2", 2, Some("option"))]);
    assert_eq!(world.rows("orders"), ["orders-0 2/1/0/2", "orders-1 1/0/0/1"]);

    let mut world = World::with(Config { count_host: false, ..config() }, [orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.client("orders").excluded.as_deref(), Some("host"));
    assert_eq!(world.service("orders").spread.connections, 0);
}

#[test]
fn the_observers_own_connections_are_nobodys() {
    let mut world = World::with(Config { own_process: 1, ..config() }, [orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.snapshot().quality.excluded["observer"], 1);
    assert_eq!(world.rows("orders"), [""; 0]);
}

#[test]
fn what_dials_and_whether_it_speaks_grpc() {
    let mut world = World::new([orders(&pods(2))]);
    world.answer(1, &response(&format!("_grpc_config.{ORDERS}"), RecordType::TXT, Vec::new()));
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.1");
    let client = world.client("orders");
    assert_eq!((client.program.as_deref(), client.grpc), (Some("client-1"), true));
    let [(process, who)] = <[_; 1]>::try_from(world.engine.take_program_lookups()).unwrap();
    assert_eq!(process, 1);
    world.engine.program(&who, b"java");
    world.connect(1, "10.0.0.1");
    assert_eq!(world.client("orders").program.as_deref(), Some("java"));
    assert!(world.engine.take_program_lookups().is_empty(), "it is known");
}

#[test]
fn an_answer_that_was_cut_and_used() {
    let mut world = World::new([orders(&pods(4))]);
    let mut cut = addresses_of(ORDERS, &["10.0.0.1", "10.0.0.2"]);
    cut.metadata.truncation = true;
    world.answer(1, &cut);
    world.connect(1, "10.0.0.1");
    let whole = addresses_of(ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
    world.answer(1, &whole);
    world.connect(1, "10.0.0.1");
    let client = world.client("orders");
    let ClientAnswers { count, truncated, truncated_used, smallest, largest, ttl_seconds, .. } =
        client.answers;
    assert_eq!(
        [count, truncated, truncated_used, smallest, largest, ttl_seconds.into()],
        [2, 1, 1, 2, 4, 30]
    );
    assert_eq!(world.service("orders").dns.truncated_used, 1);
}
