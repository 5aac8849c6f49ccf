//! The pods of a client: which of them connected where, and what they hold.

use super::windows::address;
use super::*;
use crate::expose::snapshot::ClientPod;
use crate::testing::Random;
use crate::topology::test_builders::pod;

/// A world with so many endpoints, and so many pods of the client web: `web-1` and up.
pub(super) fn world(endpoints: u8, clients: u8) -> World {
    let mut world = World::with(config(), [orders(&pods(endpoints))]);
    world.engine.apply(Time(1), Change::Synced(true));
    for client in 1..=clients {
        world.apply(pod("shop", &format!("web-{client}"), &[&format!("10.9.0.{client}")]));
    }
    world
}

/// Opened, failed and open connections of a pod at an endpoint.
type Made = BTreeMap<(u8, usize), [u64; 3]>;

fn sums<'a>(made: impl Iterator<Item = &'a [u64; 3]>) -> [u64; 3] {
    made.fold([0; 3], |sum, more| [sum[0] + more[0], sum[1] + more[1], sum[2] + more[2]])
}

fn figures(pod: &ClientPod) -> [u64; 3] {
    [pod.opened, pod.failed, pod.active]
}

#[test]
fn each_connection_is_in_the_row_of_its_pod() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let (endpoints, clients) = (1 + random.below(6), 1 + random.below(40));
        let mut world = world(endpoints.try_into().unwrap(), clients.try_into().unwrap());
        let all: Vec<String> = (0..endpoints).map(address).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let (mut made, mut open) = (Made::new(), Vec::new());
        for _ in 0..400 {
            let client = u8::try_from(1 + random.below(clients)).unwrap();
            let endpoint = random.below(endpoints);
            if random.below(3) == 0 {
                world.resolve(client, ORDERS, &all);
            }
            let dialled = world.dial(client, all[endpoint]);
            let row = made.entry((client, endpoint)).or_default();
            if random.below(5) == 0 {
                world.fail(dialled, reason::REFUSED);
                row[1] += 1;
            } else {
                open.push((client, endpoint, world.open(dialled)));
                row[0] += 1;
                row[2] += 1;
            }
            if random.below(2) == 0 && !open.is_empty() {
                let (client, endpoint, dialled) = open.swap_remove(random.below(open.len()));
                let row = made.get_mut(&(client, endpoint)).unwrap();
                row[2] -= 1;
                if random.below(4) == 0 {
                    world.reset(dialled);
                    row[1] += 1;
                } else {
                    world.close(dialled);
                }
            }
        }
        let client = world.client("orders");
        assert_eq!(client.by_pod.len(), clients.min(32).min(made.len()));
        for pod in &client.by_pod {
            let number: u8 = pod.pod.strip_prefix("web-").unwrap().parse().unwrap();
            let own = |row: &(&(u8, usize), &[u64; 3])| row.0.0 == number;
            assert_eq!(figures(pod), sums(made.iter().filter(own).map(|(_, row)| row)), "{pod:?}");
            assert_eq!(pod.used, made.iter().filter(own).count() as u64);
            for at in &pod.endpoints {
                let endpoint = at.pod.strip_prefix("orders-").unwrap().parse().unwrap();
                assert_eq!([at.opened, at.failed, at.active], made[&(number, endpoint)], "{pod:?}");
            }
        }
        let rest = [client.other_pods.opened, client.other_pods.failed, client.other_pods.active];
        let shown: Vec<_> = client.by_pod.iter().map(figures).chain([rest]).collect();
        assert_eq!(sums(shown.iter()), [client.opened, client.failed, client.active], "seed {seed}");
        assert_eq!(client.by_pod.len() as u64 + client.other_pods.pods, client.pods);
    }
}

#[test]
fn the_pod_that_pins_comes_first_and_counts_are_of_the_stretch() {
    let mut world = world(3, 3);
    for client in [1, 2, 3] {
        world.resolve(client, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    }
    let held = world.connect(3, "10.0.0.2");
    world.pass(Duration::from_secs(3_600));
    for turn in 0..30 {
        for client in [1, 2] {
            let endpoint = if client == 2 { 0 } else { turn % 3 };
            let dialled = world.connect(client, &address(endpoint));
            world.close(dialled);
        }
    }
    let recent = world.engine.snapshot(&world.kernel(), Some(Duration::from_secs(60)));
    let [client] = &recent.services[0].clients[..] else { panic!() };
    let rows: Vec<_> = client.by_pod.iter().map(|pod| (&*pod.pod, figures(pod), pod.used)).collect();
    assert_eq!(rows, [("web-2", [30, 0, 0], 1), ("web-3", [0, 0, 1], 1), ("web-1", [30, 0, 0], 3)]);
    let at = &client.by_pod[1];
    assert_eq!((&*at.endpoints[0].pod, at.endpoints[0].active), ("orders-1", 1));
    let oldest = at.oldest_open.unwrap();
    assert!(recent.to.duration_since(oldest).as_secs() >= 3_600, "{oldest}");
    assert_eq!(at.program.as_deref(), Some("client-3"));
    world.close(held);
    let recent = world.engine.snapshot(&world.kernel(), Some(Duration::from_secs(60)));
    assert_eq!(recent.services[0].clients[0].by_pod.len(), 2, "web-3 did nothing in this stretch");
}

#[test]
fn rows_have_a_limit_over_all_clients() {
    let mut world = World::with(config(), [orders(&pods(2))]);
    world.engine.apply(Time(1), Change::Synced(true));
    for client in 1..=40_u8 {
        let workload = if client <= 36 { "web" } else { "batch" };
        let own = pod("shop", &format!("{workload}-{client}"), &[&format!("10.9.0.{client}")]);
        world.apply(crate::topology::model::Pod { workload: workload.into(), ..own });
        world.resolve(client, ORDERS, &["10.0.0.1", "10.0.0.2"]);
        let _ = world.connect(client, "10.0.0.1");
    }
    let clients = world.service("orders").clients;
    let shown: Vec<_> = clients.iter().map(|client| (client.by_pod.len(), client.other_pods.pods)).collect();
    assert_eq!(shown, [(4, 0), (32, 4)]);
}
