//! The API server is away, loses its history or offers less than others: the daemon keeps the last known state, marks
//! it as stale, and is up to date again soon after.

use lab::cluster::*;
use serde_json::Value;

use crate::harness::Shared;
use crate::observed_daemon::{Observed, bare_service, slice};

pub(crate) fn away_at_the_start(shared: &Shared) {
    let shop = shared.cluster.namespace("away-start").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    shop.apply(&slice("outside-1", "outside", 80, &["192.0.2.7"])).unwrap();
    let gate = shared.cluster.gate().unwrap();
    gate.close().unwrap();
    let mut observed = Observed::launch_behind(shared, gate, "away-start", &Identity::admin(), &[]);
    observed.not_ready("refuses connections");
    let source = observed.source(|source| source["requests"].as_u64() > Some(3));
    assert_eq!((&source["synced"], &source["stale_since"]), (&Value::Bool(false), &Value::Null));
    assert!(observed.observer.metrics().unwrap().contains("topology_synced{source=\"kubernetes\"} 0"));

    observed.gate.open().unwrap();
    observed.wait_ready();
    observed.has(shop.name(), "outside", &["192.0.2.7"]);
}

pub(crate) fn away_for_a_while(shared: &Shared) {
    let shop = shared.cluster.namespace("away-while").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    shop.apply(&slice("stays", "outside", 80, &["192.0.2.1"])).unwrap();
    shop.apply(&slice("goes", "outside", 80, &["192.0.2.2"])).unwrap();
    let mut observed = Observed::start(shared, "away-while");
    observed.has(shop.name(), "outside", &["192.0.2.1", "192.0.2.2"]);

    observed.gate.close().unwrap();
    observed.not_ready("refuses connections");
    let source = observed.source(|source| source["synced"] == false);
    assert!(source["stale_since"].is_string(), "{source:#}");
    // The last known state stays.
    observed.has(shop.name(), "outside", &["192.0.2.1", "192.0.2.2"]);
    let slices = shop.path("discovery.k8s.io/v1/endpointslices");
    shared.cluster.api().delete(&format!("{slices}/goes"), None).unwrap();
    shop.apply(&slice("comes", "outside", 80, &["192.0.2.3"])).unwrap();

    observed.gate.open().unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.1", "192.0.2.3"]);
    observed.wait_ready();
    let source = observed.source(|source| source["synced"] == true);
    assert_eq!((&source["stale_since"], source["relists"].as_u64()), (&Value::Null, Some(0)));
    assert!(source["watch_restarts"].as_u64() > Some(0), "{source:#}");
}

pub(crate) fn a_stream_that_breaks_is_no_loss(shared: &Shared) {
    let observed = Observed::start(shared, "away-breaks");
    let before = observed.source(|_| true)["watch_restarts"].as_u64();
    observed.gate.reset();
    observed.source(|source| source["watch_restarts"].as_u64() >= before.map(|before| before + 4));
    assert!(!observed.observer.log().contains("stays in use"), "{}", observed.observer.log());
}

/// History is lost twice: etcd is compacted, and a new API server has no history from before its start.
pub(crate) fn forgotten_history_is_listed_again(shared: &Shared) {
    let shop = shared.cluster.namespace("away-gone").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    shop.apply(&slice("stays", "outside", 80, &["192.0.2.1"])).unwrap();
    shop.apply(&slice("goes", "outside", 80, &["192.0.2.2"])).unwrap();
    let mut observed = Observed::start(shared, "away-gone");
    observed.has(shop.name(), "outside", &["192.0.2.1", "192.0.2.2"]);

    observed.gate.close().unwrap();
    observed.not_ready("refuses connections");
    let slices = shop.path("discovery.k8s.io/v1/endpointslices");
    shared.cluster.api().delete(&format!("{slices}/goes"), None).unwrap();
    shop.apply(&slice("comes", "outside", 80, &["192.0.2.3"])).unwrap();
    shared.cluster.compact().unwrap();
    shared.cluster.stop_api_server();
    shared.cluster.start_api_server().unwrap();

    observed.gate.open().unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.1", "192.0.2.3"]);
    observed.wait_ready();
    observed.source(|source| source["relists"].as_u64() > Some(0));
}

pub(crate) fn a_server_that_does_not_stream_lists(shared: &Shared) {
    let shop = shared.cluster.namespace("away-pages").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    shop.apply(&slice("outside-1", "outside", 80, &["192.0.2.1"])).unwrap();
    shared.cluster.set_api_server(&["--feature-gates=WatchList=false"]).unwrap();
    let mut observed = Observed::launch(
        shared,
        "away-pages",
        &Identity::admin(),
        &["--log-level=info,headless_obs::sources=debug"],
    );
    observed.wait_ready();
    observed.has(shop.name(), "outside", &["192.0.2.1"]);
    shop.apply(&slice("outside-1", "outside", 80, &["192.0.2.2"])).unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.2"]);
    let log = observed.observer.log();
    shared.cluster.set_api_server(&[]).unwrap();
    assert!(log.contains("page by page"), "{log}");
}
