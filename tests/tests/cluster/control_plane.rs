//! The cluster itself: properties that the tests of the daemon rely on.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use lab::cluster::*;
use lab::*;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::{ORDERS, PATIENCE, PORT};

pub(crate) fn names_are_resolved_by_libc_in_a_pod(shared: &Shared) {
    let mut shop = shared.cluster.namespace("plane-dns").unwrap();
    shop.apply(ORDERS).unwrap();
    let pods = ["orders-0", "orders-1"].map(|name| shop.pod(&Draft::new(name).app("orders")).unwrap());
    let web = shop.pod(&Draft::new("web")).unwrap();
    let wanted: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| pod.addresses()).collect();
    shop.resolves("orders", &wanted).unwrap();
    let found = web.client(&ClientSpec::libc("orders", PORT, 0)).unwrap().resolve().unwrap();
    assert_eq!(found.targets.iter().map(|target| target.ip()).collect::<BTreeSet<_>>(), wanted);
    // A pod that is not ready is not in the answer.
    pods[0].set_ready(false).unwrap();
    shop.resolves("orders", &pods[1].addresses()).unwrap();
}

pub(crate) fn slices_of_headless_services_are_labelled(shared: &Shared) {
    let mut shop = shared.cluster.namespace("plane-slices").unwrap();
    shop.apply(ORDERS).unwrap();
    shop.apply(&ORDERS.replace("name: orders", "name: usual").replace("clusterIP: None, ", "")).unwrap();
    let pod = shop.pod(&Draft::new("orders-0").app("orders")).unwrap();
    let slices = shop.path("discovery.k8s.io/v1/endpointslices");
    let endpoint = |list: &Value| list["items"][0]["endpoints"][0].clone();
    let of = |service: &str| {
        let path = format!("{slices}?labelSelector=kubernetes.io/service-name%3D{service}");
        let list = shared
            .cluster
            .api()
            .when(&path, PATIENCE, |list| endpoint(list)["targetRef"]["uid"] == pod.uid());
        list.unwrap()
    };
    let (headless, usual) = (of("orders"), of("usual"));
    let label =
        |list: &Value| list["items"][0]["metadata"]["labels"].get("service.kubernetes.io/headless").cloned();
    assert_eq!((label(&headless), label(&usual)), (Some(json!("")), None));
    assert_eq!(endpoint(&headless)["nodeName"], "n1");
    assert_eq!(endpoint(&headless)["zone"], "zone-n1");
}

/// Sends a request through a fault proxy; returns the response. The API server answers plain HTTP with an explanation.
fn exchange(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    heard(stream)
}

fn heard(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut buffer = [0; 256];
    let length = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

pub(crate) fn a_gate_passes_stalls_resets_and_refuses(shared: &Shared) {
    let gate = shared.cluster.gate().unwrap();
    let dial = || TcpStream::connect(gate.address());
    let told = "Client sent an HTTP request to an HTTPS server";
    let answer = exchange(&mut dial().unwrap()).unwrap();
    assert!(answer.contains(told), "{answer}");
    assert_eq!((gate.connections(), gate.sent()), (1, 18));
    assert!(gate.received() > 50, "{} bytes", gate.received());

    // Waiting data go on when the fault proxy opens.
    let mut waiting = dial().unwrap();
    gate.stall().unwrap();
    let error = exchange(&mut waiting).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    gate.open().unwrap();
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(heard(&mut waiting).unwrap().contains(told));

    let mut open = dial().unwrap();
    until(PATIENCE, "connection that was taken", || Ok((gate.connections() == 3).then_some(()))).unwrap();
    gate.reset();
    open.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(heard(&mut open).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut open = dial().unwrap();
    gate.close().unwrap();
    open.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(heard(&mut open).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(dial().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    gate.open().unwrap();
    assert!(exchange(&mut dial().unwrap()).unwrap().contains(told));
}

pub(crate) fn who_watches_from_before_a_compaction_must_list_again(shared: &Shared) {
    let api = shared.cluster.api();
    let old = api.get("/api/v1/pods?limit=1").unwrap()["metadata"]["resourceVersion"].clone();
    let since = format!("/api/v1/pods?watch=1&timeoutSeconds=1&resourceVersion={}", old.as_str().unwrap());
    // The server reports such an error as an event of a watch that has begun.
    let is_refused = || api.get(&since).unwrap()["object"]["code"] == 410;
    assert!(!is_refused());
    // The revision must have changed since.
    let _namespace = shared.cluster.namespace("plane-compact").unwrap();
    shared.cluster.compact().unwrap();
    shared.cluster.stop_api_server();
    assert!(api.get("/readyz").is_err());
    shared.cluster.start_api_server().unwrap();
    assert!(is_refused());
    assert_eq!(api.get("/version").unwrap()["gitVersion"], "v1.37.1");
}

pub(crate) fn a_token_may_what_its_account_may(shared: &Shared) {
    let shop = shared.cluster.namespace("plane-token").unwrap();
    let token = shared.cluster.token(shop.name(), "default", &Value::Null).unwrap();
    let gate = shared.cluster.gate().unwrap();
    let status = |identity: &Identity, path: &str| {
        let config = shared.cluster.kubeconfig("account", &gate.url(), identity).unwrap();
        shared.cluster.api_by(&config).unwrap().status("GET", path, &Value::Null).unwrap()
    };
    let account = Identity::Token(token);
    assert_eq!((status(&account, "/version"), status(&account, "/api/v1/secrets")), (200, 403));
    assert_eq!(status(&Identity::admin(), "/api/v1/secrets"), 200);
    assert_eq!(status(&Identity::Token("nonsense".to_owned()), "/version"), 401);
}
