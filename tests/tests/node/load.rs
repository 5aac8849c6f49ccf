//! The load of open connections: live, apart from the load before the daemon, and counted once.

use lab::client::Receive;
use lab::*;
use serde_json::Value;

use crate::{ORDERS, PATIENCE, PORT, Scene, orders, sum};

/// Bytes each way of one connection.
const LENGTH: usize = 10_000;

/// Bytes sent and received by the Service's clients.
fn bytes(snapshot: &Value) -> [u64; 2] {
    ["bytes_sent", "bytes_received"].map(|figure| sum(orders(snapshot), figure))
}

/// A figure of the load of the Service's endpoints, 0 where it is left out.
fn load(snapshot: &Value, path: &str) -> u64 {
    let endpoints = orders(snapshot)["endpoints"].as_array().unwrap();
    endpoints.iter().filter_map(|endpoint| endpoint["carried"].pointer(path)?.as_u64()).sum()
}

fn snapshot(observer: &Observer, opened: u64, active: u64) -> Value {
    let is_there = |snapshot: &Value| {
        let orders = orders(snapshot);
        (sum(orders, "opened"), sum(orders, "active")) == (opened, active)
    };
    observer.snapshot_when(PATIENCE, is_there).unwrap()
}

#[test]
fn open_connections_have_a_load_and_a_restart_counts_nothing_twice() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (service, _servers) = scene.orders(2, &ServerMode::Echo);
    let start = || scene.observe(std::slice::from_ref(&service), &[]);
    let observer = start();
    let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, 0)
        .round_robin(2)
        .dial(|dial| (dial.send, dial.receive) = (LENGTH, Receive::Bytes(LENGTH)));
    let client = web.client(&spec).unwrap();
    assert_eq!(client.open(10).unwrap().open, 10);
    let open = snapshot(&observer, 10, 10);
    assert_eq!(open["quality"]["probes"]["load"], "iter/bpf_map_elem");
    assert_eq!(bytes(&open), [100_000; 2], "{:#}", orders(&open));
    let segments = ["/segments_sent", "/segments_received"].map(|path| load(&open, path));
    assert!(segments.iter().all(|segments| *segments >= 10), "{segments:?}");
    assert_eq!(load(&open, "/before/bytes_sent"), 0);

    // The end of a connection adds only the rest: nothing.
    client.close(4).unwrap();
    let less = snapshot(&observer, 10, 6);
    assert_eq!(bytes(&less), [100_000; 2], "{:#}", orders(&less));

    observer.kill();
    let next = start();
    let older = snapshot(&next, 0, 6);
    let before =
        |snapshot: &Value| ["/before/bytes_sent", "/before/bytes_received"].map(|path| load(snapshot, path));
    assert_eq!((bytes(&older), before(&older)), ([0; 2], [60_000; 2]), "{:#}", orders(&older));
    assert_eq!(client.open(2).unwrap().open, 8);
    let both = snapshot(&next, 2, 8);
    assert_eq!((bytes(&both), before(&both)), ([20_000; 2], [60_000; 2]), "{:#}", orders(&both));
    client.close(8).unwrap();
    let ended = snapshot(&next, 2, 0);
    assert_eq!((bytes(&ended), before(&ended)), ([20_000; 2], [60_000; 2]), "{:#}", orders(&ended));
}
