//! However a cluster ends, it leaves nothing in the system.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, stdin};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::Lab;
use lab::cluster::{Cluster, until};
use serde::{Deserialize, Serialize};

use crate::harness::Shared;

/// Set for a process that only runs a cluster.
const CHILD: &str = "CLUSTER_TEST_CHILD";

/// The contents of a cluster in another process.
#[derive(Debug, Serialize, Deserialize)]
struct Parts {
    processes: Vec<u32>,
    places: [PathBuf; 2],
}

impl Parts {
    fn are_gone(&self) {
        let ended = |pid: &u32| !fs::exists(format!("/proc/{pid}")).unwrap();
        until(Duration::from_secs(10), "end of all processes", || {
            Ok(self.processes.iter().all(ended).then_some(()))
        })
        .unwrap();
    }
}

/// Runs the child's part, if this process is the child.
pub(crate) fn child() -> bool {
    if env::var_os(CHILD).is_none() {
        return false;
    }
    let lab = Lab::new().unwrap();
    let cluster = Cluster::new(&lab).unwrap();
    let places = [lab.folder().to_owned(), lab.cgroup().to_owned()];
    println!("{}", serde_json::to_string(&Parts { processes: cluster.pids(), places }).unwrap());
    stdin().lines().for_each(drop);
    drop(cluster);
    drop(lab);
    true
}

fn start() -> (Child, Parts) {
    let mut child = Command::new(env::current_exe().unwrap())
        .env(CHILD, "1")
        .env(lab::machine_lock::SHARED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let parts: Parts = serde_json::from_str(&line).expect("the child made no cluster");
    assert_eq!(parts.processes.len(), 4, "etcd, API server, controllers, DNS");
    assert!(parts.places.iter().all(|place| place.exists()));
    (child, parts)
}

pub(crate) fn a_cluster_leaves_nothing(_: &Shared) {
    let (mut child, parts) = start();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    parts.are_gone();
    assert!(!parts.places.iter().any(|place| place.exists()), "{parts:?}");
}

pub(crate) fn what_sigkill_leaves_the_next_lab_removes(_: &Shared) {
    let (mut child, parts) = start();
    child.kill().unwrap();
    child.wait().unwrap();
    parts.are_gone();
    let _next = Lab::new().unwrap();
    assert!(!parts.places.iter().any(|place| place.exists()), "{parts:?}");
}
