//! The daemon ends by a signal to stop or to kill, and starts again: it leaves nothing in the kernel, and a new daemon
//! finds connections that are older than itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lab::bpf_objects::{held_by, loaded};
use lab::*;
use serde_json::{Value, json};

use crate::snapshot_figures::{client, endpoint};
use crate::{ORDERS, PATIENCE, PORT, Scene, orders, service, sum};

/// Objects that a daemon can leave on a machine.
#[derive(Debug, PartialEq)]
struct Machine {
    /// `program 7` and the like → the object's name; links have none.
    objects: BTreeMap<String, String>,
    /// Mounts of the kinds that the daemon makes.
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
}

impl Machine {
    fn now(lab: &Lab) -> Self {
        let objects = loaded();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_daemons =
            |line: &&str| [" - tracefs ", " - cgroup2 ", " - bpf "].iter().any(|kind| line.contains(kind));
        let mounts = mounts.lines().filter(is_daemons).map(str::to_owned).collect();
        let mut cgroups = BTreeSet::new();
        list(lab.cgroup().parent().unwrap(), &mut cgroups);
        Self { objects, mounts, cgroups }
    }
}

/// All directories of a tree.
fn list(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.insert(entry.path().display().to_string());
            list(&entry.path(), found);
        }
    }
}

/// The namespaces of a process's threads.
fn namespaces(pid: u32) -> BTreeSet<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let names =
        threads.flat_map(|thread| fs::read_dir(thread.path().join("ns")).into_iter().flatten().flatten());
    names.filter_map(|name| Some(fs::read_link(name.path()).ok()?.display().to_string())).collect()
}

/// A running daemon's kernel objects, with names.
fn parts(observer: &Observer, scene: &Scene) -> BTreeMap<String, String> {
    assert_eq!(
        namespaces(observer.pid()),
        namespaces(std::process::id()),
        "no namespace is left that is not made"
    );
    let objects = Machine::now(&scene.lab).objects;
    let held = held_by(observer.pid()).unwrap();
    let parts: BTreeMap<_, _> = held.iter().map(|object| (object.clone(), objects[object].clone())).collect();
    let count = |kind| held.iter().filter(|object| object.starts_with(kind)).count();
    assert!(count("prog") >= 2 && count("map") >= 5 && count("link") >= 2, "{parts:?}");
    parts
}

/// Asserts that the machine is as before the daemon's start. The kernel frees some objects a moment later.
fn assert_nothing_is_left(scene: &Scene, before: &Machine, parts: &BTreeMap<String, String>) {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = Machine::now(&scene.lab);
        // Other processes may load programs meanwhile, with other names.
        let names: BTreeSet<_> = parts.values().filter(|name| !name.is_empty()).collect();
        let left: Vec<_> = now
            .objects
            .iter()
            .filter(|(object, name)| {
                parts.contains_key(*object) || (names.contains(name) && !before.objects.contains_key(*object))
            })
            .collect();
        if left.is_empty() && now.mounts == before.mounts && now.cgroups == before.cgroups {
            return;
        }
        assert!(Instant::now() < end, "{left:?} is left, or a mount or cgroup:\n{before:#?}\n{now:#?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A client that keeps its connections, to both pods in turn.
fn keeper(scene: &Scene, pod: &Pod) -> Client {
    pod.client(&ClientSpec::new(ORDERS, PORT, scene.resolver, 0).round_robin(2)).unwrap()
}

fn active(observer: &Observer, connections: u64) -> Value {
    observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == connections).unwrap()
}

/// Asserts that the kernel accepted the program that lists open connections. Without it a later wait would time out.
fn assert_lists_what_is_open(observer: &Observer) {
    let snapshot = observer.snapshot().unwrap();
    assert_eq!(snapshot["quality"]["probes"]["existing"], "iter/task_file");
}

#[test]
fn connections_older_than_the_daemon_are_counted_down() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (service_of_orders, _servers) = scene.orders(2, &ServerMode::Hold);
    let server = service_of_orders.endpoints[1].pod.clone();
    // The client is an endpoint itself, on any port. A socket that a server accepted from it would count here if the
    // daemon took it for a client's socket.
    let peers = ServiceSpec {
        ports: Vec::new(),
        ..ServiceSpec::new("shop", "peers", PORT, std::slice::from_ref(&web))
    };
    let services = [service_of_orders, peers];
    // DNS has the names before the daemon starts, so that the client can look them up.
    drop(scene.observe(&services, &[]));
    let (client_of_orders, server_as_client) = (keeper(&scene, &web), keeper(&scene, &server));
    assert_eq!(client_of_orders.open(6).unwrap().open, 6);
    assert_eq!(server_as_client.open(2).unwrap().open, 2);

    let observer = scene.observe(&services, &[]);
    assert_lists_what_is_open(&observer);
    let snapshot = active(&observer, 8);
    let before = orders(&snapshot);
    let row = client(before, "web");
    assert_eq!((&row["resolution"], &row["active"]), (&json!({"preexisting": 6}), &json!(6)), "{before:#}");
    let row = client(before, "orders-1");
    assert_eq!((&row["resolution"], &row["active"]), (&json!({"preexisting": 2}), &json!(2)), "{before:#}");
    assert_eq!((sum(before, "opened"), sum(before, "closed")), (0, 0));
    assert_eq!(before["spread"]["connections"], 0);

    assert_eq!(client_of_orders.open(4).unwrap().open, 10);
    let snapshot = active(&observer, 12);
    let row = client(orders(&snapshot), "web");
    assert_eq!(row["resolution"], json!({"preexisting": 6, "service": 4}));
    assert_eq!((&row["opened"], &row["active"]), (&json!(4), &json!(10)));

    // The oldest first: those that are older than the daemon.
    client_of_orders.close(6).unwrap();
    server_as_client.kill();
    let snapshot = active(&observer, 4);
    let after = orders(&snapshot);
    assert_eq!((sum(after, "opened"), sum(after, "closed")), (4, 8), "{after:#}");
    assert_eq!(
        (&client(after, "web")["active"], &client(after, "orders-1")["active"]),
        (&json!(4), &json!(0))
    );
    assert_eq!(
        (&endpoint(after, "orders-0")["active"], &after["spread"]["connections"]),
        (&json!(2), &json!(4))
    );
    assert_eq!(service(&snapshot, "peers")["clients"], json!([]), "accepted sockets are no clients");
}

#[test]
fn a_killed_daemon_leaves_nothing_and_the_next_one_finds_the_connections() {
    for hook in ["tp_btf", "tracepoint"] {
        let scene = Scene::new();
        let web = scene.pod("web", "10.244.1.20/24");
        let (service, _servers) = scene.orders(2, &ServerMode::Hold);
        let client_of_orders = keeper(&scene, &web);
        // The lab's own cgroup for programs outside of pods.
        scene.lab.exec(&["true"]).unwrap().output().unwrap();
        let before = Machine::now(&scene.lab);
        let start = || scene.observe(std::slice::from_ref(&service), &["--tcp-hook", hook]);

        let first = start();
        assert_eq!(client_of_orders.open(5).unwrap().open, 5);
        active(&first, 5);
        let parts_of_first = parts(&first, &scene);
        first.kill();
        assert_nothing_is_left(&scene, &before, &parts_of_first);

        // Meanwhile the client closes two and opens one.
        client_of_orders.close(2).unwrap();
        assert_eq!(client_of_orders.open(1).unwrap().open, 4);
        let second = start();
        assert_lists_what_is_open(&second);
        let snapshot = active(&second, 4);
        let found = orders(&snapshot);
        assert_eq!(client(found, "web")["resolution"], json!({"preexisting": 4}), "{hook}: {found:#}");
        assert_eq!((sum(found, "opened"), sum(found, "closed")), (0, 0));
        client_of_orders.close(4).unwrap();
        let snapshot = active(&second, 0);
        assert_eq!(sum(orders(&snapshot), "closed"), 4, "{hook}");
        let parts_of_second = parts(&second, &scene);
        second.kill();
        assert_nothing_is_left(&scene, &before, &parts_of_second);
    }
}

#[test]
fn a_daemon_that_is_asked_to_end_does_and_leaves_nothing() {
    for hook in ["tp_btf", "tracepoint"] {
        let scene = Scene::new();
        let web = scene.pod("web", "10.244.1.20/24");
        let (service, _servers) = scene.orders(2, &ServerMode::Hold);
        scene.lab.exec(&["true"]).unwrap().output().unwrap();
        let before = Machine::now(&scene.lab);
        let observer = scene.observe(&[service], &["--tcp-hook", hook]);
        assert_eq!(keeper(&scene, &web).open(5).unwrap().open, 5);
        // Neither a silent connection nor an unfinished request delays its end.
        let _silent = TcpStream::connect(observer.address()).unwrap();
        let mut slow = TcpStream::connect(observer.address()).unwrap();
        slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
        let parts = parts(&observer, &scene);
        let (status, log) = observer.stop().unwrap();
        assert_eq!(status.code(), Some(0), "{hook}: {log}");
        assert_nothing_is_left(&scene, &before, &parts);
    }
}
