//! Ways in which connections fail and end. The kernel produces each, and the report must show it for the right client
//! and pod.

use std::net::IpAddr;
use std::time::Duration;

use lab::client::{Dial, Outcomes, Receive};
use lab::*;
use serde_json::{Value, json};

use crate::snapshot_figures::{cell, client, endpoint, failed, failures};
use crate::{ORDERS, PATIENCE, PORT, Scene, orders, sum};

/// A pod with an address of each family.
fn pod(scene: &Scene, name: &str, last: u8) -> Pod {
    let spec = PodSpec::new("shop", name)
        .address(&format!("10.244.1.{last}/24"))
        .address(&format!("fd00:10:244:1::{last}/64"));
    scene.node.pod(spec).unwrap()
}

/// Makes all attempts at an address at once from a pod.
fn dial(from: &Pod, to: IpAddr, attempts: u64, change: impl FnOnce(&mut Dial)) -> Outcomes {
    let threads = usize::try_from(attempts).unwrap();
    let spec = ClientSpec::fixed(&[to], PORT, attempts).threads(threads).dial(change);
    from.client(&spec).unwrap().wait().unwrap().addresses[&to]
}

/// Makes `server` reset `count` open connections of a pod.
fn be_reset(from: &Pod, to: IpAddr, server: &Server, count: u64) {
    let client = from.client(&ClientSpec::fixed(&[to], PORT, 0)).unwrap();
    let before = server.total().unwrap();
    assert_eq!(client.open(count).unwrap().open, count);
    assert_eq!(server.total().unwrap(), before + count);
    assert_eq!(server.reset_all().unwrap(), count);
}

/// Produces every failure, over both families, by two clients in different numbers; then checks the report with the
/// given hook.
fn fail_in_every_way(hook: &str, reason: impl Fn(&'static str) -> &'static str) {
    let scene = Scene::new();
    let clients = [(pod(&scene, "web", 20), 3), (pod(&scene, "batch", 21), 1)];
    let names = ["refusing", "silent", "gone", "impatient", "resetting"];
    let pods: Vec<Pod> = names.iter().zip(100..).map(|(name, last)| pod(&scene, name, last)).collect();
    let [refusing, silent, gone, impatient, resetting] = &pods[..] else { unreachable!() };
    let server = resetting.serve(&ServerSpec::new(resetting.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
    let addresses = |pod: &Pod| pod.addresses();
    let gone_addresses = addresses(gone);
    silent.silence().unwrap();
    impatient.silence().unwrap();
    let service = ServiceSpec::new("shop", "orders", PORT, &pods);
    let observer = scene.observe(&[service], &["--tcp-hook", hook]);
    gone.remove().unwrap();

    for (from, n) in &clients {
        for nonblocking in [false, true] {
            for to in addresses(refusing) {
                let outcomes = dial(from, to, *n, |dial| dial.nonblocking = nonblocking);
                assert_eq!(outcomes, Outcomes { refused: *n, ..Outcomes::default() });
            }
        }
        for to in addresses(silent) {
            let outcomes = dial(from, to, *n, |dial| dial.user_timeout_ms = Some(200));
            assert_eq!(outcomes, Outcomes { timeout: *n, ..Outcomes::default() });
        }
        for to in &gone_addresses {
            let outcomes = dial(from, *to, *n, |_| {});
            assert_eq!(outcomes, Outcomes { unreachable: *n, ..Outcomes::default() });
        }
        for to in addresses(impatient) {
            let outcomes = dial(from, to, *n, |dial| dial.give_up_ms = Some(30));
            assert_eq!(outcomes, Outcomes { aborted: *n, ..Outcomes::default() });
        }
        for to in addresses(resetting) {
            be_reset(from, to, &server, *n);
        }
    }

    // All clients' attempts at each pod, and their results.
    let ways = [
        ("refusing", reason("refused"), 4),
        ("silent", reason("timeout"), 2),
        ("gone", reason("unreachable"), 2),
        ("impatient", reason("aborted"), 2),
        ("resetting", reason("reset"), 2),
    ];
    let visible = ways.iter().filter(|(_, reason, _)| !reason.is_empty());
    let expected: u64 = visible.map(|(_, _, times)| times * 4).sum();
    let done = |orders: &_| failures(orders) >= expected && sum(orders, "closed") == 8;
    let snapshot = observer.snapshot_when(PATIENCE, |snapshot| done(orders(snapshot))).unwrap();
    let orders = orders(&snapshot);
    assert_eq!(snapshot["quality"]["probes"]["tcp"], hook);
    for (pod, reason, times) in ways {
        let row = endpoint(orders, pod);
        let opened = if pod == "resetting" { times * 4 } else { 0 };
        let counts = |n: u64| if reason.is_empty() { vec![] } else { vec![(reason, n)] };
        assert_eq!(row["failed"], failed(&counts(times * 4)), "{hook}: {row:#}");
        assert_eq!((&row["opened"], &row["closed"]), (&json!(opened), &json!(opened)), "{hook}: {row:#}");
        for (from, n) in &clients {
            let cell = cell(orders, from.name(), pod);
            let (failures, reasons) = match reason {
                "" => (0, json!(null)),
                _ => (times * n, json!({reason: times * n})),
            };
            assert_eq!((&cell["failed"], &cell["reasons"]), (&json!(failures), &reasons), "{hook}: {cell:#}");
        }
    }
    assert_eq!(client(orders, "web")["failed"], json!(expected / 4 * 3));
}

#[test]
fn every_way_to_fail_is_told_apart() {
    fail_in_every_way("tp_btf", |reason| reason);
}

/// The classic tracepoint has no error number: a failed attempt is `other`, a reset connection just ends.
#[test]
fn the_classic_tracepoint_counts_failures_without_reasons() {
    fail_in_every_way("tracepoint", |reason| if reason == "reset" { "" } else { "other" });
}

#[test]
fn the_loser_of_happy_eyeballs_has_not_failed() {
    for (hook, given_up) in [("tp_btf", "aborted"), ("tracepoint", "other")] {
        let scene = Scene::new();
        let web = pod(&scene, "web", 20);
        let pods = [scene.pod("quick", "10.244.1.100/24"), pod(&scene, "silent", 101)];
        pods[0].serve_port(PORT).unwrap();
        pods[1].silence().unwrap();
        let observer =
            scene.observe(&[ServiceSpec::new("shop", "orders", PORT, &pods)], &["--tcp-hook", hook]);
        let [v4, v6] = [true, false].map(|v4| pods[1].ip(v4).unwrap());
        let milliseconds = |of| u64::try_from(stretched(Duration::from_millis(of)).as_millis()).ok();
        let race = |to: [IpAddr; 2], times| {
            let spec = ClientSpec::fixed(&to, PORT, times).dial(|dial| {
                (dial.happy_eyeballs_ms, dial.give_up_ms) = (milliseconds(20), milliseconds(60));
            });
            web.client(&spec).unwrap().wait().unwrap()
        };
        let report = race([pods[0].ip(true).unwrap(), v6], 5);
        assert_eq!((report.total().connected, report.addresses[&v6].superseded), (5, 5), "{report:?}");
        let report = race([v4, v6], 3);
        assert_eq!((report.addresses[&v4].aborted, report.addresses[&v6].aborted), (3, 3), "{report:?}");

        let done = |orders: &_| failures(orders) + sum(orders, "superseded") + sum(orders, "closed") >= 16;
        let snapshot = observer.snapshot_when(PATIENCE, |snapshot| done(orders(snapshot))).unwrap();
        let orders = orders(&snapshot);
        let (quick, silent) = (endpoint(orders, "quick"), endpoint(orders, "silent"));
        assert_eq!((&quick["opened"], &quick["failed"]), (&json!(5), &failed(&[])), "{hook}");
        assert_eq!(silent["superseded"], 5, "{hook}: {silent:#}");
        assert_eq!(silent["failed"], failed(&[(given_up, 6)]), "{hook}: {silent:#}");
        assert_eq!(client(orders, "web")["failed"], 6, "{hook}");
    }
}

/// The snapshot after this many connections have ended.
fn closed(observer: &Observer, connections: u64) -> Value {
    observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == connections).unwrap()
}

#[test]
fn bytes_and_open_connections_are_what_client_and_server_know() {
    const LENGTH: usize = 10_000;
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (service, servers) = scene.orders(2, &ServerMode::Echo);
    let observer = scene.observe(&[service], &[]);
    let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, 0)
        .round_robin(2)
        .dial(|dial| (dial.send, dial.receive) = (LENGTH, Receive::Bytes(LENGTH)));
    let client = web.client(&spec).unwrap();
    assert_eq!(client.open(10).unwrap().open, 10);
    let held = observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "opened") == 10).unwrap();
    let figures =
        |pod| ["opened", "active", "closed"].map(|figure| endpoint(orders(&held), pod)[figure].clone());
    assert_eq!(figures("orders-0"), [5, 5, 0]);
    assert_eq!(figures("orders-1"), [5, 5, 0]);
    assert_eq!(servers.iter().map(|server| server.open().unwrap()).sum::<u64>(), 10);

    // The client closes four, by its habit two to each pod; the others end by the servers' end.
    client.close(4).unwrap();
    let less = closed(&observer, 4);
    assert_eq!(cell(orders(&less), "web", "orders-0")["active"], 3);
    assert_eq!(sum(orders(&less), "active"), 6);
    assert_eq!(sum(orders(&less), "bytes_sent"), 100_000, "those that are open, too");
    servers.iter().for_each(Server::kill);
    let snapshot = closed(&observer, 10);
    let figures =
        ["opened", "active", "bytes_sent", "bytes_received"].map(|figure| sum(orders(&snapshot), figure));
    assert_eq!(figures, [10, 0, 100_000, 100_000], "{:#}", orders(&snapshot));
    assert_eq!(failures(orders(&snapshot)), 0);
    assert_eq!(client.report().unwrap().open, 6, "the client still holds what the servers have closed");
}

/// Makes four connections of one client at once; the report must match the server's counts and these numbers.
fn exchange(mode: ServerMode, sent: u64, received: u64, change: impl Fn(&mut Dial)) {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (service, servers) = scene.orders(1, &mode);
    let observer = scene.observe(&[service], &[]);
    let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, 4).threads(4).dial(change);
    assert_eq!(web.client(&spec).unwrap().wait().unwrap().total().connected, 4);
    let snapshot = closed(&observer, 4);
    let figures = ["opened", "active", "bytes_sent", "bytes_received"];
    let figures = figures.map(|figure| sum(orders(&snapshot), figure));
    assert_eq!(figures, [4, 0, 4 * sent, 4 * received]);
    // The server counts a connection's bytes at its end.
    let all_ended = (0..10_000).any(|_| servers[0].open().unwrap() == 0);
    assert!(all_ended, "connections that their clients closed are still open at the server");
    let at_server: u64 = servers[0].counts().unwrap().values().map(|source| source.bytes).sum();
    assert_eq!(at_server, 4 * sent);
}

#[test]
fn bytes_that_wait_when_the_client_closes_are_sent_all_the_same() {
    exchange(ServerMode::Hold, 4 << 20, 0, |dial| dial.send = 4 << 20);
}

#[test]
fn a_connection_that_the_client_closes_halfway_is_open_until_the_server_has_answered() {
    let halfway = |dial: &mut Dial| (dial.send, dial.receive) = (1000, Receive::Close);
    exchange(ServerMode::Send(4 << 20), 1000, 4 << 20, halfway);
}
