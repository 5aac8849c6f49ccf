//! The daemon's view of the cluster: slices of all origins, unreadable objects, names of clients.

use lab::cluster::*;
use lab::*;
use serde_json::json;

use crate::harness::Shared;
use crate::observed_daemon::{Observed, PATIENCE, bare_service, slice};

pub(crate) fn clients_and_endpoints_have_their_names(shared: &Shared) {
    let mut shop = shared.cluster.namespace("source-names").unwrap();
    let service = "
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {clusterIP: None, selector: {app: orders}, ports: [{name: http, port: 8080}]}
";
    shop.apply(service).unwrap();
    let pods = ["orders-0", "orders-1"].map(|name| shop.pod(&Draft::new(name).app("orders")).unwrap());
    let wanted: Vec<_> = pods.iter().flat_map(|pod| pod.addresses()).collect();
    shop.resolves("orders", &wanted).unwrap();
    for pod in &pods {
        let listen = pod.addresses().iter().map(|address| (*address, 8080).into()).collect();
        pod.serve(&ServerSpec::new(listen)).unwrap();
    }
    let web = shop.pod(&Draft::new("web")).unwrap();

    let observed = Observed::start(shared, "source-names");
    let done = web.client(&ClientSpec::libc("orders", 8080, 5)).unwrap().wait().unwrap();
    assert_eq!(done.total().connected, 5);
    let snapshot = observed.observer.snapshot_when(PATIENCE, |snapshot| {
        let services = snapshot["services"].as_array().unwrap();
        services.iter().any(|service| {
            service["namespace"] == shop.name()
                && service["spread"]["connections"] == 5
                && service["clients"][0]["workload"] == "web"
                && service["endpoints"][1]["pod"] == "orders-1"
        })
    });
    snapshot.unwrap();
}

pub(crate) fn slices_made_by_hand_count(shared: &Shared) {
    let shop = shared.cluster.namespace("source-hand").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    shop.apply(&bare_service("legacy")).unwrap();
    shop.apply(&slice("outside-1", "outside", 80, &["192.0.2.7", "192.0.2.8"])).unwrap();
    let legacy = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "legacy"},
        "subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"name": "http", "port": 80}]}],
    });
    shared.cluster.api().create(&shop.path("endpoints"), &legacy).unwrap();
    let observed = Observed::start(shared, "source-hand");
    observed.has(shop.name(), "outside", &["192.0.2.7", "192.0.2.8"]);
    observed.has(shop.name(), "legacy", &["192.0.2.9"]);
}

pub(crate) fn an_object_that_cannot_be_read_costs_no_other(shared: &Shared) {
    let shop = shared.cluster.namespace("source-odd").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    // The API server accepts any number as a port.
    shop.apply(&slice("odd", "outside", 80_800, &["192.0.2.1"])).unwrap();
    shop.apply(&slice("good", "outside", 80, &["192.0.2.2"])).unwrap();
    let observed = Observed::start(shared, "source-odd");
    observed.has(shop.name(), "outside", &["192.0.2.2"]);
    observed.source(|source| source["rejected_objects"].as_u64() >= Some(1) && source["synced"] == true);
    assert!(observed.observer.log().contains("80800 is no port number"), "{}", observed.observer.log());

    shop.apply(&slice("odd", "outside", 8080, &["192.0.2.1"])).unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.1", "192.0.2.2"]);
    // The slice was valid before: its endpoints stay, whatever its ports are.
    shop.apply(&slice("odd", "outside", 80_800, &["192.0.2.1"])).unwrap();
    shop.apply(&slice("good", "outside", 80, &["192.0.2.3"])).unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.1", "192.0.2.3"]);
    shared
        .cluster
        .api()
        .delete(&format!("{}/odd", shop.path("discovery.k8s.io/v1/endpointslices")), None)
        .unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.3"]);
}

pub(crate) fn a_slice_may_change_who_watches_it(shared: &Shared) {
    let shop = shared.cluster.namespace("source-moves").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    shop.apply(&slice("moves", "outside", 80, &["192.0.2.1"])).unwrap();
    let observed = Observed::start(shared, "source-moves");
    observed.has(shop.name(), "outside", &["192.0.2.1"]);
    let path = format!("{}/moves", shop.path("discovery.k8s.io/v1/endpointslices"));
    let label = |value| json!({"metadata": {"labels": {"service.kubernetes.io/headless": value}}});
    for round in 2..12_u8 {
        let value = if round % 2 == 0 { json!("") } else { json!(null) };
        shared.cluster.api().patch(&path, &label(value)).unwrap();
    }
    shared.cluster.api().patch(&path, &json!({"endpoints": [{"addresses": ["192.0.2.99"]}]})).unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.99"]);
    shared.cluster.api().delete(&path, None).unwrap();
    observed.has(shop.name(), "outside", &[]);
}

pub(crate) fn only_the_namespaces_asked_for(shared: &Shared) {
    let names = ["source-one", "source-two", "source-three"];
    let spaces = names.map(|name| shared.cluster.namespace(name).unwrap());
    for space in &spaces {
        space.apply(&bare_service("outside")).unwrap();
        space.apply(&slice("outside-1", "outside", 80, &["192.0.2.7"])).unwrap();
    }
    let options = ["--namespace=source-one", "--namespace=source-two"];
    let mut observed = Observed::launch(shared, "source-some", &Identity::admin(), &options);
    observed.wait_ready();
    observed.has("source-one", "outside", &["192.0.2.7"]);
    observed.has("source-two", "outside", &["192.0.2.7"]);
    observed.has("source-three", "outside", &[]);
}
