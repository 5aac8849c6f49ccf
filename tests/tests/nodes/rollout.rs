//! Real kubelets start and end pods while clients go on.

use std::collections::BTreeMap;

use lab::ClientSpec;
use lab::cluster::until;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::shared::PATIENCE;
use crate::shop::{Shop, sum};

pub(crate) fn a_rolling_update_is_counted_to_the_last_connection(shared: &Shared) {
    let daemons = shared.daemons();
    let shop = Shop::open(shared, "rollout");
    let before = shop.orders(2, 1);
    let web = shop.clients("web", 2);
    // They run until `stop`.
    let clients: Vec<_> = web
        .iter()
        .map(|pod| {
            let name = shop.namespace.domain("orders");
            let spec = ClientSpec::new(&name, 8080, crate::shop::RESOLVER, u64::MAX).random().rate(50.0);
            shop.run(pod, &spec)
        })
        .collect();
    let restart = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "once"}}}}});
    let path = format!("{}/orders", shop.namespace.path("apps/v1/statefulsets"));
    shared.cluster.api().patch(&path, &restart).unwrap();
    let is_done = |set: &Value| {
        let status = &set["status"];
        let is_seen = status["observedGeneration"] == set["metadata"]["generation"];
        is_seen
            && status["updatedReplicas"] == 2
            && status["readyReplicas"] == 2
            && status["currentRevision"] == status["updateRevision"]
    };
    shared.cluster.api().when(&path, PATIENCE, is_done).unwrap_or_else(|error| shared.give_up(&error));
    let after = shop.pods("orders", 2);
    assert!(before.iter().all(|old| after.iter().all(|new| old.uid != new.uid)), "{before:?} {after:?}");

    // All clients and daemons have seen the new pods.
    let names: BTreeMap<_, _> =
        before.iter().chain(&after).map(|pod| (pod.address, pod.name.clone())).collect();
    let has_used_all = |client: &lab::Client| {
        let report = client.report()?;
        Ok(after.iter().all(|pod| report.connected(pod.address) > 0).then_some(()))
    };
    for client in &clients {
        until(PATIENCE, "connections to the new pods", || has_used_all(client)).unwrap();
    }
    for (pod, client) in web.iter().zip(&clients) {
        let report = client.stop().unwrap();
        let mut truth = BTreeMap::new();
        for (address, outcomes) in &report.addresses {
            *truth.entry(("web".to_owned(), names[address].clone())).or_default() += outcomes.connected;
        }
        truth.retain(|_, connected| *connected > 0);
        let daemon = daemons.iter().find(|daemon| daemon.node == pod.node).unwrap();
        let (reported, service) = shop.reported(daemon, report.total().connected);
        assert_eq!(reported, truth, "{}: {service:#}", daemon.node);
    }
}

pub(crate) fn a_pod_that_terminates_gracefully_is_seen_to_serve_on(shared: &Shared) {
    let daemons = shared.daemons();
    let shop = Shop::open(shared, "grace");
    // The grace period is longer than this test, so the pod ends only when the test ends it.
    let orders = shop.orders(1, 120);
    let web = shop.clients("web", 2);
    let pod = web.iter().find(|pod| pod.node == daemons[0].node).unwrap();
    let name = shop.namespace.domain("orders");
    let client = shop.run(pod, &ClientSpec::new(&name, 8080, crate::shop::RESOLVER, 0).never_again());
    assert_eq!(client.open(2).unwrap().open, 2);

    let path = format!("{}/{}", shop.namespace.path("pods"), orders[0].name);
    shared.cluster.api().delete(&path, None).unwrap();
    daemons[0].snapshot_when("an endpoint that terminates", |snapshot| {
        shop.orders_of(snapshot).is_some_and(|service| service["endpoints"][0]["state"] == "terminating")
    });
    assert_eq!(client.open(3).unwrap().open, 5, "it serves on");
    let (_, service) = shop.reported(&daemons[0], 5);
    // With its default grace period, the daemon counts those right after the change as `grace`.
    let terminating = ["terminating", "grace"].map(|kind| service["stale"][kind].as_u64().unwrap());
    assert_eq!(
        (sum(&service, "opened"), sum(&service, "active"), terminating.iter().sum::<u64>()),
        (5, 5, 3),
        "{service:#}"
    );
    shared.cluster.api().delete(&path, Some(0)).unwrap();
}

pub(crate) fn a_probe_that_fails_takes_the_pod_out(shared: &Shared) {
    let daemons = shared.daemons();
    let shop = Shop::open(shared, "unready");
    let orders = shop.orders(2, 1);
    shop.server(&orders[0]).stop_listening().unwrap();
    shop.namespace.resolves("orders", [&orders[1].address]).unwrap();
    for daemon in &daemons {
        daemon.snapshot_when("a pod that is not ready", |snapshot| {
            shop.orders_of(snapshot).is_some_and(|service| {
                let rows = service["endpoints"].as_array().unwrap();
                let state =
                    |pod: &str| rows.iter().find(|row| row["pod"] == pod).map(|row| row["state"].clone());
                state(&orders[0].name) == Some(json!("not_ready"))
                    && state(&orders[1].name) == Some(json!("ready"))
            })
        });
    }
}
