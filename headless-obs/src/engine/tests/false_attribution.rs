//! Clients of other clusters, of wildcards, of aliases and of the Service itself, all at once and in a random order: each
//! connection is in the figures of its own Service, or of none.

use super::*;
use crate::testing::Random;

/// Connections of all clients together.
const CONNECTIONS: usize = 10_000;

/// What a client looks up, the addresses that it gets, and whether they are this Service's.
struct Kind {
    name: String,
    listed: &'static [&'static str],
    service: Option<&'static str>,
}

fn kinds(zone: &str) -> Vec<Kind> {
    let own: &[&str] = &["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let far: &[&str] = &["10.77.0.1", "10.77.0.2", "10.77.0.3"];
    // Networks overlap: some addresses are endpoints here.
    let overlap: &[&str] = &["10.0.0.1", "10.77.0.2", "10.77.0.3"];
    let half: &[&str] = &["10.0.0.1", "10.0.1.1"];
    let kind = |name: &str, listed, service| Kind { name: name.to_owned(), listed, service };
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
        // Which name a client looked up last. A pod may use several.
        let mut asked: HashMap<u8, usize> = HashMap::default();
        for _ in 0..CONNECTIONS {
            let client = u8::try_from(random.below(6)).unwrap() + 1;
            let kind = match asked.get(&client) {
                Some(kind) if random.below(2) == 0 => *kind,
                _ => random.below(kinds.len()),
            };
            asked.insert(client, kind);
            let Kind { name, listed, service } = &kinds[kind];
            world.resolve(client, name, listed);
            let connection = world.connect(client, listed[random.below(listed.len())]);
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
    }
}
