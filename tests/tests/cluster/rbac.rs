//! The daemon's rights: the shipped ones are sufficient and all necessary, and without each the effect is the
//! documented one.

use lab::cluster::*;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::observed_daemon::{Observed, RULES, account};
use crate::snapshot_figures::client;
use crate::test_namespace::{Scene, sum};

/// A ServiceAccount of the scene's namespace that may list and watch all but one of the resources.
fn account_without(scene: &Scene, resource: &str) -> Identity {
    let rules: Vec<_> = RULES.into_iter().filter(|[_, of]| *of != resource).collect();
    Identity::Token(account(scene.shared, scene.namespace.name(), resource, &rules))
}

/// The refused resources of a snapshot, each with the effect.
fn refused(snapshot: &Value) -> Vec<(&str, &str)> {
    let list = snapshot["quality"]["topology"]["refused"].as_array().unwrap().iter();
    list.map(|refusal| (refusal["resource"].as_str().unwrap(), refusal["lost"].as_str().unwrap())).collect()
}

pub(crate) fn the_shipped_rights_allow_no_more_than_is_asked(shared: &Shared) {
    let token = shared.cluster.daemon_token().unwrap();
    let gate = shared.cluster.gate().unwrap();
    let config = shared.cluster.kubeconfig("shipped", &gate.url(), &Identity::Token(token)).unwrap();
    let api = shared.cluster.api_by(&config).unwrap();
    let status = |method: &str, path: &str| api.status(method, path, &Value::Null).unwrap();
    for [group, resource] in RULES {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        assert_eq!(status("GET", &format!("{root}/{resource}?limit=1")), 200, "{resource}");
        for method in ["POST", "DELETE"] {
            assert_eq!(
                status(method, &format!("{root}/namespaces/default/{resource}")),
                403,
                "{method} {resource}"
            );
        }
    }
    for path in [
        "/api/v1/secrets",
        "/api/v1/nodes",
        "/api/v1/configmaps",
        "/api/v1/namespaces",
        "/api/v1/namespaces/default/services/kubernetes",
        "/api/v1/namespaces/default/serviceaccounts/default/token",
        "/apis/apps/v1/replicasets",
        "/apis/apps/v1/deployments",
    ] {
        assert_eq!(status("GET", path), 403, "{path}");
    }
}

pub(crate) fn without_pods_clients_have_no_names(shared: &Shared) {
    let mut scene = Scene::new(shared, "no-pods");
    scene.orders(2);
    let web = scene.client("web");
    let who = account_without(&scene, "pods");
    let observed = Observed::ready(shared, "no-pods", &who, &[]);
    scene.connect(&web, "orders", 10);
    let orders = scene.when(&observed, "orders", |service| sum(service, "closed") == 10);
    let rows = orders["clients"].as_array().unwrap();
    let workload = rows[0]["workload"].as_str().unwrap();
    assert!(workload.starts_with(&format!("pod-{}", &web.uid()[..8])), "{workload}");
    assert_eq!(orders["spread"]["connections"], 10);
    let snapshot = observed.snapshot().unwrap();
    let lost = "names of client pods and workloads; clients are named by cgroup or address";
    assert_eq!(refused(&snapshot), [("pods", lost)]);
    assert_eq!(snapshot["quality"]["topology"]["synced"], true);
}

pub(crate) fn without_services_what_only_they_say_is_missing(shared: &Shared) {
    let mut scene = Scene::new(shared, "no-services");
    scene.orders(2);
    // Without a selector, only the Service shows that it is headless.
    scene
        .namespace
        .apply(
            "
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {clusterIP: None, ports: [{name: http, port: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: outside-1, labels: {kubernetes.io/service-name: outside}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [192.0.2.30]}]
",
        )
        .unwrap();
    let web = scene.client("web");
    let who = account_without(&scene, "services");
    let observed = Observed::ready(shared, "no-services", &who, &[]);
    scene.connect(&web, "orders", 10);
    let orders = scene.settled(&observed, "orders");
    assert_eq!(client(&orders, "web")["resolution"], json!({"service": 10}));
    let snapshot = observed.snapshot().unwrap();
    let lost = "ports and publishNotReadyAddresses of Services, and endpoints of Services without a selector";
    assert_eq!(refused(&snapshot), [("services", lost)]);
    assert!(scene.find(&snapshot, "outside").is_none(), "{snapshot:#}");
}

pub(crate) fn a_role_in_one_namespace_is_enough_for_that_namespace(shared: &Shared) {
    let mut scene = Scene::new(shared, "shop");
    scene.orders(2);
    let web = scene.client("web");
    // The shipped rights for single namespaces, with their own account.
    let shipped = include_str!("../../../deploy/namespaced/rbac.yaml")
        .replace("name: headless-obs\n", "name: narrow\n");
    shared.cluster.api().apply(&shipped).unwrap();
    let who = Identity::Token(shared.cluster.token("headless-obs", "narrow", &Value::Null).unwrap());
    let observed = Observed::ready(shared, "narrow", &who, &["--namespace=shop"]);
    scene.connect(&web, "orders", 10);
    scene.settled(&observed, "orders");
    let snapshot = observed.snapshot().unwrap();
    assert!(refused(&snapshot).is_empty());
    assert!(snapshot["services"].as_array().unwrap().iter().all(|service| service["namespace"] == "shop"));
}
