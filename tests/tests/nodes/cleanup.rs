//! However nodes end, they leave no process, no cgroup of either version, and no file.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lab::Lab;
use lab::cluster::nodes::{AGENT, RealNode, Surroundings, is_ready};
use lab::cluster::{Cluster, ClusterSpec, until};
use serde_json::json;

use crate::harness::Shared;
use crate::shared::PATIENCE;

/// Set for a process that only runs a cluster with nodes.
const CHILD: &str = "NODES_TEST_CHILD";

/// Runs the child's part, if this process is the child.
pub(crate) fn child() -> bool {
    if env::var_os(CHILD).is_none() {
        return false;
    }
    let lab = Lab::new().unwrap();
    let spec = ClusterSpec { real_nodes: true, ..ClusterSpec::default() };
    let cluster = Cluster::start(&lab, &spec).unwrap();
    let nodes = [(1, Surroundings::Machine), (2, Surroundings::Container)]
        .map(|(number, surroundings)| RealNode::start(&lab, &cluster, number, surroundings).unwrap());
    for node in &nodes {
        let name = format!("on-{}", node.name());
        let container = json!({"name": "c", "image": AGENT, "imagePullPolicy": "Never", "args": ["pause"]});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"nodeName": node.name(), "containers": [container]},
        });
        let pods = "/api/v1/namespaces/default/pods";
        cluster.api().create(pods, &pod).unwrap();
        cluster.api().when(&format!("{pods}/{name}"), PATIENCE, is_ready).unwrap();
    }
    println!("{}", lab.folder().display());
    stdout().flush().unwrap();
    stdin().lines().for_each(drop);
    drop(nodes);
    drop(cluster);
    drop(lab);
    true
}

/// A run in another process, by the name that all its resources have.
struct Run {
    child: Child,
    folder: PathBuf,
}

impl Run {
    fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .env(CHILD, "1")
            .env(lab::machine_lock::SHARED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let run = Self { child, folder: line.trim_end().into() };
        // At least a runtime, a kubelet, a shim, a sandbox and a container on each node.
        assert!(run.processes().len() >= 10, "{:?}", run.processes());
        assert!(run.places().len() > 2, "{:?}", run.places());
        run
    }

    fn name(&self) -> &str {
        self.folder.file_name().unwrap().to_str().unwrap()
    }

    /// The names of its processes, without the child.
    fn processes(&self) -> Vec<String> {
        let names = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let cgroup = fs::read_to_string(entry.path().join("cgroup")).ok()?;
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            cgroup.contains(self.name()).then(|| name.trim_end().to_owned())
        });
        names.collect()
    }

    /// Its folder and its cgroups.
    fn places(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).unwrap().flatten().map(|entry| entry.path());
        let cgroups = hierarchies.chain([root.to_owned()]).map(|hierarchy| hierarchy.join(self.name()));
        cgroups.chain([self.folder.clone()]).filter(|place| place.exists()).collect()
    }

    fn ended(&self) {
        until(PATIENCE, "end of all processes", || Ok(self.processes().is_empty().then_some(())))
            .unwrap_or_else(|error| panic!("{error:#}: {:?}", self.processes()));
    }
}

pub(crate) fn nodes_leave_nothing(_: &Shared) {
    let mut run = Run::start();
    drop(run.child.stdin.take());
    assert!(run.child.wait().unwrap().success());
    run.ended();
    assert_eq!(run.places(), Vec::<PathBuf>::new());
}

pub(crate) fn what_sigkill_leaves_of_nodes_the_next_lab_removes(_: &Shared) {
    let mut run = Run::start();
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    run.ended();
    let _next = Lab::new().unwrap();
    assert_eq!(run.places(), Vec::<PathBuf>::new());
}
