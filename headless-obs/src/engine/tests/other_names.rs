//! Names that are not a Service's own: attributed by the addresses in their answers, or to nobody.

use super::*;

const ALIAS: &str = "orders.corp.example";

fn addresses(count: u8) -> Vec<String> {
    (1..=count).map(|last| format!("10.0.0.{last}")).collect()
}

impl World {
    /// A client whose process need not be seen to have a name.
    fn named(&mut self, client: u8) {
        let path = format!("/system.slice/client-{client}.service");
        self.engine.clients().cgroup(client.into(), &path);
    }

    fn resolve_all(&mut self, client: u8, name: &str, addresses: &[String]) {
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.resolve(client, name, &addresses);
    }

    /// `client name addresses` of each other name of a Service.
    fn other_names(&self, service: &str) -> Vec<String> {
        let names = self.service(service).other_names;
        names.iter().map(|row| format!("{} {} {}", row.workload, row.name, row.addresses.join(" "))).collect()
    }
}

#[test]
fn a_name_that_gives_a_services_endpoints_is_about_that_service() {
    // Of this many endpoints, the answer holds that many, and gives that many others: the resolution.
    let cases = [
        (3, 3, 0, "service"),
        (3, 2, 0, "service"),
        (1, 1, 0, "service"),
        (3, 1, 0, "hostname"),
        (8, 3, 0, "part"),
        (3, 3, 2, "service"),
        (3, 2, 2, "other"),
        (3, 1, 1, "other"),
    ];
    for (all, held, strange, expected) in cases {
        let mut world = World::new([orders(&pods(all))]);
        let mut listed = addresses(held);
        listed.extend((0..strange).map(|last| format!("10.77.0.{last}")));
        world.named(1);
        world.resolve_all(1, ALIAS, &listed);
        world.connect(1, "10.0.0.1");
        let case = format!("{held} of {all} and {strange} others");
        if expected == "other" {
            assert_eq!(world.clients("orders"), [""; 0], "{case}");
            assert_eq!(world.unattributed("other_name"), 1, "{case}");
            assert_eq!(world.other_names("orders"), [""; 0], "{case}");
        } else {
            assert_eq!(world.clients("orders"), [format!("client-1 {expected}=1")], "{case}");
            assert_eq!(world.other_names("orders"), [format!("client-1 {ALIAS} ")], "{case}");
        }
    }
}

#[test]
fn of_two_services_with_the_same_pods_the_closer_one_the_named_one_or_none() {
    let asked = |name: &str, peers: &[SliceEndpoint]| {
        let mut world = World::new([orders(&pods(3)), service("peers", peers)]);
        world.resolve_all(1, name, &addresses(3));
        world.connect(1, "10.0.0.1");
        [world.clients("orders"), world.clients("peers")].concat().join(" ")
    };
    let mut more = pods(3);
    more.push(ready("p-9", "10.0.0.9"));
    assert_eq!(asked("db.corp.example", &more), "client-1 service=1", "the closer one");
    assert_eq!(asked("peers.corp.example", &pods(3)), "client-1 service=1");
    assert_eq!(asked("db.corp.example", &pods(3)), "", "nobody knows");
    // The port of a connection decides.
    let other_port = slice("shop", "metrics", "a").ports(&[9]).with(ready("orders-0", "10.0.0.1"));
    let mut world = World::new([orders(&pods(1)), other_port]);
    world.resolve(1, "db.corp.example", &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
    assert_eq!(world.service("metrics").clients.len(), 0);
}

#[test]
fn another_name_in_the_clusters_own_zone_is_one_too() {
    let mut world = World::new([orders(&pods(3))]);
    world.resolve_all(1, "old-orders.shop.svc.cluster.local", &addresses(3));
    world.connect(1, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
    // Once such a Service exists, its name counts.
    world.apply(service("old-orders", &pods(3)));
    world.connect(1, "10.0.0.2");
    assert_eq!(world.clients("old-orders"), ["client-1 service=1"]);
}

#[test]
fn an_alias_that_is_ahead_of_the_topology_counts_once_its_endpoints_are_known() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve_all(1, ALIAS, &addresses(5));
    world.connect(1, "10.0.0.1");
    assert_eq!((world.clients("orders").len(), world.unattributed("other_name")), (0, 1));
    world.apply(orders(&pods(5)));
    world.connect(1, "10.0.0.4");
    assert_eq!(world.clients("orders"), ["client-1 service=1"]);
}

#[test]
fn a_name_of_other_servers_on_the_same_machines_is_no_wrong_port() {
    // On the host's network: the nodes' addresses under another name, for another port.
    let mut world = World::new([orders(&pods(3))]);
    world.resolve_all(1, "ingress.example.net", &addresses(3));
    let Dialled(record) = world.dial(1, "10.0.0.1");
    world.open(Dialled(TcpRecord { port: 443, ..record }));
    assert_eq!(world.unattributed("other_port"), 1);
    assert!(world.service("orders").clients.iter().all(|client| client.other_ports.is_empty()));
}

#[test]
fn the_zone_is_learnt_and_another_clusters_names_are_about_nobody() {
    let other = "orders.shop.svc.east.example";
    for own in ["cluster.local", "corp.example"] {
        let own_name = format!("orders.shop.svc.{own}");
        let mut world = World::new([orders(&pods(3))]);
        for _ in 0..10 {
            world.resolve(2, other, &["10.77.0.1", "10.77.0.2"]);
            world.connect(2, "10.77.0.1");
        }
        world.resolve_all(1, &own_name, &addresses(3));
        world.connect(1, "10.0.0.1");
        // Networks overlap: one address is an endpoint's here.
        world.resolve(2, other, &["10.77.0.1", "10.0.0.1", "10.77.0.2"]);
        world.connect(2, "10.0.0.1");
        assert_eq!(world.clients("orders"), ["client-1 service=1"], "{own}");
        assert_eq!(world.service("orders").dns.rcodes["noerror"], 1, "{own}");
        assert_eq!((world.unattributed("other_name"), world.unattributed("not_endpoint")), (1, 0), "{own}");
        // In its own zone, an unknown address is one that the topology does not know yet.
        world.resolve(1, &own_name, &["10.0.0.9"]);
        world.connect(1, "10.0.0.9");
        assert_eq!(world.client("orders").not_endpoint, 1, "{own}");
    }
}

#[test]
fn a_wildcard_in_a_search_domain_is_named() {
    let mut world = World::new([orders(&pods(3))]);
    let searched = format!("{ORDERS}.apps.example.com");
    (1..=3).for_each(|client| world.named(client));
    world.resolve(1, &searched, &["10.99.0.9"]);
    world.connect(1, "10.99.0.9");
    world.resolve_all(2, ORDERS, &addresses(3));
    world.connect(2, "10.0.0.1");
    assert_eq!(world.clients("orders"), ["client-2 service=1"]);
    assert_eq!(world.other_names("orders"), [format!("client-1 {searched} 10.99.0.9")]);
    // Without a wildcard, it is what search lists do.
    world.answer(3, &response(&searched, RecordType::A, vec![]));
    assert_eq!(world.other_names("orders").len(), 1);
}

#[test]
fn an_area_is_complete_in_itself_and_its_clients_are_not_uneven() {
    let mut world = World::new([orders(&pods(4))]);
    world.pass(Duration::from_secs(60));
    world.resolve(1, &format!("eu.pin._zone.{ORDERS}"), &["10.0.0.1", "10.0.0.2"]);
    for _ in 0..50 {
        world.connect(1, "10.0.0.1");
    }
    let service = world.service("orders");
    assert_eq!((service.dns.incomplete, service.dns.completeness), (0, 1.0));
    assert_eq!(world.clients("orders"), ["client-1 part=50"]);
    assert_eq!((&service.clients[0].verdict, service.spread.connections), (&None, 0));
}

#[test]
fn srv_under_another_name_counts_by_its_addresses_and_its_hosts() {
    let mut world = World::new([orders(&pods(2))]);
    let owner = "_main._tcp.orders.corp.example";
    let host = |number: u8| format!("orders-{number}.corp.example");
    let record_of =
        |number| Record::from_rdata(name(owner), 30, RData::SRV(SRV::new(0, 1, PORT, name(&host(number)))));
    let mut message = response(owner, RecordType::SRV, vec![record_of(0), record_of(1)]);
    message.add_additional(record(&host(0), "10.0.0.1"));
    message.add_additional(record(&host(1), "10.0.0.2"));
    world.answer(1, &message);
    world.connect(1, "10.0.0.1");
    // Some clients look the host up all the same.
    world.resolve(1, &host(1), &["10.0.0.2"]);
    world.connect(1, "10.0.0.2");
    assert_eq!(world.clients("orders"), ["client-1 srv=2"]);
}

#[test]
fn names_are_bounded_and_forgotten() {
    let mut world = World::new([orders(&pods(1))]);
    for number in 0..100 {
        world.resolve(1, &format!("n{number}.example"), &["10.0.0.1"]);
    }
    assert_eq!(world.other_names("orders").len(), 4);
    world.pass(Duration::from_secs(48 * 3600));
    let now = world.tick();
    world.engine.expire(now);
    assert_eq!(world.engine.other_names.clients().count(), 0);
}
