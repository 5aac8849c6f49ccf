//! Ten thousand channels that stay open, with loads from nothing to 65,000 bytes: the daemon's figures are the kernel's
//! at both ends, after a restart too, and an end counts once.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use lab::client::Receive;
use lab::tcp_info::TcpInfo;
use lab::*;
use serde_json::Value;

use crate::connections::{listed, rows, sockets};
use crate::{ORDERS, PATIENCE, PORT, Scene, orders, sum};

/// Bytes each way on each channel of a client.
const LOADS: [usize; 20] = [
    0, 0, 1, 1, 2, 10, 64, 100, 500, 1_000, 1_448, 1_449, 2_000, 3_000, 5_000, 9_000, 12_000, 20_000, 40_000,
    65_000,
];
/// Channels of each client.
const EACH: u64 = 500;
const ALL: u64 = EACH * LOADS.len() as u64;

/// Bytes sent and received, segments sent and received, as clients see them.
type Load = [u64; 4];

fn of_client(row: &TcpInfo) -> Load {
    [row.bytes_sent, row.bytes_received, row.segments_sent, row.segments_received]
}

/// The same from the server's end.
fn of_server(row: &TcpInfo) -> Load {
    [row.bytes_received, row.bytes_sent, row.segments_received, row.segments_sent]
}

fn add(sum: Load, more: Load) -> Load {
    std::array::from_fn(|figure| sum[figure] + more[figure])
}

/// The load of each endpoint that the daemon has counted, or found when it started.
fn told(snapshot: &Value, before: bool) -> Vec<Load> {
    let figures = ["bytes_sent", "bytes_received", "segments_sent", "segments_received"];
    let place = |figure: &str| match (before, figure.starts_with("bytes")) {
        (true, _) => format!("/carried/before/{figure}"),
        (false, true) => format!("/{figure}"),
        (false, false) => format!("/carried/{figure}"),
    };
    let of = |endpoint: &Value| {
        figures.map(|figure| endpoint.pointer(&place(figure)).and_then(Value::as_u64).unwrap_or(0))
    };
    orders(snapshot)["endpoints"].as_array().unwrap().iter().map(of).collect()
}

/// The sum of a metric's series of each endpoint.
fn scraped(metrics: &str, metric: &str, direction: &str, endpoints: usize) -> Vec<u64> {
    let direction = format!("direction=\"{direction}\"");
    let of = |number: usize| {
        let pod = format!("pod=\"orders-{number}\"");
        let series = metrics.lines().filter(|line| {
            line.split('{').next() == Some(metric) && line.contains(&pod) && line.contains(&direction)
        });
        series.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    (0..endpoints).map(of).collect()
}

#[test]
fn ten_thousand_channels_have_the_kernels_figures_and_end_once() {
    let scene = Scene::new();
    let pods: Vec<Pod> =
        (0..4).map(|n| scene.pod(&format!("orders-{n}"), &format!("10.244.1.{}/24", 100 + n))).collect();
    let serve = |pod: &Pod| pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Echo)).unwrap();
    let _servers: Vec<Server> = pods.iter().map(serve).collect();
    let service = ServiceSpec::new("shop", "orders", PORT, &pods);
    let start = || scene.observe(std::slice::from_ref(&service), &[]);
    let clients: Vec<Pod> =
        (0..LOADS.len()).map(|n| scene.pod(&format!("web-{n}"), &format!("10.244.2.{}/16", 1 + n))).collect();
    let observer = start();
    let running: Vec<Client> = clients
        .iter()
        .zip(LOADS)
        .map(|(pod, length)| {
            let spec = ClientSpec::new(ORDERS, PORT, scene.resolver, 0)
                .round_robin(4)
                .dial(|dial| (dial.send, dial.receive) = (length, Receive::Bytes(length)));
            pod.client(&spec).unwrap()
        })
        .collect();
    for client in &running {
        assert_eq!(client.open(EACH).unwrap().open, EACH);
    }

    // The kernel's own figures: those of each endpoint at both ends, and those of each connection.
    let of_servers = || -> Vec<Load> {
        let of = |pod: &Pod| {
            let rows = sockets(pod, &format!("sport = :{PORT}"));
            rows.iter().map(of_server).fold(Load::default(), add)
        };
        pods.iter().map(of).collect()
    };
    let of_clients = || -> Vec<Vec<TcpInfo>> {
        clients.iter().map(|pod| sockets(pod, &format!("dport = :{PORT}"))).collect()
    };
    let by_peer = |sockets: &[Vec<TcpInfo>]| -> Vec<Load> {
        let own = |number: usize| {
            let peer = format!("10.244.1.{}:{PORT}", 100 + number);
            let own = sockets.iter().flatten().filter(|row| row.peer == peer);
            own.map(of_client).fold(Load::default(), add)
        };
        (0..pods.len()).map(own).collect()
    };
    let wait = |observer: &Observer, before: bool, loads: &[Load]| {
        let is_there =
            |snapshot: &Value| sum(orders(snapshot), "active") == ALL && told(snapshot, before) == loads;
        observer.snapshot_when(PATIENCE, is_there).unwrap()
    };

    // The last acknowledgements need a moment until both ends agree.
    let end = Instant::now() + PATIENCE;
    let (of_each, loads) = loop {
        let (servers, sockets) = (of_servers(), of_clients());
        if servers == by_peer(&sockets) {
            break (sockets, servers);
        }
        assert!(Instant::now() < end, "{servers:?} {:?}", by_peer(&sockets));
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(of_each.iter().flatten().count() as u64, ALL);
    let channels: usize = LOADS.iter().sum();
    let [sent, received] = [0, 1].map(|figure| loads.iter().map(|load| load[figure]).sum::<u64>());
    assert_eq!([sent, received], [channels as u64 * EACH; 2]);

    let open = wait(&observer, false, &loads);
    assert_eq!(sum(orders(&open), "opened"), ALL);
    let metrics = observer.metrics().unwrap();
    for (metric, direction, figure) in [
        ("headless_connection_bytes_total", "sent", 0),
        ("headless_connection_bytes_total", "received", 1),
        ("headless_connection_segments_total", "sent", 2),
        ("headless_connection_segments_total", "received", 3),
    ] {
        let expected: Vec<u64> = loads.iter().map(|load| load[figure]).collect();
        assert_eq!(scraped(&metrics, metric, direction, pods.len()), expected, "{metric} {direction}");
    }
    for (pod, of_pod) in clients.iter().zip(&of_each) {
        let name = pod.full_name();
        let list = listed(&scene, &observer, &["--client", &name, "--limit", &EACH.to_string()]);
        let of_row = |row: &Value| {
            let reading =
                ["bytes_sent", "bytes_received"].map(|figure| row["reading"][figure].as_u64().unwrap());
            let peer = format!("{}:{}", row["address"].as_str().unwrap(), row["port"]);
            ((row["source_port"].as_u64().unwrap(), peer), reading)
        };
        let each: BTreeMap<_, _> = rows(&list).iter().map(of_row).collect();
        let of_socket =
            |row: &TcpInfo| ((row.port.into(), row.peer.clone()), [row.bytes_sent, row.bytes_received]);
        assert_eq!(each, of_pod.iter().map(of_socket).collect(), "{name}");
    }

    // The next daemon finds them as they are, and counts none of it as its own.
    observer.kill();
    let next = start();
    let older = wait(&next, true, &loads);
    assert_eq!((sum(orders(&older), "opened"), told(&older, false)), (0, vec![Load::default(); pods.len()]));

    // Ends add nothing to what was read, on either side.
    for client in &running {
        client.close(EACH).unwrap();
    }
    let ended = next.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == 0).unwrap();
    assert_eq!((told(&ended, true), told(&ended, false)), (loads, vec![Load::default(); pods.len()]));
}
