//! `explain --connections`: open connections one by one, compared with the sockets that `ss` shows and with the processes
//! that hold them.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use lab::client::Receive;
use lab::tcp_info::{COMMAND, TcpInfo};
use lab::*;
use serde_json::Value;

use crate::{ORDERS, PATIENCE, PORT, Scene};

/// A connection: bytes sent once, bytes received, the round-trip time in microseconds, and the peer.
type Socket = (u64, u64, u64, String);

/// The kernel's own figures of a pod's sockets with a filter, such as `dport = :8080`.
pub(crate) fn sockets(pod: &Pod, filter: &str) -> Vec<TcpInfo> {
    let out = pod.exec(&[&COMMAND[..], &[filter]].concat()).unwrap().output().unwrap();
    TcpInfo::parse(&String::from_utf8(out.stdout).unwrap()).unwrap()
}

/// The connections of a pod to the Service, by source port.
fn connections(pod: &Pod) -> BTreeMap<u64, Socket> {
    let own = sockets(pod, &format!("dport = :{PORT}")).into_iter();
    own.map(|row| (row.port.into(), (row.bytes_sent, row.bytes_received, row.rtt_us, row.peer))).collect()
}

/// The list as the command prints it.
pub(crate) fn listed(scene: &Scene, observer: &Observer, options: &[&str]) -> Value {
    let (program, address) = (program().unwrap(), observer.address().to_string());
    let words =
        [program.to_str().unwrap(), "explain", "shop/orders", "--connections", "-o", "json", "--from"];
    let output = scene.lab.exec(&[&words[..], &[&address], options].concat()).unwrap().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn rows(list: &Value) -> &Vec<Value> {
    list["connections"].as_array().unwrap()
}

/// The same of a list's rows of a pod.
fn told(list: &Value, pod: &str) -> BTreeMap<u64, Socket> {
    let own = rows(list).iter().filter(|row| row["client_pod"] == pod);
    own.map(|row| {
        let reading = &row["reading"];
        let number = |name: &str| reading[name].as_u64().unwrap();
        let peer = format!("{}:{}", row["address"].as_str().unwrap(), row["port"]);
        let socket = (number("bytes_sent"), number("bytes_received"), number("rtt_us"), peer);
        (row["source_port"].as_u64().unwrap(), socket)
    })
    .collect()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

fn seconds(scene: &Scene, time: &Value) -> f64 {
    let out =
        scene.lab.exec(&["date", "-u", "+%s.%N", "-d", time.as_str().unwrap()]).unwrap().output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn open_connections_are_listed_as_the_kernel_has_them() {
    let scene = Scene::new();
    let (web, cron) = (scene.pod("web", "10.244.1.20/24"), scene.pod("cron", "10.244.1.21/24"));
    let (service, _servers) = scene.orders(2, &ServerMode::Echo);
    let start = || scene.observe(std::slice::from_ref(&service), &[]);
    // DNS has the names before the daemon starts.
    drop(start());
    let spec = |length| {
        ClientSpec::new(ORDERS, PORT, scene.resolver, 0)
            .round_robin(2)
            .dial(|dial| (dial.send, dial.receive) = (length, Receive::Bytes(length)))
    };
    let older = cron.client(&spec(3_000)).unwrap();
    assert_eq!(older.open(2).unwrap().open, 2);

    let observer = start();
    let began = now();
    let client = web.client(&spec(10_000)).unwrap();
    assert_eq!(client.open(4).unwrap().open, 4);
    let opened = now();
    // A later answer is not the one that they came from.
    client.resolve().unwrap();

    let end = Instant::now() + PATIENCE;
    let list = loop {
        let list = listed(&scene, &observer, &[]);
        let (of_web, of_cron) = (connections(&web), connections(&cron));
        if (told(&list, "web"), told(&list, "cron")) == (of_web.clone(), of_cron.clone()) {
            assert_eq!((of_web.len(), of_cron.len()), (4, 2));
            break list;
        }
        assert!(Instant::now() < end, "{list:#}\n{of_web:?}\n{of_cron:?}");
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!((&list["open"], &list["left_out"]), (&6.into(), &0.into()));
    assert_eq!(list["load"], "iter/bpf_map_elem");
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim().to_owned();
    for row in rows(&list) {
        let is_older = row["client_pod"] == "cron";
        let pid = if is_older { older.pid() } else { client.pid() };
        assert_eq!((&row["process"], &row["program"]), (&pid.into(), &name(pid).into()), "{row:#}");
        let pod = match row["address"].as_str().unwrap() {
            "10.244.1.100" => "orders-0",
            "10.244.1.101" => "orders-1",
            other => panic!("{other}"),
        };
        assert_eq!(row["pod"], pod);
        let sent = row["reading"]["bytes_sent"].as_u64().unwrap();
        if is_older {
            assert_eq!((&row["resolution"], sent), (&"preexisting".into(), 3_000), "{row:#}");
            assert_eq!((&row["opened"], &row["answer"]), (&Value::Null, &Value::Null), "{row:#}");
            continue;
        }
        assert_eq!((&row["resolution"], sent), (&"service".into(), 10_000), "{row:#}");
        let at = seconds(&scene, &row["opened"]);
        assert!((began - 0.5..=opened + 0.5).contains(&at), "{began} {at} {opened}");
        let answer = &row["answer"];
        assert_eq!((&answer["name"], &answer["size"]), (&ORDERS.into(), &2.into()), "{row:#}");
        assert!(answer["position"].as_u64().unwrap() < 2, "{row:#}");
        let answered = seconds(&scene, &answer["at"]);
        assert!(began - 0.5 <= answered && answered <= at, "{began} {answered} {at}");
    }

    // Most bytes first; then the oldest first.
    let first = listed(&scene, &observer, &["--limit", "1"]);
    assert_eq!((&rows(&first)[0]["client_pod"], &first["left_out"]), (&"web".into(), &5.into()), "{first:#}");
    let oldest = listed(&scene, &observer, &["--limit", "3", "--sort", "age"]);
    let pods: Vec<_> = rows(&oldest).iter().map(|row| row["client_pod"].as_str().unwrap()).collect();
    assert_eq!(pods, ["cron", "cron", "web"]);
    let of_cron = listed(&scene, &observer, &["--client", "shop/cron"]);
    assert_eq!((rows(&of_cron).len(), &of_cron["open"]), (2, &2.into()), "{of_cron:#}");

    // One that has ended is in no list.
    client.close(3).unwrap();
    observer.snapshot_when(PATIENCE, |snapshot| crate::sum(crate::orders(snapshot), "active") == 3).unwrap();
    let rest = listed(&scene, &observer, &[]);
    assert_eq!((&rest["open"], rows(&rest).len()), (&3.into(), 3), "{rest:#}");

    let (program, address) = (program().unwrap(), observer.address().to_string());
    let run = |service: &str| {
        let words = [program.to_str().unwrap(), "explain", service, "--connections", "--from", &address];
        scene.lab.exec(&words).unwrap().output().unwrap()
    };
    let text = String::from_utf8(run("shop/orders").stdout).unwrap();
    assert!(text.contains("shop/orders: 3 open connections, those with most bytes first."), "{text}");
    assert!(text.contains("CLIENT POD") && text.contains("shop/cron") && text.contains("9.8 KiB"), "{text}");
    let unknown = run("shop/nothing");
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(!unknown.status.success() && said.contains("no Service shop/nothing is known"), "{said}");
}

#[test]
fn without_readings_the_list_says_so() {
    let scene = Scene::new();
    let web = scene.pod("web", "10.244.1.20/24");
    let (service, _servers) = scene.orders(2, &ServerMode::Hold);
    let observer = scene.observe(&[service], &["--tcp-hook", "tracepoint"]);
    let client = web.client(&ClientSpec::new(ORDERS, PORT, scene.resolver, 0).round_robin(2)).unwrap();
    assert_eq!(client.open(3).unwrap().open, 3);
    observer.snapshot_when(PATIENCE, |snapshot| crate::sum(crate::orders(snapshot), "active") == 3).unwrap();
    let list = listed(&scene, &observer, &[]);
    let is_read = list["load"] != "none";
    assert_eq!((&list["open"], rows(&list).len()), (&3.into(), 3), "{list:#}");
    for row in rows(&list) {
        assert_eq!((row["reading"].is_object(), &row["process"]), (is_read, &client.pid().into()), "{row:#}");
    }
}
