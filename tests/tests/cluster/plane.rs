//! The control plane itself: what tests of the daemon take for granted.

use lab::cluster::*;
use lab::*;

use crate::harness::Shared;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {clusterIP: None, selector: {app: orders}, ports: [{name: http, port: 8080}]}
";

pub(crate) fn names_are_resolved_by_libc_in_a_pod(shared: &Shared) {
    let mut shop = shared.cluster.namespace("plane-dns").unwrap();
    shop.apply(SERVICE).unwrap();
    let pods = ["orders-0", "orders-1"].map(|name| shop.pod(&Draft::new(name).app("orders")).unwrap());
    let web = shop.pod(&Draft::new("web").app("web")).unwrap();
    let wanted: Vec<_> = pods.iter().flat_map(|pod| pod.addresses()).collect();
    shop.resolves(&shop.domain("orders"), &wanted).unwrap();
    let found = web.client(&ClientSpec::libc("orders", 8080, 0)).unwrap().resolve().unwrap();
    let mut found: Vec<_> = found.targets.iter().map(|target| target.ip()).collect();
    found.sort();
    assert_eq!(found, wanted);
}

pub(crate) fn slices_of_headless_services_are_labelled(shared: &Shared) {
    let mut shop = shared.cluster.namespace("plane-slices").unwrap();
    shop.apply(SERVICE).unwrap();
    let pod = shop.pod(&Draft::new("orders-0").app("orders")).unwrap();
    let slices = format!(
        "{}?labelSelector=service.kubernetes.io/headless",
        shop.path("discovery.k8s.io/v1/endpointslices")
    );
    let api = shared.cluster.api();
    let has = |list: &serde_json::Value| list["items"][0]["endpoints"][0]["targetRef"]["uid"] == pod.uid();
    api.when(&slices, std::time::Duration::from_secs(10), has).unwrap();
    let _ = &shared.lab;
}
