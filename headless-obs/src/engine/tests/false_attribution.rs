//! Clients of other clusters, of wildcards, of aliases, of a ClusterIP with the same pods and of the Service itself, all at
//! once and in a random order: each connection is in the figures of its own Service, or of none. The same for networks of
//! containers that use the same names.

use super::*;
use crate::testing::Random;

/// Connections of all clients together.
const CONNECTIONS: usize = 10_000;

/// A name that clients look up, the addresses that it gives, and whether they are this Service's.
struct Kind {
    name: String,
    listed: &'static [&'static str],
    /// The addresses among which a load balancer chooses for each connection.
    behind: &'static [&'static str],
    service: Option<&'static str>,
}

fn kinds(zone: &str) -> Vec<Kind> {
    let own: &[&str] = &["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let far: &[&str] = &["10.77.0.1", "10.77.0.2", "10.77.0.3"];
    // Networks overlap: some addresses are endpoints here.
    let overlap: &[&str] = &["10.0.0.1", "10.77.0.2", "10.77.0.3"];
    let half: &[&str] = &["10.0.0.1", "10.0.1.1"];
    let kind = |name: &str, listed, service| Kind { name: name.to_owned(), listed, behind: &[], service };
    let twin = |name: &str, listed| Kind { behind: own, ..kind(name, listed, None) };
    vec![
        kind(&format!("orders.shop.svc.{zone}"), own, Some("orders")),
        kind("orders.corp.example", own, Some("orders")),
        kind(&format!("backup.shop.svc.{zone}"), &["10.0.1.1", "10.0.1.2"], Some("backup")),
        kind("backup.corp.example", &["10.0.1.2", "10.0.1.1"], Some("backup")),
        kind("orders.shop.svc.east.example", far, None),
        kind("backup.shop.svc.east.example", overlap, None),
        kind("orders.shop.svc.clusterset.local", &["10.0.0.1", "10.77.0.1", "10.0.0.2", "10.77.0.2"], None),
        kind(&format!("orders.shop.svc.{zone}.apps.example.com"), far, None),
        kind(&format!("backup.shop.svc.{zone}.apps.example.com"), overlap, None),
        kind("orders.example.net", overlap, None),
        kind("mixed.corp.example", half, None),
        twin(&format!("orders-lb.shop.svc.{zone}"), &["10.96.7.7"]),
        twin("orders-lb.corp.example", &["10.96.7.7"]),
    ]
}

#[test]
fn no_connection_is_in_a_figure_of_the_wrong_service() {
    for (seed, zone) in (1..).zip(["cluster.local", "k8s.corp.example"]) {
        let mut world = World::new([
            orders(&pods(3)),
            service("backup", &[ready("b-0", "10.0.1.1"), ready("b-1", "10.0.1.2")]),
        ]);
        let kinds = kinds(zone);
        let mut random = Random::new(seed);
        let mut expected: HashMap<&str, u64> = HashMap::default();
        // The name that a client looked up last. A pod may use several.
        let mut asked: HashMap<u8, usize> = HashMap::default();
        for _ in 0..CONNECTIONS {
            let client = u8::try_from(random.below(6)).unwrap() + 1;
            let kind = match asked.get(&client) {
                Some(kind) if random.below(2) == 0 => *kind,
                _ => random.below(kinds.len()),
            };
            asked.insert(client, kind);
            let Kind { name, listed, behind, service } = &kinds[kind];
            world.resolve(client, name, listed);
            let Dialled(mut record) = world.dial(client, listed[random.below(listed.len())]);
            if !behind.is_empty() {
                record.sent_to = abi(ip(behind[random.below(behind.len())]));
            }
            let connection = world.open(Dialled(record));
            world.close(connection);
            if let Some(service) = service {
                *expected.entry(service).or_default() += 1;
            }
        }
        for name in ["orders", "backup"] {
            let service = world.service(name);
            let opened: u64 = service.endpoints.iter().map(|row| row.opened).sum();
            assert_eq!(opened, expected[name], "{name}, {zone}");
            assert!(service.clients.iter().all(|client| client.not_endpoint == 0), "{name}, {zone}");
            assert_eq!((service.dns.incomplete, service.dns.removed_answered), (0, 0), "{name}, {zone}");
        }
        let quality = world.snapshot().quality;
        assert_eq!(quality.unattributed["not_endpoint"], 0, "{zone}");
        assert!(quality.unattributed["other_name"] > 0, "{zone}");
        assert!(quality.excluded["load_balanced"] > 0, "{zone}");
    }
}

#[test]
fn no_connection_is_in_a_figure_of_another_network() {
    let learner = Some(Learner::new(crate::topology::learned::LearnConfig::default()));
    let mut world = World::with(Config { learner, ..config() }, []);
    // Two Compose projects and a Swarm service; clients 1 to 3 are in the first network, and so on.
    let networks: [(&str, &str, [&str; 3]); 3] = [
        ("orders", "", ["172.18.0.2", "172.18.0.3", "172.18.0.4"]),
        ("orders", "172.19.0.x", ["172.19.0.2", "172.19.0.3", "172.19.0.4"]),
        ("tasks.orders", "", ["10.0.1.2", "10.0.1.3", "10.0.1.4"]),
    ];
    let mut random = Random::new(3);
    let mut expected = [0; 3];
    for turn in 0..CONNECTIONS {
        let network = if turn < 3 { turn } else { random.below(3) };
        let client = u8::try_from(3 * network + random.below(3) + 1).unwrap();
        let (name, _, addresses) = networks[network];
        world.resolve(client, name, &addresses);
        let connection = world.connect(client, addresses[random.below(3)]);
        world.close(connection);
        expected[network] += 1;
    }
    let snapshot = world.snapshot();
    for ((name, namespace, addresses), expected) in networks.into_iter().zip(expected) {
        let found = |service: &&ServiceRow| service.name == name && service.namespace == namespace;
        let service = snapshot.services.iter().find(found).unwrap();
        let rows: Vec<_> = service.endpoints.iter().map(|row| row.pod.as_str()).collect();
        assert_eq!(rows, addresses, "{namespace}/{name}");
        assert_eq!(
            service.endpoints.iter().map(|row| row.opened).sum::<u64>(),
            expected,
            "{namespace}/{name}"
        );
        assert_eq!(service.clients.len(), 3, "{namespace}/{name}");
        assert!(service.clients.iter().all(|client| client.resolution.keys().eq(["service"])));
        assert_eq!(service.other_names, [], "{namespace}/{name}");
    }
    assert_eq!(snapshot.services.len(), networks.len());
    assert_eq!(snapshot.quality.unattributed.values().sum::<u64>(), 0);
}
