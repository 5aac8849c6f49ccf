//! No connection is in a figure of the wrong Service: clients of another cluster's zone, of a wildcard in a search domain,
//! of a ClusterIP with the same pods and of the Service itself, all at once; and clients of two networks of containers
//! that use the same name.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::socket_balancer::SocketBalancer;
use lab::*;
use serde_json::{Value, json};

use crate::{ORDERS, PORT, Scene, accepted, opened, orders, sum};

/// Connections of each client.
const CONNECTIONS: u64 = 10_000;
/// The time that all of them may take.
const LIMIT: Duration = Duration::from_secs(240);

/// Connections to random addresses of a name.
fn random(name: &str, resolver: SocketAddr) -> ClientSpec {
    ClientSpec::new(name, PORT, resolver, CONNECTIONS).random()
}

/// Runs all clients at the same time.
fn run(clients: &[(&Pod, ClientSpec)]) {
    let running: Vec<Client> = clients.iter().map(|(pod, spec)| pod.client(spec).unwrap()).collect();
    for client in running {
        let report = client.wait().unwrap();
        assert_eq!(report.total().connected, CONNECTIONS, "{report:?}");
    }
}

#[test]
fn of_other_zones_wildcards_and_cluster_ips() {
    let scene = Scene::new();
    let (service, servers) = scene.orders(3, &ServerMode::Close);
    let own: Vec<IpAddr> = service.endpoints.iter().flat_map(|endpoint| endpoint.pod.addresses()).collect();
    let far: Vec<Pod> =
        (0..3).map(|n| scene.pod(&format!("far-{n}"), &format!("10.244.1.{}/24", 110 + n))).collect();
    let _far_servers: Vec<Server> = far
        .iter()
        .map(|pod| pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Close)).unwrap())
        .collect();
    let far: Vec<IpAddr> = far.iter().flat_map(Pod::addresses).collect();
    // The networks of both clusters overlap.
    scene.dns.set_addresses("orders.shop.svc.east.example", &[own[0], far[0], far[1]]).unwrap();
    scene.dns.set_addresses("*.apps.example.com", &[own[1], far[1], far[2]]).unwrap();
    let cluster_ip: SocketAddr = "10.96.0.10:8080".parse().unwrap();
    scene.dns.set_addresses("orders-lb.shop.svc.cluster.local", &[cluster_ip.ip()]).unwrap();
    let mut balancer = SocketBalancer::attach(scene.lab.cgroup()).unwrap();
    let backends: Vec<SocketAddr> = own.iter().map(|address| SocketAddr::new(*address, PORT)).collect();
    balancer.forward(cluster_ip, &backends).unwrap();
    let [web, east, wild, twin] = [("web", 20), ("east", 21), ("wild", 22), ("twin", 23)]
        .map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    let observer = scene.observe(&[service], &[]);

    let searched =
        random(ORDERS, scene.resolver).stub(|stub| stub.search = vec!["apps.example.com".to_owned()]);
    run(&[
        (&web, random(ORDERS, scene.resolver)),
        (&east, random("orders.shop.svc.east.example", scene.resolver)),
        (&wild, searched),
        (&twin, random("orders-lb.shop.svc.cluster.local", scene.resolver)),
    ]);
    let all = |snapshot: &Value| {
        snapshot["quality"]["attempts"]["seen"].as_u64() >= Some(2 * CONNECTIONS)
            && sum(orders(snapshot), "closed") >= CONNECTIONS
            && snapshot["quality"]["excluded"]["load_balanced"].as_u64() >= Some(CONNECTIONS)
    };
    let snapshot = observer.snapshot_when(LIMIT, all).unwrap();
    let cells = opened(orders(&snapshot));
    let mut expected = accepted(&scene.lab);
    expected.retain(|(client, _), _| client == "web");
    assert_eq!(cells, expected);
    assert_eq!(cells.values().sum::<u64>(), CONNECTIONS);
    let quality = &snapshot["quality"];
    assert_eq!(quality["excluded"]["load_balanced"], CONNECTIONS, "{quality:#}");
    assert_eq!(
        (&quality["unattributed"]["ambiguous"], &quality["unattributed"]["no_dns"]),
        (&json!(0), &json!(0))
    );
    let dns = &orders(&snapshot)["dns"];
    assert_eq!((&dns["incomplete"], &dns["removed_answered"]), (&json!(0), &json!(0)), "{dns:#}");
    drop(servers);
}

#[test]
fn of_two_networks_with_one_name() {
    let scene = Scene::new();
    let other = scene.lab.node("n2").unwrap();
    let networks = [(&scene.node, 1), (&other, 2)].map(|(node, net)| {
        let pod = |name: &str, last: u8| {
            node.pod(PodSpec::new("elsewhere", name).address(&format!("10.244.{net}.{last}/24"))).unwrap()
        };
        let server = pod(&format!("names-{net}"), 54);
        let dns = server.dns(&DnsSpec::new(server.sockets(53))).unwrap();
        let pods: Vec<Pod> = (0..3).map(|n| pod(&format!("orders-{net}-{n}"), 100 + n)).collect();
        let servers: Vec<Server> = pods
            .iter()
            .map(|pod| pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Close)).unwrap())
            .collect();
        let addresses: Vec<IpAddr> = pods.iter().flat_map(Pod::addresses).collect();
        dns.set_addresses("orders", &addresses).unwrap();
        (dns.addresses()[0], pod(&format!("web-{net}"), 20), addresses, servers, dns)
    });
    let observer = Observer::start(&scene.lab, &ObserverSpec::new(&["--topology", "dns"])).unwrap();
    let clients: Vec<_> =
        networks.iter().map(|(resolver, web, ..)| (web, random("orders", *resolver))).collect();
    run(&clients);
    let of_network = |snapshot: &Value, addresses: &[IpAddr]| -> Option<Value> {
        let is_its = |service: &&Value| {
            service["endpoints"]
                .as_array()
                .is_some_and(|rows| rows.iter().any(|row| row["pod"] == json!(addresses[0])))
        };
        snapshot["services"].as_array()?.iter().find(is_its).cloned()
    };
    let all = |snapshot: &Value| {
        let closed = |addresses| of_network(snapshot, addresses).map(|service| sum(&service, "closed"));
        networks.iter().all(|(_, _, addresses, ..)| closed(addresses) >= Some(CONNECTIONS))
    };
    let snapshot = observer.snapshot_when(LIMIT, all).unwrap();
    assert_eq!(snapshot["services"].as_array().unwrap().len(), 2, "{:#}", snapshot["services"]);
    for (_, _, addresses, servers, _) in &networks {
        let service = of_network(&snapshot, addresses).unwrap();
        let rows = service["endpoints"].as_array().unwrap().iter();
        let rows: Vec<_> = rows.map(|row| (row["pod"].clone(), row["opened"].clone())).collect();
        let truth = addresses
            .iter()
            .zip(servers)
            .map(|(address, server)| (json!(address), json!(server.total().unwrap())));
        assert_eq!(rows, truth.collect::<Vec<_>>());
        assert_eq!(service["clients"].as_array().unwrap().len(), 1, "{service:#}");
    }
}
