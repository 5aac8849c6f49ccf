//! An answer in any form and over any transport identifies the Service of a connection.

use lab::client::SrvHabit;
use lab::dns::{Data, Order};
use lab::*;
use serde_json::json;

use crate::ways_to_connect::{EACH, PODS, Way, check, client, pods};
use crate::{ORDERS, PATIENCE, PORT, Scene, ZONE, accepted, opened, orders, sum};

/// More addresses than fit into 512 bytes.
const MANY: u8 = 40;

#[test]
fn resolving_is_not_connecting() {
    let scene = Scene::new();
    // One datagram has room for all, so that no DNS lookup makes a connection.
    scene.dns.set_options(&DnsOptions { udp_limit: Some(4096), ..DnsOptions::default() }).unwrap();
    let (service, _servers) = scene.orders(MANY, &ServerMode::Hold);
    let settings = ResolvConf::kubelet(scene.resolver.ip(), "shop", ZONE);
    let pod = PodSpec::new("shop", "web").address("10.244.1.20/24").resolv_conf(settings);
    let web = scene.node.pod(pod).unwrap();
    let observer = scene.observe(&[service], &[]);
    // To sort addresses, the C library makes a UDP connect to each address and this port.
    let libc = web.client(&ClientSpec::libc("orders", PORT, 0)).unwrap();
    assert_eq!(libc.resolve().unwrap().targets.len(), usize::from(MANY));
    let counts = scene.dns.counts().unwrap();
    assert_eq!(counts.tcp, 0, "{counts:?}");

    let answered = |snapshot: &_| orders(snapshot)["dns"]["answers"] == counts.with_records;
    let snapshot = observer.snapshot_when(PATIENCE, answered).unwrap();
    let service = orders(&snapshot);
    for endpoint in service["endpoints"].as_array().unwrap() {
        assert_eq!((&endpoint["opened"], &endpoint["active"]), (&json!(0), &json!(0)), "{endpoint:#}");
        let failed = endpoint["failed"].as_object().unwrap();
        assert!(failed.values().all(|count| count == 0), "{endpoint:#}");
    }
    // A client that asked and did not connect has a row without connections.
    for client in service["clients"].as_array().unwrap() {
        assert_eq!((&client["opened"], &client["failed"]), (&json!(0), &json!(0)), "{client:#}");
    }
    // A snapshot includes every connection in the kernel's totals. None was reconciled, so the kernel counted none.
    assert_eq!(snapshot["quality"]["reconciled"], 0);
    assert_eq!(
        snapshot["quality"]["unattributed"],
        json!({"no_dns": 0, "ambiguous": 0, "other_port": 0, "not_endpoint": 0, "removed": 0, "other_name": 0})
    );

    libc.open(1).unwrap();
    let snapshot = observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "opened") > 0).unwrap();
    assert_eq!((sum(orders(&snapshot), "opened"), sum(orders(&snapshot), "active")), (1, 1));
}

#[test]
fn what_does_not_fit_a_datagram_is_learnt_from_the_stream() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(MANY, &ServerMode::Close);
    let many = u64::from(MANY);
    let [some, none] =
        [("some", 20), ("none", 21)].map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    let observer = scene.observe(&[service], &[]);
    let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, many).round_robin(many);
    // The datagram has the first few records; then none at all.
    assert_eq!(some.client(&spec).unwrap().wait().unwrap().questions, 2);
    scene.dns.set_options(&DnsOptions { truncate_to_nothing: true, ..DnsOptions::default() }).unwrap();
    assert_eq!(none.client(&spec).unwrap().wait().unwrap().questions, 2);

    let closed = |snapshot: &_| sum(orders(snapshot), "closed") == 2 * many;
    let snapshot = observer.snapshot_when(PATIENCE, closed).unwrap();
    let service = orders(&snapshot);
    assert_eq!(opened(service), accepted(&scene.lab));
    for name in ["some", "none"] {
        let client = client(service, name);
        assert_eq!(client["resolution"], json!({"service": many}), "also the addresses of the stream alone");
        assert_eq!(
            (&client["answer_position"]["31"], &client["answer_position"]["32+"]),
            (&json!(1), &json!(8))
        );
    }
    let dns = &service["dns"];
    assert_eq!((&dns["answers"], &dns["truncated"]), (&json!(4), &json!(2)), "{dns:#}");
    assert_eq!(dns["transports"], json!({"udp": 2, "tcp": 2}));
    assert_eq!(snapshot["quality"]["dns_rejected"], json!({}));
}

#[test]
fn messages_of_every_form_are_understood() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(PODS, &ServerMode::Close);
    const ELSEWHERE: &str = "orders.shop.svc.k8s.corp.example";
    const ALIAS: &str = "alias.other.svc.cluster.local";
    let way = |pod, name| Way::new(pod, &scene, name);
    let pieces =
        |pod, bytes| way(pod, ORDERS).stub(|stub| stub.tcp = true).served(|dns| dns.tcp_piece = Some(bytes));
    let ways = [
        way("plain", ORDERS),
        way("long", ORDERS).served(|dns| dns.compress = false),
        way("edns", ORDERS).stub(|stub| stub.edns = Some(1232)),
        way("edns-ignored", ORDERS).stub(|stub| stub.edns = Some(1232)).served(|dns| dns.edns = false),
        way("stream", ORDERS).stub(|stub| stub.tcp = true),
        // The prefix of each message has two bytes: one segment for each byte, then one byte together with a part of
        // the message.
        pieces("pieces-of-1", 1),
        pieces("pieces-of-3", 3),
        pieces("pieces-of-17", 17).served(|dns| dns.compress = false),
        way("mixed-case", ORDERS).stub(|stub| stub.random_case = true),
        way("case-dropped", ORDERS).stub(|stub| stub.random_case = true).served(|dns| dns.echo_case = false),
        way("elsewhere", ELSEWHERE),
        way("alias", ALIAS),
        way("long-alias", ALIAS).served(|dns| dns.compress = false),
        way("alias-stream", ALIAS).stub(|stub| stub.tcp = true),
    ];
    let pods = pods(&scene, &ways);
    // The alias is a Service with the same endpoints: only the CNAME chain shows which name the client looked up.
    let endpoints = service.endpoints.clone();
    let alias =
        ServiceSpec { namespace: "other".to_owned(), name: "alias".to_owned(), endpoints, ..service.clone() };
    for (name, data) in service.records("k8s.corp.example") {
        scene.dns.set(&name, 30, data).unwrap();
    }
    let observer = scene.observe(&[service, alias], &[]);
    scene.dns.set(ALIAS, 30, vec![Data::Cname(ORDERS.to_owned())]).unwrap();

    let snapshot = check(&scene, &observer, &ways, &pods);
    assert_eq!(snapshot["quality"]["dns_rejected"], json!({}));
    let services = snapshot["services"].as_array().unwrap();
    let alias = services.iter().find(|service| service["name"] == "alias").unwrap();
    assert_eq!((sum(alias, "opened"), &alias["clients"]), (0, &json!([])), "the alias is only a way to it");

    scene.dns.set_options(&ways[5].options).unwrap();
    let lookup = pods[5].client(&ways[5].spec).unwrap().resolve().unwrap();
    // Segments that arrive while the client is busy are read together, so the number of reads is not fixed.
    assert!(lookup.tcp_reads > 2, "not even the length came by itself: {lookup:?}");
}

#[test]
fn servers_on_the_ports_given_are_heard() {
    for (options, heard) in [(&[][..], [true, true, false]), (&["--dns-port", "8053"], [false, false, true])]
    {
        let scene = Scene::new();
        let (service, _servers) = scene.orders(PODS, &ServerMode::Close);
        let others =
            scene.node.pod(PodSpec::new("kube-system", "dns-others").address("10.244.1.54/24")).unwrap();
        let server = |port| {
            let server = others.dns(&DnsSpec::new(others.sockets(port))).unwrap();
            for (name, data) in service.records(ZONE) {
                server.set(&name, 30, data).unwrap();
            }
            server.addresses()[0]
        };
        let ports = [("port-53", scene.resolver), ("port-5353", server(5353)), ("port-8053", server(8053))];
        let ways: Vec<Way> = ports
            .into_iter()
            .zip(heard)
            .map(|((pod, resolver), heard)| {
                let way = Way::new(pod, &scene, ORDERS).stub(|stub| stub.server = resolver);
                way.resolved_by(if heard { "service" } else { "none" })
            })
            .collect();
        let pods = pods(&scene, &ways);
        let observer = scene.observe(&[service], options);
        let snapshot = check(&scene, &observer, &ways, &pods);
        let unheard = EACH * heard.iter().filter(|heard| !**heard).count() as u64;
        assert_eq!(snapshot["quality"]["unattributed"]["no_dns"], unheard, "{options:?}");
    }
}

#[test]
fn hosts_of_an_srv_answer_stand_for_the_service() {
    const SRV: &str = "_main._tcp.orders.shop.svc.cluster.local";
    let scene = Scene::new();
    let (service, _servers) = scene.orders(PODS, &ServerMode::Close);
    let way = |pod, habit| Way::new(pod, &scene, SRV).stub(|stub| stub.srv = Some(habit)).resolved_by("srv");
    let ways = [
        way("takes-additional", SrvHabit::Additional),
        way("looks-up", SrvHabit::LookUpTargets),
        way("must-look-up", SrvHabit::LookUpTargets).served(|dns| dns.srv_additional = false),
        way("mixed-case", SrvHabit::LookUpTargets).stub(|stub| stub.random_case = true),
        way("stream", SrvHabit::Additional).stub(|stub| stub.tcp = true),
        // Without SRV the same host name means one pod, chosen on purpose.
        Way::new("host", &scene, "orders-1.orders.shop.svc.cluster.local").resolved_by("hostname"),
    ];
    let pods = pods(&scene, &ways);
    let observer = scene.observe(&[service], &[]);
    let snapshot = check(&scene, &observer, &ways, &pods);
    let orders = orders(&snapshot);
    let each = EACH / u64::from(PODS);
    assert_eq!(
        client(orders, "takes-additional")["answer_position"],
        json!({"0": each, "1": each, "2": each})
    );
    let at_host: Vec<&_> =
        client(orders, "host")["endpoints"].as_array().unwrap().iter().map(|row| &row["opened"]).collect();
    assert_eq!(at_host, [0, EACH, 0]);
}

#[test]
fn searching_finds_the_service_once() {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(PODS, &ServerMode::Close);
    let search = |stub: &mut client::Stub| {
        stub.search = ResolvConf::kubelet(scene.resolver.ip(), "shop", ZONE).search;
        stub.families = client::Families::Both;
    };
    let libc = |pod, name| Way { spec: ClientSpec::libc(name, PORT, EACH), ..Way::new(pod, &scene, name) };
    let ways = [
        Way::new("stub-short", &scene, "orders").stub(search),
        Way::new("stub-namespace", &scene, "orders.shop").stub(search),
        Way::new("stub-whole", &scene, ORDERS).stub(search),
        libc("libc-short", "orders"),
        libc("libc-namespace", "orders.shop"),
        libc("libc-whole", ORDERS),
    ];
    let pods = pods(&scene, &ways);
    // The chain from `orders.shop` to the answer has a name that looks like a host of this Service.
    let decoy = ServiceSpec { name: "shop".to_owned(), ..service.clone() };
    let observer = scene.observe(&[service, decoy], &[]);
    let snapshot = check(&scene, &observer, &ways, &pods);
    let [orders, decoy] = ["orders", "shop"].map(|name| crate::service(&snapshot, name));
    let asked = scene.dns.counts().unwrap();
    assert!(asked.nxdomain > asked.with_records, "{asked:?}");
    assert_eq!(orders["dns"]["answers"], asked.with_records);
    assert_eq!(
        orders["dns"]["rcodes"]["nxdomain"], 0,
        "names that only the search list made are not its own"
    );
    assert_eq!((sum(decoy, "opened"), &decoy["dns"]["answers"]), (0, &json!(0)));
}

#[test]
fn places_in_the_answer_are_those_of_the_addresses_taken() {
    let scene = Scene::new();
    scene.dns.set_options(&DnsOptions { order: Order::Rotate, ..DnsOptions::default() }).unwrap();
    let (service, _servers) = scene.orders(5, &ServerMode::Close);
    let clients =
        [("first", 20), ("robin", 21)].map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    let observer = scene.observe(&[service], &[]);
    let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, 10);
    for (pod, spec) in clients.iter().zip([spec.clone(), spec.round_robin(10)]) {
        pod.client(&spec).unwrap().wait().unwrap();
    }
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 20).unwrap();
    let orders = orders(&snapshot);
    assert_eq!(opened(orders), accepted(&scene.lab));
    assert_eq!(client(orders, "first")["answer_position"], json!({"0": 10}));
    assert_eq!(client(orders, "robin")["answer_position"], json!({"0": 2, "1": 2, "2": 2, "3": 2, "4": 2}));
    // The server rotated the answers, so the first address was each pod's in turn.
    assert!(
        orders["endpoints"].as_array().unwrap().iter().all(|endpoint| endpoint["opened"] == 4),
        "{orders:#}"
    );
}

#[test]
fn answers_are_counted_by_response_code() {
    const SERVFAIL: u8 = 2;
    const REFUSED: u8 = 5;
    let scene = Scene::new();
    let (service, _servers) = scene.orders(1, &ServerMode::Close);
    let web = scene.pod("web", "10.244.1.20/24");
    let observer = scene.observe(&[service], &[]);
    let client = web.client(&ClientSpec::new(ORDERS, PORT, scene.resolver, 0)).unwrap();
    client.resolve().unwrap();
    for (code, times) in [(SERVFAIL, 2), (REFUSED, 1)] {
        scene.dns.set_options(&DnsOptions { rcode: Some(code), ..DnsOptions::default() }).unwrap();
        (0..times).for_each(|_| drop(client.resolve().unwrap_err()));
    }
    scene.dns.set_options(&DnsOptions::default()).unwrap();
    scene.dns.remove(ORDERS).unwrap();
    (0..3).for_each(|_| drop(client.resolve().unwrap_err()));
    let nxdomain = |snapshot: &_| orders(snapshot)["dns"]["rcodes"]["nxdomain"] == 3;
    let snapshot = observer.snapshot_when(PATIENCE, nxdomain).unwrap();
    let dns = &orders(&snapshot)["dns"];
    assert_eq!(dns["rcodes"], json!({"noerror": 1, "nxdomain": 3, "servfail": 2, "other": 1}));
    assert_eq!((&dns["answers"], &dns["transports"]), (&json!(1), &json!({"udp": 7, "tcp": 0})));
}
