//! The API server is away, loses its history, or does not answer: the daemon keeps the last known state, marks it as
//! stale, and is up to date again soon after. Traffic goes on all the time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::cluster::{Draft, until};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::harness::Shared;
use crate::observed_daemon::Observed;
use crate::snapshot_figures::endpoint;
use crate::test_namespace::{Scene, addresses, observe, opened, stale, sum};

/// The time that the API server is away: longer than any timeout. With `--five-minutes` on the test program's command
/// line it is five minutes.
fn absence() -> Duration {
    let minutes = std::env::args().any(|argument| argument == "--five-minutes");
    Duration::from_secs(if minutes { 300 } else { 30 })
}

/// Waits until the daemon reports its topology as stale, or as fresh again: in the snapshot, by readiness and in the
/// metrics.
fn told(observed: &Observed, old: bool) {
    const GAUGE: &str = "headless_observer_topology_synced{source=\"kubernetes\"}";
    let (status, gauge) = if old { (503, format!("{GAUGE} 0")) } else { (200, format!("{GAUGE} 1")) };
    until(PATIENCE, &format!("word that the topology is old: {old}"), || {
        let topology = observed.snapshot()?["quality"]["topology"].take();
        let is_told = topology["synced"] == !old
            && topology["stale_since"].is_null() != old
            && observed.get("/readyz")?.0 == status
            && observed.metrics()?.lines().any(|line| line == gauge);
        Ok(is_told.then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", observed.log()));
}

/// Number of repeated lists of watches.
fn relists(observed: &Observed) -> u64 {
    observed.snapshot().unwrap()["quality"]["topology"]["relists"].as_u64().unwrap()
}

pub(crate) fn what_was_known_stays_while_the_api_server_is_away(shared: &Shared) {
    let mut scene = Scene::new(shared, "away");
    let pods = scene.orders(2);
    let web = scene.client("web");
    // A daemon that was cut off a little earlier does not know the third pod when a client uses it.
    let [observed, cut_off] = ["away", "away-earlier"].map(|name| observe(shared, name, "n1"));
    scene.connect(&web, "orders", 10);
    scene.settled(&observed, "orders");
    scene.settled(&cut_off, "orders");
    cut_off.gate.close().unwrap();
    told(&cut_off, true);
    let more = scene.server(&Draft::new("orders-2").app("orders"));
    scene.namespace.resolves("orders", &[addresses(&pods), more.addresses()].concat()).unwrap();
    scene.when(&observed, "orders", |orders| orders["spread"]["endpoints"] == 3);

    shared.cluster.stop_api_server();
    told(&observed, true);
    let end = Instant::now() + absence();
    let mut rounds = 0;
    while Instant::now() < end {
        scene.connect(&web, "orders", 12);
        let orders = scene.settled(&observed, "orders");
        // An endpoint must not become idle, removed or stale only because the source is silent.
        assert_eq!((&orders["stale"], &orders["spread"]["endpoints"]), (&stale(&[]), &json!(3)));
        let rows = orders["endpoints"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["state"] == "ready"), "{orders:#}");
        rounds += 1;
        sleep(Duration::from_secs(1));
    }
    told(&observed, true);
    cut_off.gate.open().unwrap();
    shared.cluster.start_api_server().unwrap();
    let back = Instant::now();
    told(&observed, false);
    told(&cut_off, false);
    println!(
        "in touch {:?} after the API server was ready; {rounds} rounds of traffic while it was away",
        back.elapsed()
    );

    let last = scene.server(&Draft::new("orders-3").app("orders"));
    let all = [addresses(&pods), more.addresses(), last.addresses()].concat();
    scene.namespace.resolves("orders", &all).unwrap();
    scene.connect(&web, "orders", 30);
    for observed in [&observed, &cut_off] {
        let orders = scene.settled(observed, "orders");
        assert_eq!((&orders["stale"], &orders["spread"]["endpoints"]), (&stale(&[]), &json!(4)));
    }
}

/// Everything changes while the daemon is cut off, and the history is gone when it is back.
pub(crate) fn what_changed_behind_its_back_is_right_again_soon(shared: &Shared) {
    let mut scene = Scene::new(shared, "compacted");
    let mut pods = scene.orders(3);
    let web = scene.client("web");
    let observed = scene.observe();
    scene.connect(&web, "orders", 12);
    scene.settled(&observed, "orders");
    let before = relists(&observed);

    observed.gate.close().unwrap();
    told(&observed, true);
    // One pod goes, another one comes, and a new Service appears.
    pods.remove(0).remove().unwrap();
    pods.push(scene.server(&Draft::new("orders-3").app("orders")));
    scene.namespace.apply(&crate::ORDERS.replace("name: orders", "name: audit")).unwrap();
    scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
    scene.namespace.resolves("audit", &addresses(&pods)).unwrap();
    scene.connect(&web, "orders", 20);
    shared.cluster.compact().unwrap();
    shared.cluster.stop_api_server();
    shared.cluster.start_api_server().unwrap();
    observed.gate.open().unwrap();
    told(&observed, false);

    let orders = scene.settled(&observed, "orders");
    assert_eq!((&orders["stale"], &orders["spread"]["endpoints"]), (&stale(&[]), &json!(3)), "{orders:#}");
    assert_eq!(endpoint(&orders, "orders-0")["state"], "removed");
    assert!(relists(&observed) > before, "the history before the compaction was not gone");
    scene.when(&observed, "audit", |audit| audit["spread"]["endpoints"] == 3);
    scene.connect(&web, "audit", 6);
    let audit = scene.when(&observed, "audit", |audit| sum(audit, "closed") == 6);
    let mut together = opened(&scene.settled_without(&observed, "orders", 6));
    opened(&audit).into_iter().for_each(|(cell, count)| *together.entry(cell).or_default() += count);
    assert_eq!(together, scene.accepted());
}

/// The history is lost again and again while pods come and go.
pub(crate) fn history_that_goes_during_churn_loses_nothing(shared: &Shared) {
    let mut scene = Scene::new(shared, "churn");
    let mut pods = scene.orders(2);
    let web = scene.client("web");
    let observed = scene.observe();
    let before = relists(&observed);
    for round in 0..2 {
        observed.gate.close().unwrap();
        pods.push(scene.server(&Draft::new(&format!("more-{round}")).app("orders")));
        pods.remove(0).remove().unwrap();
        shared.cluster.compact().unwrap();
        shared.cluster.stop_api_server();
        shared.cluster.start_api_server().unwrap();
        observed.gate.open().unwrap();
        scene.namespace.resolves("orders", &addresses(&pods)).unwrap();
        scene.connect(&web, "orders", 8);
        let orders = scene.settled(&observed, "orders");
        assert_eq!(orders["stale"], stale(&[]), "round {round}: {orders:#}");
        let right =
            |orders: &Value| orders["spread"]["endpoints"] == 2 && sum(orders, "opened") == 8 * (round + 1);
        scene.when(&observed, "orders", right);
    }
    told(&observed, false);
    assert!(relists(&observed) > before);
}

pub(crate) fn a_server_that_is_silent_is_noticed(shared: &Shared) {
    let mut scene = Scene::new(shared, "silent");
    scene.orders(2);
    let web = scene.client("web");
    let observed = scene.observe();
    // Changes during the stall arrive after it, on the same connections.
    observed.gate.stall().unwrap();
    let more = scene.server(&Draft::new("orders-2").app("orders"));
    let known = scene.namespace.cluster().look_up(&scene.namespace.domain("orders")).unwrap();
    scene.namespace.resolves("orders", known.iter().chain(&more.addresses())).unwrap();
    scene.connect(&web, "orders", 30);
    observed.gate.open().unwrap();
    let orders = scene.settled(&observed, "orders");
    assert_eq!((&orders["stale"], &orders["spread"]["endpoints"]), (&stale(&[]), &json!(3)));
}
