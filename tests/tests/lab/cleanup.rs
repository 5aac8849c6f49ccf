//! However a lab ends, it leaves no process, namespace, mount, cgroup or folder.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lab::*;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::{dns_server, pod};

/// The way in which the child below must end.
const HOW: &str = "LAB_TEST_ENDS_BY";

/// The contents of a lab in another process.
#[derive(Debug, Serialize, Deserialize)]
struct Parts {
    cgroup: PathBuf,
    folder: PathBuf,
    processes: Vec<u32>,
    namespaces: Vec<String>,
}

/// No test: a process with a lab, for the tests below.
#[test]
#[ignore = "started by the other tests of this file"]
fn child() {
    let how = env::var(HOW).unwrap();
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let (_dns, resolver) = dns_server(&node);
    let server = pod(&node, "server", &["10.244.1.10/24"]);
    server.serve(&ServerSpec::new(server.sockets(80)).mode(ServerMode::Hold)).unwrap();
    let settings = ResolvConf::kubelet(resolver.ip(), "shop", "cluster.local");
    let web = node.pod(PodSpec::new("shop", "web").address("10.244.1.20/24").resolv_conf(settings)).unwrap();
    let client = web.client(&ClientSpec::fixed(&server.addresses(), 80, 3).keep()).unwrap();
    assert_eq!(client.wait().unwrap().open, 3);
    let outside = lab.exec(&["sleep", "1000"]).unwrap();
    soon("the program outside is in no cgroup", || members(lab.cgroup()).contains(&outside.pid()));
    let processes = members(lab.cgroup());
    assert!(processes.contains(&client.pid()), "{processes:?}");
    assert_eq!(processes.len(), 4, "a DNS server, a server, a client, a program outside");
    let namespaces =
        processes.iter().filter(|pid| **pid != outside.pid()).map(|&pid| network_of(pid).unwrap());
    let parts = Parts {
        cgroup: lab.cgroup().to_owned(),
        folder: lab.folder().to_owned(),
        namespaces: namespaces.collect(),
        processes,
    };
    println!("\n{}", serde_json::to_string(&parts).unwrap());
    if how == "panic" {
        panic!("as told");
    }
    thread::sleep(Duration::from_secs(60));
}

fn start(how: &str) -> (Child, Parts) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "cleanup::child", "--ignored", "--nocapture"])
        .env(HOW, how)
        .env(lab::machine_lock::SHARED, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let parts = lines.filter_map(|line| serde_json::from_str(&line).ok()).next();
    (child, parts.expect("the child made no lab"))
}

/// The processes in a tree of cgroups.
fn members(cgroup: &Path) -> Vec<u32> {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap();
    let mut all: Vec<u32> = own.lines().map(|line| line.parse().unwrap()).collect();
    for entry in fs::read_dir(cgroup).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        all.extend(members(&entry.path()));
    }
    all
}

/// The network namespace of a process; `None` if it has ended.
fn network_of(pid: u32) -> Option<String> {
    Some(fs::read_link(format!("/proc/{pid}/ns/net")).ok()?.to_string_lossy().into_owned())
}

/// Processes of the whole machine in one of these namespaces.
fn inside(namespaces: &[String]) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&pid| network_of(pid).is_some_and(|namespace| namespaces.contains(&namespace))).collect()
}

/// Waits for a moment, because processes end a moment after they are killed.
fn soon(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn assert_processes_are_gone(parts: &Parts) {
    soon("processes are left in the lab's namespaces", || inside(&parts.namespaces).is_empty());
    soon("processes are left", || parts.processes.iter().all(|&pid| network_of(pid).is_none()));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    for trace in parts.namespaces.iter().map(String::as_str).chain(["resolv.conf"]) {
        assert!(!mounts.contains(trace), "{trace} is mounted:\n{mounts}");
    }
}

fn assert_files_are_gone(parts: &Parts) {
    assert!(!parts.cgroup.exists(), "{} is left", parts.cgroup.display());
    assert!(!parts.folder.exists(), "{} is left", parts.folder.display());
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn a_panic_leaves_nothing() {
    let (mut child, parts) = start("panic");
    assert_eq!(child.wait().unwrap().code(), Some(101));
    assert_files_are_gone(&parts);
    assert_processes_are_gone(&parts);
}

#[test]
fn signals_leave_nothing() {
    use std::os::unix::process::ExitStatusExt;
    for (name, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let (mut child, parts) = start("signal");
        assert!(parts.cgroup.exists() && parts.folder.exists());
        assert_eq!(inside(&parts.namespaces).len(), 3);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().signal(), Some(number), "it ends as the signal would have ended it");
        assert_files_are_gone(&parts);
        assert_processes_are_gone(&parts);
    }
}

#[test]
fn what_sigkill_leaves_the_next_lab_removes() {
    let (mut child, parts) = start("signal");
    let living = Lab::new().unwrap();
    assert!(parts.cgroup.exists() && parts.folder.exists(), "a living lab is left alone");
    drop(living);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    assert_processes_are_gone(&parts);
    assert!(parts.cgroup.exists() && parts.folder.exists());
    let _next = Lab::new().unwrap();
    assert_files_are_gone(&parts);
}

#[test]
fn a_daemon_that_does_not_start_shows_its_log() {
    let lab = Lab::new().unwrap();
    let program = lab.folder().join("daemon");
    fs::write(&program, "#!/bin/sh\necho \"$@\"\necho it cannot be >&2\nexit 3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let spec = ObserverSpec { program, ..ObserverSpec::new(&["--topology", "dns"]) };
    let error = Observer::start(&lab, &spec).err().unwrap().to_string();
    for part in ["exit status: 3", "run --listen 127.0.0.1:", "--topology dns", "it cannot be"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}
