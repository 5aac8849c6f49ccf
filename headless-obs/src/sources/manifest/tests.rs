//! Documents, valid and not, turned into changes.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::topology;
use crate::topology::model::{self, PodRef, Proxies, ServiceKey, ServicePort, SliceEndpoint};

mod zones;

fn arc(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { namespace: arc(namespace), name: arc(name) }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn read(format: Format, text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    manifest.add("test", format, text).map_err(|flaw| flaw.to_string()).unwrap();
    manifest
}

fn objects(text: &str) -> Vec<Object> {
    let all = |change| match change {
        Change::Reset(_, objects) => objects,
        _ => Vec::new(),
    };
    read(Format::Yaml, text).into_changes().into_iter().flat_map(all).collect()
}

fn slices(text: &str) -> Vec<Slice> {
    let slice = |object| match object {
        Object::Slice(slice) => Some(slice),
        _ => None,
    };
    objects(text).into_iter().filter_map(slice).collect()
}

/// Slice `orders-abc` of Service `orders` with these ports and endpoints.
fn slice(ports: &str, endpoints: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{name: orders-abc, labels: {{kubernetes.io/service-name: orders}}}}\n\
         ports: {ports}\nendpoints: {endpoints}\n"
    )
}

#[test]
fn a_service_and_its_slice_and_pod() {
    let text = r#"# the shop
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop, creationTimestamp: 2026-01-31T10:00:00Z, annotations: {on: "yes"}}
spec:
  clusterIP: None
  clusterIPs: [None]
  publishNotReadyAddresses: true
  ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}, {port: 81, protocol: TCP}]
---
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: orders-abc
  namespace: shop
  labels: {kubernetes.io/service-name: orders, service.kubernetes.io/headless: ""}
addressType: IPv4
ports: [{port: 8080, protocol: TCP}, {port: 53, protocol: UDP}]
endpoints:
- addresses: [10.244.1.5, 10.244.9.9]
  hostname: orders-0
  nodeName: n1
  targetRef: {kind: Pod, name: orders-0, namespace: shop, uid: u-1}
- addresses: ["::ffff:10.244.1.6"]
  conditions: {ready: false}
  targetRef: {kind: Node, name: n1}
- addresses: [10.244.1.7]
  conditions: {ready: false, serving: true, terminating: true}
  targetRef: {kind: Pod, name: orders-2}
---
apiVersion: v1
kind: Pod
metadata:
  name: web-6d4cf56db6-x2x4x
  namespace: shop
  uid: u-9
  labels: {pod-template-hash: 6d4cf56db6}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-6d4cf56db6, uid: u-8, controller: true}]
spec: {hostNetwork: true, containers: []}
status: {phase: Running, podIP: 10.244.1.5, podIPs: [{ip: 10.244.1.5}, {ip: "fd00::5"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
"#;
    let endpoint = |address, ready, serving, terminating| SliceEndpoint {
        address: ip(address),
        port: None,
        hostname: None,
        pod: None,
        node: None,
        zone: None,
        hints: Box::default(),
        ready,
        serving,
        terminating,
    };
    let pod = |name, uid| Some(PodRef { key: key("shop", name), uid: arc(uid) });
    let port = |name, port| ServicePort { name: arc(name), port };
    let expected = [
        Object::Service(model::Service {
            key: ServiceKey { namespace: arc("shop"), name: arc("orders") },
            headless: true,
            cluster_ips: vec![],
            ports: vec![port("http", 80), port("", 81)],
            publish_not_ready: true,
            distribution: None,
            annotations: None,
        }),
        Object::Slice(Slice {
            key: key("shop", "orders-abc"),
            service: arc("orders"),
            headless: true,
            missing: 0,
            ports: vec![port("", 8080)],
            endpoints: vec![
                SliceEndpoint {
                    hostname: Some(arc("orders-0")),
                    pod: pod("orders-0", "u-1"),
                    node: Some(arc("n1")),
                    ..endpoint("10.244.1.5", true, true, false)
                },
                SliceEndpoint {
                    hostname: Some(arc("orders-0")),
                    pod: pod("orders-0", "u-1"),
                    node: Some(arc("n1")),
                    ..endpoint("10.244.9.9", true, true, false)
                },
                endpoint("10.244.1.6", false, false, false),
                SliceEndpoint { pod: pod("orders-2", ""), ..endpoint("10.244.1.7", false, true, true) },
            ],
        }),
        Object::Pod(model::Pod {
            key: key("shop", "web-6d4cf56db6-x2x4x"),
            uid: arc("u-9"),
            addresses: vec![ip("10.244.1.5"), ip("fd00::5")],
            host_network: true,
            workload: arc("web"),
            finished: false,
            run: None,
            annotations: None,
            proxies: Proxies::None,
            containers: Box::default(),
        }),
    ];
    assert_eq!(objects(text), expected);
    let last = read(Format::Yaml, text).into_changes().pop();
    assert_eq!(last, Some(Change::Synced(true)));
}

#[test]
fn services_with_addresses_and_without_ports() {
    let services = objects(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
         spec: {clusterIP: 10.96.0.5, clusterIPs: [10.96.0.5, 'fd00::5'], ports: [{port: 80}]}\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {name: any}\nspec: {clusterIP: None}\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {name: udp}\nspec: {clusterIP: None, ports: [{port: 53, protocol: UDP}]}\n\
         ---\napiVersion: v1\nkind: Service\nmetadata: {name: outside}\nspec: {type: ExternalName, externalName: x.example}\n",
    );
    let brief: Vec<_> = services
        .iter()
        .map(|object| match object {
            Object::Service(service) => (
                format!("{}/{}", service.key.namespace, service.key.name),
                service.headless,
                service.cluster_ips.len(),
                service.ports.len(),
            ),
            _ => unreachable!(),
        })
        .collect();
    let expected =
        [("default/web", false, 2, 1), ("default/any", true, 0, 0), ("default/outside", false, 0, 0)];
    assert_eq!(brief, expected.map(|(name, headless, ips, ports)| (name.to_owned(), headless, ips, ports)));
}

#[test]
fn every_address_of_an_endpoint_is_read() {
    let endpoints = "[{addresses: [10.0.0.1, 10.0.0.2], hostname: a, conditions: {ready: false}}, {addresses: [10.0.0.3]}]";
    let slice = slices(&slice("[{port: 80}]", endpoints)).remove(0);
    let read: Vec<_> = slice
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.address.to_string(), endpoint.hostname.as_deref(), endpoint.ready))
        .collect();
    let expected = [("10.0.0.1", Some("a"), false), ("10.0.0.2", Some("a"), false), ("10.0.0.3", None, true)];
    assert_eq!(read, expected.map(|(address, hostname, ready)| (address.to_owned(), hostname, ready)));
}

fn numbers(slice: &Slice) -> Vec<u16> {
    slice.ports.iter().map(|port| port.port).collect()
}

#[test]
fn ports_of_slices() {
    let ports = |ports| slices(&slice(ports, "[]")).pop().as_ref().map(numbers);
    assert_eq!(ports("[]"), Some(vec![]));
    assert_eq!(ports("null"), Some(vec![]));
    assert_eq!(ports("[{name: any}]"), Some(vec![]));
    assert_eq!(
        ports("[{port: 80}, {port: 81, protocol: TCP}, {port: 82, protocol: SCTP}]"),
        Some(vec![80, 81])
    );
    assert_eq!(ports("[{port: 53, protocol: UDP}]"), None);
    assert_eq!(slices(&slice("[]", "[{addresses: [x.example]}]").replace("IPv4", "FQDN")), []);
}

const ENDPOINTS: &str = "apiVersion: v1\nkind: Endpoints\nmetadata: {name: orders}\nsubsets:\n\
    - {addresses: [{ip: 10.0.0.1, hostname: a}], notReadyAddresses: [{ip: 10.0.0.2}], ports: [{port: 80}]}\n\
    - {addresses: [{ip: 10.0.0.3}], ports: [{port: 53, protocol: UDP}]}\n\
    - {addresses: [{ip: 10.0.0.4}]}\n";

#[test]
fn endpoints_become_slices_unless_there_are_some() {
    let made = slices(ENDPOINTS);
    let brief: Vec<_> = made
        .iter()
        .map(|slice| {
            let ready: Vec<_> = slice.endpoints.iter().map(|endpoint| endpoint.ready).collect();
            (&*slice.key.name, &*slice.service, numbers(slice), ready)
        })
        .collect();
    assert_eq!(
        brief,
        [("orders/0", "orders", vec![80], vec![true, false]), ("orders/2", "orders", vec![], vec![true])]
    );

    let text = format!("{ENDPOINTS}---\n{}", slice("[]", "[]"));
    let names: Vec<_> = slices(&text).into_iter().map(|slice| slice.key.name).collect();
    assert_eq!(names, [arc("orders-abc")]);
}

#[test]
fn lists() {
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": "Succeeded", "podIP": "10.0.0.1"}},
        {"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {"name": "b"}}]},
        {"apiVersion": "v1", "kind": "List"}
    ]} {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "c"}}]}"#;
    let changes = read(Format::Json, json).into_changes();
    let count = |kind| {
        changes.iter().find_map(|change| match change {
            Change::Reset(of, objects) if *of == kind => Some(objects.len()),
            _ => None,
        })
    };
    assert_eq!([Kind::Service, Kind::Slice, Kind::Pod].map(count), [Some(1), Some(0), Some(2)]);
    let Change::Reset(_, pods) = &changes[2] else { unreachable!() };
    assert!(matches!(&pods[0], Object::Pod(pod) if pod.finished && pod.addresses == [ip("10.0.0.1")]));
}

#[test]
fn a_static_pod_is_known_by_its_own_uid() {
    let pods = objects(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  {name: etcd-n1, uid: mirror, annotations: {kubernetes.io/config.mirror: own}}\n",
    );
    assert!(matches!(&pods[0], Object::Pod(pod) if &*pod.uid == "own"));
}

#[test]
fn flaws_say_where_they_are() {
    let check = |text: &str, expected: &str| {
        let mut manifest = Manifest::default();
        let broken = manifest.add("test", Format::Yaml, text).err();
        let flaw = broken.or_else(|| manifest.flaws().first().map(|(_, flaw)| flaw.clone()));
        assert_eq!(flaw.map(|flaw| flaw.to_string()).as_deref(), Some(expected), "{text}");
    };
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: orders}\n";
    check(
        &format!("{service}---\n{}", slice("[]", "[{addresses: [10.0.0.1]}, {addresses: [10.0.0.300]}]")),
        r#"document 2 (EndpointSlice orders-abc): endpoints[1].addresses[0]: "10.0.0.300" is no IP address"#,
    );
    check(
        &slice("[]", "[{addresses: []}]"),
        "document 1 (EndpointSlice orders-abc): endpoints[0].addresses[0]: is missing",
    );
    check(
        &slice("[{port: 0}]", "[]"),
        "document 1 (EndpointSlice orders-abc): ports[0].port: 0 is no port number (1 to 65535)",
    );
    check(
        &slice("[]", "[]").replace("IPv4", "IPv5"),
        r#"document 1 (EndpointSlice orders-abc): addressType: "IPv5" is none of "IPv4", "IPv6", "FQDN""#,
    );
    check(
        &slice("[]", "[]").replace("io/v1\n", "io/v1beta1\n"),
        "document 1 (EndpointSlice orders-abc): apiVersion: \"discovery.k8s.io/v1beta1\" is not supported; \
         write \"discovery.k8s.io/v1\"",
    );
    check("apiVersion: v1\nkind: Pod\n", "document 1 (Pod): metadata.name: is missing");
    check("kind: Pod\nmetadata: {name: a}\n", "document 1 (Pod a): apiVersion: is missing");
    check(
        &format!("{service}spec: {{ports: [{{port: 80}}, {{port: http}}]}}\n"),
        r#"document 1 (Service orders): spec.ports[1].port: invalid type: string "http", expected i32"#,
    );
    check(
        &format!("{service}spec: {{clusterIPs: [10.0.0.1, none]}}\n"),
        r#"document 1 (Service orders): spec.clusterIPs[1]: "none" is no IP address"#,
    );
    check(
        &ENDPOINTS.replace("10.0.0.2", "ten"),
        r#"document 1 (Endpoints orders): subsets[0].notReadyAddresses[0].ip: "ten" is no IP address"#,
    );
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIPs: [{ip: x}]}\n",
        r#"document 1 (Pod a): status.podIPs[0].ip: "x" is no IP address"#,
    );
    check(
        "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIP: x}}]\n",
        r#"document 1 (Pod a): items[0].status.podIP: "x" is no IP address"#,
    );
    check(
        &format!("{service}---\n{service}"),
        "document 2 (Service orders): metadata.name: is in test, document 1, too (namespace default); remove one",
    );
    check(&format!("{service}---\nkind: ["), "document 2: unclosed bracket '[' at line 5, column 7");
    check(
        "kind: Pod\nkind: Pod\n",
        "document 1: duplicate mapping key: kind not allowed here at line 2, column 1",
    );

    let flaw = Manifest::default().add("test", Format::Json, "{\"kind\": 1,}").unwrap_err();
    assert_eq!(flaw.to_string(), "document 1: trailing comma at line 1 column 12");
}

#[test]
fn a_large_cluster_fits() {
    let endpoints: Vec<_> = (0..30_000_u32)
        .map(|number| {
            let [_, high, middle, low] = number.to_be_bytes();
            format!(
                "{{addresses: [10.{high}.{middle}.{low}], conditions: {{ready: true, serving: true, terminating: false}}, \
                 nodeName: n1, targetRef: {{kind: Pod, name: p, namespace: q, uid: u}}}}"
            )
        })
        .collect();
    let text = slice("[]", &format!("[{}]", endpoints.join(", ")));
    assert_eq!(slices(&text)[0].endpoints.len(), 30_000);
}

#[test]
fn a_text_that_expands_without_end_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        text += &format!("a{level}: &a{level} [{alias}]\n");
    }
    assert!(Manifest::default().add("test", Format::Yaml, &text).is_err());
}

#[test]
fn one_object_refuses_itself_and_what_is_not_ours_is_passed_over() {
    let mut manifest = Manifest::default();
    let service = |name: &str| format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n");
    let foreign = slice("[]", "[]").replace("kubernetes.io/service-name", "multicluster.io/service-name");
    let text = [
        service("a"),
        slice("[{port: 0}]", "[]"),
        foreign,
        "replicas: 3\n".to_owned(),
        "[1, text, {kind: Pod}]\n".to_owned(),
        "apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: x}\nspec: {}\n".to_owned(),
        "apiVersion: example.com/v1\nkind: AllowList\nitems: {a: 1}\n".to_owned(),
        "apiVersion: example.com/v1\nkind: GadgetList\nitems: [{metadata: {name: x}}, null]\n".to_owned(),
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n- text\n".to_owned(),
        "kind: List\n".to_owned(),
        service("c"),
    ];
    manifest.add("test", Format::Yaml, &text.join("---\n")).unwrap();
    // A number, a text; a Pod without a version is one of ours.
    assert_eq!((manifest.flawed(), manifest.passed_over()), (2, 9), "{:?}", manifest.flaws());
    let changes = manifest.into_changes();
    assert!(matches!(&changes[0], Change::Reset(Kind::Service, services) if services.len() == 3));
    // The slice exists: what is known of it stays.
    let unreadable = [Object::Unreadable(key("default", "orders-abc"))];
    assert!(
        matches!(&changes[1], Change::Reset(Kind::Slice, slices) if slices == &unreadable),
        "{changes:?}"
    );
}

#[test]
fn an_object_that_can_no_longer_be_read_keeps_its_last_state() {
    let mut topology = topology::Topology::new(topology::Config::default());
    let mut states = Vec::new();
    let good = slice("[{port: 80}]", "[{addresses: [10.0.0.1]}]");
    let headless = "apiVersion: v1\nkind: Service\nmetadata: {name: orders}\nspec: {clusterIP: None}\n---\n";
    for text in [good.clone(), slice("[{port: 0}]", "[]"), good] {
        let mut manifest = Manifest::default();
        manifest.add("test", Format::Yaml, &format!("{headless}{text}")).unwrap();
        for change in manifest.into_changes() {
            let _touched = topology.apply(crate::time::Time(1), change);
        }
        let service = topology.find("default", "orders").and_then(|id| topology.service_by_id(id)).unwrap();
        states.push(service.endpoints().map(|endpoint| endpoint.state().name()).collect::<Vec<_>>());
    }
    assert_eq!(states, [["ready"]; 3]);
}

#[test]
fn endpoints_that_list_a_part_leave_some_out() {
    let annotated = ENDPOINTS.replace(
        "{name: orders}",
        "{name: orders, annotations: {endpoints.kubernetes.io/over-capacity: truncated}}",
    );
    let missing = |text: &str| slices(text).iter().map(|slice| slice.missing).sum::<usize>();
    assert_eq!((missing(ENDPOINTS), missing(&annotated)), (0, 1));
}

#[test]
fn the_name_of_an_external_service_is_an_alias_whatever_address_it_has() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n\
                spec: {type: ExternalName, externalName: x.example, clusterIP: None}\n";
    assert!(matches!(&objects(text)[0], Object::Service(service) if !service.headless));
}

#[test]
fn imported_services_end_in_the_zone_of_all_clusters() {
    let own = slice("[]", "[{addresses: [10.0.0.1]}]");
    let imported = |labels: &str| {
        let label = format!("multicluster.kubernetes.io/service-name: orders{labels}");
        own.replace("kubernetes.io/service-name: orders", &label)
    };
    let brief =
        |text: &str| slices(text).pop().map(|slice| (slice.service.to_string(), slice.headless)).unwrap();
    assert_eq!(brief(&imported("")), ("orders.clusterset.local".to_owned(), false));
    for label in ["service.kubernetes.io/headless: \"\"", "lighthouse.submariner.io/is-headless: \"true\""] {
        let found = brief(&imported(&format!(", {label}")));
        assert_eq!(found, ("orders.clusterset.local".to_owned(), true), "{label}");
    }
    assert_eq!(brief(&imported(", kubernetes.io/service-name: derived")).0, "derived");
    for (group, kind, headless) in [
        ("multicluster.x-k8s.io/v1alpha1", "Headless", true),
        ("multicluster.x-k8s.io/v1alpha1", "ClusterSetIP", false),
        ("net.gke.io/v1", "Headless", true),
    ] {
        let import = format!(
            "apiVersion: {group}\nkind: ServiceImport\nmetadata: {{name: orders, namespace: shop}}\n\
             spec: {{type: {kind}, ports: [{{port: 80, protocol: TCP}}]}}\n"
        );
        let [Object::Service(service)] = &objects(&import)[..] else { panic!() };
        assert_eq!((&*service.key.name, service.headless), ("orders.clusterset.local", headless));
        // With a flaw, its last readable state stays.
        let flawed = import.replace("ports", "ips: [x], ports");
        assert_eq!(objects(&flawed), [Object::Unreadable(key("shop", "orders.clusterset.local"))]);
    }
    let strange = "apiVersion: example.com/v1\nkind: ServiceImport\nmetadata: {name: a}\nspec: {type: 7}\n";
    assert_eq!(objects(strange), []);
}
