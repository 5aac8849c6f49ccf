//! Thousands of clients, each in its own cgroup, faster than the daemon can look up their paths: it also counts clients
//! whose path it does not know.

use std::fs;
use std::time::Instant;

use lab::*;
use serde_json::Value;

use crate::memory::own_memory;
use crate::{PATIENCE, PORT, Scene, orders, sum};

const CLIENTS: u64 = 5_000;
/// Maximum number of path look-ups at once, and in each following second.
const LOOKED_UP: [u64; 2] = [50, 10];

#[test]
fn thousands_of_clients_are_counted_and_bounded() {
    let scene = Scene::new();
    let (service, servers) = scene.orders(2, &ServerMode::Close);
    let to = service.endpoints[0].pod.ip(true).unwrap();
    let observer = scene.observe(&[service], &["--cgroup", scene.lab.cgroup().to_str().unwrap()]);
    let at_first = own_memory(observer.pid());
    // A pod that is in no manifest: its address has no name.
    let crowd = scene.pod("crowd", "10.244.1.20/24");
    // The layout of a kubelet with this many pods.
    let folder = scene.lab.cgroup().join("kubepods/besteffort");
    for n in 0..CLIENTS {
        fs::create_dir_all(folder.join(format!("pod{n:08}-0000-4000-8000-000000000000/main"))).unwrap();
    }
    // One process moves from cgroup to cgroup: a socket belongs to the cgroup in which it was made.
    let walk = format!(
        "for place in {}/pod0*-0000-4000-8000-000000000000/main; do echo $$ > $place/cgroup.procs && exec 3<>/dev/tcp/{to}/{PORT} && exec 3>&- || exit 1; done",
        folder.display()
    );
    let begin = Instant::now();
    let walked = crowd.exec(&["bash", "-c", &walk]).unwrap().output().unwrap();
    assert!(walked.status.success(), "{walked:?}");
    assert_eq!(servers[0].total().unwrap(), CLIENTS);

    let all = |snapshot: &Value| sum(orders(snapshot), "closed") == CLIENTS;
    let snapshot = observer.snapshot_when(PATIENCE, all).unwrap();
    let service = orders(&snapshot);
    assert_eq!((sum(service, "opened"), sum(service, "active")), (CLIENTS, 0));
    let rows = service["clients"].as_array().unwrap();
    let [at_once, a_second] = LOOKED_UP;
    let named = at_once + a_second * (begin.elapsed().as_secs() + 1);
    assert!((2..=named + 1).contains(&(rows.len() as u64)), "{} clients, room for {named}", rows.len());
    let of_rows: u64 = rows.iter().map(|row| row["opened"].as_u64().unwrap()).sum();
    assert_eq!(of_rows, CLIENTS, "who has no name is counted as well");
    let after = own_memory(observer.pid());
    assert!(after.saturating_sub(at_first) < 40 << 10, "{at_first} KiB before, {after} KiB after");
    let metrics = observer.metrics().unwrap();
    let series = metrics.lines().filter(|line| line.contains("service=\"orders\"")).count();
    assert!(series < 10_000, "{series} series");
}
