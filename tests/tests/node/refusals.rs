//! The daemon's messages when it cannot work, or works with limits: each contains a remedy.

use std::fs;
use std::net::TcpListener;

use lab::*;
use serde_json::Value;

use crate::shop::{Ran, Shop, log_when};
use crate::{PATIENCE, accepted, opened, orders, service, sum};

/// Runs a command in its own mount namespace, after a line of shell.
const fn private(line: &str) -> [&str; 6] {
    ["unshare", "-m", "sh", "-c", line, "sh"]
}

const NO_BTF: &str = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";
const NO_CGROUP2: &str =
    "awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts | xargs -r -n1 umount -l && exec \"$@\"";
const NO_TRACEFS: &str =
    "awk '$3 == \"tracefs\" { print $2 }' /proc/mounts | xargs -r -n1 umount -l; exec \"$@\"";

/// Asserts that a command failed, wrote only to standard error, and named a remedy.
#[track_caller]
fn refused(ran: &Ran, hints: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let line = ran.err.lines().last().unwrap();
    assert!(line.starts_with("error: ") && hints.iter().all(|hint| line.contains(hint)), "{ran:?}");
}

/// The mounts of the machine's own namespace.
fn mounts() -> String {
    fs::read_to_string("/proc/self/mounts").unwrap()
}

/// The checks of `doctor -o json` by name, and its verdict.
fn checks(ran: &Ran) -> (bool, Vec<(String, String, String)>) {
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    let checks = checks.map(|check| (text(check, "name"), text(check, "status"), text(check, "remedy")));
    (report["ok"].as_bool().unwrap(), checks.collect())
}

#[test]
fn without_root_it_says_what_it_needs() {
    let shop = Shop::open();
    // The program itself may be at a path that only root can reach.
    let copy = shop.scene.lab.folder().join("headless-obs");
    fs::copy(program().unwrap(), &copy).unwrap();
    let copy = copy.to_str().unwrap();
    let run = |words: &[&str]| {
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy];
        let output = shop.scene.lab.exec(&[&nobody, words].concat()).unwrap().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    };
    for words in [
        &["run", "--listen", "127.0.0.1:0"][..],
        &["report", "--for", "1s"],
        &["top", "-o", "json"],
        &["trace"],
        &["run", "--listen", "127.0.0.1:0", "--tcp-hook", "tracepoint"],
    ] {
        refused(
            &run(words),
            &["not allowed to use BPF", "run as root, or with the capabilities", "headless-obs doctor"],
        );
    }
    let doctor = run(&["doctor", "-o", "json", "--listen", "127.0.0.1:0"]);
    let (is_ok, checks) = checks(&doctor);
    assert!(!is_ok && doctor.code == Some(1), "{doctor:?}");
    let privileges = checks.iter().find(|(name, ..)| name == "privileges").unwrap();
    assert!(privileges.1 == "fail" && privileges.2.contains("sudo"), "{checks:?}");
    let text = run(&["doctor", "--listen", "127.0.0.1:0"]);
    assert!(
        text.code == Some(1)
            && text.out.contains("FAIL  privileges")
            && text.out.contains("→ run headless-obs with sudo"),
        "{text:?}"
    );
}

#[test]
fn without_btf_the_classic_tracepoint_counts_exactly() {
    let shop = Shop::open();
    let wrapper = private(NO_BTF);
    let observer = shop.observe(&wrapper, &[]);
    let log = log_when(&observer, "using the classic tracepoint");
    assert!(log.contains("WARN") && log.contains("CONFIG_DEBUG_INFO_BTF=y"), "{log}");
    shop.connect(200);
    let snapshot = shop.settled(&observer, 200);
    assert_eq!(
        (&snapshot["quality"]["probes"]["tcp"], sum(orders(&snapshot), "counted")),
        (&"tracepoint".into(), 200)
    );
    let report = shop.run(&[], &["report", "--from", &observer.address().to_string()]);
    assert!(
        report.out.contains("Probes not attached: existing, load; `headless-obs doctor` shows the reason."),
        "{report:?}"
    );

    let strict = shop.run(&wrapper, &["run", "--listen", "127.0.0.1:0", "--tcp-hook", "tp_btf"]);
    refused(
        &strict,
        &["no BTF (/sys/kernel/btf/vmlinux)", "CONFIG_DEBUG_INFO_BTF=y", "--tcp-hook tracepoint"],
    );
    let (is_ok, checks) = checks(&shop.run(&wrapper, &["doctor", "-o", "json", "--listen", "127.0.0.1:0"]));
    let btf = checks.iter().find(|(name, ..)| name == "BTF").unwrap();
    assert!(is_ok && btf.1 == "warn" && btf.2.contains("CONFIG_DEBUG_INFO_BTF=y"), "{checks:?}");
}

#[test]
fn without_cgroup2_it_is_mounted_privately() {
    let shop = Shop::open();
    let before = mounts();
    let wrapper = private(NO_CGROUP2);
    let observer = shop.observe(&wrapper, &[]);
    let log = log_when(&observer, "probes attached");
    assert!(log.contains("how=\"private mount\""), "{log}");
    shop.connect(100);
    let snapshot = shop.settled(&observer, 100);
    let client = &orders(&snapshot)["clients"][0];
    assert_eq!(client["resolution"], serde_json::json!({"service": 100}), "answers were seen");
    let own = fs::read_to_string(format!("/proc/{}/mounts", observer.pid())).unwrap();
    assert!(!own.contains("cgroup2"), "not even in its own namespace has it a place: {own}");
    assert_eq!(mounts(), before);
    drop(observer);
    assert_eq!(mounts(), before);
    let (is_ok, checks) = checks(&shop.run(&wrapper, &["doctor", "-o", "json", "--listen", "127.0.0.1:0"]));
    let cgroup = checks.iter().find(|(name, ..)| name == "cgroup2").unwrap();
    assert!(is_ok && cgroup.1 == "warn" && !cgroup.2.is_empty(), "{checks:?}");
}

#[test]
fn without_tracefs_it_is_mounted_privately() {
    let shop = Shop::open();
    let before = mounts();
    let observer = shop.observe(&private(NO_TRACEFS), &["--tcp-hook", "tracepoint"]);
    shop.connect(50);
    assert_eq!(shop.settled(&observer, 50)["quality"]["probes"]["tcp"], "tracepoint");
    let own = fs::read_to_string(format!("/proc/{}/mounts", observer.pid())).unwrap();
    assert!(!own.contains("tracefs"), "it went with the thread that mounted it: {own}");
    assert_eq!(mounts(), before);
    let (status, log) = observer.stop().unwrap();
    assert!(status.success(), "{log}");
    assert_eq!(mounts(), before);
}

#[test]
fn a_wrong_cgroup_root_and_a_port_in_use_are_refused() {
    let shop = Shop::open();
    let ran = shop.run(&[], &["run", "--listen", "127.0.0.1:0", "--cgroup", "/proc"]);
    refused(&ran, &["/proc: no cgroup2 directory", "--cgroup"]);
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    let ran = shop.run(&[], &["run", "--listen", &address]);
    refused(&ran, &[&address, "the port is in use", "ss -ltnp", "--listen"]);
    let ran = shop.run(&[], &["run", "--listen", "203.0.113.1:9464"]);
    refused(&ran, &["this machine has no such address"]);
}

#[test]
fn manifests_that_cannot_be_read_are_refused() {
    let shop = Shop::open();
    let folder = shop.scene.lab.folder().join("manifests");
    fs::create_dir(&folder).unwrap();
    let refuse = |path: &std::path::Path, hints: &[&str]| {
        let topology = format!("files:{}", path.display());
        let path = path.to_str().unwrap();
        let ran = shop.run(&[], &["run", "--listen", "127.0.0.1:0", "--topology", &topology]);
        refused(&ran, &[&[path], hints].concat());
        // Each remedy is printed once, not again as the cause.
        assert!(hints.iter().all(|hint| ran.err.matches(hint).count() == 1), "{ran:?}");
    };
    refuse(&folder, &["contains no Service", "kubectl get -o yaml", ".yaml, .yml or .json"]);
    refuse(&folder.join("none.yaml"), &["No such file or directory", "check the path and its permissions"]);
    refuse(std::path::Path::new("/dev/null"), &["is no ordinary file"]);
    let file = folder.join("shop.yaml");
    for (text, hints) in [
        (
            "kind: Service\nmetadata: {name: a, namespace: b}\n",
            &["document 1 (Service a)", "apiVersion: is missing"][..],
        ),
        // An object that can be read would be used, and the other one reported.
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: b}\nstatus: {podIPs: [{ip: 10.0.0.256}]}\n",
            &["document 1 (Pod p)", "status.podIPs[0].ip", "10.0.0.256"],
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec: {ports: [{port: many}]}\n",
            &["document 1 (Service a)", "spec.ports[0].port"],
        ),
        ("kind: Service\nx: [", &["document 1"]),
        ("{]", &["is no manifest", "kubectl get -o yaml"]),
    ] {
        fs::write(&file, text).unwrap();
        refuse(&file, hints);
    }
}

#[test]
fn a_manifest_that_becomes_invalid_leaves_the_last_good_state() {
    let mut shop = Shop::open();
    let observer = shop.observe(&[], &[]);
    let path = shop.topology.strip_prefix("files:").unwrap().to_owned();
    let good = fs::read_to_string(&path).unwrap();
    shop.connect(20);
    let draft = shop.scene.lab.folder().join(".draft");
    fs::write(&draft, good.replacen("\"port\": 8080", "\"port\": \"many\"", 1)).unwrap();
    fs::rename(&draft, &path).unwrap();
    let log = log_when(&observer, "a manifest cannot be read");
    assert!(
        log.contains(&path) && log.contains("document 1 (Service orders)") && log.contains("port"),
        "{log}"
    );
    shop.connect(20);
    let snapshot = shop.settled(&observer, 40);
    assert_eq!(snapshot["quality"]["topology"]["synced"], true);
    let problem = snapshot["quality"]["topology"]["problem"].as_str().unwrap();
    assert!(problem.contains("document 1 (Service orders)"), "{problem}");
    assert_eq!(observer.get("/readyz").unwrap(), (200, "ready\n".to_owned()));

    let other = ServiceSpec { name: "parts".to_owned(), ..shop.service.clone() };
    shop.publish(&[shop.service.clone(), other]);
    let has_parts = |snapshot: &Value| {
        snapshot["services"].as_array().unwrap().iter().any(|service| service["name"] == "parts")
    };
    let snapshot = observer.snapshot_when(PATIENCE, has_parts).unwrap();
    assert_eq!(service(&snapshot, "parts")["endpoints"].as_array().unwrap().len(), 3);
    shop.connect(20);
    shop.settled(&observer, 60);
}

#[test]
fn full_maps_are_counted_and_named_with_their_option() {
    let shop = Shop::open();
    let lost = |snapshot: &Value, reason: &str| snapshot["quality"]["events_lost"][reason].as_u64().unwrap();
    let footer = |observer: &Observer, hints: &[&str]| {
        let report = shop.run(&[], &["report", "--from", &observer.address().to_string()]);
        let text = report.out.replace("\n  ", " ");
        assert!(hints.iter().all(|hint| text.contains(hint)), "{hints:?}: {text}");
    };

    // Twelve sockets at once, room for eight: the daemon counts the missing ones.
    let observer = shop.observe(&[], &["--max-connections", "8"]);
    let client = shop.web.client(&shop.client(0).keep()).unwrap();
    client.open(12).unwrap();
    let truth: u64 = accepted(&shop.scene.lab).values().sum();
    assert_eq!(truth, 12);
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| lost(snapshot, "connections_full") > 0).unwrap();
    let seen = sum(orders(&snapshot), "opened");
    assert!(seen <= 8 && seen + lost(&snapshot, "connections_full") >= 12, "{snapshot:#}");
    log_when(&observer, "raise --max-connections");
    footer(
        &observer,
        &["Totals are too low, because events were lost:", "connections_full; raise --max-connections."],
    );
    client.close(12).unwrap();
    observer.kill();

    // Three endpoints and one client make three flows.
    let observer = shop.observe(&[], &["--max-flows", "2"]);
    shop.connect(60);
    let snapshot = observer.snapshot_when(PATIENCE, |snapshot| lost(snapshot, "flows_full") > 0).unwrap();
    assert!(opened(orders(&snapshot)).values().sum::<u64>() <= 60, "{snapshot:#}");
    log_when(&observer, "raise --max-flows");
    footer(
        &observer,
        &[
            "Totals are too low, because events were lost:",
            "flows_full; raise --max-flows.",
            "FLOWS is 100% full; raise --max-flows",
        ],
    );
    observer.kill();

    // One ignored address fills the map; that costs work, but no connection is lost.
    let observer = shop.observe(&[], &["--max-ignored", "1"]);
    let full = |snapshot: &Value| snapshot["quality"]["maps"]["IGNORED_DESTS"]["entries"] == 1;
    observer.snapshot_when(PATIENCE, full).unwrap();
    footer(&observer, &["Kernel map IGNORED_DESTS is 100% full; raise --max-ignored."]);
    let before: u64 = accepted(&shop.scene.lab).values().sum();
    shop.connect(30);
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 30).unwrap();
    let after: u64 = accepted(&shop.scene.lab).values().sum();
    assert_eq!((sum(orders(&snapshot), "opened"), after - before), (30, 30));
}
