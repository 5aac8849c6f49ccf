//! The Service of a connection, by the client's answers.

use super::*;
use crate::topology::model::Pod;
use crate::topology::test_builders::{bare, pod};

#[test]
fn connections_by_the_services_name_count_in_its_spread() {
    let mut world = World::new([orders(&pods(3))]);
    world.resolve(1, ORDERS, &["10.0.0.2", "10.0.0.1", "10.0.0.3"]);
    let first = world.connect(1, "10.0.0.2");
    world.connect(1, "10.0.0.2");
    world.connect(1, "10.0.0.3");
    world.close(first);

    assert_eq!(world.rows("orders"), ["orders-1 2/2/0/1", "orders-2 1/1/0/1"]);
    let service = world.service("orders");
    assert_eq!((service.spread.connections, service.spread.endpoints), (3, 3));
    assert!((service.spread.coverage - 2.0 / 3.0).abs() < 1e-9);
    let endpoint = &service.endpoints[1];
    assert_eq!((endpoint.closed, endpoint.bytes_sent, endpoint.bytes_received), (1, 10, 20));
    let client = &service.clients[0];
    assert_eq!(
        (client.workload.as_str(), client.opened, client.active, client.reconciled),
        ("client-1", 3, 2, 0)
    );
    assert_eq!(client.answer_position, Counts::from([("0".to_owned(), 2), ("2".to_owned(), 1)]));
    let zero_filled: Vec<_> = client.endpoints.iter().map(|row| (row.pod.as_str(), row.opened)).collect();
    assert_eq!(zero_filled, [("orders-0", 0), ("orders-1", 2), ("orders-2", 1)]);
    assert_eq!((service.dns.answers, service.dns.completeness), (1, 1.0));
}

#[test]
fn two_services_that_share_a_pod_are_told_apart_by_the_name_asked_for() {
    let shared = [ready("p-0", "10.0.0.1")];
    let mut world = World::new([orders(&shared), service("backup", &shared)]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.resolve(2, "backup.shop.svc.cluster.local", &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    world.connect(2, "10.0.0.1");
    world.connect(2, "10.0.0.1");
    world.connect(3, "10.0.0.1");
    assert_eq!(world.rows("orders"), ["p-0 1/1/0/1"]);
    assert_eq!(world.rows("backup"), ["p-0 2/2/0/2"]);
    assert_eq!(world.unattributed("ambiguous"), 1, "client 3 was told nothing");
    // The last query name counts.
    world.resolve(1, "backup.shop.svc.cluster.local", &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("backup"), ["client-1 service=1", "client-2 service=2"]);
}

#[test]
fn a_connection_counts_for_the_answer_from_before_it_was_dialled() {
    let shared = [ready("p-0", "10.0.0.1")];
    let mut world = World::new([orders(&shared), service("backup", &shared)]);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    let dialled = world.dial(1, "10.0.0.1");
    world.resolve(1, "backup.shop.svc.cluster.local", &["10.0.0.1"]);
    world.open(dialled);
    assert_eq!((world.rows("orders").len(), world.rows("backup").len()), (1, 0));
}

#[test]
fn a_pods_own_name_is_outside_of_the_spread() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve(1, "orders-0.orders.shop.svc.cluster.local", &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.rows("orders"), ["orders-0 1/0/0/1"]);
    assert_eq!(world.clients("orders"), ["client-1 hostname=1"]);
    let service = world.service("orders");
    assert_eq!((service.spread.connections, service.dns.answers, service.dns.completeness), (0, 1, 1.0));
}

fn srv(port: &str, hosts: &[&str]) -> Message {
    let owner = format!("_{port}._tcp.{ORDERS}");
    let records = hosts.iter().map(|host| {
        Record::from_rdata(
            name(&owner),
            30,
            RData::SRV(SRV::new(0, 50, PORT, name(&format!("{host}.{ORDERS}")))),
        )
    });
    response(&owner, RecordType::SRV, records.collect())
}

#[test]
fn srv_counts_by_its_additional_section_and_by_its_hosts() {
    let mut world = World::new([orders(&pods(3))]);
    let mut message = srv("http", &["orders-0", "orders-1"]);
    message.add_additional(record(&format!("orders-0.{ORDERS}"), "10.0.0.1"));
    world.answer(1, &message);
    world.connect(1, "10.0.0.1");
    world.resolve(1, &format!("orders-1.{ORDERS}"), &["10.0.0.2"]);
    world.connect(1, "10.0.0.2");
    world.resolve(1, &format!("orders-2.{ORDERS}"), &["10.0.0.3"]);
    world.connect(1, "10.0.0.3");
    assert_eq!(world.clients("orders"), ["client-1 hostname=1 srv=2"]);
    assert_eq!(world.service("orders").spread.connections, 2);
    let answers = world.client("orders").answers;
    assert_eq!((answers.count, answers.largest, answers.ttl_seconds), (1, 2, 30), "it has asked, by SRV");
}

#[test]
fn an_alias_counts_for_the_service_it_leads_to() {
    let mut world = World::new([orders(&pods(1)), service("backup", &[ready("b-0", "10.0.1.1")])]);
    let alias = |from: &str, to: &str| Record::from_rdata(name(from), 30, RData::CNAME(CNAME(name(to))));
    let asked = "db.example.org";
    let records = vec![alias(asked, ORDERS), record(ORDERS, "10.0.0.1")];
    world.answer(1, &response(asked, RecordType::A, records));
    world.connect(1, "10.0.0.1");
    // An alias that is another Service's name.
    let by = "backup.shop.svc.cluster.local";
    world.answer(2, &response(by, RecordType::A, vec![alias(by, ORDERS), record(ORDERS, "10.0.0.1")]));
    world.connect(2, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 service=1", "client-2 service=1"]);
    assert_eq!((world.service("orders").dns.answers, world.service("backup").dns.answers), (2, 0));
}

#[test]
fn without_dns_the_address_alone_counts_if_it_leaves_no_choice() {
    let mut world = World::new([orders(&pods(1))]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 none=1"]);
    assert_eq!(world.rows("orders"), ["orders-0 1/0/0/1"]);
    assert_eq!(world.unattributed("no_dns"), 1);
    // Another client's answer proves nothing.
    world.resolve(2, ORDERS, &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 none=2"]);
}

#[test]
fn another_port_without_an_answer_is_not_the_services_and_is_counted() {
    let mut world = World::new([orders(&pods(1))]);
    let Dialled(record) = world.dial(1, "10.0.0.1");
    let other = Dialled(TcpRecord { port: 9, ..record });
    world.open(other);
    world.close(other);
    assert_eq!(world.rows("orders"), [""; 0]);
    assert_eq!(world.unattributed("other_port"), 1, "once in its life");
}

#[test]
fn names_of_any_case_and_zone_and_services_without_ports() {
    let any_port = slice("shop", "orders", "a").with(bare("10.0.0.1"));
    let mut world = World::new([any_port]);
    world.resolve(1, "OrDers.sHop.SVC.corp.Example", &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.rows("orders"), ["10.0.0.1 1/1/0/1"]);
}

#[test]
fn the_cgroup_tells_clients_apart_that_share_an_address() {
    let mut world = World::new([orders(&pods(2))]);
    world.engine.clients().cgroup(1, "/system.slice/nginx.service");
    world.engine.clients().cgroup(2, "/kubepods/burstable/pod1b4e28ba-2fa1-11d2-883f-0016d3cca427/x");
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    for client in [1, 2, 3] {
        let Dialled(record) = world.dial(client, "10.0.0.1");
        world.open(Dialled(TcpRecord { source: address_of(7), ..record }));
    }
    assert_eq!(world.clients("orders"), ["client-3 none=1", "nginx service=1", "pod-1b4e28ba none=1"]);
}

#[test]
fn a_client_pod_has_its_workloads_name_and_all_its_containers_share_what_one_was_told() {
    let mut world = World::new([orders(&pods(1))]);
    world.apply(crate::topology::test_builders::pod("front", "web-7f9-x", &["10.9.0.1", "10.9.0.2"]));
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.connect(2, "10.0.0.1");
    let client = &world.service("orders").clients[0];
    assert_eq!((client.namespace.as_str(), client.workload.as_str()), ("front", "web"));
    assert_eq!(client.resolution, Counts::from([("service".to_owned(), 1)]));
}

#[test]
fn new_pod_is_not_the_one_that_had_its_address_before() {
    let mut world = World::new([orders(&pods(1))]);
    world.apply(Pod { workload: "old".into(), ..pod("shop", "old-1", &["10.9.0.7"]) });
    // The API server has told neither of this pod nor of the end of the one that had the address.
    let path = "/kubepods.slice/kubepods-pod0f0e0d0c_1111_2222_3333_444455556666.slice/cri-containerd-\
                0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope";
    world.engine.clients().cgroup(7, path);
    world.resolve(7, ORDERS, &["10.0.0.1"]);
    world.connect(7, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["pod-0f0e0d0c service=1"]);
    world.apply(Pod {
        workload: "new".into(),
        uid: "0f0e0d0c-1111-2222-3333-444455556666".into(),
        ..pod("shop", "new-1", &["10.9.0.7"])
    });
    world.connect(7, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["pod-0f0e0d0c service=1", "new service=1"]);
}

#[test]
fn an_imported_service_is_its_own_beside_the_clusters() {
    let of_set = [ready("orders-0", "10.0.0.1"), ready("east-0", "10.77.0.1"), ready("east-1", "10.77.0.2")];
    let mut world = World::new([orders(&pods(2)), service("orders.clusterset.local", &of_set)]);
    let name = "orders.shop.svc.clusterset.local";
    world.resolve(1, name, &["10.0.0.1", "10.77.0.1", "10.77.0.2"]);
    for address in ["10.0.0.1", "10.77.0.1"] {
        world.connect(1, address);
    }
    world.resolve(2, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(2, "10.0.0.1");
    // Without an answer, the cluster's own Service has the address.
    world.connect(3, "10.0.0.1");
    world.connect(3, "10.77.0.2");
    assert_eq!(world.rows("orders"), ["orders-0 2/1/0/2"]);
    assert_eq!(
        world.rows("orders.clusterset.local"),
        ["east-0 1/1/0/1", "east-1 1/0/0/1", "orders-0 1/1/0/1"]
    );
    assert_eq!(world.clients("orders.clusterset.local"), ["client-1 service=2", "client-3 none=1"]);
}
