//! The report equals the servers' counts, connection by connection, whatever the ring loses.

use lab::dns::Order;
use lab::*;
use serde_json::Value;

use crate::snapshot_figures::failures;
use crate::{ORDERS, PATIENCE, PORT, Scene, accepted, opened, orders, sum};

/// The pods of three clients. Make them before the daemon starts, so that the manifests have them.
fn client_pods(scene: &Scene) -> [Pod; 3] {
    [("first", 20), ("robin", 21), ("random", 22)]
        .map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")))
}

/// Starts clients with three habits, `each` connections each, and waits for them.
fn run_clients(scene: &Scene, [first, robin, random]: &[Pod; 3], each: u64, threads: usize) {
    let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, each).threads(threads);
    let clients = [
        first.client(&ClientSpec { per_lookup: 10, ..spec.clone() }).unwrap(),
        robin.client(&spec.clone().round_robin(50)).unwrap(),
        random.client(&ClientSpec { per_lookup: 20, ..spec.random() }).unwrap(),
    ];
    for client in clients {
        let report = client.wait().unwrap();
        assert_eq!(report.total().connected, each, "{report:?}");
    }
}

#[test]
fn ten_thousand_connections_are_reported_as_the_servers_count_them() {
    for hook in ["tp_btf", "tracepoint"] {
        let scene = Scene::new();
        scene.dns.set_options(&DnsOptions { order: Order::Shuffle, ..DnsOptions::default() }).unwrap();
        let (service, _servers) = scene.orders(5, &ServerMode::Close);
        let pods = client_pods(&scene);
        // The ring has room for all records, because the daemon on an emulated machine may not read any for a while.
        let observer = scene.observe(&[service], &["--tcp-hook", hook, "--ring-size", "16MiB"]);
        run_clients(&scene, &pods, 3_334, 1);
        let skipped = |snapshot: &Value| snapshot["quality"]["events_lost"]["tcp_skipped"].as_u64().unwrap();
        let all = |snapshot: &Value| sum(orders(snapshot), "closed") + skipped(snapshot) >= 10_002;
        let snapshot = observer.snapshot_when(PATIENCE, all).unwrap();
        let orders = orders(&snapshot);
        if skipped(&snapshot) > 0 {
            // The classic tracepoint on a slow machine: `tcp_skipped` is the largest number of missing connections.
            let (closed, late) = (sum(orders, "closed"), snapshot["quality"]["reconciled"].as_u64().unwrap());
            assert!(hook == "tracepoint" && closed <= 10_002 && late <= skipped(&snapshot), "{snapshot:#}");
            continue;
        }
        assert_eq!(opened(orders), accepted(&scene.lab), "{hook}: {orders:#}");
        assert_eq!(
            (sum(orders, "opened"), sum(orders, "closed"), sum(orders, "active")),
            (10_002, 10_002, 0)
        );
        assert_eq!(snapshot["quality"]["probes"]["tcp"], hook);
        let quality = &snapshot["quality"];
        assert_eq!(quality["events_lost"]["ring_full"], 0, "{quality:#}");
        assert_eq!(quality["reconciled"], 0, "{quality:#}");
        let counted = sum(orders, "counted");
        assert_eq!(
            (counted, &orders["spread"]["connections"]),
            (10_002, &counted.into()),
            "all by the Service's name"
        );
    }
}

/// Timers and packets of other connections interrupt tasks that connect or close. Then the kernel skips the program
/// that is already running, some two thousand times here; the second program must see all these changes, and none
/// twice.
#[test]
fn changes_that_come_while_another_one_is_counted_are_counted_too() {
    const EACH: u64 = 40_000;
    let scene = Scene::new();
    let (service, _servers) = scene.orders(5, &ServerMode::Close);
    let pods = client_pods(&scene);
    let observer = scene.observe(&[service], &["--tcp-hook", "tp_btf", "--ring-size", "64MiB"]);
    run_clients(&scene, &pods, EACH, 4);
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") >= 3 * EACH).unwrap();
    let (orders, quality) = (orders(&snapshot), &snapshot["quality"]);
    assert_eq!(opened(orders), accepted(&scene.lab), "{quality:#}");
    assert_eq!((sum(orders, "closed"), sum(orders, "active"), failures(orders)), (3 * EACH, 0, 0));
    assert_eq!((&quality["reconciled"], &quality["events_lost"]["ring_full"]), (&0.into(), &0.into()));
}

#[test]
fn a_ring_that_overflows_loses_detail_and_no_connection() {
    let scene = Scene::new();
    scene.dns.set_options(&DnsOptions { order: Order::Shuffle, ..DnsOptions::default() }).unwrap();
    let (service, _servers) = scene.orders(5, &ServerMode::Close);
    let pods = client_pods(&scene);
    let observer = scene.observe(&[service], &["--ring-size", "64KiB"]);
    run_clients(&scene, &pods, 33_334, 2);
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 100_002).unwrap();
    let orders = orders(&snapshot);
    let quality = &snapshot["quality"];
    assert_eq!(opened(orders), accepted(&scene.lab), "{quality:#}");
    assert_eq!((sum(orders, "opened"), sum(orders, "active")), (100_002, 0));
    assert!(quality["events_lost"]["ring_full"].as_u64().unwrap() > 0, "{quality:#}");
    let late = quality["reconciled"].as_u64().unwrap();
    assert!(late > 0 && late < 100_002, "{quality:#}");
    // The last digit of a float may differ after JSON.
    let share = quality["reconciled_share"].as_f64().unwrap();
    assert!((share - late as f64 / 100_002.0).abs() < 1e-12, "{quality:#}");
}
