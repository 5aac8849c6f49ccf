//! The reports of two daemons add up to the servers' counts.

use std::collections::BTreeSet;

use lab::ClientSpec;

use crate::harness::Shared;
use crate::shop::{Matrix, RealPod, Shop, sum};

/// Connections of each client pod.
const EACH: u64 = 60;

/// The servers' counts for these client pods of a workload, by workload and server pod. All other accepted connections
/// must be probes of their own node.
fn accepted(
    shared: &Shared,
    shop: &Shop<'_>,
    orders: &[RealPod],
    workload: &str,
    clients: &[&RealPod],
) -> Matrix {
    let mut matrix = Matrix::new();
    for pod in orders {
        let own_node = shared.nodes.iter().find(|node| node.name() == pod.node).unwrap();
        let mut probes = 0;
        for (source, accepted) in shop.server(pod).accepted().unwrap() {
            if clients.iter().any(|client| client.address == source) {
                *matrix.entry((workload.to_owned(), pod.name.clone())).or_default() += accepted;
            } else if source == own_node.address() {
                probes += accepted;
            }
        }
        assert!(probes > 0, "{} is ready without a probe", pod.name);
    }
    matrix
}

fn nodes(pods: &[RealPod]) -> BTreeSet<&str> {
    pods.iter().map(|pod| pod.node.as_str()).collect()
}

pub(crate) fn the_reports_of_both_nodes_add_up_to_what_the_servers_accepted(shared: &Shared) {
    let daemons = shared.daemons();
    let shop = Shop::open(shared, "sums");
    let orders = shop.orders(4, 1);
    let web = shop.clients("web", 4);
    assert_eq!((nodes(&orders).len(), nodes(&web).len()), (2, 2), "on both nodes: {orders:?} {web:?}");

    let clients: Vec<_> = web.iter().map(|pod| shop.client(pod, EACH)).collect();
    for client in &clients {
        assert_eq!(client.wait().unwrap().total().connected, EACH);
    }

    let mut added = Matrix::new();
    for daemon in &daemons {
        let own: Vec<&RealPod> = web.iter().filter(|pod| pod.node == daemon.node).collect();
        let truth = accepted(shared, &shop, &orders, "web", &own);
        let all: u64 = truth.values().sum();
        assert_eq!(all, EACH * 2, "two client pods on each node");
        let (reported, service) = shop.reported(daemon, all);
        assert_eq!(reported, truth, "{}: its own node's pods and no others: {service:#}", daemon.node);
        assert_eq!(sum(&service, "counted"), all, "{service:#}");
        assert_eq!(service["clients"][0]["namespace"], shop.namespace.name());
        reported.into_iter().for_each(|(cell, opened)| *added.entry(cell).or_default() += opened);
    }
    assert_eq!(added, accepted(shared, &shop, &orders, "web", &web.iter().collect::<Vec<_>>()));
}

pub(crate) fn names_are_resolved_by_libc_with_the_kubelets_search_list(shared: &Shared) {
    let daemons = shared.daemons();
    let shop = Shop::open(shared, "libc");
    let orders = shop.orders(2, 1);
    let web = shop.clients("web", 2);
    for pod in &web {
        let report = shop.run(pod, &ClientSpec::libc("orders", 8080, 10)).wait().unwrap();
        assert_eq!(report.total().connected, 10, "{report:?}");
        let daemon = daemons.iter().find(|daemon| daemon.node == pod.node).unwrap();
        let (reported, service) = shop.reported(daemon, 10);
        assert_eq!(reported, accepted(shared, &shop, &orders, "web", &[pod]), "{service:#}");
        assert_eq!(service["clients"][0]["resolution"], serde_json::json!({"service": 10}), "{service:#}");
    }
}

pub(crate) fn the_kubelets_probes_are_in_no_figure(shared: &Shared) {
    let daemons = shared.daemons();
    let shop = Shop::open(shared, "probes");
    let orders = shop.orders(2, 1);
    assert_eq!(nodes(&orders).len(), 2);
    for daemon in &daemons {
        let pod = orders.iter().find(|pod| pod.node == daemon.node).unwrap();
        let server = shop.server(pod);
        let excluded =
            |snapshot: &serde_json::Value| snapshot["quality"]["excluded"]["probe"].as_u64().unwrap();
        let (before, first) = (server.total().unwrap(), excluded(&daemon.snapshot()));
        lab::cluster::until(crate::shared::PATIENCE, "five more probes", || {
            Ok((server.total()? >= before + 5).then_some(()))
        })
        .unwrap();
        let snapshot = daemon.snapshot_when("probes left out", |snapshot| excluded(snapshot) >= first + 5);
        let service = shop.orders_of(&snapshot).unwrap();
        assert_eq!((sum(service, "opened"), sum(service, "counted")), (0, 0), "{service:#}");
    }
}
